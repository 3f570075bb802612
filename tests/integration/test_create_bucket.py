"""CreateBucket over S3 with real clients and `cooper up`: made in the AccessKey's namespace, as a file of its own."""

import json
import re
import subprocess
import threading
from pathlib import Path
from typing import Any

import yaml
from botocore.exceptions import ClientError

from clients import cache
from clients.aws import aws_env, clean_env
from support.rig import REGION_THAT_CREATES, Rig, access_key, bucket, error_code, eventually

CREATES = {"allBuckets": {"actions": ["s3:GetObject", "s3:PutObject", "s3:DeleteObject", "s3:ListBucket"]}}
CREATES["allBuckets"]["actions"] += ["s3:CreateBucket", "s3:DeleteBucket"]


def status(call: Any) -> int:
    return call["ResponseMetadata"]["HTTPStatusCode"]


def files(rig: Rig) -> dict[str, bytes]:
    return {str(path.relative_to(rig.resources)): path.read_bytes() for path in rig.resources.rglob("*.yaml")}


def test_a_bucket_is_created_used_and_deleted(tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    narrow = {"allBuckets": {"actions": ["s3:GetObject", "s3:CreateBucket"]}}
    rig.apply(
        "all.yaml", REGION_THAT_CREATES, access_key("app", **CREATES), access_key("narrow", **narrow), bucket("plain")
    )
    rig.apply(
        "other.yaml", json.dumps(json.loads(bucket("theirs")) | {"metadata": {"name": "theirs", "namespace": "b"}})
    )
    with rig:
        app, before = rig.client("app"), files(rig)
        made = app.create_bucket(Bucket="photos")
        assert (status(made), made["Location"]) == (200, "/photos")
        app.put_object(Bucket="photos", Key="a", Body=b"hello")  # at once: no waiting, no second attempt
        assert app.get_object(Bucket="photos", Key="a")["Body"].read() == b"hello"
        assert "photos" in [each["Name"] for each in app.list_buckets()["Buckets"]]

        # The file, and what people had there.
        after = files(rig)
        assert {name: after[name] for name in before} == before
        assert after.keys() - before.keys() == {"over-s3/default.photos.yaml"}
        manifest = yaml.safe_load(after["over-s3/default.photos.yaml"])
        assert manifest["spec"] == {"bucketName": "photos", "region": "local", "credentials": {"enabled": False}}
        assert manifest["metadata"]["annotations"] == {"cooper.dev/created-by-key": rig.env("app")["ACCESS_KEY"]}
        assert not (rig.data / "credentials" / "default" / "photos.env").exists()  # no key that was not there before
        assert rig.condition("Bucket", "photos")["status"] == "True"
        assert rig.condition("Bucket", "photos", "AnnotationsKnown") == {}

        # What is taken, and what is refused.
        assert error_code(lambda: app.create_bucket(Bucket="photos")) == "BucketAlreadyOwnedByYou"
        assert error_code(lambda: app.create_bucket(Bucket="theirs")) == "BucketAlreadyExists"
        assert error_code(lambda: rig.client("plain").create_bucket(Bucket="another")) == "AccessDenied"
        elsewhere = {"LocationConstraint": "eu-central-1"}
        constrained = lambda: app.create_bucket(Bucket="another", CreateBucketConfiguration=elsewhere)  # noqa: E731
        assert error_code(constrained) == "IllegalLocationConstraintException"
        assert error_code(lambda: app.create_bucket(Bucket="a.-b")) == "InvalidBucketName"
        locked = lambda: app.create_bucket(Bucket="locked", ObjectLockEnabledForBucket=True)  # noqa: E731
        assert error_code(locked) == "NotImplemented"
        assert files(rig) == after

        # A key that may less may no more on what it creates.
        here = {"LocationConstraint": "local"}
        limited = rig.client("narrow")
        limited.create_bucket(Bucket="limited", CreateBucketConfiguration=here, ACL="public-read")
        assert error_code(lambda: limited.put_object(Bucket="limited", Key="a", Body=b"")) == "AccessDenied"
        assert yaml.safe_load(files(rig)["over-s3/default.limited.yaml"])["spec"].get("visibility") is None

        # Deleted and created again, over S3 alone: the file is left as it is.
        app.delete_object(Bucket="photos", Key="a")
        app.delete_bucket(Bucket="photos")
        again = app.create_bucket(Bucket="photos")
        assert status(again) == 200
        assert "Contents" not in app.list_objects_v2(Bucket="photos")
        app.put_object(Bucket="photos", Key="b", Body=b"again")

        # It is its reader's.
        app.delete_object(Bucket="photos", Key="b")
        (rig.resources / "over-s3" / "default.photos.yaml").unlink()
        eventually("the end of the bucket", lambda: rig.condition("Bucket", "photos") == {})


def test_many_ask_at_once_and_each_name_is_made_once(tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    rig.apply("all.yaml", REGION_THAT_CREATES, access_key("app", **CREATES))
    with rig:
        names = ["one-a", "one-a", "two-b", "two-b", "three-c", "1e3", "null", "2026-01-01"]
        answers: list[tuple[str, str]] = []

        def create(name: str) -> None:
            try:
                rig.client("app").create_bucket(Bucket=name)
                answers.append((name, "200"))
            except ClientError as error:
                answers.append((name, error.response["Error"]["Code"]))

        threads = [threading.Thread(target=create, args=(name,)) for name in names]
        for each in threads:
            each.start()
        for each in threads:
            each.join()
        assert {code for _, code in answers} <= {"200", "BucketAlreadyOwnedByYou"}
        assert {name for name, code in answers if code == "200"} == set(names)
        assert {each["Name"] for each in rig.client("app").list_buckets()["Buckets"]} == set(names)


def test_a_file_that_somebody_wrote_is_not_touched(tmp_path: Path) -> None:
    """A Bucket that was deleted over S3 whose file is still there is not made anew behind its writer's back."""
    rig = Rig(tmp_path)
    limit = REGION_THAT_CREATES.replace("createBucket: true}", "createBucket: true}, limits: {maxCreatedBuckets: 2}")
    rig.apply("all.yaml", limit, access_key("app", **CREATES))
    rig.apply("mine.yaml", bucket("mine", visibility="Public"))
    with rig:
        app = rig.client("app")
        eventually("the grant", lambda: error_code(lambda: app.head_bucket(Bucket="mine"), "") == "")
        app.delete_bucket(Bucket="mine")
        before = files(rig)
        assert error_code(lambda: app.create_bucket(Bucket="mine")) == "AccessDenied"
        assert files(rig) == before
        eventually("the reason", lambda: "mine.yaml still declares it: remove that file" in rig.log.read_text())
        app.create_bucket(Bucket="one-more")
        app.create_bucket(Bucket="and-another")
        assert error_code(lambda: app.create_bucket(Bucket="too-many")) == "TooManyBuckets"


def test_aws_cli_and_rclone_make_buckets(tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    rig.apply("all.yaml", REGION_THAT_CREATES, access_key("app", secretProfiles=["CredentialsFile"], **CREATES))
    with rig:
        programs = cache.programs()
        made = [programs / "aws", "s3", "mb", "s3://by-aws-cli"]
        subprocess.run(made, env=aws_env(rig.env("app"), tmp_path), check=True, timeout=60)
        config = rig.data / "credentials" / "default" / "app.rclone.conf"
        text = eventually("its configuration", lambda: config.exists() and config.read_text())
        (remote,) = re.findall(r"^\[(.+)\]$", text, re.MULTILINE)
        for _ in range(2):  # one that is there already is fine with rclone
            made = [programs / "rclone", "--config", config, "mkdir", f"{remote}:by-rclone"]
            subprocess.run(made, env=clean_env(), check=True, timeout=60)
        sent = [programs / "rclone", "--config", config, "copy", __file__, f"{remote}:by-rclone-as-well/dir"]
        subprocess.run(sent, env=clean_env(), check=True, timeout=60)
        names = [each["Name"] for each in rig.client("app").list_buckets()["Buckets"]]
        assert names == ["by-aws-cli", "by-rclone", "by-rclone-as-well"]
