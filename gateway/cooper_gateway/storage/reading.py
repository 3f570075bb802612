"""Reading objects: a worker finds the entry, opens what it needs, and decrypts only the frames that a range touches."""

import asyncio
from concurrent.futures import Executor
from functools import partial
from typing import Final, NamedTuple

import lmdb

from cooper_gateway.storage import entries, names_tree
from cooper_gateway.storage.bucket_keys import BucketKeys
from cooper_gateway.storage.entries import Header, Kind, ObjectRecord, Piece, State
from cooper_gateway.storage.index import DAMAGE, Index
from cooper_gateway.storage.layout import Layout
from cooper_gateway.storage.names_tree import Value
from cooper_gateway.storage.open_files import OpenFiles
from cooper_gateway.storage.open_object import Geometry, Hold, Source, StoredObject, open_error
from cooper_gateway.storage.pins import Pins
from cooper_gateway.storage.port import BucketClosed, BucketRef, Damaged, NoSuchName, ObjectInfo
from cooper_gateway.storage.sealing import BucketSealer, Sealer

_LOOKS: Final = 64  # how often an object may be overwritten between finding and opening it
#: Entries that are kept opened, and bytes that one of them may have: a megabyte or two. Bodies are not kept.
_OPENED: Final = 2048
_LARGEST_OPENED: Final = 512


class Found(NamedTuple):
    """An entry as it was in one read transaction."""

    header: Header
    record: ObjectRecord
    sealer: BucketSealer
    info: ObjectInfo  # but for the parts of one that is made of parts


