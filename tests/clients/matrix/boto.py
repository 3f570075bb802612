"""boto3: the rows that the SDKs share, and its resource API and transfer manager."""

import hashlib
import io
import os
import urllib.error
import urllib.request
from dataclasses import dataclass
from typing import Any, Final

import boto3
from boto3.s3.transfer import TransferConfig
from botocore.config import Config
from botocore.exceptions import ClientError

from clients.matrix import sdks
from clients.matrix.rows import Client, Outcome, Place, Ran, Row, failed

_MIB: Final = 1 << 20
_IN_PARTS: Final = TransferConfig(multipart_threshold=6 * _MIB, multipart_chunksize=5 * _MIB, max_concurrency=4)
_BUCKET: Final = "work"


class _Stream(io.RawIOBase):
    """Bytes that can be read once, of a length that nobody tells."""

    def __init__(self, data: bytes) -> None:
        self._data = io.BytesIO(data)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        return self._data.readinto(buffer)


def _settings(credentials: dict[str, str]) -> dict[str, Any]:
    return {
        "endpoint_url": credentials["ENDPOINT"],
        "region_name": credentials["REGION"],
        "aws_access_key_id": credentials["ACCESS_KEY"],
        "aws_secret_access_key": credentials["SECRET_KEY"],
        "config": Config(s3={"addressing_style": "path"}, retries={"max_attempts": 1}),
    }


