"""One persistent HTTP/1.1 connection to one gateway worker: a request at a time, empty request bodies."""

import asyncio
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from cooper_operator.gateways.tls import Tls, failure

#: Longest response head and body that the operator accepts, in bytes.
_MAX_HEAD: Final = 64 * 1024
_MAX_BODY: Final = 16 * 1024 * 1024


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


class Connection:
    """Requests on it wait for one another, so that answers cannot be confused."""

    def __init__(self, host: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.host = host  # as the Host header has it
        self._reader = reader
        self._writer = writer
        self._turn = asyncio.Lock()
        self._broken = False

    @classmethod
    async def open(cls, host: str, port: int, timeout: float, tls: Tls | None = None) -> "Connection":
        """Connect. Raises ConnectionBroken (TlsFailed) when that fails or takes longer than `timeout` seconds."""
        try:
            secured: dict[str, Any] = {} if tls is None else {"ssl": tls.context(), "server_hostname": tls.name}
            async with asyncio.timeout(timeout):
                reader, writer = await asyncio.open_connection(host, port, limit=_MAX_HEAD, **secured)
        except ssl.SSLError as error:
            assert tls is not None
            raise TlsFailed(failure(error, tls)) from None
        except (OSError, TimeoutError) as error:
            raise ConnectionBroken(f"cannot connect to {authority(host, port)}: {error or 'timed out'}") from None
        return cls(authority(host, port), reader, writer)

    @property
    def usable(self) -> bool:
        """Whether another request may be sent."""
        return not self._broken and not self._reader.at_eof() and not self._writer.is_closing()

    def close(self) -> None:
        """Drop the connection."""
        self._broken = True
        self._writer.close()

    async def request(self, method: str, target: str, headers: Mapping[str, str], timeout: float) -> Response:
        """Send and await the answer, within `timeout` seconds from its turn. Raises ConnectionBroken."""
        async with self._turn:
            if not self.usable:
                self.close()
                raise ConnectionBroken("the worker closed the connection")
            try:
                async with asyncio.timeout(timeout):
                    return await self._exchange(method, target, headers)
            except (OSError, TimeoutError, EOFError, ValueError, asyncio.LimitOverrunError) as error:
                self.close()
                raise ConnectionBroken(f"no usable answer: {type(error).__name__}") from None
            except asyncio.CancelledError:
                self.close()  # an answer may still come: it must not be taken for the next request's
                raise

    async def _exchange(self, method: str, target: str, headers: Mapping[str, str]) -> Response:
        lines = [f"{method} {target} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
        if method != "GET":
            lines.append("content-length: 0")
        self._writer.write(("\r\n".join(lines) + "\r\n\r\n").encode("latin-1"))
        await self._writer.drain()
        head = (await self._reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        status = int(head[0].split(" ", 2)[1])
        fields = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:])}
        body = await self._read_body(fields)
        if fields.get("connection", "").lower() == "close":
            self.close()
        return Response(status, fields, body)

    async def _read_body(self, fields: Mapping[str, str]) -> bytes:
        if fields.get("transfer-encoding", "").lower() == "chunked":
            return await self._read_chunks()
        length = int(fields.get("content-length", "0"))
        if not 0 <= length <= _MAX_BODY:
            raise ValueError("response body too large")
        return await self._reader.readexactly(length)

    async def _read_chunks(self) -> bytes:
        body = bytearray()
        while size := int((await self._reader.readuntil(b"\r\n")).split(b";")[0], 16):
            if len(body) + size > _MAX_BODY:
                raise ValueError("response body too large")
            body += await self._reader.readexactly(size)
            await self._reader.readexactly(2)
        while await self._reader.readuntil(b"\r\n") != b"\r\n":
            pass
        return bytes(body)
