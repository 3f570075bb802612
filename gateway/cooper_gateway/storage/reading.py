"""Reading objects: a worker finds the entry, opens what it needs, and decrypts only the frames that a range touches."""

import asyncio
import errno
import os
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Executor
from typing import Final, NamedTuple

import lmdb

from cooper_gateway.storage import entries, names_tree
from cooper_gateway.storage.bucket_keys import BucketKeys
from cooper_gateway.storage.entries import Header, Kind, ObjectRecord, Piece, State
from cooper_gateway.storage.index import Index
from cooper_gateway.storage.layout import Layout
from cooper_gateway.storage.names_tree import Value
from cooper_gateway.storage.open_files import OpenFiles
from cooper_gateway.storage.port import (
    BucketClosed,
    BucketRef,
    Damaged,
    NoSuchName,
    ObjectInfo,
    Overloaded,
    StoreFailed,
)
from cooper_gateway.storage.sealing import BucketSealer, Sealer, SegmentSealer

_READ_FRAMES: Final = 4  # frames that one trip to a thread reads and decrypts
_LOOKS: Final = 64  # how often an object may be overwritten between finding and opening it
_TOO_MANY_FILES: Final = frozenset({errno.EMFILE, errno.ENFILE})


class Found(NamedTuple):
    """An entry as it was in one read transaction."""

    header: Header
    record: ObjectRecord
    sealer: BucketSealer


