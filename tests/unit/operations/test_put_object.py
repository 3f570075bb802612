import base64
import encodings
import hashlib
from collections.abc import Sequence

import pytest

from cooper_crds.records import RegionRecord
from cooper_gateway.operations.limits import check_declared
from cooper_gateway.protocol.checksums import ALGORITHMS
from cooper_gateway.protocol.errors import S3Error
from cooper_gateway.storage.memory import MemoryStore
from cooper_gateway.storage.port import BucketClosed, NoSuchName, Refused
from support.calls import OTHER, FakeBody, FakeDirectory, Rig, content

BODY = b"hello" * 100_000
MD5 = hashlib.md5(BODY).hexdigest()


def digest(algorithm: str, body: bytes) -> str:
    computed = ALGORITHMS[algorithm].new()
    computed.update(body)
    return base64.b64encode(computed.digest()).decode()


async def nothing_stored(rig: Rig) -> bool:
    with pytest.raises(NoSuchName):
        await rig.get("a")
    return True


@pytest.mark.parametrize("step", [1000, 64 << 10, 256 << 10])
async def test_the_body_is_stored_and_its_md5_is_the_etag(step):
    rig = Rig()
    chunks = [BODY[at : at + step] for at in range(0, len(BODY), step)]
    response = await rig.do("PutObject", "a", FakeBody(chunks))
    assert response.headers == {"ETag": f'"{MD5}"'}
    assert await content(await rig.get("a")) == BODY


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("where", ["header", "trailer"])
async def test_checksums_are_verified_stored_and_returned(algorithm, where):
    rig = Rig()
    name, value = f"x-amz-checksum-{algorithm.lower()}", digest(algorithm, BODY)
    for sent, wrong in ((value, False), (digest(algorithm, b"other"), True)):
        headers = {name: sent} if where == "header" else {"x-amz-trailer": name}
        body = FakeBody([BODY], {name: sent} if where == "trailer" else {})
        if wrong:
            with pytest.raises(S3Error) as caught:
                await rig.do("PutObject", "wrong", body, headers=headers)
            assert caught.value.code in ("BadDigest", "XAmzContentChecksumMismatch")
            with pytest.raises(NoSuchName):
                await rig.get("wrong")
        else:
            response = await rig.do("PutObject", "a", body, headers=headers)
            assert response.headers[name] == value
            got = await rig.get("a", headers={"x-amz-checksum-mode": "ENABLED"})
            assert got.headers[name] == value


@pytest.mark.parametrize(
    ("md5", "code"),
    [(base64.b64encode(hashlib.md5(b"x").digest()).decode(), "BadDigest"), ("nonsense", "InvalidDigest")],
)
async def test_content_md5(md5, code):
    rig = Rig()
    good = base64.b64encode(hashlib.md5(BODY).digest()).decode()
    await rig.put("good", BODY, headers={"content-md5": good})
    with pytest.raises(S3Error) as caught:
        await rig.put("a", BODY, headers={"content-md5": md5})
    assert caught.value.code == code
    assert await nothing_stored(rig)


async def test_a_body_that_does_not_verify_stores_nothing():
    rig = Rig()
    with pytest.raises(S3Error) as caught:
        await rig.do("PutObject", "a", FakeBody([b"half"], size=8, fails=S3Error("IncompleteBody")))
    assert caught.value.code == "IncompleteBody"
    assert await nothing_stored(rig)


async def test_size_is_limited_as_declared_and_as_it_arrives():
    rig = Rig()
    limit = OTHER.max_object_size
    declared = FakeBody([b"x"], size=limit + 1)
    with pytest.raises(S3Error) as caught:
        await rig.do("PutObject", "a", declared, bucket="other")
    assert (caught.value.code, declared.taken) == ("EntityTooLarge", 0)
    rig.directory.settings = RegionRecord("eu", "eu-west-1", max_object_size=10)
    lying = FakeBody([b"123456"] * 5, size=5)
    with pytest.raises(S3Error) as caught:
        await rig.do("PutObject", "a", lying)
    assert (caught.value.code, lying.taken) == ("EntityTooLarge", 2)
    with pytest.raises(S3Error) as caught:
        await rig.do("PutObject", "a", FakeBody([], size=None))
    assert caught.value.code == "MissingContentLength"
    await rig.do("PutObject", "exact", FakeBody([b"12345", b"67890"]))


