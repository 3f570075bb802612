"""What the index holds: byte layouts of entries, parts, uploads and buckets (docs/formats.md), and their contexts.

An entry is a small clear header, so that overwriting needs no key, and a sealed record that the header and the name are
bound to as associated data.
"""

import os
import struct
import time
from collections.abc import Sequence
from enum import IntEnum
from typing import Any, Final, NamedTuple

import msgspec

from cooper_gateway.storage.port import Attributes, Checksum, ObjectInfo, UploadInfo
from cooper_gateway.storage.sealing import BucketSealer

FORMAT: Final = 1
ID: Final = 16  # bytes of a segment's, an object's and an upload's id
DIRECTORY_ID: Final = 8
NO_DIRECTORY: Final = bytes(DIRECTORY_ID)

_HEADER: Final = struct.Struct(">BBQQ16s8s")
HEADER: Final = _HEADER.size
_FORMAT_ONLY: Final = bytes([FORMAT])
_ENTRY: Final = b"o"  # what an entry's context begins with; parts, manifests and others have letters of their own


class Kind(IntEnum):
    """Where an entry's bytes are."""

    INLINE = 0  # in the table `bodies`
    FILE = 1  # in a segment file
    MULTI = 2  # in the segments that a manifest in the table `bodies` lists


_LAST_KIND: Final = max(Kind).value


class Header(NamedTuple):
    """The clear part of an entry or part."""

    kind: int
    size: int  # bytes of plaintext
    modified: int  # Unix milliseconds
    segment_id: bytes
    directory_id: bytes = NO_DIRECTORY

    def pack(self) -> bytes:
        """As stored."""
        return _HEADER.pack(FORMAT, *self)


def unpack(value: bytes | memoryview) -> Header:
    """The header that a value begins with. Raises ValueError on another format."""
    return Header(*fields(value)[1:])


def fields(value: bytes | memoryview) -> tuple[Any, ...]:
    """The same as a plain tuple, behind the format: half of the time. Raises ValueError on another format."""
    try:
        found = _HEADER.unpack_from(value)
    except struct.error:
        raise ValueError("an entry is too short") from None
    if found[0] != FORMAT or found[1] > _LAST_KIND:
        raise ValueError(f"entry format {found[0]}, kind {found[1]} is unknown: upgrade this program")
    return found


class ObjectRecord(msgspec.Struct, frozen=True, array_like=True):
    """The sealed part of an entry."""

    etag: str
    attributes: Attributes = Attributes()
    checksum: Checksum | None = None


class PartRecord(msgspec.Struct, frozen=True, array_like=True):
    """The sealed part of a part."""

    etag: str
    checksum: Checksum | None = None


class Piece(msgspec.Struct, frozen=True, array_like=True):
    """One part of a multipart object."""

    number: int
    size: int
    segment_id: bytes
    directory_id: bytes  # NO_DIRECTORY: inline
    checksum: Checksum | None = None


class BucketRow(msgspec.Struct, array_like=True):
    """A bucket's root nodes, counts and state. Reading checks `state` in the transaction that reads the object."""

    objects_root: bytes
    uploads_root: bytes
    objects: int = 0
    size: int = 0
    uploads: int = 0
    state: int = 0  # State
    parts_size: int = 0  # bytes of the parts of uploads in progress
    set_hash: bytes = b""  # of all entries (set_hash.py); empty only while a store of format 1 is brought to format 2


class State(IntEnum):
    """Life of a bucket's data."""

    OPEN = 0
    CLOSED = 1  # refuses everything, may be opened again
    DESTROYED = 2  # for ever: its key is gone and the id cannot come back


class Result(msgspec.Struct, frozen=True, array_like=True):
    """What a completed upload answered, kept a day so that a repetition gets the same answer."""

    size: int
    modified: int
    record: ObjectRecord
    part_sizes: tuple[int, ...]
    asked: bytes  # digest of the parts that were named: only the same question gets the same answer


_encode = msgspec.msgpack.Encoder().encode
_object = msgspec.msgpack.Decoder(ObjectRecord).decode
_part = msgspec.msgpack.Decoder(PartRecord).decode
_pieces = msgspec.msgpack.Decoder(list[Piece]).decode
_upload = msgspec.msgpack.Decoder(UploadInfo).decode
_result = msgspec.msgpack.Decoder(Result).decode
decode_row = msgspec.msgpack.Decoder(BucketRow).decode
encode_row = _encode