class Reader:
    """Finds and opens objects."""

    def __init__(
        self,
        layout: Layout,
        index: Index,
        keys: BucketKeys,
        sealer: Sealer,
        executor: Executor,
        pins: Pins,
        files: OpenFiles,
    ) -> None:
        self._layout = layout
        self._index = index
        self._keys = keys
        self._geometry = Geometry(sealer.frame_size, sealer.frame_overhead, sealer.header_size)
        self._executor = executor
        self._pins = pins
        self._files = files
        #: By bucket and name, with the entry as it lay in the index: only while that is the same it says the same.
        self._opened: dict[tuple[bytes, bytes], tuple[bytes, Found]] = {}

    def find(self, txn: lmdb.Transaction, bucket: BucketRef, name: bytes) -> Found:
        """The object of a name. Raises NoSuchName, BucketClosed, Damaged."""
        try:
            row = self._index.row(txn, bucket.data_id)
            if row is None:
                raise NoSuchName
            if row.state != State.OPEN:
                raise BucketClosed
            value = names_tree.get(txn, self._index.names, row.objects_root, name)
            if value is None:
                raise NoSuchName
            stored, place = bytes(value), (bucket.data_id, name)
            known = self._opened.get(place)
            if known is not None and known[0] == stored:
                return known[1]
            sealer = self._keys.get(bucket.data_id)
            header, record = entries.unpack(stored), entries.open_entry(sealer, name, stored)
            found = Found(header, record, sealer, entries.object_info(header, record))
        except DAMAGE as error:
            raise damaged(bucket, name, error) from None
        if len(stored) <= _LARGEST_OPENED:
            if len(self._opened) >= _OPENED:
                self._opened.clear()
            self._opened[place] = (stored, found)
        return found

    def peek(self, bucket: BucketRef, name: bytes, start: int, end: int | None) -> tuple[ObjectInfo, bytes | None]:
        """The object's info, and the bytes asked for when they lie inline."""
        with self._index.read() as txn:
            found = self.find(txn, bucket, name)
            header = found.header
            if header.kind == Kind.INLINE:
                data = self._inline(txn, bucket, name, found.sealer, header.segment_id, header.size)
                if start or end is not None:
                    data = data[start:end]
                return found.info, data
            return self._info(txn, bucket, name, found), None

    def find_info(self, bucket: BucketRef, name: bytes) -> tuple[Found, ObjectInfo]:
        """The object of a name, and its info."""
        with self._index.read() as txn:
            found = self.find(txn, bucket, name)
            return found, self._info(txn, bucket, name, found)

    async def open(self, bucket: BucketRef, name: bytes) -> StoredObject:
        """Open an object for reading, kept as it is now: its files stay readable when it is overwritten."""
        missing: Header | None = None
        for _ in range(_LOOKS):
            found, info, sources = self._locate(bucket, name)
            if found.header == missing:
                break  # files are removed only after the index has changed: this one is lost
            pinned = found.header.segment_id if found.header.kind == Kind.MULTI else None
            hold = Hold(sources, pinned, self._pins, self._files)
            try:
                if await self._hold(hold, bucket, name):
                    where = partial(_where, bucket, name)
                    return StoredObject(info, found.sealer, hold, self._geometry, self._executor, where)
            except FileNotFoundError:
                missing = found.header  # overwritten or deleted after we looked, and removed already: look again
        raise Damaged(f"{_where(bucket, name)}: its segment file is missing")

    async def _hold(self, hold: Hold, bucket: BucketRef, name: bytes) -> bool:
        """Take hold in a thread: True when that was in time. Otherwise, and when it fails, nothing is held."""
        taking = asyncio.get_running_loop().run_in_executor(self._executor, hold.take)
        held = False
        try:
            await asyncio.shield(taking)
            held = hold.pinned is None or self._is_still(bucket, name, hold.pinned)
        except FileNotFoundError:
            raise
        except OSError as error:
            raise open_error(error) from error
        finally:
            if not taking.done():
                taking.add_done_callback(lambda _: hold.release())
            elif not held:
                hold.release()
        return held

    def _is_still(self, bucket: BucketRef, name: bytes, object_id: bytes) -> bool:
        """Whether a name is still that object's."""
        with self._index.read() as txn:
            row = self._index.row(txn, bucket.data_id)
            value = None if row is None else names_tree.get(txn, self._index.names, row.objects_root, name)
            return value is not None and entries.unpack(value).segment_id == object_id

    def _locate(self, bucket: BucketRef, name: bytes) -> tuple[Found, ObjectInfo, list[Source]]:
        with self._index.read() as txn:
            found = self.find(txn, bucket, name)
            header = found.header
            if header.kind == Kind.INLINE:
                data = self._inline(txn, bucket, name, found.sealer, header.segment_id, header.size)
                return found, found.info, [Source(header.size, b"", data=data)]
            if header.kind == Kind.FILE:
                path = self._layout.segment(header.directory_id, header.segment_id)
                source = Source(header.size, header.segment_id, str(path))
                return found, found.info, [source]
            pieces = self._pieces(txn, bucket, name, found)
            sources = [self._source(txn, bucket, name, found.sealer, piece) for piece in pieces]
        return found, entries.object_info(header, found.record, pieces), sources

    def _source(
        self, txn: lmdb.Transaction, bucket: BucketRef, name: bytes, sealer: BucketSealer, piece: Piece
    ) -> Source:
        if piece.directory_id != entries.NO_DIRECTORY:
            path = self._layout.segment(piece.directory_id, piece.segment_id)
            return Source(piece.size, piece.segment_id, str(path))
        data = self._inline(txn, bucket, name, sealer, piece.segment_id, piece.size)
        return Source(piece.size, piece.segment_id, data=data)

    def _info(self, txn: lmdb.Transaction, bucket: BucketRef, name: bytes, found: Found) -> ObjectInfo:
        if found.header.kind != Kind.MULTI:
            return found.info
        return entries.object_info(found.header, found.record, self._pieces(txn, bucket, name, found))

    def _pieces(self, txn: lmdb.Transaction, bucket: BucketRef, name: bytes, found: Found) -> list[Piece]:
        try:
            value: Value = txn.get(found.header.segment_id, db=self._index.bodies) or b""
            return entries.open_manifest(found.sealer, found.header.segment_id, value)
        except DAMAGE as error:
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
        try:
            body: Value = txn.get(segment_id, db=self._index.bodies) or b""
            data = sealer.open_whole(segment_id, body)
            if len(data) != size:
                raise ValueError(f"{len(data)} bytes instead of {size}")
        except DAMAGE as error:
            raise damaged(bucket, name, error) from None
        return data


def damaged(bucket: BucketRef, name: bytes, reason: object) -> Damaged:
    """The error that names damage by bucket and name."""
    return Damaged(f"{_where(bucket, name)}: {reason}")


def _where(bucket: BucketRef, name: bytes) -> str:
    return f"object {name.decode(errors='replace')!r} of bucket {bucket.name}"
