"""The manifest of a backup: what the store was, and every file with size and digest. Without one there is no backup.

```
{"snapshot":"<id>","store":"<id>","storeFormat":"2","kek":"<fingerprint>","made":<ms>,"format":1}
["snapshots/<id>/<path>",<size>,"<sha256>"]
["segments/<directory id>/<segment id>",<size>,"<sha256>"]
...
{"files":<count>,"size":<bytes>,"sha256":"<digest of all lines before>"}
```
It is put in its place last and in one step. Segments come last, in the order of their ids. A store may have a million
of them: neither who writes a manifest nor who reads one has all of it in memory.
"""

import contextlib
import hashlib
import os
import re
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Final, TypeVar

import msgspec

from cooper_gateway.storage.layout import sync_directory

NAME: Final = "manifest"
FORMAT: Final = 1

_LONGEST_LINE: Final = 65536
_Line = TypeVar("_Line")

#: Every path that a manifest may name. What else it says could lead out of the folder.
_PATH: Final = re.compile(
    r"segments/[0-9a-f]{16}/[0-9a-f]{32}"
    r"|snapshots/[0-9a-f]{16}/(index/data\.mdb|bucket-keys/[0-9a-f]{32}\.key|state/[a-z-]+(/[\w-][\w.@=%+-]*)+)",
    re.ASCII,
)
_BESIDE: Final = re.compile(r"[\w-][\w.@=%+-]*", re.ASCII)
_SNAPSHOT: Final = re.compile(r"[0-9a-f]{16}")


class BackupUnusable(Exception):
    """There is no complete backup, or it is damaged: the reason."""


class Head(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    """What the store was."""

    snapshot: str  # id of this backup's own folder
    store: str  # id of the store, hex
    store_format: str
    kek: str  # fingerprints of the key-encryption keys, with blanks between
    made: int  # Unix ms
    format: int = FORMAT


class Entry(msgspec.Struct, array_like=True, frozen=True):
    """A file of the backup."""

    path: str
    size: int
    sha256: str


class _Tail(msgspec.Struct, forbid_unknown_fields=True):
    files: int
    size: int
    sha256: str


class _Format(msgspec.Struct):
    format: int = 0


def is_beside(name: str) -> bool:
    """Whether a file of a program's own state is one that backups take: drafts begin with a dot."""
    return _BESIDE.fullmatch(name) is not None


class Writer:
    """A manifest in the making: a file beside the one that counts, until `finish` puts it in its place."""

    def __init__(self, folder: Path) -> None:
        """Raises OSError."""
        self._folder = folder
        self._draft = folder / f"{NAME}.new"
        self._draft.unlink(missing_ok=True)
        descriptor = os.open(self._draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        self._file = os.fdopen(descriptor, "wb")
        self._digest = hashlib.sha256()
        self.files = self.size = 0

    def begin(self, head: Head) -> None:
        """Say what the store was: the first line."""
        self._add(head)

    def add(self, entry: Entry) -> None:
        """Name a file."""
        self._add(entry)
        self.files += 1
        self.size += entry.size

    def finish(self) -> None:
        """Put it in the place of the one before, durable. Raises OSError."""
        self._file.write(msgspec.json.encode(_Tail(self.files, self.size, self._digest.hexdigest())) + b"\n")
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        os.rename(self._draft, self._folder / NAME)
        sync_directory(self._folder)

    def close(self) -> None:
        """Let go of the file, whatever became of it: what cannot be written any more, on a full disk, is not missed."""
        with contextlib.suppress(OSError):
            self._file.close()

    def _add(self, value: object) -> None:
        line = msgspec.json.encode(value) + b"\n"
        self._digest.update(line)
        self._file.write(line)


class Manifest:
    """The manifest of a backup, whole: every line of it was checked when it was opened."""

    def __init__(self, folder: Path) -> None:
        """Read and check it. Raises BackupUnusable."""
        self._path = folder / NAME
        digest, files, size = hashlib.sha256(), 0, 0
        with contextlib.closing(self._lines()) as lines:
            first = next(lines, b"")
            self.head = self._head(first)
            digest.update(first)
            last = next(lines, b"")
            for line in lines:
                entry = self._entry(last)
                digest.update(last)
                files, size, last = files + 1, size + entry.size, line
        tail = self._decoded(last, _Tail)
        if tail != _Tail(files, size, digest.hexdigest()) or not last.endswith(b"\n"):
            raise BackupUnusable(f"{self._path} is damaged: it is not as it was written")
        self.files = files

    def entries(self) -> Iterator[Entry]:
        """Every file, read from the disk as it goes. Raises BackupUnusable."""
        with contextlib.closing(self._lines()) as lines:
            next(lines, b"")
            last = next(lines, b"")
            for line in lines:
                yield self._entry(last)
                last = line

    def _lines(self) -> Generator[bytes]:
        try:
            with self._path.open("rb") as file:
                while line := file.readline(_LONGEST_LINE):
                    yield line
        except FileNotFoundError:
            raise BackupUnusable(
                f"{self._path.parent} holds no complete backup: there is no manifest, which is written when all else "
                "is there"
            ) from None
        except OSError as error:
            raise BackupUnusable(f"{self._path} cannot be read: {error.strerror}") from None

    def _head(self, line: bytes) -> Head:
        version = self._decoded(line, _Format).format
        if version != FORMAT:
            raise BackupUnusable(f"{self._path} has format {version}, this program knows {FORMAT}: upgrade it")
        head = self._decoded(line, Head)
        if not _SNAPSHOT.fullmatch(head.snapshot):
            raise BackupUnusable(f"{self._path} is damaged: it is not as it was written")
        return head

    def _entry(self, line: bytes) -> Entry:
        entry = self._decoded(line, Entry)
        if not _PATH.fullmatch(entry.path):
            raise BackupUnusable(f"{self._path} names a file that no backup has: {entry.path!r}")
        return entry

    def _decoded(self, line: bytes, kind: type[_Line]) -> _Line:
        try:
            return msgspec.json.decode(line, type=kind)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):  # the last two of strings and of brackets
            raise BackupUnusable(f"{self._path} is damaged") from None
