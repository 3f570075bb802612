"""Secret profiles with the clients that they are for, which are told nothing else: no flag, no other variable."""

import os
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from clients import cache
from clients.aws import read_env
from support.rig import Rig, bucket, eventually, s3_client

#: With a host name, no client falls back to path-style for want of a bucket's own; in us-east-1 AWS's clients would
#: presign with Signature Version 2.
REGION = """
apiVersion: cooper.dev/v1alpha1
kind: Region
metadata: {name: local}
spec: {tag: us-east-1, default: true, endpoints: {internal: "http://localhost:%d"}}
"""
OWN_KEYS = {"accessKeyId": "MY_ID", "secretAccessKey": "MY_SECRET", "endpoint": "MY_URL", "bucket": "MY_BUCKET"}
BOTO3 = """
import os, boto3
s3, name = boto3.client("s3"), os.environ["BUCKET"]
s3.put_object(Bucket=name, Key="boto3", Body=b"by boto3")
print(s3.get_object(Bucket=name, Key="boto3")["Body"].read().decode(), s3.meta.endpoint_url)
"""
NODE = """
import { S3Client, PutObjectCommand, ListObjectsV2Command } from "@aws-sdk/client-s3";
const s3 = new S3Client({ forcePathStyle: true }), Bucket = process.env.BUCKET;
await s3.send(new PutObjectCommand({ Bucket, Key: "node", Body: "by node" }));
console.log((await s3.send(new ListObjectsV2Command({ Bucket, Prefix: "node" }))).KeyCount);
"""


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    rig = Rig(tmp_path_factory.mktemp("profiles"))
    rig.apply(
        "all.yaml",
        REGION % rig.port,
        bucket("aws", credentials={"secretProfiles": ["AWS"]}),
        bucket("files", credentials={"secretProfiles": ["CredentialsFile"]}),
        bucket("own", credentials={"secretProfiles": ["ServiceBinding"], "secretKeys": OWN_KEYS}),
    )
    with rig:
        yield rig


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / "small.txt").write_text("small\n")
    return tmp_path


def run(*command: object, home: Path, cwd: Path | None = None, **env: str) -> str:
    """As in a container: a home that has nothing, and the variables given."""
    words = [str(word) for word in command]
    done = subprocess.run(
        words, env={"PATH": "/usr/bin:/bin", "HOME": str(home), **env}, cwd=cwd, capture_output=True, text=True
    )
    assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
    return done.stdout


def fetch(url: str) -> bytes:
    with urllib.request.urlopen(url.strip()) as answer:
        return answer.read()


def beside(rig: Rig, name: str, key: str) -> Path:
    """The file of a key that has one of its own."""
    rig.env(name)
    return rig.credentials_file(name).with_suffix(f".{key}")


def test_aws_cli_and_boto3_need_the_variables_of_profile_aws_and_no_flag(rig: Rig, home: Path) -> None:
    env, aws = rig.env("aws"), cache.programs() / "aws"
    run(aws, "s3", "cp", home / "small.txt", "s3://aws/dir/small.txt", home=home, **env)
    assert run(aws, "s3", "ls", "s3://aws/dir/", home=home, **env).split()[-1] == "small.txt"
    run(aws, "s3", "cp", "s3://aws/dir/small.txt", home / "back", home=home, **env)
    assert (home / "back").read_text() == "small\n"
    assert run(sys.executable, "-c", BOTO3, home=home, **env) == f"by boto3 {env['AWS_ENDPOINT_URL_S3']}\n"
    only_aws = {name: value for name, value in env.items() if name.startswith("AWS_")}
    assert "boto3" in run(aws, "s3", "ls", "s3://aws/", home=home, **only_aws)


def test_another_sdk_of_aws_has_to_be_told_path_style_and_nothing_else(rig: Rig, home: Path) -> None:
    node, snippet = cache.node_snippet()
    script = [node, "--input-type=module", "-e", NODE]
    assert run(*script, home=home, cwd=Path(snippet).parent, **rig.env("aws")) == "1\n"


