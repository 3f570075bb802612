import pytest

from cooper_gateway.access.principals import ANONYMOUS
from cooper_gateway.protocol.errors import S3Error
from cooper_gateway.storage.memory import MemoryStore
from cooper_gateway.storage.port import NoSuchName
from support.calls import NOW_SECONDS, Rig, content

BODY = b"0123456789"
ETAG = '"781e5e245d69b566979b86e28d23f2c7"'
BEFORE, AT, AFTER = (
    "Mon, 23 Nov 2026 08:59:59 GMT",
    "Mon, 23 Nov 2026 09:00:00 GMT",
    "Mon, 23 Nov 2026 09:00:01 GMT",
)


@pytest.fixture(params=["at once", "streamed"])
async def rig(request):
    """The same answers must come from the synchronous path and from the stream."""
    inline = 32 << 10 if request.param == "at once" else -1
    rig = Rig(store=MemoryStore(clock=lambda: NOW_SECONDS * 1000 + 123, inline_limit=inline))
    await rig.put(
        "a", BODY, headers={"content-type": "text/plain", "x-amz-meta-who": "me", "cache-control": "no-cache"}
    )
    return rig


async def get(rig, name="a", **more):
    return rig.now("GetObject", name, **more) or await rig.get(name, **more)


async def test_headers_tell_what_was_stored(rig):
    response = await get(rig)
    assert (response.status, await content(response), response.length) == (200, BODY, 10)
    assert response.headers == {
        "Content-Type": "text/plain",
        "Cache-Control": "no-cache",
        "x-amz-meta-who": "me",
        "Accept-Ranges": "bytes",
        "ETag": ETAG,
        "Last-Modified": AT,
    }
    head = rig.now("HeadObject", "a")
    assert (head.headers, head.body, head.length) == (response.headers, b"", 10)
    assert (await rig.do("HeadObject", "a")).headers == response.headers


@pytest.mark.parametrize(
    ("asked", "start", "end"),
    [
        ("bytes=0-0", 0, 1),
        ("bytes=2-4", 2, 5),
        ("bytes=2-", 2, 10),
        ("bytes=-3", 7, 10),
        ("bytes=-99", 0, 10),
        ("bytes=9-99", 9, 10),
    ],
)
async def test_single_ranges(rig, asked, start, end):
    response = await get(rig, headers={"range": asked, "x-amz-checksum-mode": "ENABLED"})
    assert (response.status, await content(response), response.length) == (206, BODY[start:end], end - start)
    assert response.headers["Content-Range"] == f"bytes {start}-{end - 1}/10"
    head = rig.now("HeadObject", "a", headers={"range": asked})
    assert (head.status, head.length, head.body) == (206, end - start, b"")


@pytest.mark.parametrize("asked", ["bytes=5-2", "bytes=1-2,4-5", "lines=1-2", "bytes=x-y", "nonsense"])
async def test_what_is_no_single_range_is_ignored(rig, asked):
    response = await get(rig, headers={"range": asked})
    assert (response.status, await content(response)) == (200, BODY)


@pytest.mark.parametrize("asked", ["bytes=10-", "bytes=10-20", "bytes=-0"])
async def test_a_range_outside_is_416_with_the_size(rig, asked):
    with pytest.raises(S3Error) as caught:
        await get(rig, headers={"range": asked})
    assert (caught.value.status, caught.value.headers) == (416, {"Content-Range": "bytes */10"})


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"if-match": ETAG}, 200),
        ({"if-match": "*"}, 200),
        ({"if-match": '"other"'}, 412),
        ({"if-none-match": ETAG}, 304),
        ({"if-none-match": "*"}, 304),
        ({"if-none-match": '"other"'}, 200),
        ({"if-modified-since": BEFORE}, 200),
        ({"if-modified-since": AT}, 304),
        ({"if-unmodified-since": BEFORE}, 412),
        ({"if-unmodified-since": AT}, 200),
        ({"if-match": ETAG, "if-unmodified-since": BEFORE}, 200),
        ({"if-none-match": ETAG, "if-modified-since": BEFORE}, 304),
        ({"if-none-match": '"other"', "if-modified-since": AFTER}, 200),
        ({"if-none-match": ETAG, "range": "bytes=0-1"}, 304),
        ({"if-range": ETAG, "range": "bytes=0-1"}, 206),
        ({"if-range": '"other"', "range": "bytes=0-1"}, 200),
    ],
)
async def test_conditions(rig, headers, status):
    for answer in (get, lambda rig, **more: rig.do("HeadObject", "a", **more)):
        if status == 412:
            with pytest.raises(S3Error) as caught:
                await answer(rig, headers=headers)
            assert caught.value.code == "PreconditionFailed"
            continue
        response = await answer(rig, headers=headers)
        assert response.status == status
        if status == 304:
            assert (response.body, response.length) == (b"", None)
            assert response.headers == {"Cache-Control": "no-cache", "ETag": ETAG, "Last-Modified": AT}


