import base64
import hashlib

import msgspec
import pytest

from cooper_crds.records import RegionRecord
from cooper_gateway.operations.registry import HANDLERS
from cooper_gateway.protocol.checksums import ALGORITHMS
from cooper_gateway.protocol.errors import S3Error
from cooper_gateway.storage.port import (
    EntityTooSmall,
    InvalidPart,
    NoSuchName,
    NoSuchUpload,
)
from support.calls import PHOTOS, FakeBody, Rig, content, element, elements

PARTS = (b"first", b"second", b"3rd")
WHOLE = b"".join(PARTS)
ETAGS = [hashlib.md5(part).hexdigest() for part in PARTS]
ETAG = hashlib.md5(b"".join(hashlib.md5(part).digest() for part in PARTS)).hexdigest() + "-3"


def digest(algorithm: str, data: bytes) -> str:
    computed = ALGORITHMS[algorithm].new()
    computed.update(data)
    return base64.b64encode(computed.digest()).decode()


def document(*parts: tuple[int, str], extra: str = "") -> bytes:
    listed = "".join(f"<Part><PartNumber>{n}</PartNumber><ETag>&quot;{e}&quot;</ETag>{extra}</Part>" for n, e in parts)
    return f"<CompleteMultipartUpload>{listed}</CompleteMultipartUpload>".encode()


ALL = document(*enumerate(ETAGS, 1))


async def create(rig: Rig, name: str = "big", **headers: str) -> str:
    given = {key.replace("_", "-"): value for key, value in headers.items()}
    response = await rig.do("CreateMultipartUpload", name, headers=given)
    upload_id = element(response, "UploadId")
    assert upload_id
    return upload_id


async def put_part(rig: Rig, upload_id: str, number: int, body: bytes, **headers: str):
    given = {key.replace("_", "-"): value for key, value in headers.items()}
    query = {"uploadId": upload_id, "partNumber": str(number)}
    return await rig.do("UploadPart", "big", body, query=query, headers=given)


async def upload(rig: Rig, **headers: str) -> str:
    upload_id = await create(rig, **headers)
    for number, part in enumerate(PARTS, 1):
        response = await put_part(rig, upload_id, number, part)
        assert response.headers["ETag"] == f'"{ETAGS[number - 1]}"'
    return upload_id


async def complete(rig: Rig, upload_id: str, body: bytes = ALL, **headers: str):
    given = {key.replace("_", "-"): value for key, value in headers.items()}
    return await rig.do("CompleteMultipartUpload", "big", body, query={"uploadId": upload_id}, headers=given)


async def test_the_life_of_an_upload():
    rig = Rig()
    upload_id = await upload(rig, content_type="a/b", x_amz_meta_k="v")
    with pytest.raises(NoSuchName):
        await rig.get("big")
    response = await complete(rig, upload_id, host="s3.example")
    assert element(response, "ETag") == f"&quot;{ETAG}&quot;"
    assert element(response, "Location") == "http://s3.example/photos/big"
    got = await rig.get("big")
    assert (await content(got), got.headers["ETag"]) == (WHOLE, f'"{ETAG}"')
    assert (got.headers["Content-Type"], got.headers["x-amz-meta-k"]) == ("a/b", "v")
    again = await complete(rig, upload_id, host="s3.example")
    assert again.body == response.body
    assert element(await rig.do("ListMultipartUploads"), "UploadId") is None


async def test_where_the_object_is_when_the_host_names_the_bucket():
    rig = Rig()
    body, query = ALL, {"uploadId": await upload(rig)}
    call = rig.call("CompleteMultipartUpload", "big", body, query=query, headers={"host": "photos.s3.example"})
    call.request.bucket_in_host = True
    assert element(await HANDLERS["CompleteMultipartUpload"](call), "Location") == "http://photos.s3.example/big"


@pytest.mark.parametrize(("number", "start", "end"), [(1, 0, 5), (2, 5, 11), (3, 11, 14)])
async def test_one_part_of_the_object(number, start, end):
    rig = Rig()
    await complete(rig, await upload(rig))
    for operation in ("GetObject", "HeadObject"):
        response = await rig.do(operation, "big", query={"partNumber": str(number)})
        assert (response.status, response.length, response.headers["x-amz-mp-parts-count"]) == (206, end - start, "3")
        assert response.headers["Content-Range"] == f"bytes {start}-{end - 1}/14"
    assert await content(await rig.get("big", query={"partNumber": str(number)})) == PARTS[number - 1]


