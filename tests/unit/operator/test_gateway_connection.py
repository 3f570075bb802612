"""The operator's connection to a gateway worker: requests do not wait for one another, and no answer is another's."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from cooper_operator.gateways import connection as module
from cooper_operator.gateways.connection import Connection, ConnectionBroken, Response


class Worker:
    """Heads of requests as they come; what is said is up to the test."""

    def __init__(self) -> None:
        self.heads: asyncio.Queue[str] = asyncio.Queue()
        self.writer: asyncio.StreamWriter | None = None
        self.port = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.writer = writer
        try:
            while True:
                await self.heads.put((await reader.readuntil(b"\r\n\r\n")).decode())
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    async def targets(self, count: int) -> list[str]:
        """Of so many requests: they have all come."""
        async with asyncio.timeout(5):
            return [(await self.heads.get()).split(" ")[1] for _ in range(count)]

    def say(self, data: bytes) -> None:
        assert self.writer is not None
        self.writer.write(data)


@pytest.fixture
async def worker() -> AsyncIterator[Worker]:
    worker = Worker()
    server = await asyncio.start_server(worker.serve, "127.0.0.1", 0)
    worker.port = server.sockets[0].getsockname()[1]
    yield worker
    server.close()


@pytest.fixture
async def connection(worker: Worker) -> AsyncIterator[Connection]:
    connection = await Connection.open("127.0.0.1", worker.port, 5)
    yield connection
    connection.close()


def answer(text: str, more: str = "") -> bytes:
    return f"HTTP/1.1 200 OK\r\n{more}Content-Length: {len(text)}\r\n\r\n{text}".encode()


def ask(connection: Connection, target: str, timeout: float = 5) -> "asyncio.Task[Response]":
    return asyncio.create_task(connection.request("GET", target, {"host": "x"}, timeout))


async def test_requests_do_not_wait_for_one_another(worker: Worker, connection: Connection) -> None:
    asked = [ask(connection, f"/{n}") for n in range(50)]
    assert await worker.targets(50) == [f"/{n}" for n in range(50)]
    data = b"".join(answer(f"answer {n}") for n in range(50))
    for begin in range(0, len(data), 37):  # cut anywhere
        worker.say(data[begin : begin + 37])
        await asyncio.sleep(0)
    assert [each.body.decode() for each in await asyncio.gather(*asked)] == [f"answer {n}" for n in range(50)]
    assert connection.usable


async def test_an_answer_that_nobody_waits_for_any_more_is_nobody_else_s(
    worker: Worker, connection: Connection
) -> None:
    left, stays = ask(connection, "/left"), ask(connection, "/stays")
    await worker.targets(2)
    left.cancel()
    await asyncio.wait([left])
    worker.say(answer("for the one that left") + answer("for the one that stays"))
    assert (await stays).body == b"for the one that stays"


async def test_a_worker_that_answers_too_late_is_left_by_all(worker: Worker, connection: Connection) -> None:
    late, behind = ask(connection, "/late", timeout=0.05), ask(connection, "/behind")
    for each in (late, behind):
        with pytest.raises(ConnectionBroken):
            await each
    assert not connection.usable
    with pytest.raises(ConnectionBroken, match="closed"):
        await connection.request("GET", "/", {}, 5)


async def test_what_comes_after_the_last_answer_was_not_answered(worker: Worker, connection: Connection) -> None:
    last, behind = ask(connection, "/last"), ask(connection, "/behind")
    await worker.targets(2)
    worker.say(answer("the last", "Connection: close\r\n"))
    assert (await last).body == b"the last"
    with pytest.raises(ConnectionBroken, match="the worker closed the connection"):
        await behind


async def test_a_worker_that_leaves_answers_nobody(worker: Worker, connection: Connection) -> None:
    asked = [ask(connection, "/1"), ask(connection, "/2")]
    await worker.targets(2)
    worker.say(answer("half")[:-2])
    assert worker.writer is not None
    worker.writer.close()
    for each in asked:
        with pytest.raises(ConnectionBroken, match="the worker closed the connection"):
            await each


async def test_interim_answers_and_chunks_are_understood(worker: Worker, connection: Connection) -> None:
    asked = ask(connection, "/")
    await worker.targets(1)
    chunked = b"HTTP/1.1 403 No\r\nX-Amz-Id-2: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n1\r\nc\r\n0\r\n\r\n"
    worker.say(b"HTTP/1.1 100 Continue\r\n\r\n" + chunked)
    assert await asked == Response(403, {"x-amz-id-2": "a", "transfer-encoding": "chunked"}, b"abc")


async def _unasked(worker: Worker, connection: Connection) -> None:
    asked = ask(connection, "/")
    await worker.targets(1)
    worker.say(answer("asked for") + answer("not asked for"))
    await asked


async def _unasked_later(worker: Worker, connection: Connection) -> None:
    await _one(worker, connection, answer("asked for"))
    worker.say(answer("not asked for"))


async def _no_http(worker: Worker, connection: Connection) -> None:
    with pytest.raises(ConnectionBroken, match="no usable answer"):
        await _one(worker, connection, b"SSH-2.0-OpenSSH_9.2\r\n\r\n")


async def _too_long(worker: Worker, connection: Connection) -> None:
    with pytest.raises(ConnectionBroken, match="too long"):
        await _one(worker, connection, b"HTTP/1.1 200 OK\r\nX-A: " + b"a" * 5000)


async def _one(worker: Worker, connection: Connection, said: bytes) -> None:
    asked = ask(connection, "/")
    await worker.targets(1)
    worker.say(said)
    await asked


@pytest.mark.parametrize("tale", [_unasked, _unasked_later, _no_http, _too_long])
async def test_a_connection_is_not_used_after(
    worker: Worker,
    connection: Connection,
    tale: Callable[[Worker, Connection], Awaitable[None]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "_LONGEST", 4000)
    await tale(worker, connection)
    async with asyncio.timeout(5):
        while connection.usable:
            await asyncio.sleep(0.01)


async def test_many_short_answers_are_not_a_long_one(
    worker: Worker, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_LONGEST", 4000)
    for _ in range(10):
        await _one(worker, connection, answer("a" * 1000))
    assert connection.usable
