import base64
import hashlib

import msgspec
import pytest

from cooper_crds.actions import GET_OBJECT, LIST_BUCKET, PUT_OBJECT
from cooper_crds.records import Grant
from cooper_gateway.access.principals import KeyHolder
from cooper_gateway.protocol.errors import S3Error
from cooper_gateway.storage.port import Refused
from support.calls import OTHER, PHOTOS, Rig, content, element, key_for

BODY = b"0123456789"
ETAG = "781e5e245d69b566979b86e28d23f2c7"
BEFORE, AT = "Mon, 23 Nov 2026 08:59:59 GMT", "Mon, 23 Nov 2026 09:00:00 GMT"


@pytest.fixture
async def rig():
    rig = Rig()
    await rig.put("a b", BODY, headers={"content-type": "a/b", "x-amz-meta-k": "v", "x-amz-checksum-crc32": "poTHxg=="})
    return rig


async def copy(rig, source="photos/a%20b", name="copy", **headers):
    given = {key.replace("_", "-"): value for key, value in headers.items()}
    return await rig.do("CopyObject", name, headers={"x-amz-copy-source": source} | given)


@pytest.mark.parametrize("source", ["photos/a%20b", "/photos/a%20b", "photos%2Fa%20b"])
async def test_a_copy_has_bytes_attributes_etag_and_checksum(rig, source):
    response = await copy(rig, source, x_amz_meta_k="ignored without REPLACE")
    assert (element(response, "ETag"), element(response, "ChecksumCRC32")) == (f"&quot;{ETAG}&quot;", "poTHxg==")
    assert element(response, "LastModified") == "2026-11-23T09:00:00.000Z"
    got = await rig.get("copy", headers={"x-amz-checksum-mode": "ENABLED"})
    assert await content(got) == BODY
    assert (got.headers["Content-Type"], got.headers["x-amz-meta-k"]) == ("a/b", "v")
    assert got.headers["x-amz-checksum-crc32"] == "poTHxg=="


async def test_replace_and_another_checksum(rig):
    response = await copy(rig, x_amz_metadata_directive="REPLACE", content_type="c/d", x_amz_checksum_algorithm="SHA1")
    assert element(response, "ChecksumSHA1") == base64.b64encode(hashlib.sha1(BODY).digest()).decode()
    got = await rig.get("copy", headers={"x-amz-checksum-mode": "ENABLED"})
    assert got.headers["Content-Type"] == "c/d"
    assert "x-amz-meta-k" not in got.headers
    assert "x-amz-checksum-crc32" not in got.headers
    assert got.headers["x-amz-checksum-sha1"] == element(response, "ChecksumSHA1")


async def test_onto_itself_only_to_change_something(rig):
    with pytest.raises(S3Error) as caught:
        await copy(rig, name="a b")
    assert caught.value.code == "InvalidRequest"
    await copy(rig, name="a b", x_amz_metadata_directive="REPLACE", x_amz_meta_new="1")
    got = await rig.get("a b")
    assert (await content(got), got.headers["x-amz-meta-new"], got.headers["ETag"]) == (BODY, "1", f'"{ETAG}"')
    assert "x-amz-meta-k" not in got.headers
    await copy(rig, name="a b", x_amz_metadata_directive="REPLACE", x_amz_checksum_algorithm="CRC32C")
    got = await rig.get("a b", headers={"x-amz-checksum-mode": "ENABLED"})
    assert "x-amz-checksum-crc32c" in got.headers


@pytest.mark.parametrize(
    ("headers", "holds"),
    [
        ({"if-match": f'"{ETAG}"'}, True),
        ({"if-match": '"x"'}, False),
        ({"if-none-match": f'"{ETAG}"'}, False),
        ({"if-none-match": '"x"'}, True),
        ({"if-modified-since": BEFORE}, True),
        ({"if-modified-since": AT}, False),
        ({"if-unmodified-since": AT}, True),
        ({"if-unmodified-since": BEFORE}, False),
    ],
)
async def test_conditions_on_the_source_fail_with_412(rig, headers, holds):
    given = {f"x-amz-copy-source-{name}": value for name, value in headers.items()}
    if holds:
        await copy(rig, **given)
        return
    with pytest.raises(S3Error) as caught:
        await copy(rig, **given)
    assert caught.value.code == "PreconditionFailed"


