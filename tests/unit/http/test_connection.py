"""One connection after the head is understood: order, bodies, flow control, time-outs, ends. On both event loops."""

import asyncio
import gc
import hashlib
import socket
import struct
from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest

from cooper_gateway.http.exchange import Exchange
from cooper_gateway.http.limits import DEFAULT_LIMITS
from support.http_rig import LOOPS, Rig, read_answer, with_server

GET = b"GET /hello HTTP/1.1\r\nHost: x\r\n\r\n"
SLOW = b"GET /slow HTTP/1.1\r\nHost: x\r\n\r\n"
SHORT = replace(
    DEFAULT_LIMITS,
    header_seconds=0.2,
    idle_seconds=0.2,
    body_seconds=0.2,
    body_progress=1 << 10,
    write_seconds=0.2,
    linger_seconds=0.2,
)
Test = Callable[[Rig], Awaitable[None]]

pytestmark = pytest.mark.parametrize("loop", LOOPS)


def put(path: str, size: int, *headers: str) -> bytes:
    lines = "".join(f"{header}\r\n" for header in headers)
    return f"PUT {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {size}\r\n{lines}\r\n".encode()


async def sent_until_it_waits(writer: asyncio.StreamWriter, seconds: float) -> int:
    """Bytes of requests that are taken in this time, which is over before all are."""
    sent = 0
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(seconds):
            while True:
                writer.write(GET * 10_000)
                await writer.drain()
                sent += len(GET) * 10_000
    return sent


async def eventually(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.01)


def test_answers_carry_the_common_headers(loop: str) -> None:
    async def test(rig: Rig) -> None:
        reader, writer = await rig.connect()
        writer.write(GET + GET)
        ids: set[str] = set()
        for _ in range(2):
            status, headers, body = await read_answer(reader)
            assert (status, body) == (200, b"hello")
            assert headers["server"] == "Cooper"
            assert headers["x-amz-id-2"] == "worker-0-of-1"
            assert headers["date"].endswith(" GMT")
            assert len(headers["x-amz-request-id"]) == 16
            assert "connection" not in headers
            ids.add(headers["x-amz-request-id"])
        assert len(ids) == 2
        writer.close()

    with_server(loop, test)


def test_pipelined_requests_are_answered_in_order(loop: str) -> None:
    async def test(rig: Rig) -> None:
        reader, writer = await rig.connect()
        writer.write(SLOW + put("/a", 3) + b"abc" + GET + b"HEAD /hello HTTP/1.1\r\nHost: x\r\n\r\n" + GET)
        await eventually(lambda: bool(rig.pipeline.events))
        await asyncio.sleep(0.05)
        assert rig.pipeline.events == ["GET /slow"], "a later request began before the first was answered"
        rig.pipeline.gate.set()
        bodies = [(await read_answer(reader, method))[2] for method in ("GET", "PUT", "GET", "HEAD", "GET")]
        assert bodies == [b"slow", b"3 " + hashlib.sha256(b"abc").hexdigest().encode(), b"hello", b"", b"hello"]
        writer.close()

    with_server(loop, test)


def test_pipelined_bytes_that_wait_are_bounded(loop: str) -> None:
    async def test(rig: Rig) -> None:
        _, writer = await rig.connect()
        writer.write(SLOW)
        assert await sent_until_it_waits(writer, 1) < 32 << 20, "everything was taken in"
        writer.transport.abort()

    with_server(loop, test)


def test_requests_that_wait_for_a_reader_are_bounded(loop: str) -> None:
    """Answers that nobody takes: what is asked after them is not read in."""

    async def test(rig: Rig) -> None:
        _, writer = await rig.connect(receive_buffer=4096)
        assert await sent_until_it_waits(writer, 2) < 32 << 20, "everything was taken in"
        (connection,) = rig.held()
        await eventually(lambda: connection.write_paused)  # a slow machine has not answered so much by then
        assert len(connection._input) <= DEFAULT_LIMITS.pipelined_bytes + (512 << 10)
        writer.transport.abort()

    with_server(loop, test)


