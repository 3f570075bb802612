"""A connection that is kept, for one request after the other: signed by hand, and read as it comes."""

import asyncio
import re
from collections.abc import Mapping
from dataclasses import dataclass

from support.raw_s3 import RawS3

#: Bytes of an answer that are taken in before they are asked for.
_AHEAD = 1 << 20


class Cut(Exception):
    """The connection ended before the answer was whole."""


@dataclass(frozen=True)
class Reply:
    """One answer."""

    status: int
    headers: dict[str, str]  # lower case names
    body: bytes

    @property
    def code(self) -> str:
        """S3's error code, or an empty text."""
        found = re.search(rb"<Code>(\w+)</Code>", self.body) if self.status >= 400 else None
        return found[1].decode() if found else ""

    @property
    def etag(self) -> str:
        """Of the header, or of the document; without quotes."""
        return self.headers.get("etag", "").strip('"') or self.element("ETag").replace("&quot;", "")

    def element(self, name: str) -> str:
        """Text of the first XML element of that name, or an empty text."""
        found = self.elements(name)
        return found[0] if found else ""

    def elements(self, name: str) -> list[str]:
        """Texts of all XML elements of that name."""
        return re.findall(f"<{name}>(.*?)</{name}>", self.body.decode())


class Link:
    """One connection of one key, made anew where the gateway has ended it in order."""

    def __init__(self, key: RawS3) -> None:
        self.key = key
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def ask(
        self,
        method: str,
        target: str,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        payload: str = "UNSIGNED-PAYLOAD",
    ) -> Reply:
        """The answer to one request. Raises Cut."""
        return await self.send(self.key.request(method, target, headers, body, payload=payload, close=False), method)

    async def send(self, request: bytes, method: str = "GET") -> Reply:
        """The answer to a request in bytes. Raises Cut."""
        reader, writer = await self.streams()
        try:
            writer.write(request)
            reply = await read_reply(reader, method)
        except (OSError, asyncio.IncompleteReadError) as error:
            self.close()
            raise Cut(str(error) or type(error).__name__) from error
        if reply.headers.get("connection") == "close":
            self.close()
        return reply

    async def streams(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """The connection, which is made where there is none."""
        if self._streams is None:
            self._streams = await asyncio.open_connection("127.0.0.1", self.key.port, limit=_AHEAD)
        return self._streams

    def close(self) -> None:
        """End it at once: what waits to be sent is not sent."""
        streams, self._streams = self._streams, None
        if streams is not None:
            streams[1].transport.abort()


async def read_head(reader: asyncio.StreamReader) -> tuple[int, dict[str, str]]:
    """Status and headers of an answer."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    first, *lines = head[:-4].split("\r\n")
    return int(first.split()[1]), {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}


async def read_reply(reader: asyncio.StreamReader, method: str) -> Reply:
    """One whole answer."""
    status, headers = await read_head(reader)
    size = 0 if method == "HEAD" or status in (204, 304) else int(headers.get("content-length", "0"))
    return Reply(status, headers, await reader.readexactly(size))