async def test_a_conditional_copy_onto_itself_is_decided_at_the_commit(rig):
    call = rig.store.replace_attributes
    etags = []

    async def spy(bucket, name, attributes, conditions, guard):
        etags.append(conditions.if_match)
        await rig.put("a b", b"meanwhile")
        return await call(bucket, name, attributes, conditions, guard)

    rig.store.replace_attributes = spy
    with pytest.raises(S3Error, match="precondition"):
        await copy(rig, name="a b", x_amz_metadata_directive="REPLACE", x_amz_copy_source_if_unmodified_since=AT)
    assert etags == [ETAG]


@pytest.mark.parametrize(
    ("source", "code"),
    [
        ("photos/missing", "NoSuchKey"),
        ("strangers/a", "AccessDenied"),
        ("photos/a%20b?versionId=1", "NotImplemented"),
        ("photos", "InvalidArgument"),
        ("", "InvalidArgument"),
        ("photos/%ff", "InvalidURI"),
        ("photos/" + "x" * 1025, "KeyTooLongError"),
        ("photos/a%2", "InvalidArgument"),
    ],
)
async def test_sources_that_are_none(rig, source, code):
    with pytest.raises(S3Error) as caught:
        await copy(rig, source)
    assert caught.value.code == code


@pytest.mark.parametrize(
    ("actions", "source", "code"),
    [
        ((PUT_OBJECT,), "photos/a%20b", "AccessDenied"),
        ((GET_OBJECT, PUT_OBJECT), "photos/missing", "AccessDenied"),
        ((GET_OBJECT, PUT_OBJECT, LIST_BUCKET), "photos/missing", "NoSuchKey"),
        ((GET_OBJECT,), "photos/a%20b", None),
    ],
)
async def test_the_source_has_its_own_grant(rig, actions, source, code):
    key = key_for(OTHER)
    grants = (*key.grants, Grant(PHOTOS.name, PHOTOS.data_id, actions))
    rig.principal = KeyHolder(msgspec.structs.replace(key, grants=grants))
    call = {"bucket": "other", "headers": {"x-amz-copy-source": source}}
    if code is None:
        await rig.do("CopyObject", "copy", **call)
        assert await content(await rig.get("copy", bucket="other")) == BODY
        return
    with pytest.raises(S3Error) as caught:
        await rig.do("CopyObject", "copy", **call)
    assert caught.value.code == code


async def test_a_closed_source_bucket_is_no_bucket(rig):
    await rig.do("DeleteObject", "a b")
    await rig.do("DeleteBucket")
    with pytest.raises(S3Error) as caught:
        await rig.do("CopyObject", "copy", bucket="other", headers={"x-amz-copy-source": "photos/a%20b"})
    assert caught.value.code == "NoSuchBucket"


async def test_the_destination_limits_the_size_and_the_directive_is_known(rig):
    rig.directory.buckets["other"] = msgspec.structs.replace(OTHER, max_object_size=9)
    for headers, code in (({}, "EntityTooLarge"), ({"x-amz-metadata-directive": "MOVE"}, "InvalidArgument")):
        with pytest.raises(S3Error) as caught:
            await rig.do("CopyObject", "copy", bucket="other", headers={"x-amz-copy-source": "photos/a%20b"} | headers)
        assert caught.value.code == code


@pytest.mark.parametrize("withdrawn", [PUT_OBJECT, GET_OBJECT])
async def test_the_commit_asks_again_for_both_rights(withdrawn):
    rig = Rig()
    await rig.put("a", BODY)
    rig.store._recheck = lambda key, address, action, data, names: "KeyAccessRevoked" if action == withdrawn else None
    with pytest.raises(Refused):
        await copy(rig, "photos/a")
