"""What keys are granted, with real clients: a part of a bucket by every way in, and all buckets, those to come too."""

from collections.abc import Callable
from pathlib import Path

from support.rig import REGION, Rig, access_key, bucket, error_code, eventually

WITHIN = [{"bucket": "photos", "prefixes": ["mine/", "both/"]}]


def test_a_grant_within_prefixes(tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    rig.apply("all.yaml", REGION, bucket("photos"), access_key("part", grants=WITHIN))
    with rig:
        owner, part = rig.client("photos"), rig.client("part")
        for key in ("mine/a", "both/a", "theirs/a", "min"):
            owner.put_object(Bucket="photos", Key=key, Body=key.encode())
        here = {"Bucket": "photos"}
        assert [each["Name"] for each in part.list_buckets()["Buckets"]] == ["photos"]
        part.head_bucket(**here)
        part.get_bucket_location(**here)
        for prefix in ("mine/", "both/", "mine/a"):
            assert [each["Key"] for each in part.list_objects_v2(**here, Prefix=prefix)["Contents"]] == [
                f"{prefix[:4]}/a"
            ]
        part.upload_file(__file__, "photos", "mine/file")
        part.copy_object(**here, Key="mine/copy", CopySource="photos/both/a")
        assert part.get_object(**here, Key="mine/copy")["Body"].read() == b"both/a"
        assert error_code(lambda: part.get_object(**here, Key="mine/missing")) == "NoSuchKey"
        upload = {
            **here,
            "Key": "mine/parts",
            "UploadId": owner.create_multipart_upload(**here, Key="mine/parts")["UploadId"],
        }
        part.upload_part(**upload, PartNumber=1, Body=b"x")
        assert len(part.list_parts(**upload)["Parts"]) == 1
        assert len(part.list_multipart_uploads(**here, Prefix="mine/")["Uploads"]) == 1

        other = {**here, "Key": "theirs/parts"}
        other["UploadId"] = owner.create_multipart_upload(**other)["UploadId"]
        refused: dict[str, Callable[[], object]] = {
            "list all": lambda: part.list_objects_v2(**here),
            "list all, version 1": lambda: part.list_objects(**here),
            "list folders": lambda: part.list_objects_v2(**here, Delimiter="/"),
            "list another": lambda: part.list_objects_v2(**here, Prefix="theirs/"),
            "list what begins alike": lambda: part.list_objects_v2(**here, Prefix="min"),
            "list uploads": lambda: part.list_multipart_uploads(**here),
            "list parts": lambda: part.list_parts(**other),
            "get": lambda: part.get_object(**here, Key="theirs/a"),
            "head": lambda: part.head_object(**here, Key="min"),
            "get what is not there": lambda: part.get_object(**here, Key="theirs/missing"),
            "put": lambda: part.put_object(**here, Key="theirs/b", Body=b""),
            "put beside": lambda: part.put_object(**here, Key="mine", Body=b""),
            "delete": lambda: part.delete_object(**here, Key="theirs/a"),
            "copy from": lambda: part.copy_object(**here, Key="mine/b", CopySource="photos/theirs/a"),
            "copy to": lambda: part.copy_object(**here, Key="theirs/b", CopySource="photos/mine/a"),
            "begin an upload": lambda: part.create_multipart_upload(**here, Key="theirs/b"),
            "upload a part": lambda: part.upload_part(**other, PartNumber=1, Body=b""),
            "copy a part": lambda: part.upload_part_copy(**upload, PartNumber=2, CopySource="photos/theirs/a"),
            "complete": lambda: part.complete_multipart_upload(
                **other, MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": "e"}]}
            ),
            "abort": lambda: part.abort_multipart_upload(**other),
        }
        part.put_object(**here, Key="mine/../theirs/a", Body=b"a name of its own")  # no path: below mine/
        for what, ask in refused.items():
            assert error_code(ask) in ("403", "AccessDenied"), what
        done = part.delete_objects(**here, Delete={"Objects": [{"Key": "mine/copy"}, {"Key": "theirs/a"}]})
        assert [each["Key"] for each in done["Deleted"]] == ["mine/copy"]
        assert [(each["Key"], each["Code"]) for each in done["Errors"]] == [("theirs/a", "AccessDenied")]
        assert owner.get_object(**here, Key="theirs/a")["Body"].read() == b"theirs/a"

        rig.apply(
            "all.yaml", REGION, bucket("photos"), access_key("part", grants=[{**WITHIN[0], "prefixes": ["both/"]}])
        )
        eventually(
            "the narrower grant",
            lambda: error_code(lambda: part.get_object(**here, Key="mine/a"), "") == "AccessDenied",
        )
        assert part.get_object(**here, Key="both/a")["Body"].read() == b"both/a"


def test_a_grant_on_all_buckets(tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    every = {"actions": ["s3:GetObject", "s3:ListBucket"]}
    rig.apply("key.yaml", REGION, access_key("reader", allBuckets=every))
    with rig:
        reader = rig.client("reader")
        assert "BUCKET" not in rig.env("reader")
        assert reader.list_buckets()["Buckets"] == []
        for name in ("one-of-them", "two-of-them"):
            rig.apply(f"{name}.yaml", bucket(name))
            rig.client(name).put_object(Bucket=name, Key="a", Body=name.encode())
            eventually("the grant", lambda name=name: error_code(lambda: reader.head_bucket(Bucket=name), "") == "", 5)
            assert reader.get_object(Bucket=name, Key="a")["Body"].read() == name.encode()
            assert error_code(lambda name=name: reader.put_object(Bucket=name, Key="a", Body=b"")) == "AccessDenied"
        assert [each["Name"] for each in reader.list_buckets()["Buckets"]] == ["one-of-them", "two-of-them"]
        rig.client("one-of-them").delete_object(Bucket="one-of-them", Key="a")
        (rig.resources / "one-of-them.yaml").unlink()
        eventually("the end of the grant", lambda: len(reader.list_buckets()["Buckets"]) == 1)
        assert error_code(lambda: reader.get_object(Bucket="one-of-them", Key="a")) in ("AccessDenied", "NoSuchBucket")
