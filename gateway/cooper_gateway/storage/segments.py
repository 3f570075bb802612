"""Writing segments: a worker encrypts a body and makes it durable, in memory while it is small, else as a file.

```
            > 32 KiB                    finish                 commit (elsewhere)
  memory ─────────────> file, growing ─────────> file, synced ──────────────────> referred to by the index
     └── finish ──> inline ciphertext ── commit ──> in the index
```
Files of a worker lie in a directory of its own, which it holds locked for as long as one of them may be uncommitted.
"""

import asyncio
import os
from collections.abc import Awaitable, Callable
from concurrent.futures import Executor
from typing import Final, Protocol

from cooper_gateway.storage import entries, wire
from cooper_gateway.storage.entries import Header, Kind
from cooper_gateway.storage.layout import NO_ROOM, Layout, try_lock
from cooper_gateway.storage.port import StoreFailed, StoreFull
from cooper_gateway.storage.sealing import BucketSealer, Sealer, SegmentSealer

INLINE_MAX: Final = 32 * 1024  # bytes of plaintext that lie in the index
#: Frames that one trip to a thread encrypts and writes. Large bodies come in pieces of this size (http/body.py).
_BATCH_FRAMES: Final = 8
_FILES: Final = 4096  # files of a directory at most


class _Teller(Protocol):
    def tell(self, request: wire.Request) -> None:
        """Send a request that is not answered."""
        ...


class SegmentDirectory:
    """One directory of this worker. Full, it is given up once none of its files waits for a commit."""

    def __init__(self, directory_id: bytes, descriptor: int, teller: _Teller) -> None:
        self.directory_id = directory_id
        self._descriptor = descriptor
        self._teller = teller
        self._room = _FILES
        self._uncommitted = 0

    @property
    def full(self) -> bool:
        """Whether it takes no more files."""
        return self._room <= 0

    def open_file(self, segment_id: bytes) -> int:
        """Create a file; returns its descriptor. Raises OSError."""
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        descriptor = os.open(segment_id.hex(), flags, 0o600, dir_fd=self._descriptor)
        self._room -= 1
        self._uncommitted += 1
        return descriptor

    def committed(self) -> None:
        """One of its files is the index's matter now."""
        self._uncommitted -= 1
        self._retire_if_done()

    def give_up(self) -> None:
        """Take no more files. The committer sweeps it once none of its files waits for a commit."""
        self._room = 0
        self._retire_if_done()

    def _retire_if_done(self) -> None:
        if self.full and not self._uncommitted and self._descriptor >= 0:
            self.close()
            self._teller.tell(wire.Retire(0, b"", self.directory_id))

    def abandon(self, segment_id: bytes) -> None:
        """One of its files will never be committed: have the committer remove it."""
        self._teller.tell(wire.Abandon(0, b"", self.directory_id, segment_id))
        self.committed()

    def close(self) -> None:
        """Let go of the lock. Idempotent."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


class SegmentDirectories:
    """Where this worker's next file goes."""

    def __init__(self, layout: Layout, teller: _Teller) -> None:
        self._layout = layout
        self._teller = teller
        self._current: SegmentDirectory | None = None

    def current(self) -> SegmentDirectory:
        """A directory with room. Raises OSError."""
        if self._current is None or self._current.full:
            self._current = self._make()
        return self._current

    def give_up(self) -> None:
        """The committer may not have heard which files were abandoned: a sweep of the whole directory finds them."""
        if self._current is not None:
            current, self._current = self._current, None
            current.give_up()

    def close(self) -> None:
        """Let go of the current directory's lock."""
        if self._current is not None:
            self._current.close()
            self._current = None

    def _make(self) -> SegmentDirectory:
        while True:
            directory_id = os.urandom(entries.DIRECTORY_ID)
            path = self._layout.directory(directory_id)
            path.mkdir(mode=0o700)
            try:
                descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            except FileNotFoundError:
                continue
            # The committer may have found the directory before we locked it, taken it for an orphan and removed it.
            if try_lock(descriptor) and os.fstat(descriptor).st_nlink:
                return SegmentDirectory(directory_id, descriptor, self._teller)
            os.close(descriptor)


class StoredSegment:
    """Durable bytes that nothing refers to yet."""

    def __init__(
        self, segment_id: bytes, size: int, body: bytes = b"", directory: SegmentDirectory | None = None
    ) -> None:
        self.segment_id = segment_id
        self.size: int = size
        self.body = body
        self._directory = directory
        self._settled = False

    def header(self, modified: int) -> Header:
        """The header of an entry that refers to it."""
        if self._directory is None:
            return Header(Kind.INLINE, self.size, modified, self.segment_id)
        return Header(Kind.FILE, self.size, modified, self.segment_id, self._directory.directory_id)

    def committed(self) -> None:
        """The index refers to it, or may do so: never abandon it any more."""
        if self._directory is not None and not self._settled:
            self._settled = True
            self._directory.committed()

    def abandon(self) -> None:
        """Nothing will ever refer to it. Does nothing once committed."""
        if self._directory is not None and not self._settled:
            self._settled = True
            self._directory.abandon(self.segment_id)