@dataclass
class _Rows:
    """One row each, below a prefix of its own."""

    place: Place
    prefix: str = ""

    def __post_init__(self) -> None:
        self.settings = _settings(self.place.credentials)
        self.s3 = boto3.client("s3", **self.settings)
        self.small, self.big = self.place.small.read_bytes(), self.place.big.read_bytes()

    def key(self, name: str) -> dict[str, str]:
        return {"Bucket": _BUCKET, "Key": f"{self.prefix}/{name}"}

    def put(self, name: str, data: bytes, **more: Any) -> dict[str, Any]:
        return self.s3.put_object(**self.key(name), Body=data, **more)

    def get(self, name: str, **more: Any) -> bytes:
        return self.s3.get_object(**self.key(name), **more)["Body"].read()

    def upload(self, name: str, data: Any, **more: Any) -> None:
        self.s3.upload_fileobj(data, **self.key(name), Config=_IN_PARTS, ExtraArgs=more)

    def count(self) -> int:
        return self.s3.list_objects_v2(Bucket=_BUCKET, Prefix=f"{self.prefix}/")["KeyCount"]

    def put_get_delete(self) -> None:
        name = "sp ace+plus&amp=per%25cent/(ä)'~*!$@,;.txt"
        self.put(name, self.small)
        assert self.s3.head_object(**self.key(name))["ContentLength"] == len(self.small)
        assert self.get(name) == self.small
        self.s3.delete_object(**self.key(name))
        assert self.count() == 0

    def ranges(self) -> None:
        self.put("x", self.big)
        assert self.get("x", Range="bytes=7000000-7000008") == self.big[7000000:7000009]
        assert self.get("x", Range="bytes=-9") == self.big[-9:]

    def no_such_range(self) -> None:
        self.put("x", self.small)
        self.get("x", Range="bytes=5000-")

    def metadata(self) -> None:
        self.put("x", self.small, Metadata={"colour": "red"}, ContentType="text/csv", CacheControl="no-store")
        head = self.s3.head_object(**self.key("x"))
        assert (head["Metadata"], head["ContentType"], head["CacheControl"]) == (
            {"colour": "red"},
            "text/csv",
            "no-store",
        )

    def listing(self) -> None:
        for each in range(25):
            self.put(f"{each % 2}/{each}", b"")
        below = {"Bucket": _BUCKET, "Prefix": f"{self.prefix}/"}
        pages = self.s3.get_paginator("list_objects_v2").paginate(**below, PaginationConfig={"PageSize": 10})
        assert [len(page["Contents"]) for page in pages] == [10, 10, 5]
        folders = self.s3.list_objects(**below, Delimiter="/")["CommonPrefixes"]
        assert [each["Prefix"] for each in folders] == [f"{self.prefix}/0/", f"{self.prefix}/1/"]

    def copying(self) -> None:
        self.put("1", self.small, Metadata={"colour": "red"})
        self.s3.copy_object(**self.key("2"), CopySource=self.key("1"))
        new = {"MetadataDirective": "REPLACE", "Metadata": {"colour": "blue"}}
        self.s3.copy_object(**self.key("3"), CopySource=self.key("1"), **new)
        found = [self.s3.head_object(**self.key(name))["Metadata"]["colour"] for name in "23"]
        assert found == ["red", "blue"]
        assert self.get("3") == self.small

    def delete_many(self) -> None:
        for each in range(5):
            self.put(f"&<{each}>", self.small)
        keys = [{"Key": self.key(f"&<{each}>")["Key"]} for each in range(5)]
        assert len(self.s3.delete_objects(Bucket=_BUCKET, Delete={"Objects": keys})["Deleted"]) == 5
        assert self.count() == 0

    def upload_manager(self) -> None:
        self.s3.upload_file(str(self.place.big), **self.key("x"), Config=_IN_PARTS)
        assert self.get("x") == self.big
        assert self.s3.head_object(**self.key("x"))["ETag"].endswith('-3"')

    def upload_of_a_stream(self) -> None:
        self.upload("x", _Stream(self.big))
        assert self.get("x") == self.big

    def download_manager(self) -> None:
        self.upload("x", io.BytesIO(self.big))
        back, file = io.BytesIO(), self.place.folder / "back"
        self.s3.download_fileobj(**self.key("x"), Fileobj=back, Config=_IN_PARTS)
        assert back.getvalue() == self.big
        self.s3.download_file(**self.key("x"), Filename=str(file), Config=_IN_PARTS)
        assert file.read_bytes() == self.big

    def copy_manager(self) -> None:
        self.upload("x", io.BytesIO(self.big))
        self.s3.copy(self.key("x"), **self.key("y"), Config=_IN_PARTS)
        assert self.get("y") == self.big
        assert self.s3.head_object(**self.key("y"))["ETag"].endswith('-3"')

    def parts_by_hand(self) -> None:
        self.put("big", self.big)
        place = self.key("x")
        ours, other = (self.s3.create_multipart_upload(**place)["UploadId"] for _ in range(2))
        mine = {**place, "UploadId": ours}
        sent = self.s3.upload_part(**mine, PartNumber=1, Body=self.big[: 5 * _MIB])
        rest = f"bytes={5 * _MIB}-{12 * _MIB - 1}"
        copied = self.s3.upload_part_copy(**mine, PartNumber=2, CopySource=self.key("big"), CopySourceRange=rest)
        assert len(self.s3.list_parts(**mine)["Parts"]) == 2
        assert len(self.s3.list_multipart_uploads(Bucket=_BUCKET, Prefix=place["Key"])["Uploads"]) == 2
        tags = (sent["ETag"], copied["CopyPartResult"]["ETag"])
        parts = [{"PartNumber": number, "ETag": tag} for number, tag in enumerate(tags, 1)]
        self.s3.complete_multipart_upload(**mine, MultipartUpload={"Parts": parts})
        self.s3.abort_multipart_upload(**place, UploadId=other)
        assert self.get("x") == self.big

    def presigned(self) -> None:
        put, get = (
            self.s3.generate_presigned_url(call, Params=self.key("x y"), ExpiresIn=60)
            for call in ("put_object", "get_object")
        )
        urllib.request.urlopen(urllib.request.Request(put, self.small, {"Content-Type": "a/b"}, method="PUT")).close()
        with urllib.request.urlopen(get) as answer:
            assert answer.read() == self.small

    def checksum(self, name: str) -> None:
        stored = self.put("small", self.small, ChecksumAlgorithm=name)[f"Checksum{name}"]
        self.upload("big", io.BytesIO(self.big), ChecksumAlgorithm=name)
        for each, data in (("small", self.small), ("big", self.big)):
            assert self.get(each, ChecksumMode="ENABLED") == data
            head = self.s3.head_object(**self.key(each), ChecksumMode="ENABLED")
            assert head[f"Checksum{name}"] == stored or each == "big"

    def conditions_that_hold(self) -> None:
        first = self.put("x", self.small, IfNoneMatch="*")
        second = self.put("x", self.big, IfMatch=first["ETag"])
        assert self.get("x", IfMatch=second["ETag"]) == self.big

    def put_if_none_match(self) -> None:
        self.put("x", self.small)
        self.put("x", self.small, IfNoneMatch="*")

    def put_if_match(self) -> None:
        self.put("x", self.small)
        self.put("x", self.small, IfMatch=f'"{hashlib.md5(b"other").hexdigest()}"')

    def no_such_key(self) -> None:
        self.get("x")

    def create_bucket(self) -> None:
        self.s3.create_bucket(Bucket="new-bucket")

    def tagging(self) -> None:
        self.put("x", self.small)
        self.s3.put_object_tagging(**self.key("x"), Tagging={"TagSet": [{"Key": "a", "Value": "b"}]})

    def wrong_secret(self) -> None:
        boto3.client("s3", **self.settings | {"aws_secret_access_key": "wrong"}).put_object(**self.key("x"), Body=b"")

    def presigned_post(self) -> None:
        post = self.s3.generate_presigned_post(**self.key("x"))
        boundary = os.urandom(8).hex()
        fields = {**post["fields"], "file": "small"}
        form = "".join(
            f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
            for name, value in fields.items()
        )
        headers = {"Content-Type": f"multipart/form-data; boundary={boundary}"}
        body = f"{form}--{boundary}--\r\n".encode()
        urllib.request.urlopen(urllib.request.Request(post["url"], body, headers)).close()
        assert self.get("x") == b"small"

    def resources(self) -> None:
        bucket = boto3.resource("s3", **self.settings).Bucket(_BUCKET)
        objects = [bucket.Object(self.key(name)["Key"]) for name in ("a/1", "a/2", "b")]
        for each in objects:
            each.put(Body=self.small, Metadata={"colour": "red"})
        assert objects[0].get()["Body"].read() == self.small
        assert (objects[0].content_length, objects[0].metadata) == (len(self.small), {"colour": "red"})
        listed = bucket.objects.filter(Prefix=f"{self.prefix}/a/").limit(5)
        assert [(each.key, each.size) for each in listed] == [(each.key, len(self.small)) for each in objects[:2]]
        objects[2].copy_from(CopySource=self.key("a/1"))
        objects[2].upload_fileobj(io.BytesIO(self.big), Config=_IN_PARTS)
        objects[2].wait_until_exists()
        upload = bucket.Object(self.key("c")["Key"]).initiate_multipart_upload()
        part = upload.Part(1).upload(Body=self.small)
        upload.complete(MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]})
        objects[0].delete()
        objects[0].wait_until_not_exists()
        bucket.objects.filter(Prefix=f"{self.prefix}/").delete()
        assert self.count() == 0

    def resource_of_a_new_bucket(self) -> None:
        boto3.resource("s3", **self.settings).Bucket("new-bucket").create()

    def versioning(self) -> None:
        self.s3.get_bucket_versioning(Bucket=_BUCKET)