def new_id() -> bytes:
    """An id of a segment, object or upload: 48 bits of time and 80 random bits.

    Neighbours in time are neighbours in the index, so that a batch of writes touches few pages.
    """
    return (time.time_ns() // 1_000_000).to_bytes(6, "big") + os.urandom(10)


def now_ms() -> int:
    """Unix milliseconds."""
    return time.time_ns() // 1_000_000


def upload_key(name: bytes, upload_id: bytes) -> bytes:
    """Name of an upload in its tree: order of name, then id, as names hold no NUL."""
    return name + b"\0" + upload_id


def part_key(upload_id: bytes, number: int) -> bytes:
    """Key of a part."""
    return upload_id + number.to_bytes(2, "big")


def seal_entry(sealer: BucketSealer, name: bytes, header: Header, record: ObjectRecord) -> bytes:
    """An index entry."""
    clear = header.pack()
    return clear + sealer.seal_record(_encode(record), _ENTRY + clear + name)


def open_entry(sealer: BucketSealer, name: bytes, value: bytes | memoryview) -> ObjectRecord:
    """The sealed record of an index entry. Raises ValueError."""
    return _object(sealer.open_record(value[HEADER:], b"%b%b%b" % (_ENTRY, value[:HEADER], name)))


def open_entries(sealer: BucketSealer, found: list[tuple[bytes, bytes]]) -> list[ObjectRecord]:
    """The sealed records of index entries (name, value). Raises ValueError when any is damaged."""
    return [_object(record) for record in sealer.open_records(found, HEADER, _ENTRY)]


def seal_part(sealer: BucketSealer, key: bytes, header: Header, record: PartRecord) -> bytes:
    """A part."""
    clear = header.pack()
    return clear + sealer.seal_record(_encode(record), b"p" + clear + key)


def open_part(sealer: BucketSealer, key: bytes, value: bytes | memoryview) -> PartRecord:
    """The sealed record of a part. Raises ValueError."""
    return _part(sealer.open_record(value[HEADER:], b"p%b%b" % (value[:HEADER], key)))


def seal_manifest(sealer: BucketSealer, object_id: bytes, pieces: list[Piece]) -> bytes:
    """The list of a multipart object's parts."""
    return _FORMAT_ONLY + sealer.seal_record(_encode(pieces), b"m" + object_id)


def open_manifest(sealer: BucketSealer, object_id: bytes, value: bytes | memoryview) -> list[Piece]:
    """The parts of a multipart object. Raises ValueError."""
    return _pieces(sealer.open_record(_after_format(value), b"m" + object_id))


def seal_upload(sealer: BucketSealer, key: bytes, upload: UploadInfo) -> bytes:
    """An upload: when it began, in clear for listings, and all that its creation fixed."""
    clear = _FORMAT_ONLY + upload.initiated.to_bytes(8, "big")
    return clear + sealer.seal_record(_encode(upload), b"u" + clear + key)


def upload_initiated(value: bytes | memoryview) -> int:
    """When an upload began, Unix milliseconds."""
    return int.from_bytes(value[1:9], "big")


def open_upload(sealer: BucketSealer, key: bytes, value: bytes | memoryview) -> UploadInfo:
    """What an upload's creation fixed. Raises ValueError."""
    _after_format(value)
    return _upload(sealer.open_record(value[9:], b"u%b%b" % (value[:9], key)))


def seal_result(sealer: BucketSealer, key: bytes, result: Result) -> bytes:
    """The answer of a completion; `key` is the upload's, so that it answers only for its bucket and name."""
    return _FORMAT_ONLY + sealer.seal_record(_encode(result), b"c" + key)


def open_result(sealer: BucketSealer, key: bytes, value: bytes | memoryview) -> Result:
    """The answer of a completion. Raises ValueError, also for another bucket or name."""
    return _result(sealer.open_record(_after_format(value), b"c" + key))


def object_info(header: Header, record: ObjectRecord, pieces: Sequence[Piece] = ()) -> ObjectInfo:
    """An object as the port tells it; `pieces` are those of one that is made of parts."""
    if not pieces:
        return ObjectInfo(header.size, header.modified, record.etag, record.attributes, record.checksum)
    sizes = tuple(piece.size for piece in pieces)
    checksums = tuple(piece.checksum for piece in pieces)
    return ObjectInfo(header.size, header.modified, record.etag, record.attributes, record.checksum, sizes, checksums)


def _after_format(value: bytes | memoryview) -> bytes | memoryview:
    if not len(value) or value[0] != FORMAT:
        raise ValueError("a record of an unknown format: upgrade this program")
    return value[1:]
