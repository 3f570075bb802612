"""The queue between the wire and a handler: bounded, in order, and silent about nothing."""

import asyncio
import os
from dataclasses import dataclass, field

import pytest

from cooper_gateway.http.body import EMPTY_BODY, PIECE, RawBody, VerifiedBody
from cooper_gateway.protocol.errors import S3Error
from cooper_gateway.protocol.payload import PlainPayload


@dataclass
class FakeFlow:
    events: list[str] = field(default_factory=list)

    def begin_body(self) -> None:
        self.events.append("begin")

    def pause_body(self) -> None:
        self.events.append("pause")

    def resume_body(self) -> None:
        self.events.append("resume")


async def test_reading_stops_over_the_mark_and_goes_on_below_half() -> None:
    flow = FakeFlow()
    raw = RawBody(flow, high=1000)
    raw.push(b"a" * 900)
    assert flow.events == []
    raw.push(b"b" * 100)
    assert flow.events == ["pause"]
    assert not raw.waits_for_client
    raw.push(b"c" * 100)  # was on its way already
    assert await raw.next() == b"a" * 900 + b"b" * 100 + b"c" * 100
    assert flow.events == ["pause", "begin", "resume"]
    assert raw.waits_for_client


async def test_what_is_put_back_comes_first_and_counts() -> None:
    flow = FakeFlow()
    raw = RawBody(flow, high=1000)
    raw.push(b"a" * 2000)
    taken = await raw.next()
    assert taken is not None
    raw.unread(taken[500:])
    raw.unread(b"")
    raw.push(b"b")
    assert raw.received == 2001
    assert flow.events == ["pause", "begin", "resume", "pause"]
    raw.end()
    assert await raw.next() == b"a" * 1500 + b"b"
    assert await raw.next() is None


async def test_what_was_put_back_is_dropped_with_the_rest() -> None:
    raw = RawBody(None)
    raw.push(b"a")
    taken = await raw.next()
    assert taken is not None
    raw.unread(taken)
    raw.fail(S3Error("IncompleteBody"))
    with pytest.raises(S3Error):
        await raw.next()


async def test_many_tiny_pieces_count_for_more_than_their_bytes() -> None:
    flow = FakeFlow()
    raw = RawBody(flow, high=100_000)
    pushed = 0
    while "pause" not in flow.events:
        raw.push(b"x")
        pushed += 1
    assert pushed < 2000


async def test_at_most_256_kib_at_once() -> None:
    raw = RawBody(None)
    for _ in range(5):
        raw.push(b"x" * 100_000)
    raw.end()
    sizes = []
    while (data := await raw.next()) is not None:
        sizes.append(len(data))
    assert sizes == [200_000, 200_000, 100_000]


def fill(raw: RawBody, data: bytes, left: int) -> int:
    """Put as much of `data` as there is room for; says how much."""
    room = raw.room(left)
    size = min(len(room), len(data))
    room[:size] = data[:size]
    raw.filled(size)
    return size


async def test_what_is_put_directly_comes_in_whole_pieces_that_begin_where_the_store_wants_them() -> None:
    data = os.urandom(2 * PIECE + 5000)
    flow = FakeFlow()
    raw = RawBody(flow)
    raw.push(data[:1000])
    assert await raw.next() == data[:1000]
    at, taken = 1000, [data[:1000]]
    while at < len(data):
        at += fill(raw, data[at : at + 70_000], len(data) - at)
        assert raw.received == at
        if not raw.waits_for_client:  # a piece is there
            taken.append(await raw.next() or b"")
    raw.end()
    assert [len(piece) for piece in taken] == [1000, PIECE - 1000, PIECE]
    taken.append(await raw.next() or b"")
    assert b"".join(taken) == data
    assert await raw.next() is None
    assert flow.events == ["begin", "pause", "resume", "pause", "resume"]


async def test_of_a_failed_body_what_was_put_directly_is_dropped() -> None:
    raw = RawBody(None)
    fill(raw, b"x" * 1000, 1 << 20)
    raw.fail(S3Error("IncompleteBody"))
    with pytest.raises(S3Error):
        await raw.next()
    assert bytes(raw.room(5)) == bytes(5)


async def test_a_waiting_reader_is_woken_and_the_body_begins_once() -> None:
    flow = FakeFlow()
    raw = RawBody(flow)
    reading = asyncio.create_task(raw.next())
    await asyncio.sleep(0)
    assert flow.events == ["begin"]
    raw.push(b"x")
    assert await reading == b"x"
    ending = asyncio.create_task(raw.next())
    await asyncio.sleep(0)
    raw.end()
    assert await ending is None
    assert flow.events == ["begin"]


async def test_a_failed_body_gives_nothing_more() -> None:
    raw = RawBody(None)
    raw.push(b"x")
    raw.fail(S3Error("RequestTimeout"))
    with pytest.raises(S3Error, match="in time"):
        await raw.next()
    assert not raw.ended


def body(size: int | None, *pieces: bytes) -> VerifiedBody:
    raw = RawBody(None)
    for piece in pieces:
        raw.push(piece)
    raw.end()
    return VerifiedBody(raw, PlainPayload(size, None))


async def test_a_body_that_does_not_verify_does_not_end() -> None:
    chunks = aiter(body(5, b"four"))
    assert await anext(chunks) == b"four"
    with pytest.raises(S3Error) as raised:
        await anext(chunks)
    assert raised.value.code == "IncompleteBody"


async def test_read_gives_the_whole_and_refuses_what_is_over_its_limit() -> None:
    assert await body(6, b"abc", b"def").read(6) == b"abcdef"
    for size in (6, None):
        with pytest.raises(S3Error) as raised:
            await body(size, b"abc", b"def").read(5)
        assert raised.value.code == "EntityTooLarge"


async def test_a_declared_size_over_the_limit_is_refused_before_reading() -> None:
    flow = FakeFlow()
    with pytest.raises(S3Error):
        await VerifiedBody(RawBody(flow), PlainPayload(6, None)).read(5)
    assert flow.events == []


async def test_the_empty_body() -> None:
    assert [chunk async for chunk in EMPTY_BODY] == []
    assert (await EMPTY_BODY.read(0), EMPTY_BODY.size, EMPTY_BODY.trailers) == (b"", 0, {})