def _run(client: Client, place: Place) -> Ran:
    rows = _Rows(place)
    return Ran(client.name, boto3.__version__, tuple(_outcome(rows, row) for row in client.rows))


def _outcome(rows: _Rows, row: Row) -> Outcome:
    rows.prefix = f"boto3/{row.do}"
    name, _, algorithm = row.do.partition("_") if row.do.startswith("checksum_") else (row.do, "", "")
    try:
        getattr(rows, name)(*([algorithm] if algorithm else []))
    except ClientError as error:
        found = error.response["Error"]
        return Outcome(row.what, found["Code"], found["Message"], str(error))
    except urllib.error.HTTPError as error:
        return failed(row, error.read().decode())
    except Exception as error:  # whatever a client does is an outcome
        return Outcome(row.what, repr(error), output=repr(error))
    return Outcome(row.what)


_MORE: Final = (
    Row("download manager: 12 MiB by ranges, at once", "download_manager"),
    Row("copy manager: 12 MiB in parts", "copy_manager"),
    Row(
        "resources: `Bucket.objects` filtered and deleted, `Object` put, got, copied, waited for",
        "resources",
    ),
    Row("resources: `Bucket.create`", "resource_of_a_new_bucket", "NotImplemented"),
    Row("presigned POST (a form)", "presigned_post"),
    Row("`get_bucket_versioning`", "versioning", "NotImplemented"),
)
CLIENTS: Final = (Client("boto3", (*sdks.ROWS, *_MORE), _run),)
