"""The mirror: the records as they were taken in last, on disk, so that a gateway can start while their source is away.

A journal: a snapshot of all records, then every change, each synced before it takes effect. What was enforced is
never forgotten by a restart. Frames are sealed under the key-encryption key, each for its place in this very file, so
none can be read, altered, moved or taken from another. See docs/formats.md.
"""

import os
import struct
import zlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from itertools import islice
from typing import Final

import msgspec

from cooper_crds.records import Box, Record, RecordError, decode, encode

_MAGIC: Final = b"CRM1"
_ID_SIZE: Final = 16
_HEADER_SIZE: Final = len(_MAGIC) + _ID_SIZE
_FRAME_HEADER: Final = struct.Struct(">II")  # length of what follows, CRC-32 of number and length
_LENGTH: Final = struct.Struct(">I")
_NUMBER: Final = struct.Struct(">Q")
#: Records of a snapshot that share a frame.
_FRAME_RECORDS: Final = 512
#: A journal is rewritten when it has grown to this many times its snapshot, and by this much.
_GROWTH: Final = 2
_LEAST_GROWTH: Final = 1 << 20


class MirrorDamaged(Exception):
    """The mirror cannot be used: the reason."""


class _Frame(msgspec.Struct, array_like=True, frozen=True):
    gone: list[str]  # record names
    records: dict[str, bytes]  # record name -> JSON


class Mirror:
    """The file. `source` names where its records come from: a mirror of another source is no mirror."""

    def __init__(self, path: str, box: Box, source: str) -> None:
        self._path = path
        self._box = box
        self._source = source.encode()
        self._handle = -1
        self._id = b""
        self._frames = 0
        self._size = 0
        self._snapshot_size = 0

    @property
    def writable(self) -> bool:
        """Whether changes can be appended: since `replace`, and as long as nothing has failed."""
        return self._handle >= 0

    @property
    def overgrown(self) -> bool:
        """Whether it is worth a `replace`."""
        return self._size > _GROWTH * self._snapshot_size + _LEAST_GROWTH

    def load(self) -> dict[str, Record] | None:
        """The records that it holds; None when there is no mirror. Raises MirrorDamaged."""
        try:
            with open(self._path, "rb") as file:
                data = file.read()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise MirrorDamaged(f"it cannot be read: {error.strerror}") from None
        if len(data) < _HEADER_SIZE or data[: len(_MAGIC)] != _MAGIC:
            raise MirrorDamaged("it is not a file of this format")
        records: dict[str, Record] = {}
        try:
            for frame in self._opened(data):
                for name in frame.gone:
                    records.pop(name, None)
                records.update((name, decode(content)) for name, content in frame.records.items())
        except RecordError as error:
            raise MirrorDamaged(str(error)) from None
        except (ValueError, msgspec.MsgspecError):
            raise MirrorDamaged("it was altered, or made with another key, or for another source") from None
        return records

    def replace(self, records: Iterable[tuple[str, Record]]) -> None:
        """Make it hold exactly these records, on disk when this returns. Raises OSError; then it is as it was."""
        self.close()
        draft = self._path + ".new"
        handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND | os.O_CLOEXEC, 0o600)
        try:
            self._id, self._frames, self._size = os.urandom(_ID_SIZE), 0, 0
            self._write(handle, _MAGIC + self._id)
            rows = iter(records)
            while chunk := {name: encode(record) for name, record in islice(rows, _FRAME_RECORDS)}:
                self._write(handle, self._sealed(_Frame([], chunk)))
            os.fsync(handle)
            os.replace(draft, self._path)
            _sync_folder_of(self._path)
        except BaseException:
            os.close(handle)
            with suppress(OSError):
                os.unlink(draft)  # on a full disk its room is needed
            raise
        self._handle, self._snapshot_size = handle, self._size

    def append(self, changes: Mapping[str, Record | None]) -> None:
        """Add these changes (None: gone), on disk when this returns. Raises OSError: then `discard` it."""
        gone = [name for name, record in changes.items() if record is None]
        records = {name: encode(record) for name, record in changes.items() if record is not None}
        self._write(self._handle, self._sealed(_Frame(gone, records)))
        os.fdatasync(self._handle)

    def discard(self) -> None:
        """Remove it, since it does not say what is true any more. Raises OSError."""
        self.close()
        try:
            os.unlink(self._path)
        except FileNotFoundError:
            return
        _sync_folder_of(self._path)

    def close(self) -> None:
        """Append no more; the next write is a `replace`."""
        if self._handle >= 0:
            os.close(self._handle)
        self._handle = -1

    def _sealed(self, frame: _Frame) -> bytes:
        sealed = self._box.seal(msgspec.msgpack.encode(frame), self._context(self._id, self._frames))
        header = _frame_header(self._frames, len(sealed))
        self._frames += 1
        return header + sealed

    def _write(self, handle: int, data: bytes) -> None:
        left = memoryview(data)
        while left:
            left = left[os.write(handle, left) :]
        self._size += len(data)

    def _opened(self, data: bytes) -> Iterator[_Frame]:
        """The frames. What a crash left of the last one never took effect, and is not there."""
        identity, position, number = data[len(_MAGIC) : _HEADER_SIZE], _HEADER_SIZE, 0
        while (begin := position + _FRAME_HEADER.size) <= len(data):
            length = _LENGTH.unpack_from(data, position)[0]
            if data[position:begin] != _frame_header(number, length):
                raise ValueError("a frame's header does not verify")
            position = begin + length
            if position > len(data):
                return
            plain = self._box.open(data[begin:position], self._context(identity, number))
            yield msgspec.msgpack.decode(plain, type=_Frame)
            number += 1

    def _context(self, identity: bytes, number: int) -> bytes:
        return b"records mirror " + identity + _NUMBER.pack(number) + self._source


def _frame_header(number: int, length: int) -> bytes:
    """Tells a frame that was cut off, which is no harm, from a length that was damaged."""
    return _FRAME_HEADER.pack(length, zlib.crc32(_NUMBER.pack(number) + _LENGTH.pack(length)))


def _sync_folder_of(path: str) -> None:
    folder = os.open(os.path.dirname(path), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
