"""Large bodies come straight into the pieces that they are handed on in.

The event loop copies what it reads into an object of each read, and the store copies these into its batches. Of a body
that has shown itself to be large the kernel's bytes go into a batch at once.
"""

import asyncio
from collections.abc import Callable

from cooper_gateway.http.body import RawBody


class DirectReceipt(asyncio.BufferedProtocol):
    """A transport's protocol in the place of a connection's own, for the last `left` bytes of a body. It never reads
    beyond them. `done` is called with the last; the connection may take its place again at any time."""

    __slots__ = ("_connection", "_done", "_left", "_raw")

    def __init__(self, connection: asyncio.Protocol, raw: RawBody, left: int, done: Callable[[], None]) -> None:
        self._connection = connection
        self._raw = raw
        self._left = left
        self._done = done

    def get_buffer(self, sizehint: int) -> memoryview:
        """Where to read to."""
        return self._raw.room(self._left)

    def buffer_updated(self, nbytes: int) -> None:
        """So many bytes were read."""
        self._left -= nbytes
        self._raw.filled(nbytes)
        if not self._left:
            self._done()

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection's matter."""
        self._connection.connection_lost(exc)

    def eof_received(self) -> bool | None:
        """The connection's matter."""
        return self._connection.eof_received()

    def pause_writing(self) -> None:
        """The connection's matter."""
        self._connection.pause_writing()

    def resume_writing(self) -> None:
        """The connection's matter."""
        self._connection.resume_writing()
