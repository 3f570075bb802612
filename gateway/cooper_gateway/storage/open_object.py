"""An open object: its segments, what keeps them readable, and reading them frame by frame.

A file of its own stays open. Of many files one is open at a time: a pin keeps them all (pins.py).
"""

import asyncio
import errno
import os
import threading
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Executor
from typing import Final, NamedTuple

from cooper_gateway.storage.open_files import OpenFiles
from cooper_gateway.storage.pins import Pins
from cooper_gateway.storage.port import Damaged, ObjectInfo, Overloaded, StoreError, StoreFailed
from cooper_gateway.storage.sealing import BucketSealer, SegmentSealer

_READ_FRAMES: Final = 4  # frames that one trip to a thread reads and decrypts; the next ones are read meanwhile
_FRAMES_AT_ONCE: Final = 8  # frames that are read and decrypted without waiting, and handed out before there are more
#: Where the kernel or the file system knows no reading that does not wait.
_NOT_AT_ONCE: Final = frozenset({errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS})
_TOO_MANY_FILES: Final = frozenset({errno.EMFILE, errno.ENFILE})


#: Bytes that nobody writes to any more.
Piece = bytes | bytearray


class Geometry(NamedTuple):
    """How a segment file is laid out; all in bytes."""

    frame: int  # plaintext of a frame
    overhead: int  # what a sealed frame has beyond that
    header: int  # before the first frame


class Source:
    """One segment of an open object: a file, or plaintext that lay inline."""

    __slots__ = ("cipher", "data", "descriptor", "path", "segment_id", "size")

    def __init__(self, size: int, segment_id: bytes, path: str = "", data: bytes | None = None) -> None:
        self.size = size
        self.segment_id = segment_id
        self.path = path
        self.data = data
        self.descriptor = -1
        self.cipher: SegmentSealer | None = None

    def open(self) -> None:
        """Open the file, unless it is open. Raises OSError."""
        if self.descriptor < 0:
            self.descriptor = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)

    def close(self) -> None:
        """Close the file. Idempotent."""
        if self.descriptor >= 0:
            os.close(self.descriptor)
            self.descriptor = -1


class Hold:
    """What keeps an object's segments readable: nothing, its open file, or a pin."""

    def __init__(self, sources: list[Source], pinned: bytes | None, pins: Pins, files: OpenFiles) -> None:
        """Of the object id `pinned`, or of a single file. Raises Overloaded when readers have too many files open."""
        self.sources = sources
        self.pinned = pinned
        self._pins = pins
        self._pin = -1
        self._files = files
        single = any(source.data is None for source in sources)
        self._count = 2 if pinned is not None else int(single)  # the pin, and one file at a time
        files.take(self._count)

    def take(self) -> None:
        """Take hold. In a thread. Raises OSError; `release` is due all the same."""
        if self.pinned is not None:
            self._pin = self._pins.take(self.pinned)
            return
        for source in self.sources:
            if source.data is None:
                source.open()

    def release(self) -> None:
        """Let go, once."""
        for source in self.sources:
            source.close()
        if self._pin >= 0 and self.pinned is not None:
            self._pins.release(self.pinned, self._pin)
        self._files.give_back(self._count)


