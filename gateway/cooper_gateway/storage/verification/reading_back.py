"""Everything that one bucket holds, read and verified: records, bytes in the index, files.

It goes through names in short read transactions and reads files outside of them. So what it saw may be gone when it
looks for the bytes: an object that was changed or deleted meanwhile is looked up again, and is no damage.
"""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import lmdb

from cooper_gateway.storage import entries, names_tree
from cooper_gateway.storage.entries import Header, Kind, Piece
from cooper_gateway.storage.index import Index
from cooper_gateway.storage.layout import Layout
from cooper_gateway.storage.names_tree import Walk
from cooper_gateway.storage.pins import Pins
from cooper_gateway.storage.sealing import BucketSealer, Sealer
from cooper_gateway.storage.verification.findings import At, Damage, Finding, Progress
from cooper_gateway.storage.verification.pace import Pace

_AT_ONCE: Final = 256  # entries of one read transaction
_BYTES_AT_ONCE: Final = 1 << 20  # of bodies in the index that one read transaction copies
_FRAMES: Final = 8  # that are read and decrypted together
_LARGEST_FRAMES: Final = 1 << 20  # bytes of a body in the index, whatever a damaged entry says

Tell = Callable[[Finding], None]


@dataclass(frozen=True, slots=True)
class Place:
    """A store, opened for reading."""

    layout: Layout
    index: Index
    sealer: Sealer
    pins: Pins
    pace: Pace


class _Item(NamedTuple):
    """An entry or part, and what the same read transaction had of its bytes."""

    key: bytes  # name of an object, key of an upload or a part
    value: bytes
    stored: bytes | None = None  # inline segment, or manifest
    listed: bool = True  # its file is in the table of files
    found: bool = True  # looking the key up finds this value