def test_requests_that_waited_for_a_reader_are_all_answered(loop: str) -> None:
    count = 30_000

    async def test(rig: Rig) -> None:
        reader, writer = await rig.connect(receive_buffer=4096)
        writer.write(GET * count + b"GET /hello HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        await asyncio.sleep(0.5)
        answers = await asyncio.wait_for(reader.read(-1), 25)
        assert answers.count(b"HTTP/1.1 200 OK\r\n") == count + 1

    with_server(loop, test)


def test_a_body_that_waited_for_a_reader_is_read(loop: str) -> None:
    """Its beginning had come when nothing more was read, its end had not."""
    body = b"x" * (1 << 20)

    async def test(rig: Rig) -> None:
        reader, writer = await rig.connect(receive_buffer=4096)
        writer.write(GET * 5_000 + put("/a", len(body), "Connection: close") + body)
        await asyncio.sleep(0.5)
        answers = await asyncio.wait_for(reader.read(-1), 25)
        assert answers.endswith(f"{len(body)} {hashlib.sha256(body).hexdigest()}".encode())

    with_server(loop, test)


def test_many_pipelined_requests_leave_others_their_turn(loop: str) -> None:
    async def test(rig: Rig) -> None:
        reader, writer = await rig.connect()
        writer.write(GET * 2_000)
        _other_reader, other = await rig.connect()
        other.write(b"HEAD /other HTTP/1.1\r\nHost: x\r\n\r\n")
        await eventually(lambda: "HEAD /other" in rig.pipeline.events)
        assert rig.pipeline.events.index("HEAD /other") < 2_000, "it waited for all of them"
        for _ in range(2_000):
            await read_answer(reader)
        writer.close()
        other.close()

    with_server(loop, test)


def test_many_who_connect_at_once_are_taken_within_few_turns(loop: str) -> None:
    async def test(rig: Rig) -> None:
        many, turns = 64, 0
        clients = [socket.socket() for _ in range(many)]
        try:
            for client in clients:
                client.setblocking(False)
                client.connect_ex(("127.0.0.1", rig.port))  # into the backlog: the server's turn comes later
            while len(rig.held()) < many:
                turns += 1
                assert turns < many / 4, f"{len(rig.held())} of {many} were taken by then"
                await asyncio.sleep(0)
        finally:
            for client in clients:
                client.close()
        while rig.held():
            await asyncio.sleep(0.01)

    with_server(loop, test)


@pytest.mark.parametrize(
    ("sent", "method", "connection", "length", "body"),
    [
        (b"HEAD /hello HTTP/1.1\r\nHost: x\r\n\r\n", "HEAD", None, "5", b""),
        (b"HEAD /refuse HTTP/1.1\r\nHost: x\r\n\r\n", "HEAD", None, None, b""),
        (b"GET /gone HTTP/1.1\r\nHost: x\r\n\r\n", "GET", None, "absent", b""),
        (b"GET /hello HTTP/1.0\r\nHost: x\r\nConnection: keep-alive\r\n\r\n", "GET", "keep-alive", "5", b"hello"),
        (b"GET /hello HTTP/1.1\r\nHost: x\r\nConnection: foo, CLOSE\r\n\r\n", "GET", "close", "5", b"hello"),
        (b"GET /hello HTTP/1.0\r\n\r\n", "GET", "close", "5", b"hello"),
    ],
)
def test_what_ends_an_answer(
    loop: str, sent: bytes, method: str, connection: str | None, length: str | None, body: bytes
) -> None:
    async def test(rig: Rig) -> None:
        reader, writer = await rig.connect()
        writer.write(sent)
        _, headers, got = await read_answer(reader, method)
        assert got == body
        assert headers.get("connection") == connection
        if length is not None:
            assert headers.get("content-length", "absent") == length
        if connection == "close":
            assert await asyncio.wait_for(reader.read(-1), 2) == b""
        else:  # nothing of a body was sent: the next answer begins right here
            writer.write(GET)
            assert (await read_answer(reader))[2] == b"hello"
        writer.close()

    with_server(loop, test)


@pytest.mark.parametrize("size", [0, 1, 65536, 3_000_000])
def test_bodies_arrive_whole(loop: str, size: int) -> None:
    data = bytes(range(256)) * (size // 256) + b"x" * (size % 256)
    expected = f"{size} {hashlib.sha256(data).hexdigest()}".encode()
    chunks = b"".join(
        b"%X\r\n%b\r\n" % (len(data[at : at + 7000]), data[at : at + 7000]) for at in range(0, size, 7000)
    )

    async def test(rig: Rig) -> None:
        reader, writer = await rig.connect()
        writer.write(put("/a", size) + data)
        assert (await read_answer(reader))[2] == expected
        writer.write(b"PUT /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
        writer.write(chunks + b"0\r\nTrailer: dropped\r\n\r\n" + GET)
        assert (await read_answer(reader))[2] == expected
        assert (await read_answer(reader))[2] == b"hello"
        assert rig.pipeline.observed == [(200, size, len(expected)), (200, size, len(expected)), (200, 0, 5)]
        writer.close()

    with_server(loop, test)


def test_continue_is_sent_only_once_the_body_is_wanted(loop: str) -> None:
    async def test(rig: Rig) -> None:
        reader, writer = await rig.connect()
        writer.write(put("/a", 5, "Expect: 100-continue"))
        assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        writer.write(b"hello")
        assert (await read_answer(reader))[0] == 200
        writer.write(put("/refuse", 5 << 30, "Expect: 100-continue"))
        status, headers, _ = await read_answer(reader)
        assert (status, headers["connection"]) == (403, "close")
        assert await asyncio.wait_for(reader.read(-1), 2) == b""
        writer.close()

    with_server(loop, test)


@pytest.mark.parametrize("path", ["/refuse", "/ignore"])
def test_a_client_that_sends_on_sees_the_answer(loop: str, path: str) -> None:
    async def test(rig: Rig) -> None:
        reader, writer = await rig.connect()
        writer.write(put(path, 1 << 30) + b"x" * 60_000)
        status, headers, _ = await read_answer(reader)
        assert status == (403 if path == "/refuse" else 200)
        assert headers["connection"] == "close"
        assert await asyncio.wait_for(reader.read(-1), 2) == b""
        writer.close()
        await eventually(lambda: rig.server.connections == 0)

    with_server(loop, test)


def test_a_refused_client_that_never_stops_sending_is_not_read_for_ever(loop: str) -> None:
    async def test(rig: Rig) -> None:
        _, writer = await rig.connect()
        writer.write(put("/refuse", 1 << 40))
        sent = 0
        with pytest.raises(ConnectionError):
            while sent < 1 << 30:
                writer.write(b"x" * 65536)
                await asyncio.wait_for(writer.drain(), 5)
                sent += 65536
        assert rig.server.connections == 0
        writer.transport.abort()

    with_server(loop, test, SHORT)


def test_of_a_refused_body_no_more_is_read_than_the_answer_needs(loop: str) -> None:
    """However fast it comes: what is not read has no room left soon, and the client waits."""

    async def test(rig: Rig) -> None:
        _, writer = await rig.connect()
        writer.write(put("/refuse", 1 << 40))
        sent = 0
        with pytest.raises(TimeoutError):
            while sent < 128 << 20:
                writer.write(b"x" * 65536)
                await asyncio.wait_for(writer.drain(), 2)
                sent += 65536
        writer.transport.abort()

    with_server(loop, test, replace(DEFAULT_LIMITS, linger_seconds=60))


def test_a_body_waits_for_its_handler(loop: str) -> None:
    async def test(rig: Rig) -> None:
        reader, writer = await rig.connect()
        size = 64 << 20
        writer.write(put("/gated", size))
        sent = 0
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(1):
                while True:
                    writer.write(b"x" * 65536)
                    await writer.drain()
                    sent += 65536
        assert sent < 16 << 20, "the whole body was taken in while the handler slept"
        rig.pipeline.gate.set()
        for _ in range(sent + 65536, size, 65536):  # by pieces: the loop is also the server's
            writer.write(b"x" * 65536)
            await writer.drain()
        assert (await read_answer(reader))[2].startswith(f"{size} ".encode())
        writer.close()

    # The handler sleeps far longer than body_seconds: that is not the client's fault.
    with_server(loop, test, replace(SHORT, body_seconds=0.5, write_seconds=30))


def test_a_stream_waits_for_its_reader_and_comes_whole(loop: str) -> None:
    async def test(rig: Rig) -> None:
        reader, writer = await rig.connect(receive_buffer=4096)
        reader._limit = 4096  # pyright: ignore
        size = 48 << 20
        writer.write(f"GET /stream/{size} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        await reader.readuntil(b"\r\n\r\n")
        await asyncio.sleep(0.3)
        assert "stream closed with 0 left" not in rig.pipeline.events, "all was put into memory"
        received = 0
        while received < size:
            received += len(await reader.read(1 << 20))
        writer.write(GET)
        assert (await read_answer(reader))[2] == b"hello"
        writer.close()

    with_server(loop, test)


def test_a_stream_shorter_than_announced_is_cut(loop: str) -> None:
    async def test(rig: Rig) -> None:
        reader, writer = await rig.connect()
        writer.write(b"GET /stream/100?short HTTP/1.1\r\nHost: x\r\n\r\n")
        assert b"Content-Length: 101\r\n" in await reader.readuntil(b"\r\n\r\n")
        try:
            rest = await asyncio.wait_for(reader.read(-1), 2)
        except ConnectionError:
            rest = b""
        assert len(rest) <= 100
        writer.close()
        await eventually(lambda: rig.server.connections == 0)

    with_server(loop, test)


def test_a_stream_no_longer_allowed_is_cut(loop: str) -> None:
    async def test(rig: Rig) -> None:
        reader, writer = await rig.connect()
        writer.write(f"GET /stream/{1 << 40} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        await reader.readuntil(b"\r\n\r\n")
        await reader.read(1 << 20)
        rig.pipeline.allowed = False
        with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
            async with asyncio.timeout(5):
                while await reader.readexactly(1 << 16):
                    pass
        await asyncio.wait_for(rig.pipeline.closed.wait(), 2)
        writer.close()

    with_server(loop, test)


def test_a_body_no_longer_allowed_is_refused_while_it_comes(loop: str) -> None:
    async def test(rig: Rig) -> None:
        reader, writer = await rig.connect()
        writer.write(put("/a", 1 << 40) + b"begun")
        await eventually(lambda: bool(rig.pipeline.events))
        await asyncio.sleep(0.1)
        assert rig.server.connections == 1, "refused although it is allowed"
        rig.pipeline.allowed = False
        answer = await asyncio.wait_for(reader.read(-1), 5)
        assert answer.startswith(b"HTTP/1.1 403 ")
        assert b"<Code>KeyAccessRevoked</Code>" in answer
        writer.close()

    with_server(loop, test)


def test_of_too_many_stalled_readers_the_longest_stalled_are_cut(loop: str) -> None:
    async def test(rig: Rig) -> None:
        held: list[asyncio.StreamWriter] = []
        for _ in range(6):
            _, writer = await rig.connect(receive_buffer=4096)
            writer.write(f"GET /stream/{1 << 40} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            writer.transport.pause_reading()  # pyright: ignore
            held.append(writer)
        await eventually(lambda: rig.server.connections == 2)
        await asyncio.sleep(0.3)
        assert rig.server.connections == 2, "as few as these may stall until the write time-out"
        assert await rig.still_serves()
        for writer in held:
            writer.transport.abort()

    with_server(loop, test, replace(DEFAULT_LIMITS, stalled=2, crowded_seconds=0.1))


def test_never_more_than_so_many_readers_stall(loop: str) -> None:
    async def test(rig: Rig) -> None:
        held: list[asyncio.StreamWriter] = []
        for _ in range(6):
            _, writer = await rig.connect(receive_buffer=4096)
            writer.write(f"GET /stream/{1 << 40} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            writer.transport.pause_reading()  # pyright: ignore
            held.append(writer)
        await eventually(lambda: rig.server.connections == 3)
        assert await rig.still_serves()
        for writer in held:
            writer.transport.abort()

    # No tick comes: the limit does not wait for one.
    with_server(loop, test, replace(DEFAULT_LIMITS, most_stalled=3), tick_seconds=60)


def test_a_stalled_reader_is_cut_and_the_stream_released(loop: str) -> None:
    async def test(rig: Rig) -> None:
        _, writer = await rig.connect(receive_buffer=4096)
        writer.write(f"GET /stream/{1 << 40} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        writer.transport.pause_reading()  # pyright: ignore
        await asyncio.wait_for(rig.pipeline.closed.wait(), 5)
        assert rig.server.connections == 0
        writer.transport.abort()

    with_server(loop, test, SHORT)


@pytest.mark.parametrize("sent", [SLOW, put("/a", 10) + b"half"])
def test_a_client_that_leaves_cancels_its_handler(loop: str, sent: bytes) -> None:
    async def test(rig: Rig) -> None:
        _, writer = await rig.connect()
        writer.write(sent)
        await eventually(lambda: bool(rig.pipeline.events))
        # A mere close looks like a half-closed client that waits for its answer; a reset does not.
        sock = writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.transport.abort()
        await asyncio.wait_for(rig.pipeline.closed.wait(), 2)
        assert "cancelled" in rig.pipeline.events
        assert rig.pipeline.observed[0][0] == 499

    with_server(loop, test)


def test_a_client_that_ends_its_body_early_is_told(loop: str) -> None:
    async def test(rig: Rig) -> None:
        reader, writer = await rig.connect()
        writer.write(put("/a", 10) + b"half")
        writer.write_eof()
        assert b"<Code>IncompleteBody</Code>" in await asyncio.wait_for(reader.read(-1), 2)
        writer.close()

    with_server(loop, test)


def test_a_client_that_half_closes_is_still_answered(loop: str) -> None:
    async def test(rig: Rig) -> None:
        reader, writer = await rig.connect()
        writer.write(SLOW + GET)
        writer.write_eof()
        await asyncio.sleep(0.05)
        rig.pipeline.gate.set()
        answer = await asyncio.wait_for(reader.read(-1), 2)
        assert b"slow" in answer
        assert answer.endswith(b"hello")
        writer.close()

    with_server(loop, test)


def test_a_client_that_half_closes_is_answered_what_waits_for_its_turn(loop: str) -> None:
    async def test(rig: Rig) -> None:
        reader, writer = await rig.connect()
        writer.write(300 * GET)
        writer.write_eof()
        answers = await asyncio.wait_for(reader.read(-1), 5)
        assert answers.count(b"\r\n\r\nhello") == 300
        await eventually(lambda: rig.server.connections == 0)
        writer.close()

    with_server(loop, test)


def test_a_client_that_half_closes_is_answered_what_waits_until_it_reads(loop: str) -> None:
    async def test(rig: Rig) -> None:
        reader, writer = await rig.connect(receive_buffer=4096)
        writer.transport.pause_reading()
        writer.write(50_000 * GET)
        writer.write_eof()
        await asyncio.sleep(1)  # it has sent all that is taken
        writer.transport.resume_reading()
        answers = await asyncio.wait_for(reader.read(-1), 20)
        assert answers.count(b"\r\n\r\nhello") == 50_000
        writer.close()

    with_server(loop, test, replace(DEFAULT_LIMITS, write_bytes=1))


@pytest.mark.parametrize(
    ("sent", "answer"),
    [
        (b"", b""),
        (b"GET /hello HT", b"<Code>RequestTimeout</Code>"),
        (put("/a", 10) + b"half", b"<Code>RequestTimeout</Code>"),
        (put("/a", 10, "Expect: 100-continue"), b"<Code>RequestTimeout</Code>"),
    ],
)
def test_a_silent_client_is_given_up(loop: str, sent: bytes, answer: bytes) -> None:
    async def test(rig: Rig) -> None:
        reader, writer = await rig.connect()
        writer.write(sent)
        assert answer in await asyncio.wait_for(reader.read(-1), 3)
        await eventually(lambda: rig.server.connections == 0)
        writer.close()

    with_server(loop, test, SHORT)


@pytest.mark.parametrize("begin", [b"GET /hello HTTP/1.1\r\nA: ", put("/a", 1 << 20)])
def test_a_byte_now_and_then_is_not_progress(loop: str, begin: bytes) -> None:
    async def test(rig: Rig) -> None:
        reader, writer = await rig.connect()
        writer.write(begin)
        answer = asyncio.create_task(reader.read(-1))
        async with asyncio.timeout(5):
            while not answer.done():
                writer.write(b"x")
                await asyncio.sleep(0.02)
        assert b"<Code>RequestTimeout</Code>" in answer.result()
        writer.close()

    with_server(loop, test, SHORT)


@pytest.mark.parametrize(("rate", "answer"), [(100, b"408 Request Timeout"), (16384, b"200 OK")])
def test_a_body_comes_at_a_kibibyte_a_second_or_not_at_all(loop: str, rate: int, answer: bytes) -> None:
    hurry = DEFAULT_LIMITS.body_seconds / 0.4  # how many of its seconds pass in one of ours

    async def test(rig: Rig) -> None:
        reader, writer = await rig.connect()
        size = 4 << 20
        writer.write(put("/a", size))
        answered = asyncio.create_task(reader.readuntil(b"\r\n\r\n"))
        sent = 0.0
        async with asyncio.timeout(8):
            while not answered.done():
                piece = min(rate * hurry * 0.02, size - sent)
                writer.write(b"x" * (int(sent + piece) - int(sent)))
                sent += piece
                await asyncio.sleep(0.02)
        assert answer in answered.result()
        writer.close()

    with_server(loop, test, replace(DEFAULT_LIMITS, body_seconds=0.4))


def test_a_form_is_decided_by_its_fields_and_its_file_follows(loop: str) -> None:
    async def test(rig: Rig) -> None:
        reader, writer = await rig.connect()
        file = b"x" * 1_000_000
        body = b"fields\n" + file
        for cut in (3, 7, 500_000):
            writer.write(f"POST /form HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n".encode())
            writer.write(body[:cut])
            await asyncio.sleep(0.05)
            writer.write(body[cut:])
            status, _, answer = await read_answer(reader)
            assert (status, answer.decode()) == (200, f"{len(file)} {hashlib.sha256(file).hexdigest()}")
        answer = await rig.send(b"POST /form HTTP/1.1\r\nHost: x\r\nContent-Length: 99999\r\n\r\nrefuse\n")
        assert answer.startswith(b"HTTP/1.1 403")
        assert b"Connection: close" in answer

    with_server(loop, test)


@pytest.mark.parametrize("crowded", [False, True])
def test_a_forms_fields_have_the_time_of_a_header_section(loop: str, crowded: bool) -> None:
    """Who sends them may be a stranger. The file after them has the time of a body."""
    form = b"POST /form HTTP/1.1\r\nHost: x\r\nContent-Length: 99\r\n\r\n"
    slow = replace(DEFAULT_LIMITS, header_seconds=0.2, crowded_seconds=30)
    limits = replace(slow, header_seconds=30, crowded_seconds=0.2, connections=1) if crowded else slow

    async def test(rig: Rig) -> None:
        reader, writer = await rig.connect()
        writer.write(form)

        async def drip() -> None:
            for _ in range(50):
                writer.write(b"f")
                await asyncio.sleep(0.05)

        dripping = asyncio.create_task(drip())
        answer = await asyncio.wait_for(reader.read(-1), 5)
        dripping.cancel()
        assert b"<Code>RequestTimeout</Code>" in answer
        assert b"fields did not arrive in time" in answer
        writer.close()
        await eventually(lambda: not rig.held())
        reader, writer = await rig.connect()
        writer.write(form + b"fields\n")
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(reader.read(1), 0.6)
        writer.close()

    with_server(loop, test, limits)


def test_a_pipelining_client_that_does_not_read_is_cut(loop: str) -> None:
    async def test(rig: Rig) -> None:
        _, writer = await rig.connect(receive_buffer=4096)
        writer.transport.pause_reading()  # pyright: ignore
        with pytest.raises(ConnectionError):
            async with asyncio.timeout(10):
                while True:
                    writer.write(GET * 1000)
                    await writer.drain()
        writer.transport.abort()

    with_server(loop, test, SHORT)


def test_connections_over_the_limit_are_told_to_slow_down(loop: str) -> None:
    async def test(rig: Rig) -> None:
        connected = [await rig.connect() for _ in range(3)]
        assert b"<Code>SlowDown</Code>" in await asyncio.wait_for(connected[-1][0].read(-1), 2)
        connected[0][1].write(GET)
        assert (await read_answer(connected[0][0]))[2] == b"hello"
        for _, writer in connected:
            writer.close()

    with_server(loop, test, replace(DEFAULT_LIMITS, connections=2))


@pytest.mark.parametrize("sent", [b"", b"GET /hello HT"])
def test_when_connections_run_short_the_silent_make_room(loop: str, sent: bytes) -> None:
    async def test(rig: Rig) -> None:
        connected = [await rig.connect() for _ in range(3)]
        for _, writer in connected:
            writer.write(sent)
        await asyncio.sleep(0.3)
        assert rig.server.connections == 3, "closed although there is room"
        connected.append(await rig.connect())
        await eventually(lambda: rig.server.connections == 1)
        assert await rig.still_serves()
        connected[-1][1].write(GET)
        assert (await read_answer(connected[-1][0]))[2] == b"hello", (
            "the one that came last has not been silent for long"
        )
        for _, writer in connected:
            writer.close()

    with_server(loop, test, replace(DEFAULT_LIMITS, connections=4, crowded_seconds=0.2, linger_seconds=0.0))


CUT_SHORT = {
    "download": f"GET /stream/{1 << 40} HTTP/1.1\r\nHost: x\r\n\r\n".encode(),
    "upload": put("/a", 1 << 40) + b"x" * 100_000,
    "large upload": put("/a", 1 << 40) + b"x" * 1_000_000,
}


@pytest.mark.parametrize("what", CUT_SHORT)
def test_what_was_cut_short_is_freed_without_the_collector(loop: str, what: str) -> None:
    """A worker collects seldom: a cycle would keep the bytes that were on their way, a leak for whoever hangs up."""

    async def test(rig: Rig) -> None:
        _, writer = await rig.connect(receive_buffer=4096)
        writer.write(CUT_SHORT[what])
        await eventually(lambda: bool(rig.pipeline.events))
        await asyncio.sleep(0.1)
        writer.transport.abort()
        await eventually(lambda: not _exchanges())

    gc.collect()
    assert not _exchanges()
    gc.disable()
    try:
        with_server(loop, test)
    finally:
        gc.enable()


def _exchanges() -> list[object]:
    return [thing for thing in gc.get_objects() if isinstance(thing, Exchange)]


@pytest.mark.parametrize("path", [b"/crash", b"/split"])
def test_an_inner_failure_tells_nothing_and_the_connection_lives(loop: str, path: bytes) -> None:
    async def test(rig: Rig) -> None:
        reader, writer = await rig.connect()
        writer.write(b"GET " + path + b" HTTP/1.1\r\nHost: x\r\n\r\n" + GET)
        status, headers, body = await read_answer(reader)
        assert (status, "set-cookie" in headers) == (500, False)
        assert b"<Code>InternalError</Code>" in body
        assert b"secret" not in body
        assert (await read_answer(reader))[2] == b"hello"
        writer.close()

    with_server(loop, test)


def test_stop_finishes_what_is_in_progress(loop: str) -> None:
    async def test(rig: Rig) -> None:
        idle_reader, idle_writer = await rig.connect()
        reader, writer = await rig.connect()
        writer.write(SLOW)
        await eventually(lambda: bool(rig.pipeline.events))
        stopping = asyncio.create_task(rig.server.stop(grace=3))
        assert await asyncio.wait_for(idle_reader.read(-1), 1) == b""
        with pytest.raises(OSError):
            await rig.connect()
        rig.pipeline.gate.set()
        status, headers, body = await read_answer(reader)
        assert (status, headers["connection"], body) == (200, "close", b"slow")
        await asyncio.wait_for(stopping, 1)
        idle_writer.close()
        writer.close()

    with_server(loop, test)


def test_stop_cuts_what_does_not_finish(loop: str) -> None:
    async def test(rig: Rig) -> None:
        reader, writer = await rig.connect()
        writer.write(SLOW)
        await eventually(lambda: bool(rig.pipeline.events))
        await asyncio.wait_for(rig.server.stop(grace=0.1), 1)
        assert "cancelled" in rig.pipeline.events
        assert await reader.read(-1) == b""
        writer.close()

    with_server(loop, test)
