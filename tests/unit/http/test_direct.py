"""Bodies that are large enough to be read straight into the store's batches: nothing else may change. On both loops."""

import asyncio
import hashlib
import os
import socket
import struct
from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest

from cooper_gateway.http.body import PIECE
from cooper_gateway.http.limits import DEFAULT_LIMITS, HttpLimits
from support.http_rig import LOOPS, Rig, read_answer, with_server

GET = b"GET /hello HTTP/1.1\r\nHost: x\r\n\r\n"
SHORT = replace(DEFAULT_LIMITS, body_seconds=0.3, body_progress=1 << 10, linger_seconds=0.2)
LARGE = 1 << 30
Act = Callable[[Rig, asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]

pytestmark = pytest.mark.parametrize("loop", LOOPS)


def put(path: str, size: int) -> bytes:
    return f"PUT {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {size}\r\n\r\n".encode()


def with_body(loop: str, act: Act, path: str = "/a", limits: HttpLimits = SHORT) -> None:
    """Do that while a body is read directly."""

    async def test(rig: Rig) -> None:
        reader, writer = await rig.connect()
        writer.write(put(path, LARGE) + b"x" * (PIECE + 1000))
        async with asyncio.timeout(10):
            while not any(connection._direct for connection in rig.held()):
                await asyncio.sleep(0.01)
        await act(rig, reader, writer)
        writer.transport.abort()

    with_server(loop, test, limits)


@pytest.mark.parametrize("size", [PIECE, PIECE + 1, 2 * PIECE, 3_000_001])
@pytest.mark.parametrize("step", [9_999, 1 << 20])
def test_what_follows_a_large_body_is_the_next_request(loop: str, size: int, step: int) -> None:
    data = os.urandom(size)
    expected = f"{size} {hashlib.sha256(data).hexdigest()}".encode()
    sent = 2 * (put("/a", size) + data + GET)

    async def test(rig: Rig) -> None:
        reader, writer = await rig.connect()
        for at in range(0, len(sent), step):
            writer.write(sent[at : at + step])
            await writer.drain()
        for _ in range(2):
            assert (await read_answer(reader))[2] == expected
            assert (await read_answer(reader))[2] == b"hello"
        assert [received for _, received, _ in rig.pipeline.observed] == [size, 0, size, 0]
        writer.close()

    with_server(loop, test)


def test_who_has_sent_little_holds_little(loop: str) -> None:
    async def test(rig: Rig) -> None:
        _, writer = await rig.connect()
        sent = PIECE - 1
        writer.write(put("/a", LARGE) + b"x" * sent)
        await asyncio.sleep(0.2)
        (connection,) = rig.held()
        assert not connection._direct
        writer.transport.abort()

    with_server(loop, test)


def test_time_runs_out(loop: str) -> None:
    async def act(rig: Rig, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        assert b"<Code>RequestTimeout</Code>" in await asyncio.wait_for(reader.read(-1), 5)

    with_body(loop, act)


def test_a_byte_now_and_then_is_not_progress(loop: str) -> None:
    async def act(rig: Rig, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        answer = asyncio.create_task(reader.read(-1))
        async with asyncio.timeout(5):
            while not answer.done():
                writer.write(b"x")
                await asyncio.sleep(0.02)
        assert b"<Code>RequestTimeout</Code>" in answer.result()

    with_body(loop, act)


def test_a_client_that_ends_its_body_early_is_told(loop: str) -> None:
    async def act(rig: Rig, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write_eof()
        assert b"<Code>IncompleteBody</Code>" in await asyncio.wait_for(reader.read(-1), 5)

    with_body(loop, act)


def test_a_client_that_leaves_cancels_its_handler(loop: str) -> None:
    async def act(rig: Rig, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        sock = writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.transport.abort()
        await asyncio.wait_for(rig.pipeline.closed.wait(), 2)
        assert rig.pipeline.observed[0][0] == 499

    with_body(loop, act)


def test_a_body_no_longer_allowed_is_refused_while_it_comes(loop: str) -> None:
    async def act(rig: Rig, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        rig.pipeline.allowed = False
        answer = await asyncio.wait_for(reader.read(-1), 5)
        assert b"<Code>KeyAccessRevoked</Code>" in answer

    with_body(loop, act)


def test_a_client_that_is_refused_midway_sees_it(loop: str) -> None:
    async def act(rig: Rig, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"x" * PIECE)
        status, headers, body = await read_answer(reader)
        assert (status, headers["connection"]) == (413, "close")
        assert b"<Code>EntityTooLarge</Code>" in body
        assert await asyncio.wait_for(reader.read(-1), 2) == b""

    with_body(loop, act, "/mib")


def test_of_a_body_refused_midway_no_more_is_read_than_the_answer_needs(loop: str) -> None:
    async def act(rig: Rig, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"x" * PIECE)
        assert (await read_answer(reader))[0] == 413
        sent = 0
        with pytest.raises(TimeoutError):
            while sent < 128 << 20:
                writer.write(b"x" * 65536)
                await asyncio.wait_for(writer.drain(), 2)
                sent += 65536

    with_body(loop, act, "/mib", replace(DEFAULT_LIMITS, linger_seconds=60))