@pytest.mark.parametrize(
    ("algorithm", "kind", "value"),
    [
        ("CRC32", "FULL_OBJECT", digest("CRC32", WHOLE)),
        ("CRC32C", "FULL_OBJECT", digest("CRC32C", WHOLE)),
        ("CRC64NVME", None, digest("CRC64NVME", WHOLE)),
        ("CRC32", None, None),
        ("CRC32C", "COMPOSITE", None),
        ("SHA1", None, None),
        ("SHA256", None, None),
    ],
)
async def test_the_checksum_is_composed_over_the_parts(algorithm, kind, value):
    rig = Rig()
    headers = {"x_amz_checksum_algorithm": algorithm} | ({"x_amz_checksum_type": kind} if kind else {})
    upload_id = await upload(rig, **headers)
    expected_kind = "FULL_OBJECT" if value else "COMPOSITE"
    if value is None:
        joined = b"".join(base64.b64decode(digest(algorithm, part)) for part in PARTS)
        value = digest(algorithm, joined) + "-3"
    header = f"x_amz_checksum_{algorithm.lower()}"
    with pytest.raises(S3Error) as caught:
        await complete(rig, upload_id, **{header: digest(algorithm, b"other")})
    assert caught.value.code == "BadDigest"
    given = {header: value, "x_amz_checksum_type": expected_kind}
    response = await complete(rig, upload_id, **given)
    assert (element(response, f"Checksum{algorithm}"), element(response, "ChecksumType")) == (value, expected_kind)
    got = await rig.do("HeadObject", "big", headers={"x-amz-checksum-mode": "ENABLED"})
    assert got.headers[f"x-amz-checksum-{algorithm.lower()}"] == value
    assert got.headers["x-amz-checksum-type"] == expected_kind


@pytest.mark.parametrize(
    "headers",
    [
        {"x_amz_checksum_algorithm": "SHA256", "x_amz_checksum_type": "FULL_OBJECT"},
        {"x_amz_checksum_algorithm": "CRC64NVME", "x_amz_checksum_type": "COMPOSITE"},
        {"x_amz_checksum_algorithm": "MD4"},
        {"x_amz_checksum_type": "FULL_OBJECT"},
    ],
)
async def test_checksums_that_no_upload_can_have(headers):
    with pytest.raises(S3Error) as caught:
        await create(Rig(), **headers)
    assert caught.value.code == "InvalidRequest"


@pytest.mark.parametrize(
    ("body", "error"),
    [
        (document((1, ETAGS[0]), (2, ETAGS[0])), InvalidPart),
        (document((1, ETAGS[0]), (4, ETAGS[0])), InvalidPart),
        (document((1, "nonsense")), InvalidPart),
        (document((1, ETAGS[0]), extra="<ChecksumCRC32>AAAAAA==</ChecksumCRC32>"), InvalidPart),
        (document((2, ETAGS[1]), (1, ETAGS[0])), S3Error),
        (document(), S3Error),
        (document((3, ETAGS[2]), (4, ETAGS[2])), EntityTooSmall),
    ],
)
async def test_completions_that_are_none(body, error):
    rig = Rig()
    upload_id = await upload(rig, x_amz_checksum_algorithm="CRC32")
    if error is EntityTooSmall:
        await put_part(rig, upload_id, 4, PARTS[2])
    with pytest.raises(error):
        await complete(rig, upload_id, body)
    await complete(rig, upload_id)


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({"x_amz_mp_object_size": "13"}, "InvalidRequest"),
        ({"x_amz_checksum_type": "FULL_OBJECT"}, "InvalidRequest"),
        ({"x_amz_checksum_sha1": digest("SHA1", WHOLE)}, "InvalidRequest"),
    ],
)
async def test_what_is_said_of_the_whole_must_be_so(headers, code):
    rig = Rig()
    upload_id = await upload(rig)
    with pytest.raises(S3Error) as caught:
        await complete(rig, upload_id, **headers)
    assert caught.value.code == code
    await complete(rig, upload_id, x_amz_mp_object_size="14")


async def test_conditions_are_decided_at_the_completion():
    rig = Rig()
    upload_id = await upload(rig)
    await rig.put("big", b"other")
    with pytest.raises(S3Error) as caught:
        await complete(rig, upload_id, if_none_match="*")
    assert (caught.value.code, caught.value.details) == ("PreconditionFailed", {"Condition": "If-None-Match"})
    await rig.do("DeleteObject", "big")
    with pytest.raises(S3Error) as caught:
        await complete(rig, upload_id, if_match="*")
    assert caught.value.code == "NoSuchKey"
    await complete(rig, upload_id, if_none_match="*")