async def test_limits_of_the_headers_are_told_before_the_body():
    rig = Rig()
    for size, fits in ((2048, True), (2049, False)):
        call = rig.call("PutObject", "a", headers={"x-amz-meta-ab": "v" * (size - 2)})
        if fits:
            check_declared(call)
            continue
        with pytest.raises(S3Error) as caught:
            check_declared(call)
        assert caught.value.code == "MetadataTooLarge"


async def test_attributes_keep_what_describes_the_object():
    rig = Rig()
    sent = {
        "content-type": "a/b",
        "content-encoding": "aws-chunked, gzip",
        "content-language": "de",
        "content-disposition": "inline",
        "expires": "never",
        "x-amz-acl": "public-read",
        "x-amz-meta-Ä".lower().encode().decode("latin-1"): "o",
    }
    await rig.put("a", headers=sent)
    headers = (await rig.get("a")).headers
    assert headers["Content-Encoding"] == "gzip"
    assert (headers["Content-Language"], headers["Content-Disposition"], headers["Expires"]) == (
        "de",
        "inline",
        "never",
    )
    assert "x-amz-acl" not in headers
    assert headers["x-amz-meta-ä".encode().decode("latin-1")] == "o"
    await rig.put("b", headers={"content-encoding": "aws-chunked"})
    assert "Content-Encoding" not in (await rig.get("b")).headers


@pytest.mark.parametrize(
    ("headers", "there", "error"),
    [
        ({"if-none-match": "*"}, False, None),
        ({"if-none-match": "*"}, True, "PreconditionFailed"),
        ({"if-match": f'"{hashlib.md5(b"old").hexdigest()}"'}, True, None),
        ({"if-match": hashlib.md5(b"old").hexdigest()}, True, None),
        ({"if-match": '"other"'}, True, "PreconditionFailed"),
        ({"if-match": "*"}, True, None),
        ({"if-match": "*"}, False, "NoSuchKey"),
        ({"if-match": '"*"'}, True, "PreconditionFailed"),
        ({"if-none-match": '"*"'}, False, "NotImplemented"),
        ({"if-none-match": '"etag"'}, False, "NotImplemented"),
        ({"if-match": '"a", "b"'}, True, "NotImplemented"),
    ],
)
async def test_conditions_of_a_write(headers, there, error):
    rig = Rig()
    if there:
        await rig.put("a", b"old")
    if error is None:
        await rig.put("a", b"new", headers=headers)
        assert await content(await rig.get("a")) == b"new"
        return
    with pytest.raises(S3Error) as caught:
        await rig.put("a", b"new", headers=headers)
    assert caught.value.code == error
    if there:
        assert await content(await rig.get("a")) == b"old"


async def test_the_commit_asks_again_and_a_closed_bucket_takes_nothing():
    asked = []

    def recheck(key_id: str, address: str, action: str, data_id: bytes, names: Sequence[bytes]) -> str | None:
        asked.append((key_id, action, data_id, *names))
        return "KeyAccessRevoked" if len(asked) > 1 else None

    rig = Rig(MemoryStore(recheck), FakeDirectory())
    await rig.put("a", b"1")
    with pytest.raises(Refused) as caught:
        await rig.put("a", b"2")
    assert caught.value.code == "KeyAccessRevoked"
    assert asked[0] == ("AKIAEXAMPLE", "s3:PutObject", rig.call("PutObject", "a").ref.data_id, b"a")
    assert await content(await rig.get("a")) == b"1"
    rig = Rig()
    await rig.do("DeleteBucket")
    with pytest.raises(BucketClosed):
        await rig.put("a", b"1")


@pytest.mark.parametrize("operation", ["PutObject", "CopyObject", "CreateMultipartUpload"])
async def test_kms_is_not_promised(operation):
    for value, refused in (("AES256", False), ("aws:kms", True)):
        call = Rig().call(operation, "a", headers={"x-amz-server-side-encryption": value})
        if refused:
            with pytest.raises(S3Error) as caught:
                check_declared(call)
            assert caught.value.code == "NotImplemented"
        else:
            check_declared(call)


