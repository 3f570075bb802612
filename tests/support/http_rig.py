"""A real in-process server with a pipeline of a few lines, and raw sockets against it, on both event loops."""

import asyncio
import hashlib
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import cast

import uvloop

from cooper_gateway.http.body import EMPTY_BODY, RawBody, VerifiedBody
from cooper_gateway.http.certificate import ServingCertificate
from cooper_gateway.http.connection import S3Connection
from cooper_gateway.http.errors import to_s3_error
from cooper_gateway.http.finished import Finished
from cooper_gateway.http.limits import DEFAULT_LIMITS, HttpLimits
from cooper_gateway.http.pipeline import Pipeline
from cooper_gateway.http.server import S3Server, serve
from cooper_gateway.protocol.errors import S3Error
from cooper_gateway.protocol.messages import Body, Request, Response
from cooper_gateway.protocol.payload import PlainPayload

LOOPS = {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}


@dataclass
class TinyCall:
    request: Request
    body: Body
    spending: None = None


@dataclass
class TinyPipeline:
    """Answers by path: /hello at once, /slow in a task, /stream/N as a stream, /refuse and /crash with errors, /mib as
    soon as it has a MiB; /form is one."""

    events: list[str] = field(default_factory=list)
    observed: list[tuple[int, int, int]] = field(default_factory=list)
    allowed: bool = True
    closed: asyncio.Event = field(default_factory=asyncio.Event)
    gate: asyncio.Event = field(default_factory=asyncio.Event)

    def admit(self, request: Request, raw: RawBody | None, request_id: str, learn: object = None) -> TinyCall | None:
        self.events.append(f"{request.method} {request.path.decode()}")
        if request.path == b"/form":
            return None
        if request.path == b"/refuse":
            raise S3Error("AccessDenied")
        size = request.headers.get("content-length")
        decoder = PlainPayload(None if size is None else int(size), None)
        return TinyCall(request, EMPTY_BODY if raw is None else VerifiedBody(raw, decoder))

    async def admit_form(self, request: Request, raw: RawBody, request_id: str) -> TinyCall:
        """The first line of a form decides."""
        fields = b""
        while b"\n" not in fields:
            fields += await raw.next() or b"\n"
        if fields.startswith(b"refuse"):
            raise S3Error("AccessDenied")
        raw.unread(fields.partition(b"\n")[2])
        return TinyCall(request, VerifiedBody(raw, PlainPayload(None, None)))

    def now(self, call: TinyCall) -> Response | None:
        path = call.request.path
        if path == b"/crash":
            raise RuntimeError("secret detail")
        if path == b"/split":
            return Response(headers={"X-Split": "a\r\nSet-Cookie: b"})
        if path == b"/gone":
            return Response(304, {"ETag": '"x"'})
        return Response(body=b"hello") if path == b"/hello" else None

    async def handle(self, call: TinyCall) -> Response:
        try:
            return await self._handle(call)
        except asyncio.CancelledError:
            self.events.append("cancelled")
            self.closed.set()
            raise

    async def _handle(self, call: TinyCall) -> Response:
        path = call.request.path
        if path.startswith(b"/stream/"):
            size = int(path[8:])
            return Response(body=self._stream(size), length=size + (1 if call.request.query_string else 0))
        if path == b"/slow":
            await self.gate.wait()
            return Response(body=b"slow")
        if path == b"/ignore":
            return Response(body=b"ignored")
        digest, size = hashlib.sha256(), 0
        async for chunk in call.body:
            digest.update(chunk)
            size += len(chunk)
            if path == b"/mib" and size >= 1 << 20:
                raise S3Error("EntityTooLarge")
            if path == b"/gated":
                await self.gate.wait()
        return Response(body=f"{size} {digest.hexdigest()}".encode())

    async def _stream(self, size: int) -> AsyncIterator[bytes]:
        try:
            while size:
                chunk = b"x" * min(size, 65536)
                size -= len(chunk)
                yield chunk
        finally:
            self.events.append(f"stream closed with {size} left")
            self.closed.set()

    def preflight(self, request: Request) -> Response:
        raise S3Error("MethodNotAllowed")

    def shared(self, request: Request, call: TinyCall | None) -> dict[str, str]:
        return {}

    def withdrawn(self, call: TinyCall) -> S3Error | None:
        return None if self.allowed else S3Error("KeyAccessRevoked")

    def explain(self, error: Exception, call: TinyCall | None, request_id: str) -> S3Error:
        return to_s3_error(error)

    def observe(self, finished: Finished) -> None:
        self.observed.append((finished.status, finished.received, finished.sent))


@dataclass
class Rig:
    server: S3Server
    pipeline: TinyPipeline
    port: int

    async def connect(self, receive_buffer: int | None = None) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        sock = socket.socket()
        if receive_buffer is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        sock.setblocking(False)
        await asyncio.get_running_loop().sock_connect(sock, ("127.0.0.1", self.port))
        return await asyncio.open_connection(sock=sock, limit=1 << 20)

    def held(self) -> list[S3Connection]:
        """The server's side of all connections."""
        return list(self.server._context.connections)

    async def send(self, data: bytes) -> bytes:
        """All that comes back until the server closes."""
        reader, writer = await self.connect()
        writer.write(data)
        try:
            return await asyncio.wait_for(reader.read(-1), 5)
        finally:
            writer.close()

    async def still_serves(self) -> bool:
        answer = await self.send(b"GET /hello HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        return answer.startswith(b"HTTP/1.1 200 OK\r\n") and answer.endswith(b"\r\n\r\nhello")


async def read_answer(reader: asyncio.StreamReader, method: str = "GET") -> tuple[int, dict[str, str], bytes]:
    """One answer with its length known: status, headers (lower case names), body."""
    head = (await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 5)).decode("latin-1")
    first, *lines = head[:-4].split("\r\n")
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
    size = 0 if method == "HEAD" else int(headers.get("content-length", "0"))
    return int(first.split()[1]), headers, await asyncio.wait_for(reader.readexactly(size), 5)


def with_server(
    loop: str,
    test: Callable[[Rig], Awaitable[None]],
    limits: HttpLimits = DEFAULT_LIMITS,
    tick_seconds: float = 0.05,
    certificate: ServingCertificate | None = None,
) -> None:
    """Run `test` on that event loop against a server; fails when a connection or task is left behind."""

    async def body() -> None:
        sock = socket.create_server(("127.0.0.1", 0))
        pipeline = TinyPipeline()
        server = await serve(sock, cast(Pipeline, pipeline), 0, 1, limits, tick_seconds, certificate)
        try:
            await asyncio.wait_for(test(Rig(server, pipeline, sock.getsockname()[1])), 30)
        finally:
            await server.stop(grace=1)
        assert server.connections == 0
        left = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        assert not left

    with asyncio.Runner(loop_factory=LOOPS[loop]) as runner:
        runner.run(body())
