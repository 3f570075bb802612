"""What a Bucket allows, with real clients, and how soon an edit of it holds."""

import time
from pathlib import Path

from boto3.s3.transfer import TransferConfig
from botocore.exceptions import ClientError

from support.rig import REGION, Rig, bucket, error_code, eventually

HERE = {"Bucket": "photos"}


def test_quota_and_content_types(tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    rig.apply("all.yaml", REGION, bucket("photos"))
    with rig:
        s3 = rig.client("photos")
        s3.put_object(**HERE, Key="one", Body=b"12345")
        limits = {"quota": {"maxObjects": 2, "maxSize": "20Mi"}, "allowedContentTypes": ["text/*", "video/mp4"]}
        rig.apply("all.yaml", REGION, bucket("photos", **limits))
        began = time.monotonic()
        eventually("the limit", lambda: error_code(lambda: s3.put_object(**HERE, Key="one", Body=b""), "") != "")
        print(f"\na Bucket's edit holds after {(time.monotonic() - began) * 1000:.0f} ms")
        assert error_code(lambda: s3.put_object(**HERE, Key="one", Body=b"")) == "ContentTypeNotAllowed"
        s3.put_object(**HERE, Key="two", Body=b"2", ContentType="text/plain")
        third = {**HERE, "Key": "three", "ContentType": "text/plain"}
        assert error_code(lambda: s3.put_object(**third, Body=b"3")) == "QuotaExceeded"

        film = tmp_path / "film"
        parts = TransferConfig(multipart_threshold=5 << 20, multipart_chunksize=5 << 20)
        s3.delete_object(**HERE, Key="two")
        for size, stored in ((19 << 20, True), (21 << 20, False)):
            with film.open("wb") as file:
                file.truncate(size)
            try:
                s3.upload_file(str(film), "photos", "film", {"ContentType": "video/mp4"}, Config=parts)
            except Exception as error:
                assert not stored
                assert "QuotaExceeded" in str(error)
            assert s3.head_object(**HERE, Key="film")["ContentLength"] == 19 << 20
        try:
            s3.put_object(**HERE, Key="film", Body=b"x" * (21 << 20), ContentType="video/mp4")
        except ClientError as error:
            assert error.response["Error"]["Code"] == "QuotaExceeded"
            assert "Delete objects" in error.response["Error"]["Message"]
        else:
            raise AssertionError("an object was stored that is larger than the quota")
        rig.apply("all.yaml", REGION, bucket("photos"))
        eventually("no limit", lambda: error_code(lambda: s3.put_object(**HERE, Key="three", Body=b"3"), "") == "")