async def test_the_parts_together_have_a_limit():
    rig = Rig()
    upload_id = await upload(rig)
    rig.directory.settings = RegionRecord("eu", "eu", max_object_size=len(WHOLE) - 1)
    with pytest.raises(S3Error) as caught:
        await complete(rig, upload_id)
    assert caught.value.code == "EntityTooLarge"
    rig.directory.settings = RegionRecord("eu", "eu", max_object_size=len(WHOLE))
    await complete(rig, upload_id)


async def test_a_part_is_verified_replaced_and_of_the_uploads_algorithm():
    rig = Rig()
    upload_id = await create(rig, x_amz_checksum_algorithm="CRC32")
    for headers, code in (
        ({"x_amz_checksum_crc32": "AAAAAA=="}, "XAmzContentChecksumMismatch"),
        ({"x_amz_checksum_sha1": digest("SHA1", b"a")}, "InvalidRequest"),
        ({"content_md5": base64.b64encode(bytes(16)).decode()}, "BadDigest"),
    ):
        with pytest.raises(S3Error) as caught:
            await put_part(rig, upload_id, 1, b"a", **headers)
        assert caught.value.code == code
    for body in (b"old", b"new"):
        response = await put_part(rig, upload_id, 1, body)
        assert response.headers["x-amz-checksum-crc32"] == digest("CRC32", body)
    etag = hashlib.md5(b"new").hexdigest()
    await complete(rig, upload_id, document((1, etag)))
    assert await content(await rig.get("big")) == b"new"


@pytest.mark.parametrize("number", ["0", "10001", "x", "", "-1"])
async def test_part_numbers(number):
    rig = Rig()
    query = {"uploadId": await create(rig), "partNumber": number}
    for operation in ("UploadPart", "UploadPartCopy"):
        with pytest.raises(S3Error) as caught:
            await rig.do(operation, "big", b"a", query=query, headers={"x-amz-copy-source": "photos/a"})
        assert caught.value.code == "InvalidArgument"


async def test_an_upload_belongs_to_its_name_and_ends():
    rig = Rig()
    upload_id = await create(rig)
    part = {"uploadId": upload_id, "partNumber": "1"}
    body = FakeBody([b"a"])
    for name, bucket in (("other", "photos"), ("big", "other")):
        for operation in ("UploadPart", "ListParts", "AbortMultipartUpload"):
            with pytest.raises(NoSuchUpload):
                await rig.do(operation, name, body, bucket=bucket, query=part)
    assert body.taken == 0
    assert (await rig.do("AbortMultipartUpload", "big", query={"uploadId": upload_id})).status == 204
    for operation, sent in (("UploadPart", b"a"), ("ListParts", b""), ("CompleteMultipartUpload", ALL)):
        with pytest.raises(NoSuchUpload):
            await rig.do(operation, "big", sent, query=part)


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        (None, b"0123456789"),
        ("bytes=0-0", b"0"),
        ("bytes=3-9", b"3456789"),
        ("bytes=3-10", None),
        ("bytes=5-3", None),
        ("bytes=3-", None),
        ("bytes=-3", None),
        ("3-4", None),
    ],
)
async def test_a_part_copied_from_an_object(asked, expected):
    rig = Rig()
    await rig.put("source", b"0123456789")
    upload_id = await create(rig, x_amz_checksum_algorithm="CRC32")
    headers = {"x-amz-copy-source": "photos/source"} | ({"x-amz-copy-source-range": asked} if asked else {})
    query = {"uploadId": upload_id, "partNumber": "1"}
    if expected is None:
        with pytest.raises(S3Error) as caught:
            await rig.do("UploadPartCopy", "big", query=query, headers=headers)
        assert caught.value.code == "InvalidArgument"
        return
    response = await rig.do("UploadPartCopy", "big", query=query, headers=headers)
    etag = hashlib.md5(expected).hexdigest()
    assert element(response, "ETag") == f"&quot;{etag}&quot;"
    assert element(response, "ChecksumCRC32") == digest("CRC32", expected)
    await complete(rig, upload_id, document((1, etag)))
    assert await content(await rig.get("big")) == expected


async def test_a_part_needs_the_right_on_its_source_and_room():
    rig = Rig()
    await rig.put("source", b"0123456789")
    query = {"uploadId": await create(rig), "partNumber": "1"}
    with pytest.raises(S3Error) as caught:
        await rig.do("UploadPartCopy", "big", query=query, headers={"x-amz-copy-source": "strangers/a"})
    assert caught.value.code == "AccessDenied"
    rig.directory.buckets["photos"] = msgspec.structs.replace(PHOTOS, max_object_size=9)
    with pytest.raises(S3Error) as caught:
        await rig.do("UploadPartCopy", "big", query=query, headers={"x-amz-copy-source": "photos/source"})
    assert caught.value.code == "EntityTooLarge"


