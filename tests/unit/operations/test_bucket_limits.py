"""What a Bucket allows: content types, and its quota where that is known before a body is taken in."""

import msgspec
import pytest

from cooper_gateway.operations.limits import check_declared
from cooper_gateway.protocol.errors import S3Error
from support.calls import PHOTOS, FakeBody, Rig, element

TYPES = ("text/plain", "image/*", "application/*+json")


def rig(**limits: object) -> Rig:
    made = Rig()
    made.directory.buckets["photos"] = msgspec.structs.replace(PHOTOS, **limits)
    return made


@pytest.mark.parametrize(
    ("given", "allowed"),
    [
        ("text/plain", True),
        ("Text/Plain; charset=utf-8", True),
        ("image/png", True),
        ("image/", True),
        ("application/ld+json", True),
        ("application/json", False),
        ("text/plain-ish", False),
        ("text/html; a=text/plain", False),
        ("a image/png", False),
        ("", False),
        (None, False),
        # A browser takes the last of several, and ends one where no token goes on.
        ("image/png, text/html", False),
        ("image/png,text/html;charset=utf-8", False),
        ("image/png;a=1,text/html", False),
        ('image/png;a="b,text/html', False),
        ('image/png;a="b, text/html"', False),
        ("image/png, */*", False),
        ("image/png, image/gif", True),
        ("image/webm;codecs=vp8,opus", True),
        ('image/mp4; codecs="avc1.42E01E, mp4a.40.2"', True),
        ("application/(+json", False),
        ("application/xhtml+xml a+json", False),
        ("application/xhtml+xml\t+json", False),
        ("application/xhtml+xml,+json", False),
        ("application/xhtml+xml\xa0+json", False),
    ],
)
async def test_content_types(given: str | None, allowed: bool) -> None:
    headers = {} if given is None else {"content-type": given}
    for operation in ("PutObject", "CreateMultipartUpload"):
        made = rig(content_types=TYPES)
        call = made.call(operation, "a", headers=headers)
        if allowed:
            check_declared(call)
            assert (await made.do(operation, "a", headers=headers)).status == 200
            continue
        with pytest.raises(S3Error) as early:
            check_declared(call)
        with pytest.raises(S3Error) as caught:
            await made.do(operation, "a", headers=headers)
        assert early.value.code == caught.value.code == "ContentTypeNotAllowed"
        assert (caught.value.status, "image/*" in caught.value.message) == (415, True)


async def test_no_list_allows_any() -> None:
    assert (await rig().put("a")).status == 200
    assert (await rig(content_types=("binary/octet-stream",)).put("a")).status == 200


async def test_a_copy_is_judged_by_what_it_becomes() -> None:
    made = rig(content_types=("text/*",))
    await made.put("page", headers={"content-type": "text/html"})
    await made.do("PutObject", "data", bucket="other")
    data, page = {"x-amz-copy-source": "other/data"}, {"x-amz-copy-source": "photos/page"}
    text = {"x-amz-metadata-directive": "REPLACE", "content-type": "text/plain"}
    image = {"x-amz-metadata-directive": "REPLACE", "content-type": "image/png"}
    for refused in (data, page | image):
        check_declared(made.call("CopyObject", "copy", headers=refused))
        with pytest.raises(S3Error) as caught:
            await made.do("CopyObject", "copy", headers=refused)
        assert caught.value.code == "ContentTypeNotAllowed"
    with pytest.raises(S3Error):
        await made.do("CopyObject", "page", headers=page | image)  # onto itself
    for allowed in (page, data | text):
        assert (await made.do("CopyObject", "copy", headers=allowed)).status == 200


async def test_a_quota_is_told_before_the_body_is_taken() -> None:
    made = rig(max_size=10, max_objects=2)
    await made.put("a", b"12345")
    for operation, more in (("PutObject", {}), ("UploadPart", {"query": {"partNumber": "1", "uploadId": ""}})):
        if operation == "UploadPart":
            begun = await made.do("CreateMultipartUpload", "b")
            more["query"]["uploadId"] = element(begun, "UploadId")
        body = FakeBody([b"123456"])
        with pytest.raises(S3Error) as caught:
            await made.do(operation, "b", body, **more)
        assert (caught.value.code, caught.value.status, body.taken) == ("QuotaExceeded", 403, 0)
    await made.put("a", b"1234567890")  # in place of what was there
    await made.put("empty")
    with pytest.raises(S3Error) as caught:
        await made.put("third")
    assert caught.value.code == "QuotaExceeded"
    with pytest.raises(S3Error):
        await made.do("CopyObject", "third", headers={"x-amz-copy-source": "photos/empty"})