class StoreWriter:
    """`SegmentWriter` of the embedded store. At most 1.5 MiB of memory, whatever is written."""

    def __init__(
        self,
        sealer: Sealer,
        bucket: Callable[[], Awaitable[BucketSealer]],
        directories: SegmentDirectories,
        executor: Executor,
    ) -> None:
        self._frame = sealer.frame_size
        self._batch = _BATCH_FRAMES * sealer.frame_size
        self._sealed_batch = _BATCH_FRAMES * (sealer.frame_size + sealer.frame_overhead)
        self._bucket = bucket
        self._directories = directories
        self._executor = executor
        self._segment_id = entries.new_id()
        self._seen: Callable[[bytearray], None] | None = None
        self._plain = bytearray()
        self._size = 0
        self._file: _File | None = None
        self._working: asyncio.Future[None] | None = None
        self._segment: StoredSegment | None = None
        self._aborted = False

    def watch(self, seen: Callable[[bytearray], None]) -> None:
        """Have it called with all that is written: of what goes to a file by the thread that writes it."""
        self._seen = seen

    async def write(self, data: bytes | bytearray | memoryview) -> None:
        """Append plaintext. Raises StoreFull or StoreFailed."""
        view = memoryview(data)
        self._size += len(view)
        while view:
            if len(self._plain) >= self._batch:
                # More follows, so none of these frames is the last one.
                await self._hand_over(last=False)
            if isinstance(data, bytearray) and not self._plain and len(view) == self._batch:
                self._plain = data  # as it is: nothing is ever added to a whole batch
                return
            room = self._batch - len(self._plain)
            self._plain += view[:room]
            view = view[room:]

    async def finish(self) -> StoredSegment:
        """Make everything durable and return the segment for a commit."""
        bucket = await self._bucket()
        if self._file is None and self._size <= INLINE_MAX:
            if self._seen is not None:
                self._seen(self._plain)
            body = bucket.seal_whole(self._segment_id, memoryview(self._plain))
            self._segment = StoredSegment(self._segment_id, self._size, body)
            return self._segment
        await self._hand_over(last=True)
        file = await self._settle()
        self._check_not_aborted()
        assert file is not None
        self._file = None
        self._segment = StoredSegment(self._segment_id, self._size, directory=file.directory)
        return self._segment

    def abort(self) -> None:
        """Drop what was written. Safe at any time; does nothing once committed."""
        self._aborted = True
        self._plain = bytearray()
        if self._segment is not None:
            self._segment.abandon()
        elif self._working is not None and not self._working.done():
            self._working.add_done_callback(lambda _: self._drop_file())
        else:
            self._drop_file()

    def _drop_file(self) -> None:
        if self._working is not None and not self._working.cancelled():
            self._working.exception()  # seen; whoever awaited it has it
        if self._file is not None:
            file, self._file = self._file, None
            file.close()
            file.directory.abandon(self._segment_id)

    async def _hand_over(self, last: bool) -> None:
        """Give the collected plaintext to a thread, once it is done with what it had."""
        file = await self._settle()
        if file is None:
            cipher = (await self._bucket()).new_segment(self._segment_id)
            self._check_not_aborted()
            file = self._file = self._create(cipher)
        self._check_not_aborted()
        plain, self._plain = self._plain, bytearray()
        loop = asyncio.get_running_loop()
        self._working = loop.run_in_executor(self._executor, file.append, plain, last, self._seen)
        if last:
            await self._settle()

    async def _settle(self) -> "_File | None":
        if self._working is not None:
            try:
                await asyncio.shield(self._working)
            except OSError as error:
                raise _store_error(error) from error
        return self._file

    def _create(self, cipher: SegmentSealer) -> "_File":
        try:
            directory = self._directories.current()
            descriptor = directory.open_file(self._segment_id)
        except OSError as error:
            raise _store_error(error) from error
        return _File(directory, descriptor, cipher, self._frame, self._sealed_batch)

    def _check_not_aborted(self) -> None:
        if self._aborted:
            raise StoreFailed("the write was aborted")


class _File:
    """A segment file while it is written. `append` runs in a thread, one call at a time."""

    def __init__(
        self, directory: SegmentDirectory, descriptor: int, cipher: SegmentSealer, frame: int, sealed: int
    ) -> None:
        self.directory = directory
        self._descriptor = descriptor
        self._cipher = cipher
        self._frame = frame
        self._sealed = bytearray(sealed)
        self._frames = 0
        self._position = 0

    def append(self, plain: bytearray, last: bool, seen: Callable[[bytearray], None] | None) -> None:
        """Show, encrypt and write; with the last of it make the file durable. Raises OSError."""
        if seen is not None:
            seen(plain)
        if not self._position:
            self._write(memoryview(self._cipher.header))
        sealed = memoryview(self._sealed)
        size = self._cipher.seal_into(memoryview(plain), self._frames, last, sealed)
        self._frames += len(plain) // self._frame
        self._write(sealed[:size])
        if last:
            os.fdatasync(self._descriptor)
            self.close()

    def close(self) -> None:
        """Release the descriptor. Idempotent."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def _write(self, data: memoryview) -> None:
        while data:
            written = os.pwrite(self._descriptor, data, self._position)
            self._position += written
            data = data[written:]


def _store_error(error: OSError) -> StoreFull | StoreFailed:
    if error.errno in NO_ROOM:
        return StoreFull("no room is left on the disk")
    return StoreFailed(f"a segment could not be written: {error.strerror}")