class Reader:
    """Finds and opens objects."""

    def __init__(
        self, layout: Layout, index: Index, keys: BucketKeys, sealer: Sealer, executor: Executor, files: OpenFiles
    ) -> None:
        self._layout = layout
        self._index = index
        self._keys = keys
        self._frame = sealer.frame_size
        self._overhead = sealer.frame_overhead
        self._header = sealer.header_size
        self._executor = executor
        self._files = files

    def find(self, txn: lmdb.Transaction, bucket: BucketRef, name: bytes) -> Found:
        """The object of a name. Raises NoSuchName, BucketClosed, Damaged."""
        row = self._index.row(txn, bucket.data_id)
        if row is None:
            raise NoSuchName
        if row.state != State.OPEN:
            raise BucketClosed
        value = names_tree.get(txn, self._index.names, row.objects_root, name)
        if value is None:
            raise NoSuchName
        sealer = self._keys.get(bucket.data_id)
        try:
            return Found(entries.unpack(value), entries.open_entry(sealer, name, value), sealer)
        except ValueError as error:
            raise damaged(bucket, name, error) from None

    def peek(self, bucket: BucketRef, name: bytes, start: int, end: int | None) -> tuple[ObjectInfo, bytes | None]:
        """The object's info, and the bytes asked for when they lie inline."""
        with self._index.read() as txn:
            found = self.find(txn, bucket, name)
            header = found.header
            if header.kind == Kind.INLINE:
                data = self._inline(txn, bucket, name, found.sealer, header.segment_id, header.size)
                if start or end is not None:
                    data = data[start:end]
                return entries.object_info(header, found.record), data
            return self._info(txn, bucket, name, found), None

    def find_info(self, bucket: BucketRef, name: bytes) -> tuple[Found, ObjectInfo]:
        """The object of a name, and its info."""
        with self._index.read() as txn:
            found = self.find(txn, bucket, name)
            return found, self._info(txn, bucket, name, found)

    async def open(self, bucket: BucketRef, name: bytes) -> "StoredObject":
        """Open an object for reading, pinned as it is now: its files stay readable when it is overwritten."""
        loop = asyncio.get_running_loop()
        missing: Header | None = None
        for _ in range(_LOOKS):
            found, info, sources = self._locate(bucket, name)
            if found.header == missing:
                break  # files are removed only after the index has changed: this one is lost
            count = sum(source.data is None for source in sources)
            self._files.take(count)
            opening = loop.run_in_executor(self._executor, _open_files, sources)
            try:
                await asyncio.shield(opening)
            except FileNotFoundError:
                self._files.give_back(count)
                missing = found.header
                continue  # overwritten or deleted after we looked, and removed already: look again
            except asyncio.CancelledError:
                opening.add_done_callback(lambda _, sources=sources: self._release(sources))
                raise
            except OSError as error:
                self._files.give_back(count)
                if error.errno in _TOO_MANY_FILES:
                    raise Overloaded("too many files are open") from error
                raise StoreFailed(f"a segment cannot be opened: {error.strerror}") from error
            geometry = (self._frame, self._overhead, self._header)
            return StoredObject(
                info, found.sealer, sources, geometry, self._executor, lambda: _where(bucket, name), self._release
            )
        raise Damaged(f"{_where(bucket, name)}: its segment file is missing")

    def _release(self, sources: list["_Source"]) -> None:
        """Close an object's files, once and for all."""
        _close_files(sources)
        self._files.give_back(sum(source.data is None for source in sources))

    def _locate(self, bucket: BucketRef, name: bytes) -> tuple[Found, ObjectInfo, list["_Source"]]:
        with self._index.read() as txn:
            found = self.find(txn, bucket, name)
            header = found.header
            if header.kind == Kind.INLINE:
                data = self._inline(txn, bucket, name, found.sealer, header.segment_id, header.size)
                return found, entries.object_info(header, found.record), [_Source(header.size, b"", data=data)]
            if header.kind == Kind.FILE:
                path = self._layout.segment(header.directory_id, header.segment_id)
                source = _Source(header.size, header.segment_id, str(path))
                return found, entries.object_info(header, found.record), [source]
            pieces = self._pieces(txn, bucket, name, found)
            sources = [self._source(txn, bucket, name, found.sealer, piece) for piece in pieces]
        sizes = tuple(piece.size for piece in pieces)
        return found, entries.object_info(header, found.record, sizes), sources

    def _source(
        self, txn: lmdb.Transaction, bucket: BucketRef, name: bytes, sealer: BucketSealer, piece: Piece
    ) -> "_Source":
        if piece.directory_id != entries.NO_DIRECTORY:
            path = self._layout.segment(piece.directory_id, piece.segment_id)
            return _Source(piece.size, piece.segment_id, str(path))
        data = self._inline(txn, bucket, name, sealer, piece.segment_id, piece.size)
        return _Source(piece.size, piece.segment_id, data=data)

    def _info(self, txn: lmdb.Transaction, bucket: BucketRef, name: bytes, found: Found) -> ObjectInfo:
        sizes: tuple[int, ...] = ()
        if found.header.kind == Kind.MULTI:
            sizes = tuple(piece.size for piece in self._pieces(txn, bucket, name, found))
        return entries.object_info(found.header, found.record, sizes)

    def _pieces(self, txn: lmdb.Transaction, bucket: BucketRef, name: bytes, found: Found) -> list[Piece]:
        value: Value = txn.get(found.header.segment_id, db=self._index.bodies) or b""
        try:
            return entries.open_manifest(found.sealer, found.header.segment_id, value)
        except ValueError as error:
            raise damaged(bucket, name, error) from None

    def _inline(
        self,
        txn: lmdb.Transaction,
        bucket: BucketRef,
        name: bytes,
        sealer: BucketSealer,
        segment_id: bytes,
        size: int,
    ) -> bytes:
        body = memoryview(txn.get(segment_id, db=self._index.bodies) or b"")
        try:
            cipher = sealer.segment(segment_id, body[: self._header])
            (data,) = cipher.open_frames(body[self._header :], 0, last=True)
            if len(data) != size:
                raise ValueError(f"{len(data)} bytes instead of {size}")
        except ValueError as error:
            raise damaged(bucket, name, error) from None
        return data


class _Source:
    """One segment of an open object: an open file, or plaintext that lay inline."""

    __slots__ = ("cipher", "data", "descriptor", "path", "segment_id", "size")

    def __init__(self, size: int, segment_id: bytes, path: str = "", data: bytes | None = None) -> None:
        self.size = size
        self.segment_id = segment_id
        self.path = path
        self.data = data
        self.descriptor = -1
        self.cipher: SegmentSealer | None = None