@pytest.mark.parametrize(
    "variables",
    [["AWS_SHARED_CREDENTIALS_FILE"], ["AWS_CONFIG_FILE"], ["AWS_SHARED_CREDENTIALS_FILE", "AWS_CONFIG_FILE"]],
    ids=" and ".join,
)
def test_aws_cli_and_boto3_need_the_file_credentials_and_no_flag(rig: Rig, home: Path, variables: list[str]) -> None:
    env, aws = dict.fromkeys(variables, str(beside(rig, "files", "credentials"))), cache.programs() / "aws"
    run(aws, "s3", "cp", home / "small.txt", "s3://files/aws/small.txt", home=home, **env)
    assert run(aws, "s3", "ls", "s3://files/aws/", home=home, **env).split()[-1] == "small.txt"
    assert fetch(run(aws, "s3", "presign", "s3://files/aws/small.txt", home=home, **env)) == b"small\n"
    told = run(sys.executable, "-c", BOTO3, home=home, BUCKET="files", **env)
    assert told == f"by boto3 {rig.env('files')['ENDPOINT']}\n"


def test_rclone_needs_its_file_and_no_flag(rig: Rig, home: Path) -> None:
    env, rclone = {"RCLONE_CONFIG": str(beside(rig, "files", "rclone.conf"))}, cache.programs() / "rclone"
    (home / "source").mkdir()
    (home / "small.txt").rename(home / "source" / "small.txt")
    run(rclone, "copy", home / "source", "cooper:files/rclone", home=home, **env)
    run(rclone, "check", home / "source", "cooper:files/rclone", home=home, **env)
    assert run(rclone, "lsf", "cooper:files/rclone", home=home, **env) == "small.txt\n"
    assert fetch(run(rclone, "link", "cooper:files/rclone/small.txt", home=home, **env)) == b"small\n"


def test_own_keys_and_a_service_binding_hold_what_works(rig: Rig) -> None:
    env = rig.env("own")
    names = dict(zip(OWN_KEYS.values(), ("ACCESS_KEY", "SECRET_KEY", "ENDPOINT", "BUCKET"), strict=True))
    assert not names.keys() - env.keys()
    assert not set(names.values()) & env.keys()
    used = {names.get(name, name): value for name, value in env.items()}
    s3_client(used).put_object(Bucket=used["BUCKET"], Key="k", Body=b"v")
    binding = {"ACCESS_KEY": env["username"], "SECRET_KEY": env["password"], "ENDPOINT": env["uri"], "REGION": "x"}
    assert s3_client(binding).get_object(Bucket="own", Key="k")["Body"].read() == b"v"
    assert env["uri"] == f"http://{env['host']}:{env['port']}"
    assert (env["type"], env["provider"]) == ("s3", "cooper")


def test_files_are_private_put_back_and_go_with_their_profile(rig: Rig) -> None:
    rig.apply("life.yaml", bucket("life", credentials={"secretProfiles": ["CredentialsFile"]}))
    files = [beside(rig, "life", key) for key in ("credentials", "rclone.conf")]
    before = [file.read_bytes() for file in files]
    assert [os.stat(file).st_mode & 0o777 for file in files] == [0o600, 0o600]
    key = rig.env("life")
    files[0].unlink()
    files[1].write_bytes(before[1] + b"# mine\n")
    eventually("the files as they were", lambda: [file.exists() and file.read_bytes() for file in files] == before)
    rig.apply("life.yaml", bucket("life"))
    eventually("the end of the files", lambda: not any(file.exists() for file in files))
    assert read_env(rig.credentials_file("life")) == key
    files[0].write_text("# mine\n")
    rig.apply("life.yaml", bucket("life", credentials={"secretProfiles": ["CredentialsFile"]}))
    told = rig.wait_condition("AccessKey", "life", reason="SecretRefused")
    assert "the file life.credentials is not Cooper's and is left alone: move it away" in told["message"]
    assert (files[0].read_text(), files[1].exists()) == ("# mine\n", False)
    files[0].rename(files[0].with_name("mine"))
    rig.wait_condition("Bucket", "life")
    assert [file.read_bytes() for file in files] == before
