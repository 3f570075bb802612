"""A request's body on its way to a handler: a queue with flow control, and the payload decoder behind it.

    wire --push--> RawBody --next--> VerifiedBody (removes aws-chunked, verifies) --async for--> handler

What has arrived and is not yet taken is bounded: over the high-water mark the connection stops reading its socket.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Final, Protocol

from cooper_gateway.protocol.errors import S3Error
from cooper_gateway.protocol.messages import Piece
from cooper_gateway.protocol.payload import PayloadDecoder
from cooper_gateway.protocol.post_form import Form, FormReader

#: Most bytes that `RawBody.next` hands out at once.
_MOST_AT_ONCE: Final = 256 << 10
#: What a queued piece costs beyond its bytes (object and slot), so that a million one-byte pieces are not "1 MB".
_PIECE_OVERHEAD: Final = 64
#: Bytes of a piece that is read to directly, and where in the body it begins is a multiple of this: as many as the
#: store takes at once, so that it takes them as they are.
PIECE: Final = 512 << 10


class Flow(Protocol):
    """The connection, as a body sees it."""

    def begin_body(self) -> None:
        """The body is wanted now: the time for `100 Continue`. Called once."""
        ...

    def pause_body(self) -> None:
        """Stop reading the socket."""
        ...

    def resume_body(self) -> None:
        """Read the socket again."""
        ...


class RawBody:
    """The HTTP body as framed, for one consumer."""

    __slots__ = (
        "_begun",
        "_ended",
        "_error",
        "_filled",
        "_filling",
        "_flow",
        "_held",
        "_high",
        "_paused",
        "_pieces",
        "_waiter",
        "received",
    )

    def __init__(self, flow: Flow | None, high: int = _MOST_AT_ONCE) -> None:
        self._flow = flow
        self._high = high  # bytes, overhead included
        self._pieces: deque[bytes | bytearray] = deque()
        self._held = 0
        self._filling: bytearray | None = None  # the piece that is read to
        self._filled = 0  # bytes of it
        self._paused = False
        self._begun = False
        self._ended = False
        self._error: S3Error | None = None
        self._waiter: asyncio.Future[None] | None = None
        self.received = 0  # bytes, for progress and metrics

    @property
    def ended(self) -> bool:
        """Whether the whole body has arrived."""
        return self._ended

    @property
    def waits_for_client(self) -> bool:
        """Whether more is wanted: false while the handler is the slow one."""
        return not (self._ended or self._paused)

    def push(self, data: bytes) -> None:
        """Bytes have arrived."""
        self.received += len(data)
        self._queue(data)

    def room(self, left: int) -> memoryview:
        """Where to put what arrives next of the `left` bytes still to come; followed by `filled`, and never by `push`
        while a piece is not full."""
        if self._filling is None:
            self._filling = bytearray(min(PIECE - self.received % PIECE, left))
            self._filled = 0
        return memoryview(self._filling)[self._filled :]

    def filled(self, size: int) -> None:
        """So many bytes have arrived there."""
        piece = self._filling
        assert piece is not None
        self.received += size
        self._filled += size
        if self._filled == len(piece):
            self._filling = None
            self._queue(piece)

    def _queue(self, data: bytes | bytearray) -> None:
        self._pieces.append(data)
        self._held += len(data) + _PIECE_OVERHEAD
        if self._held > self._high and not self._paused and self._flow is not None:
            self._paused = True
            self._flow.pause_body()
        self._wake()

    def end(self) -> None:
        """The whole body has arrived."""
        self._ended = True
        self._wake()

    def fail(self, error: S3Error) -> None:
        """No more will come, for this reason. What has arrived is dropped."""
        self._error = error
        self._pieces.clear()
        self._filling = None
        self._wake()

    async def next(self) -> bytes | bytearray | None:
        """What has arrived, at most 256 KiB or one `PIECE`; waits for something. None at the end. Raises S3Error after
        `fail`."""
        if not self._begun:
            self._begun = True
            if self._flow is not None and not self._ended:
                self._flow.begin_body()
        while not self._pieces:
            if self._error is not None:
                # Another one each time: raised, it holds the frames that it passes, and those hold us.
                raise S3Error(self._error.code, self._error.message)
            if self._ended:
                return None
            self._waiter = asyncio.get_running_loop().create_future()
            await self._waiter
        return self._take()

    def take_whole(self) -> bytes | bytearray | None:
        """All of the body, where all of it has arrived and is no more than is handed out at once; else None."""
        if not self._ended or self._error is not None or self._held > _MOST_AT_ONCE:
            return None
        self._begun = True
        return self._take() if self._pieces else b""

    def unread(self, data: bytes | bytearray) -> None:
        """Put back what was taken and is not wanted yet."""
        if data:
            self._pieces.appendleft(data)
            self._held += len(data) + _PIECE_OVERHEAD

    def _take(self) -> bytes | bytearray:
        pieces = self._pieces
        taken = pieces.popleft()
        self._held -= len(taken) + _PIECE_OVERHEAD
        if pieces and len(taken) + len(pieces[0]) <= _MOST_AT_ONCE:
            joined = [taken]
            size = len(taken)
            while pieces and size + len(pieces[0]) <= _MOST_AT_ONCE:
                piece = pieces.popleft()
                self._held -= len(piece) + _PIECE_OVERHEAD
                size += len(piece)
                joined.append(piece)
            taken = b"".join(joined)
        if self._paused and self._held <= self._high // 2 and self._flow is not None:
            self._paused = False
            self._flow.resume_body()
        return taken

    def _wake(self) -> None:
        waiter, self._waiter = self._waiter, None
        if waiter is not None and not waiter.done():
            waiter.set_result(None)


class VerifiedBody:
    """The payload as a handler sees it (`protocol.messages.Body`): ends only when everything was verified."""

    __slots__ = ("_decoder", "_raw")

    def __init__(self, raw: RawBody, decoder: PayloadDecoder) -> None:
        self._raw = raw
        self._decoder = decoder

    @property
    def size(self) -> int | None:
        """Declared plaintext size in bytes."""
        return self._decoder.size

    @property
    def trailers(self) -> Mapping[str, str]:
        """Verified trailing headers, complete once the stream has ended."""
        return self._decoder.trailers

    async def __aiter__(self) -> AsyncIterator[Piece]:
        """Chunks of verified payload. Raises S3Error."""
        feed = self._decoder.feed
        while (raw := await self._raw.next()) is not None:
            for chunk in feed(raw):
                yield chunk
        self._decoder.finish()

    def at_once(self) -> Sequence[Piece] | None:
        """The whole payload, verified, where a small body has arrived already; else None. Raises S3Error."""
        raw = self._raw.take_whole()
        if raw is None:
            return None
        chunks = self._decoder.feed(raw)
        self._decoder.finish()
        return chunks

    async def read(self, limit: int) -> bytes:
        """The whole payload. Raises S3Error EntityTooLarge when it has, or declares, over `limit` bytes."""
        if self.size is not None and self.size > limit:
            raise _over(limit)
        chunks: list[Piece] = []
        size = 0
        async for chunk in self:
            size += len(chunk)
            if size > limit:
                raise _over(limit)
            chunks.append(chunk)
        return b"".join(chunks)


async def read_form(raw: RawBody, boundary: str) -> Form:
    """A form up to its file, which stays to be read. Raises S3Error."""
    reader = FormReader(boundary)
    while (data := await raw.next()) is not None:
        form = reader.feed(data)
        if form is not None:
            raw.unread(reader.rest)
            return form
    raise S3Error("IncompleteBody", "The body ended before the form's file.")


class EmptyBody:
    """The body of a GET or HEAD that has none."""

    __slots__ = ()

    @property
    def size(self) -> int | None:
        """No bytes."""
        return 0

    @property
    def trailers(self) -> Mapping[str, str]:
        """No trailers."""
        return {}

    def at_once(self) -> list[bytes] | None:
        """Nothing."""
        return []

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """Nothing."""
        for chunk in ():
            yield chunk

    async def read(self, limit: int) -> bytes:
        """Nothing."""
        return b""


EMPTY_BODY: Final = EmptyBody()


def _over(limit: int) -> S3Error:
    return S3Error("EntityTooLarge", f"This request's body may have at most {limit} bytes.")
