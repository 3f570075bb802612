import base64
import hashlib

import pytest

from cooper_gateway.access.principals import ANONYMOUS
from cooper_gateway.protocol.errors import S3Error
from support.calls import Rig, element, elements

ALL = "ETag, Checksum,ObjectParts, StorageClass,ObjectSize"
PARTS = (b"first", b"second", b"3rd")


async def attributes(rig: Rig, name: str, wanted: str = ALL, **headers: str):
    given = {key.replace("_", "-"): value for key, value in headers.items()}
    return await rig.do("GetObjectAttributes", name, headers={"x-amz-object-attributes": wanted, **given})


async def made_of_parts(algorithm: str | None) -> Rig:
    rig = Rig()
    headers = {} if algorithm is None else {"x-amz-checksum-algorithm": algorithm}
    query = {"uploadId": element(await rig.do("CreateMultipartUpload", "big", headers=headers), "UploadId") or ""}
    named = ""
    for number, part in enumerate(PARTS, 1):
        await rig.do("UploadPart", "big", part, query={**query, "partNumber": str(number)})
        named += f"<Part><PartNumber>{number}</PartNumber><ETag>{hashlib.md5(part).hexdigest()}</ETag></Part>"
    body = f"<CompleteMultipartUpload>{named}</CompleteMultipartUpload>".encode()
    await rig.do("CompleteMultipartUpload", "big", body, query=query)
    return rig


async def test_an_object_that_was_put():
    rig = Rig()
    await rig.put("a", b"data")
    found = await attributes(rig, "a")
    assert element(found, "ETag") == hashlib.md5(b"data").hexdigest()
    assert (element(found, "ObjectSize"), element(found, "StorageClass")) == ("4", "STANDARD")
    assert element(found, "Checksum") is None
    assert element(found, "ObjectParts") is None
    assert found.headers["Last-Modified"].endswith("GMT")


async def test_strangers_get_none_of_a_public_bucket():
    rig = Rig()
    await rig.put("a", b"data")
    rig.principal = ANONYMOUS
    with pytest.raises(S3Error) as caught:
        await attributes(rig, "a")
    assert caught.value.code == "AccessDenied"


async def test_what_is_not_named_is_not_told():
    rig = Rig()
    await rig.put("a", b"data")
    found = await attributes(rig, "a", "ObjectSize")
    assert (element(found, "ObjectSize"), element(found, "ETag"), element(found, "StorageClass")) == ("4", None, None)


async def test_parts_with_their_checksums_by_pages():
    rig = await made_of_parts("SHA256")
    whole = await attributes(rig, "big")
    sums = [base64.b64encode(hashlib.sha256(part).digest()).decode() for part in PARTS]
    assert elements(whole, "ChecksumSHA256")[1:] == sums
    assert element(whole, "ChecksumType") == "COMPOSITE"
    assert elements(whole, "Size") == ["5", "6", "3"]
    assert (element(whole, "PartsCount"), element(whole, "IsTruncated")) == ("3", "false")
    page = await attributes(rig, "big", "ObjectParts", x_amz_max_parts="1", x_amz_part_number_marker="1")
    assert elements(page, "PartNumber") == ["2"]
    assert (element(page, "NextPartNumberMarker"), element(page, "IsTruncated")) == ("2", "true")
    beyond = await attributes(rig, "big", "ObjectParts", x_amz_part_number_marker="7")
    assert (elements(beyond, "PartNumber"), element(beyond, "IsTruncated")) == ([], "false")


async def test_parts_without_checksums_are_counted_only():
    found = await attributes(await made_of_parts(None), "big")
    assert (element(found, "PartsCount"), elements(found, "Part")) == ("3", [])


@pytest.mark.parametrize(
    "headers",
    [
        {"wanted": ""},
        {"wanted": "ETag,Nothing"},
        {"wanted": "etag"},
        {"x_amz_max_parts": "-1"},
        {"x_amz_max_parts": "many"},
        {"x_amz_part_number_marker": "x"},
    ],
)
async def test_what_cannot_be_asked(headers: dict[str, str]):
    rig = await made_of_parts("CRC32")
    with pytest.raises(S3Error) as caught:
        await attributes(rig, "big", **headers)
    assert caught.value.code == "InvalidArgument"