class StoredObject:
    """`OpenObject` of the embedded store."""

    def __init__(
        self,
        info: ObjectInfo,
        sealer: BucketSealer,
        sources: list[_Source],
        geometry: tuple[int, int, int],
        executor: Executor,
        where: Callable[[], str],
        release: Callable[[list[_Source]], None],
    ) -> None:
        self.info: ObjectInfo = info
        self._sealer = sealer
        self._sources = sources
        self._frame, self._overhead, self._header = geometry
        self._executor = executor
        self._where = where
        self._release = release
        self._reading: asyncio.Future[bytes] | None = None
        self._closed = False

    async def read(self, start: int, end: int) -> AsyncIterator[bytes]:
        """Plaintext of bytes start (inclusive) to end (exclusive), every frame verified. Raises Damaged."""
        offset = 0
        for source in self._sources:
            low, high = max(start - offset, 0), min(end - offset, source.size)
            offset += source.size
            if low >= high:
                continue
            if source.data is not None:
                yield source.data[low:high]
                continue
            async for piece in self._read_file(source, low, high):
                yield piece

    def close(self) -> None:
        """Release files, once no thread reads them any more. Idempotent."""
        if self._closed:
            return
        self._closed = True
        if self._reading is not None and not self._reading.done():
            self._reading.add_done_callback(lambda _: self._release(self._sources))
        else:
            self._release(self._sources)

    async def _read_file(self, source: _Source, start: int, end: int) -> AsyncIterator[bytes]:
        """Batches of frames from a thread, the next one read while this one is handed out."""
        loop = asyncio.get_running_loop()
        batch = _READ_FRAMES * self._frame
        position = start - start % batch
        pending = loop.run_in_executor(self._executor, self._read_batch, source, position, start, end)
        while position < end:
            self._reading = pending
            try:
                piece = await asyncio.shield(pending)
            except (ValueError, OSError) as error:
                raise Damaged(f"{self._where()}: {error}") from None
            position += batch
            if position < end:
                if self._closed:
                    raise StoreFailed("the object was closed while it was read")
                pending = loop.run_in_executor(self._executor, self._read_batch, source, position, start, end)
                self._reading = pending
            yield piece

    def _read_batch(self, source: _Source, position: int, start: int, end: int) -> bytes:
        """Read and verify the frames of one batch that the range touches. In a thread. Raises ValueError, OSError."""
        cipher = source.cipher
        if cipher is None:
            cipher = source.cipher = self._open_cipher(source)
        first = max(position, start) // self._frame
        stop = min(position + _READ_FRAMES * self._frame, end, source.size)
        beyond = -(-stop // self._frame)
        step = self._frame + self._overhead
        # The last frame is the one that reaches the size that the index promises: a truncated file fails to verify.
        whole = max(-(-source.size // self._frame), 1)
        sealed_end = min(beyond * step, source.size + whole * self._overhead)
        sealed = os.pread(source.descriptor, sealed_end - first * step, self._header + first * step)
        if len(sealed) != sealed_end - first * step:
            raise ValueError("a segment file is truncated")
        frames = cipher.open_frames(memoryview(sealed), first, last=beyond >= whole)
        head, tail = max(position, start) - first * self._frame, stop - first * self._frame
        return frames[0][head:tail] if len(frames) == 1 else memoryview(b"".join(frames))[head:tail].tobytes()

    def _open_cipher(self, source: _Source) -> SegmentSealer:
        header = os.pread(source.descriptor, self._header, 0)
        return self._sealer.segment(source.segment_id, header)


def damaged(bucket: BucketRef, name: bytes, reason: object) -> Damaged:
    """The error that names damage by bucket and name."""
    return Damaged(f"{_where(bucket, name)}: {reason}")


def _where(bucket: BucketRef, name: bytes) -> str:
    return f"object {name.decode(errors='replace')!r} of bucket {bucket.name}"


def _open_files(sources: list[_Source]) -> None:
    """Open every file, or none. Raises OSError."""
    try:
        for source in sources:
            if source.data is None:
                source.descriptor = os.open(source.path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        _close_files(sources)
        raise


def _close_files(sources: list[_Source]) -> None:
    for source in sources:
        if source.descriptor >= 0:
            os.close(source.descriptor)
            source.descriptor = -1