@pytest.mark.parametrize(
    ("sent", "told"),
    [
        ("Z\u00fcrich".encode().decode("latin-1"), "=?UTF-8?B?WsO8cmljaA==?="),
        ("=?UTF-8?Q?Z=C3=BCrich?=", "=?UTF-8?B?WsO8cmljaA==?="),
        ("=?UTF-8?B?WsO8cmljaA==?=", "=?UTF-8?B?WsO8cmljaA==?="),
        ("=?ISO-8859-1?Q?Z=FCrich?=", "=?UTF-8?B?WsO8cmljaA==?="),
        ("=?UTF-8?Q?plain?=", "plain"),
        ("=?no-charset?Q?x?=", "=?no-charset?Q?x?="),
        ("=?UTF-8?B?!?=", "=?UTF-8?B?!?="),
        ("=?UTF-8?B?/w==?=", "=?UTF-8?B?/w==?="),
        ("\xff\xfe", "\xff\xfe"),
        ("a=?b", "a=?b"),
        ("=?UTF-8?Q?Z=C3=BC?= =?UTF-8?Q?rich?=", "=?UTF-8?B?WsO8cmljaA==?="),
        ("in =?UTF-8?Q?Z=C3=BC_rich?= now", "=?UTF-8?B?aW4gWsO8IHJpY2ggbm93?="),
        ("=?UTF-8?Q?Z=C?=", "=?UTF-8?Q?Z=C?="),
        ("=?utf-7?Q?x?=", "=?utf-7?Q?x?="),
    ],
)
async def test_metadata_that_is_not_ascii_is_told_in_encoded_words(sent: str, told: str):
    """RFC 2047, as Amazon S3 does it; a copy keeps it."""
    rig = Rig()
    await rig.put("a", headers={"x-amz-meta-city": sent})
    await rig.do("CopyObject", "b", headers={"x-amz-copy-source": "photos/a"})
    for name in ("a", "b"):
        assert (await rig.do("HeadObject", name)).headers["x-amz-meta-city"] == told


async def test_encoded_words_without_end_are_not_read():
    """A request of nothing else would keep the worker from its other clients."""
    with pytest.raises(S3Error) as caught:
        await Rig().put("a", headers={"x-amz-meta-a": "=?UTF-8?Q?a?=" * 700})
    assert caught.value.code == "MetadataTooLarge"


async def test_encoded_words_hide_no_control_characters():
    with pytest.raises(S3Error) as caught:
        await Rig().put("a", headers={"x-amz-meta-a": "=?UTF-8?Q?=0D=0AX-Evil:_1?="})
    assert caught.value.code == "InvalidArgument"


@pytest.mark.parametrize("text", ["ü\u2028 x", "ü\u0085y", "  ü  ", "ü" * 400])
async def test_metadata_comes_back_as_the_text_that_it_was(text: str):
    rig = Rig()
    await rig.put("a", headers={"x-amz-meta-a": text.encode().decode("latin-1")})
    told = (await rig.do("HeadObject", "a")).headers["x-amz-meta-a"]
    assert base64.b64decode(told.removeprefix("=?UTF-8?B?").removesuffix("?=")).decode() == text


async def test_a_charset_that_nobody_knows_is_kept_nowhere():
    """Python keeps the name of each codec that it was asked for and did not have."""
    kept = len(encodings._cache)
    rig = Rig()
    for number in range(50):
        await rig.put("a", headers={"x-amz-meta-a": f"=?charset-{number}?q?a?="})
    assert len(encodings._cache) == kept


async def test_metadata_that_is_far_too_large_is_not_decoded():
    headers = {f"x-amz-meta-{number:02}": "=?UTF-8?Q?" + "a" * 200 + "?=" for number in range(90)}
    with pytest.raises(S3Error) as caught:
        await Rig().put("a", headers=headers)
    assert caught.value.code == "MetadataTooLarge"