class StoredObject:
    """`OpenObject` of the embedded store."""

    def __init__(
        self,
        info: ObjectInfo,
        sealer: BucketSealer,
        hold: Hold,
        geometry: Geometry,
        executor: Executor,
        where: Callable[[], str],
    ) -> None:
        self.info: ObjectInfo = info
        self._sealer = sealer
        self._hold = hold
        self._frame, self._overhead, self._header = geometry
        self._executor = executor
        self._where = where
        self._reading: asyncio.Future[Piece] | None = None
        self._closed = False
        self._turned_away = False  # reading without waiting is not to be had here

    async def read(self, start: int, end: int) -> AsyncIterator[Piece]:
        """Plaintext of bytes start (inclusive) to end (exclusive), every frame verified. Raises Damaged."""
        offset = 0
        for source in self._hold.sources:
            low, high = max(start - offset, 0), min(end - offset, source.size)
            offset += source.size
            if low >= high:
                continue
            if source.data is not None:
                yield source.data[low:high]
                continue
            async for piece in self._read_file(source, low, high):
                yield piece
            if self._hold.pinned is not None:
                source.close()

    def close(self) -> None:
        """Release files, once no thread reads them any more. Idempotent."""
        if self._closed:
            return
        self._closed = True
        if self._reading is not None and not self._reading.done():
            self._reading.add_done_callback(lambda _: self._hold.release())
        else:
            self._hold.release()

    async def _read_file(self, source: Source, start: int, end: int) -> AsyncIterator[Piece]:
        """Batches of frames. What the kernel has in memory is read and decrypted at once, which takes less time than to
        have a thread do it; from the first batch on that it has not, by a thread, the next one while this one is handed
        out."""
        batch = _FRAMES_AT_ONCE * self._frame
        position = start - start % batch
        while position < end:
            try:
                piece = self._read_at_once(source, position, start, end)
            except (ValueError, OSError) as error:
                raise read_error(error, self._where()) from None
            if piece is None:
                break
            position += batch
            yield piece
            await asyncio.sleep(0)  # others have their turn
        if position >= end:
            return
        batch = _READ_FRAMES * self._frame
        position = max(position, start - start % batch)
        pending = self._begin(source, position, start, end)
        while position < end:
            try:
                piece = await asyncio.shield(pending)
            except (ValueError, OSError) as error:
                raise read_error(error, self._where()) from None
            position += batch
            if position < end:
                pending = self._begin(source, position, start, end)
            yield piece

    def _read_at_once(self, source: Source, position: int, start: int, end: int) -> Piece | None:
        """A batch that can be read without waiting for a disk; None when it cannot. Raises ValueError, OSError."""
        if self._closed:
            raise StoreFailed("the object was closed while it was read")
        if source.descriptor < 0 or self._turned_away:
            return None
        try:
            return self._read_batch(source, position, start, end, _FRAMES_AT_ONCE, os.RWF_NOWAIT)
        except BlockingIOError:
            return None
        except OSError as error:
            if error.errno not in _NOT_AT_ONCE:
                raise
            self._turned_away = True
            return None

    def _begin(self, source: Source, position: int, start: int, end: int) -> asyncio.Future[Piece]:
        """Have a thread read a batch."""
        if self._closed:
            raise StoreFailed("the object was closed while it was read")
        loop = asyncio.get_running_loop()
        batch = source, position, start, end, _READ_FRAMES
        self._reading = loop.run_in_executor(self._executor, self._read_batch, *batch)
        return self._reading

    def _read_batch(self, source: Source, position: int, start: int, end: int, frames: int, flags: int = 0) -> Piece:
        """Read and verify the frames of one batch that the range touches. Without flags, in a thread. Raises
        ValueError, OSError."""
        source.open()
        cipher = source.cipher
        if cipher is None:
            header = _read(source.descriptor, self._header, 0, flags)
            cipher = source.cipher = self._sealer.segment(source.segment_id, header)
        first = max(position, start) // self._frame
        stop = min(position + frames * self._frame, end, source.size)
        beyond = -(-stop // self._frame)
        step = self._frame + self._overhead
        # The last frame is the one that reaches the size that the index promises: a truncated file fails to verify.
        whole = max(-(-source.size // self._frame), 1)
        sealed_end = min(beyond * step, source.size + whole * self._overhead)
        size = sealed_end - first * step
        sealed = _read(source.descriptor, size, self._header + first * step, flags)
        opened = cipher.open_frames(sealed, first, last=beyond >= whole)
        head, tail = max(position, start) - first * self._frame, stop - first * self._frame
        return opened if (head, tail) == (0, len(opened)) else memoryview(opened)[head:tail].tobytes()


def _read(descriptor: int, size: int, offset: int, flags: int) -> memoryview:
    """So many bytes of a file; with flags, until this thread reads others. Raises BlockingIOError where, by the flags,
    it may not wait for them and would have to; OSError; ValueError when there are not so many."""
    data = _scratch(size) if flags else memoryview(bytearray(size))
    read = os.preadv(descriptor, (data,), offset, flags)
    if read != size and flags:
        raise BlockingIOError  # a part of it is in memory
    if read != size:
        raise ValueError("a segment file is truncated")
    return data


class _Local(threading.local):
    view = memoryview(b"")


_local = _Local()


def _scratch(size: int) -> memoryview:
    """So many bytes of a buffer that this thread uses again and again: it stays near the processor."""
    if len(_local.view) < size:
        _local.view = memoryview(bytearray(size))
    return _local.view[:size]


def open_error(error: OSError) -> StoreError:
    """What a file that cannot be opened means."""
    if error.errno in _TOO_MANY_FILES:
        return Overloaded("too many files are open")
    return StoreFailed(f"a segment cannot be opened: {error.strerror}")


def read_error(error: ValueError | OSError, where: str) -> StoreError:
    """What a file that cannot be read means. `where` names the object."""
    if isinstance(error, OSError) and error.errno in _TOO_MANY_FILES:
        return open_error(error)
    return Damaged(f"{where}: {error}")
