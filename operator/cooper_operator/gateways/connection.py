"""One persistent HTTP/1.1 connection to one gateway worker: requests without bodies, answered in their order.

A request does not wait for the answer of the one before it (RFC 9112, 9.3.2). When many keys are proven at a time, the
worker finds many questions at once and answers them at once: that is what a probe costs least.
"""

import asyncio
import ssl
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import httptools

from cooper_operator.gateways.tls import Tls, failure

#: Longest answer that the operator accepts, in bytes, its head included.
_LONGEST: Final = 16 * 1024 * 1024


class ConnectionBroken(Exception):
    """The connection cannot be used any more; whether the request was carried out is not known."""


class TlsFailed(ConnectionBroken):
    """Somebody is there, and is not known to be a gateway of the Region. The message goes on from its address."""


def authority(host: str, port: int) -> str:
    """As a Host header has it: "A host identified by an IPv6 literal is enclosed in square brackets" (RFC 3986)."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


@dataclass(frozen=True, slots=True)
class Response:
    """What a worker answered. Header names are lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Connection(asyncio.Protocol):
    """Answers come in the order of the requests: each is the oldest one's that waits."""

    _transport: asyncio.Transport

    def __init__(self, host: str) -> None:
        self.host = host  # as the Host header has it
        self._waiting: deque[asyncio.Future[Response]] = deque()
        self._unsent: list[bytes] = []
        self._broken = False
        self._parser = httptools.HttpResponseParser(self)
        self._size = 0  # bytes since the last answer was complete
        self._headers: dict[str, str] = {}
        self._body: list[bytes] = []

    @classmethod
    async def open(cls, host: str, port: int, timeout: float, tls: Tls | None = None) -> "Connection":
        """Connect. Raises ConnectionBroken (TlsFailed) when that fails or takes longer than `timeout` seconds."""
        loop, at = asyncio.get_running_loop(), authority(host, port)
        try:
            secured: dict[str, Any] = {} if tls is None else {"ssl": tls.context(), "server_hostname": tls.name}
            async with asyncio.timeout(timeout):
                _, connection = await loop.create_connection(lambda: cls(at), host, port, **secured)
        except ssl.SSLError as error:
            assert tls is not None
            raise TlsFailed(failure(error, tls)) from None
        except (OSError, TimeoutError) as error:
            raise ConnectionBroken(f"cannot connect to {at}: {error or 'timed out'}") from None
        return connection

    @property
    def usable(self) -> bool:
        """Whether another request may be sent."""
        return not self._broken and not self._transport.is_closing()

    def close(self) -> None:
        """Drop the connection, and whoever waits for an answer."""
        self._break("it was closed")

    async def request(self, method: str, target: str, headers: Mapping[str, str], timeout: float) -> Response:
        """Send and await the answer, within `timeout` seconds. Raises ConnectionBroken. Not for HEAD."""
        if not self.usable:
            self.close()
            raise ConnectionBroken("the worker closed the connection")
        lines = [f"{method} {target} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
        if method != "GET":
            lines.append("content-length: 0")
        answer = self._send(("\r\n".join(lines) + "\r\n\r\n").encode("latin-1"))
        try:
            async with asyncio.timeout(timeout):
                return await answer
        except TimeoutError:
            self._break("the worker answered too late")
            raise ConnectionBroken("no usable answer: TimeoutError") from None

    # The transport's side (asyncio.Protocol).

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The worker is there."""
        self._transport = transport  # pyright: ignore[reportAttributeAccessIssue]  # uvloop's do not derive from it

    def connection_lost(self, exc: Exception | None) -> None:
        """The worker has left, or the connection was closed."""
        self._break("the worker closed the connection")

    def data_received(self, data: bytes) -> None:
        """A part of an answer, or of several."""
        if not self._waiting:
            self._break("the worker answered what was not asked")
            return
        self._size += len(data)
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            self._break(f"no usable answer: {type(error).__name__}")
        if self._size > _LONGEST:
            self._break("the worker's answer is too long")

    # The parser's side (httptools).

    def on_message_begin(self) -> None:
        """Another answer."""
        self._headers, self._body = {}, []

    def on_header(self, name: bytes, value: bytes) -> None:
        """One header field."""
        self._headers[name.decode("latin-1").lower()] = value.decode("latin-1").strip()

    def on_body(self, data: bytes) -> None:
        """A part of the body."""
        self._body.append(data)

    def on_message_complete(self) -> None:
        """The oldest request that waits has its answer."""
        status = self._parser.get_status_code()
        if status < 200:
            return  # an interim one: the answer is yet to come
        self._size = 0
        if not self._waiting:
            self._break("the worker answered what was not asked")
            return
        answer = self._waiting.popleft()
        if not answer.done():
            answer.set_result(Response(status, self._headers, b"".join(self._body)))
        if not self._parser.should_keep_alive():
            self._break("the worker closed the connection")

    def _send(self, request: bytes) -> "asyncio.Future[Response]":
        """Its answer. What is asked at a time is sent at once: to send costs more than to say what is asked."""
        loop = asyncio.get_running_loop()
        # One that nobody waits for any more keeps its place, or its answer would be taken for the next one's.
        self._waiting.append(answer := loop.create_future())
        if not self._unsent:
            loop.call_soon(self._flush)
        self._unsent.append(request)
        return answer

    def _flush(self) -> None:
        unsent, self._unsent = self._unsent, []
        if self.usable:
            self._transport.write(b"".join(unsent))

    def _break(self, why: str) -> None:
        if not self._broken:
            self._broken = True
            self._transport.close()
        waiting, self._waiting = self._waiting, deque()
        for answer in waiting:
            if not answer.done():
                answer.set_exception(ConnectionBroken(why))