async def test_checksum_only_when_asked_and_whole(rig):
    await rig.put("c", BODY, headers={"x-amz-checksum-crc32": "poTHxg=="})
    asked = {"x-amz-checksum-mode": "ENABLED"}
    response = await get(rig, "c", headers=asked)
    assert response.headers["x-amz-checksum-type"] == "FULL_OBJECT"
    assert response.headers["x-amz-checksum-crc32"] == "poTHxg=="
    for more in ({}, {"headers": asked | {"range": "bytes=0-1"}}):
        assert "x-amz-checksum-crc32" not in (await get(rig, "c", **more)).headers


async def test_overrides_are_for_signed_requests(rig):
    query = {"response-content-type": "image/png", "response-content-disposition": 'attachment; filename="é"'}
    response = await get(rig, query=query)
    assert response.headers["Content-Type"] == "image/png"
    assert response.headers["Content-Disposition"].encode("latin-1").decode() == 'attachment; filename="é"'
    rig.principal = ANONYMOUS
    with pytest.raises(S3Error, match="anonymous"):
        await get(rig, query=query)


async def test_a_line_break_never_becomes_a_header(rig):
    with pytest.raises(S3Error) as caught:
        await get(rig, query={"response-content-type": "text/html\r\nSet-Cookie: a=b"})
    assert caught.value.code == "InvalidArgument"
    with pytest.raises(S3Error) as caught:
        await rig.put("b", headers={"x-amz-meta-a": "b\nc"})
    assert caught.value.code == "InvalidArgument"


async def test_part_number_of_an_object_in_one_piece(rig):
    response = await get(rig, query={"partNumber": "1"})
    assert (response.status, await content(response), response.headers["Content-Range"]) == (206, BODY, "bytes 0-9/10")
    assert "x-amz-mp-parts-count" not in response.headers
    for query, headers, code in (
        ({"partNumber": "2"}, {}, "InvalidPartNumber"),
        ({"partNumber": "0"}, {}, "InvalidArgument"),
        ({"partNumber": "1"}, {"range": "bytes=0-1"}, "InvalidRequest"),
    ):
        with pytest.raises(S3Error) as caught:
            await get(rig, query=query, headers=headers)
        assert caught.value.code == code


async def test_missing_and_empty(rig):
    with pytest.raises(NoSuchName):
        await get(rig, "nothing")
    await rig.put("empty")
    response = await get(rig, "empty")
    assert (response.status, await content(response), response.length) == (200, b"", 0)
    assert response.headers["Content-Type"] == "binary/octet-stream"
    with pytest.raises(S3Error) as caught:
        await get(rig, "empty", headers={"range": "bytes=0-0"})
    assert caught.value.code == "InvalidRange"


async def test_the_stream_releases_the_object_even_unread():
    rig = Rig(store=MemoryStore(inline_limit=-1))
    await rig.put("a", BODY)
    closed = []
    opened = await rig.store.open(rig.call("GetObject", "a").ref, b"a")
    opened.close = lambda: closed.append(True)

    async def same(*_):
        return opened

    rig.store.open = same
    response = await rig.get("a")
    assert closed == []
    await response.body.aclose()
    assert closed