class BucketReader:
    """One bucket's content."""

    def __init__(self, place: Place, data_id: bytes, sealer: BucketSealer, tell: Tell) -> None:
        self._place = place
        self._data_id = data_id
        self._hex = data_id.hex()
        self._sealer = sealer
        self._tell = tell

    def uploads(self) -> None:
        """Verify uploads in progress and their parts. Raises lmdb.Error, ValueError where the names are damaged."""
        for item in self._entries("uploads", uploads=True):
            name, upload_id = item.key[: -entries.ID - 1], item.key[-entries.ID :]
            self._check_found(item, name, upload_id)
            try:
                entries.open_upload(self._sealer, item.key, item.value)
            except ValueError as error:
                self._damage("EntryDamaged", str(error), name, upload_id)
            self._progress(0)
            for part in self._parts(upload_id):
                self._part(part, name, upload_id)

    def objects(self) -> None:
        """Verify objects. Raises lmdb.Error, ValueError where the names are damaged."""
        for item in self._entries("objects", uploads=False):
            self._check_found(item, item.key)
            self._object(item)

    def _object(self, item: _Item) -> None:
        name = item.key
        try:
            header = entries.unpack(item.value)
            entries.open_entry(self._sealer, name, item.value)
        except ValueError as error:
            self._damage("EntryDamaged", str(error), name)
            self._progress(0)
            return
        if header.kind == Kind.MULTI:
            self._many(item, header)
        else:
            self._one(item, header, name, still=lambda: self._entry_now(name) == item.value)
        self._progress(header.size)

    def _part(self, item: _Item, name: bytes, upload_id: bytes) -> None:
        self._check_found(item, name, upload_id)
        try:
            header = entries.unpack(item.value)
            entries.open_part(self._sealer, item.key, item.value)
        except ValueError as error:
            self._damage("EntryDamaged", str(error), name, upload_id)
            return
        self._one(item, header, name, upload_id, still=lambda: self._part_now(item.key) == item.value)
        self._tell(Progress(size=header.size))

    def _one(
        self, item: _Item, header: Header, name: bytes, upload_id: bytes = b"", *, still: Callable[[], bool]
    ) -> None:
        """The bytes of what is one segment."""
        if header.kind == Kind.INLINE:
            if item.stored is None:
                self._damage("BodyMissing", "there is nothing under its id", name, upload_id)
            else:
                self._inline(item.stored, header.segment_id, header.size, name, upload_id)
            return
        if not item.listed and still():
            self._damage("FileUnlisted", _file_name(header.directory_id, header.segment_id), name, upload_id)
        self._file(header.directory_id, header.segment_id, header.size, name, upload_id, still)

    def _many(self, item: _Item, header: Header) -> None:
        """The bytes of what is made of parts. A pin keeps their files while they are read."""
        name, object_id = item.key, header.segment_id
        if item.stored is None:
            self._damage("BodyMissing", "the list of its parts is gone", name)
            return
        try:
            pieces = entries.open_manifest(self._sealer, object_id, item.stored)
        except ValueError as error:
            self._damage("BodyDamaged", f"the list of its parts: {error}", name)
            return
        if sum(piece.size for piece in pieces) != header.size:
            self._damage("EntryDamaged", "its parts have another size than it has", name)
        pin = self._place.pins.take(object_id)
        try:
            if self._is_still(name, object_id):
                for piece in pieces:
                    self._piece(piece, name, lambda: self._is_still(name, object_id))
        finally:
            self._place.pins.release(object_id, pin)

    def _piece(self, piece: Piece, name: bytes, still: Callable[[], bool]) -> None:
        index, inline = self._place.index, piece.directory_id == entries.NO_DIRECTORY
        with index.read() as txn:
            body = txn.get(piece.segment_id, db=index.bodies) if inline else None
            stored = None if body is None else bytes(body)
            listed = inline or txn.get(piece.directory_id + piece.segment_id, db=index.files) is not None
        if not inline:
            if not listed and still():
                self._damage("FileUnlisted", _file_name(piece.directory_id, piece.segment_id), name)
            self._file(piece.directory_id, piece.segment_id, piece.size, name, b"", still)
        elif stored is not None:
            self._inline(stored, piece.segment_id, piece.size, name, b"")
        elif still():
            self._damage("BodyMissing", f"part {piece.number}", name)

    def _inline(self, stored: bytes, segment_id: bytes, size: int, name: bytes, upload_id: bytes) -> None:
        header = self._place.sealer.header_size
        self._place.pace.spend(len(stored))
        try:
            cipher = self._sealer.segment(segment_id, stored[:header])
            if len(stored) > _LARGEST_FRAMES:
                raise ValueError("it is larger than what lies in the index")
            found = len(cipher.open_frames(memoryview(stored)[header:], 0, last=True))
            if found != size:
                raise ValueError(f"{found} bytes instead of {size}")
        except ValueError as error:
            self._damage("BodyDamaged", str(error), name, upload_id)

    def _file(
        self,
        directory_id: bytes,
        segment_id: bytes,
        size: int,
        name: bytes,
        upload_id: bytes,
        still: Callable[[], bool],
    ) -> None:
        where = _file_name(directory_id, segment_id)
        try:
            descriptor = os.open(self._place.layout.segment(directory_id, segment_id), os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            if still():  # files are removed only after the index has changed
                self._damage("FileMissing", where, name, upload_id)
            return
        except OSError as error:
            self._damage("FileDamaged", f"{where} cannot be opened: {error.strerror}", name, upload_id)
            return
        try:
            # What the machine has in memory may be right while the disk is not.
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
            self._frames(descriptor, segment_id, size)
        except (ValueError, OSError) as error:
            self._damage("FileDamaged", f"{where}: {error}", name, upload_id)
        finally:
            os.close(descriptor)

    def _frames(self, descriptor: int, segment_id: bytes, size: int) -> None:
        """Read and verify a file. Raises ValueError, OSError."""
        sealer = self._place.sealer
        count = max(-(-size // sealer.frame_size), 1)
        end = sealer.header_size + size + count * sealer.frame_overhead
        there = os.fstat(descriptor).st_size
        if there != end:
            raise ValueError(f"it has {there} bytes instead of {end}")
        cipher = self._sealer.segment(segment_id, os.pread(descriptor, sealer.header_size, 0))
        step = _FRAMES * (sealer.frame_size + sealer.frame_overhead)
        position, number = sealer.header_size, 0
        while position < end:
            sealed = os.pread(descriptor, min(step, end - position), position)
            if len(sealed) != min(step, end - position):
                raise ValueError("it ends too early")
            try:
                cipher.open_frames(memoryview(sealed), number, last=position + len(sealed) == end)
            except ValueError as error:
                raise ValueError(f"{error}, of those from byte {number * sealer.frame_size} on") from None
            self._place.pace.spend(len(sealed))
            position, number = position + len(sealed), number + _FRAMES

    def _entries(self, step: str, *, uploads: bool) -> Iterator[_Item]:
        """Entries of a tree, slice by slice, each of one instant."""
        after = b""
        while True:
            self._tell(At(step, self._hex, after))
            items = self._slice(after, uploads)
            yield from items
            self._place.pace.spend(sum(len(item.key) + len(item.value) for item in items))
            if not items:
                return
            after = items[-1].key + b"\0"

    def _slice(self, after: bytes, uploads: bool) -> list[_Item]:
        index, items, size = self._place.index, list[_Item](), 0
        with index.read() as txn:
            row = index.row(txn, self._data_id)
            if row is None:
                return items
            root = row.uploads_root if uploads else row.objects_root
            walk = Walk(txn, index.names, root)
            entry = walk.seek(after)
            while entry is not None and len(items) < _AT_ONCE and size < _BYTES_AT_ONCE:
                name, value = entry[0], bytes(entry[1])
                if name < after:
                    raise ValueError(f"names are out of order at {name!r}")
                found = names_tree.get(txn, index.names, root, name) == value
                item = _Item(name, value, found=found) if uploads else self._with_bytes(txn, name, value, found)
                items.append(item)
                size += len(item.stored or b"")
                after, entry = name + b"\0", walk.after()
        return items

    def _parts(self, upload_id: bytes) -> Iterator[_Item]:
        """Parts of an upload, slice by slice; none any more once it is gone."""
        index, after = self._place.index, upload_id
        while True:
            items, size = list[_Item](), 0
            with index.read() as txn, txn.cursor(index.parts) as cursor:
                more = cursor.set_range(after)
                while more and len(items) < _AT_ONCE and size < _BYTES_AT_ONCE:
                    key = bytes(cursor.key())
                    if not key.startswith(upload_id):
                        break
                    if key < after:
                        raise ValueError(f"parts are out of order at {key.hex()}")
                    value = bytes(cursor.value())
                    found = txn.get(key, db=index.parts) == value
                    items.append(self._with_bytes(txn, key, value, found))
                    size += len(items[-1].stored or b"")
                    after, more = key + b"\0", cursor.next()
            yield from items
            if not items:
                return

    def _with_bytes(self, txn: lmdb.Transaction, key: bytes, value: bytes, found: bool) -> _Item:
        try:
            header = entries.unpack(value)
        except ValueError:  # told where the entry is verified
            return _Item(key, value, found=found)
        index = self._place.index
        if header.kind == Kind.FILE:
            listed = txn.get(header.directory_id + header.segment_id, db=index.files) is not None
            return _Item(key, value, listed=listed, found=found)
        stored = txn.get(header.segment_id, db=index.bodies)
        return _Item(key, value, None if stored is None else bytes(stored), found=found)

    def _check_found(self, item: _Item, name: bytes, upload_id: bytes = b"") -> None:
        if not item.found:
            self._damage("EntryNotFound", "a look-up ends elsewhere", name, upload_id)

    def _entry_now(self, name: bytes) -> bytes | None:
        index = self._place.index
        with index.read() as txn:
            row = index.row(txn, self._data_id)
            value = None if row is None else names_tree.get(txn, index.names, row.objects_root, name)
            return None if value is None else bytes(value)

    def _part_now(self, key: bytes) -> bytes | None:
        with self._place.index.read() as txn:
            value = txn.get(key, db=self._place.index.parts)
            return None if value is None else bytes(value)

    def _is_still(self, name: bytes, object_id: bytes) -> bool:
        value = self._entry_now(name)
        return value is not None and entries.unpack(value).segment_id == object_id

    def _progress(self, size: int) -> None:
        self._tell(Progress(1, size))

    def _damage(self, kind: str, detail: str, name: bytes, upload_id: bytes = b"") -> None:
        self._tell(Damage(kind, detail, self._hex, name, upload_id.hex()))


def _file_name(directory_id: bytes, segment_id: bytes) -> str:
    return f"segments/{directory_id.hex()}/{segment_id.hex()}"


def references(index: Index, sealer: BucketSealer, data_id: bytes) -> Iterator[Any]:
    """Ids that the entries of a bucket refer to: uploads, segments, manifests. Parts come before objects, which they
    become: what is there all the time is not missed. Raises lmdb.Error, ValueError where something is damaged.
    """
    for uploads in (True, False):
        after: bytes | None = b""
        while after is not None:
            found, after = _references(index, sealer, data_id, uploads, after)
            yield from found


def _references(
    index: Index, sealer: BucketSealer, data_id: bytes, uploads: bool, after: bytes
) -> tuple[list[bytes], bytes | None]:
    """Those of a slice of entries, and where to go on."""
    found: list[bytes] = []
    with index.read() as txn:
        row = index.row(txn, data_id)
        if row is None:
            return found, None
        walk = Walk(txn, index.names, row.uploads_root if uploads else row.objects_root)
        entry, left = walk.seek(after), 4 * _AT_ONCE
        while entry is not None:
            name, value = entry
            if left <= 0:
                return found, name
            if name < after:
                raise ValueError("names are out of order")
            before = len(found)
            if uploads:
                upload_id = name[-entries.ID :]
                found.append(upload_id)
                found += _parts_segments(txn, index, upload_id)
            else:
                header = entries.unpack(value)
                found.append(header.segment_id)
                if header.kind == Kind.MULTI:
                    manifest = txn.get(header.segment_id, db=index.bodies)
                    pieces = entries.open_manifest(sealer, header.segment_id, manifest or b"")
                    found += [piece.segment_id for piece in pieces]
            left -= len(found) - before
            after, entry = name + b"\0", walk.after()
    return found, None


def _parts_segments(txn: lmdb.Transaction, index: Index, upload_id: bytes) -> Iterator[bytes]:
    with txn.cursor(index.parts) as cursor:
        more = cursor.set_range(upload_id)
        while more and bytes(cursor.key()).startswith(upload_id):
            yield entries.unpack(cursor.value()).segment_id
            more = cursor.next()