async def test_a_copy_of_an_object_of_parts_is_one_piece():
    rig = Rig()
    await complete(rig, await upload(rig, x_amz_checksum_algorithm="SHA256"))
    await rig.do("CopyObject", "copy", headers={"x-amz-copy-source": "photos/big"})
    head = await rig.do("HeadObject", "copy", headers={"x-amz-checksum-mode": "ENABLED"})
    assert head.headers["ETag"] == f'"{hashlib.md5(WHOLE).hexdigest()}"'
    assert head.headers["x-amz-checksum-sha256"] == digest("SHA256", WHOLE)
    assert head.headers["x-amz-checksum-type"] == "FULL_OBJECT"


async def test_parts_in_pages():
    rig = Rig()
    upload_id = await upload(rig, x_amz_checksum_algorithm="CRC32")
    seen: list[str] = []
    marker = "0"
    for truncated in ("true", "false"):
        query = {"uploadId": upload_id, "max-parts": "2", "part-number-marker": marker}
        page = await rig.do("ListParts", "big", query=query)
        assert (element(page, "IsTruncated"), element(page, "ChecksumAlgorithm")) == (truncated, "CRC32")
        seen += elements(page, "Size")
        marker = element(page, "NextPartNumberMarker") or ""
    assert seen == ["5", "6", "3"]
    assert element(page, "ChecksumCRC32") == digest("CRC32", PARTS[2])
    none = await rig.do("ListParts", "big", query={"uploadId": upload_id, "max-parts": "0"})
    assert (elements(none, "Part"), element(none, "IsTruncated")) == ([], "false")


@pytest.mark.parametrize("limit", [1, 2, 1000])
async def test_uploads_in_pages(limit):
    rig = Rig()
    created = [(name, await create(rig, name)) for name in ("a", "a", "b/1", "b/1", "b/2", "c")]
    for delimiter, names, prefixes in (("", sorted(created), []), ("/", sorted(created[:2] + created[5:]), ["b/"])):
        seen: list[tuple[str, str]] = []
        rolled: list[str] = []
        more: dict[str, str] = {}
        while True:
            query = {"max-uploads": str(limit), "delimiter": delimiter} | more
            page = await rig.do("ListMultipartUploads", query=query)
            seen += zip(elements(page, "Key"), elements(page, "UploadId"), strict=True)
            rolled += elements(page, "CommonPrefixes")
            if element(page, "IsTruncated") == "false":
                break
            more = {
                "key-marker": element(page, "NextKeyMarker") or "",
                "upload-id-marker": element(page, "NextUploadIdMarker") or "",
            }
        assert seen == names
        assert rolled == [f"<Prefix>{prefix}</Prefix>" for prefix in prefixes]
    only = await rig.do("ListMultipartUploads", query={"key-marker": "a", "prefix": ""})
    assert elements(only, "Key") == ["b/1", "b/1", "b/2", "c"]


async def test_a_completion_names_the_checksums_that_its_parts_have_and_no_others():
    rig = Rig()
    upload_id = await upload(rig, x_amz_checksum_algorithm="CRC32")
    right = digest("CRC32", PARTS[0])
    for extra in (f"<ChecksumCRC32>{digest('CRC32', b'x')}</ChecksumCRC32>", "<ChecksumSHA1>eA==</ChecksumSHA1>"):
        with pytest.raises(InvalidPart):
            await complete(rig, upload_id, document((1, ETAGS[0]), extra=extra))
    await complete(rig, upload_id, document((1, ETAGS[0]), extra=f"<ChecksumCRC32>{right}</ChecksumCRC32>"))


async def test_a_completion_is_compared_with_its_content_md5():
    rig = Rig()
    upload_id = await upload(rig)
    with pytest.raises(S3Error) as caught:
        await complete(rig, upload_id, content_md5=base64.b64encode(hashlib.md5(b"other").digest()).decode())
    assert caught.value.code == "BadDigest"
    await complete(rig, upload_id, content_md5=base64.b64encode(hashlib.md5(ALL).digest()).decode())


async def test_an_upload_that_is_none_is_told_before_the_etags_are_looked_at():
    with pytest.raises(NoSuchUpload):
        await complete(Rig(), "0" * 32, document((1, "no-md5")))


async def test_a_listing_of_uploads_tells_how_they_are_checked():
    rig = Rig()
    await create(rig, x_amz_checksum_algorithm="CRC32C", x_amz_checksum_type="FULL_OBJECT")
    listing = await rig.do("ListMultipartUploads")
    assert (element(listing, "ChecksumAlgorithm"), element(listing, "ChecksumType")) == ("CRC32C", "FULL_OBJECT")
