"""Uploads by form as SDKs make them: boto3's `generate_presigned_post`, sent as its documentation does."""

import base64
import hashlib
import os
import urllib.request
import zlib
from pathlib import Path
from typing import Any

import requests

from support.rig import KEY_REFUSED, REGION, Rig, access_key, bucket, eventually

CORS = [{"allowedOrigins": ["https://app.example.com"], "allowedMethods": ["POST"], "exposeHeaders": ["ETag"]}]


def send(form: dict[str, Any], file: bytes, name: str = "cat.png", **fields: str) -> requests.Response:
    """As a page does; nothing of what surrounds this program has a say in it."""
    with requests.Session() as session:
        session.trust_env = False
        return session.post(
            form["url"],
            data=form["fields"] | fields,
            files={"file": (name, file)},
            headers={"Origin": "https://app.example.com"},
            allow_redirects=False,
            timeout=30,
        )


def code(answer: requests.Response) -> str:
    found = answer.text.partition("<Code>")[2].partition("</Code>")[0]
    return found or str(answer.status_code)


def test_forms_of_boto3(tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    held = bucket("photos", cors=CORS, quota={"maxObjects": 4}, allowedContentTypes=["image/*", "binary/*"])
    rig.apply("all.yaml", REGION, held, bucket("other"), access_key("narrow", grants=[{"bucket": "photos"}]))
    with rig:
        s3 = rig.client("photos")
        form = s3.generate_presigned_post("photos", "in/${filename}")
        answer = send(form, b"a picture")
        assert answer.status_code == 204, answer.text
        assert answer.headers["Location"] == f"{rig.endpoint}/photos/in/cat.png"
        assert answer.headers["Access-Control-Allow-Origin"] == "https://app.example.com"
        assert answer.headers["Access-Control-Expose-Headers"] == "ETag"
        assert s3.get_object(Bucket="photos", Key="in/cat.png")["Body"].read() == b"a picture"

        big = os.urandom(1 << 20) * 40
        fields = {
            "Content-Type": "image/png",
            "x-amz-meta-from": "käse",
            "x-amz-checksum-crc32": base64.b64encode(zlib.crc32(big).to_bytes(4, "big")).decode(),
            "success_action_redirect": "https://app.example.com/done?x=1",
        }
        named = [{name: value} for name, value in fields.items()]
        form = s3.generate_presigned_post(
            "photos", "big", fields, [*named, ["content-length-range", len(big), len(big)]], 600
        )
        answer = send(form, big)
        etag = hashlib.md5(big).hexdigest()
        assert answer.status_code == 303, answer.text
        assert answer.headers["Location"] == (
            f"https://app.example.com/done?x=1&bucket=photos&key=big&etag=%22{etag}%22"
        )
        found = s3.get_object(Bucket="photos", Key="big", ChecksumMode="ENABLED")
        assert hashlib.md5(found["Body"].read()).hexdigest() == etag
        assert (found["ContentType"], found["Metadata"], found["ChecksumCRC32"]) == (
            "image/png",
            {"from": "=?UTF-8?B?a8Okc2U=?="},
            fields["x-amz-checksum-crc32"],
        )

        # What was not signed.
        assert code(send(form, big + b"x")) == "EntityTooLarge"
        assert code(send(form, big[:-1])) == "EntityTooSmall"
        assert code(send(form, big, key="other")) == "AccessDenied"
        assert code(send(form, big, acl="public-read")) == "AccessDenied"
        assert code(send({**form, "url": f"{rig.endpoint}/other"}, big)) == "AccessDenied"
        assert code(send(form, b"x" * len(big))) == "XAmzContentChecksumMismatch"
        # What was signed, and the Bucket does not take.
        text = s3.generate_presigned_post("photos", "x", {"Content-Type": "text/html"}, [{"Content-Type": "text/html"}])
        assert code(send(text, b"x")) == "ContentTypeNotAllowed"
        for key, expected in (("third", "204"), ("fourth", "204"), ("fifth", "QuotaExceeded")):
            assert code(send(s3.generate_presigned_post("photos", key), b"x")) == expected

        # A form ends with its key.
        narrow = rig.client("narrow").generate_presigned_post("photos", "third")
        assert code(send(narrow, b"y")) == "204"
        rig.apply(
            "all.yaml",
            REGION,
            held,
            bucket("other"),
            access_key("narrow", grants=[{"bucket": "photos"}], state="Revoked"),
        )
        eventually("the refusal", lambda: code(send(narrow, b"y")) in KEY_REFUSED)
        assert code(send(narrow, b"late")) in KEY_REFUSED
        assert s3.get_object(Bucket="photos", Key="third")["Body"].read() == b"y"

        with urllib.request.urlopen(f"http://127.0.0.1:{rig.metrics_port}/metrics", timeout=5) as page:
            assert 'operation="PostObject"' in page.read().decode()
