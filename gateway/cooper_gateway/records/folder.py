"""Records from a folder of files, for a gateway without a cluster.

A reading yields what changed since the last one. A file that cannot be used is left out, which denies what it grants,
and is reported once per change; a folder that cannot be read proves nothing, so nothing changes.
"""

import os
import re
import stat
from collections.abc import Collection, Generator, Iterator
from contextlib import contextmanager
from typing import Final

from cooper_crds.kubernetes import RECORD_KINDS
from cooper_crds.records import Box, Record, RecordError, load_file
from cooper_gateway.records.source import Ledger, Reading, SourceUnreadable
from cooper_gateway.records.table import record_name

_KINDS: Final = "|".join(RECORD_KINDS)
_FILE_NAME: Final = re.compile(rf"((?:{_KINDS})-[a-z0-9.-]{{1,240}})\.json")
#: A record is a few hundred bytes and 60 for each grant; what is larger was not written by an operator.
_LARGEST_FILE: Final = 1 << 20
#: A file rewritten in place within one tick of the kernel's clock keeps its times: young files are read once more.
_SETTLED_SECONDS: Final = 0.1

Signature = tuple[int, int, int, int]


class FolderUnreadable(SourceUnreadable):
    """The folder could not be listed: nothing is known, least of all that a record is gone."""


class RecordsFolder:
    """Reads a folder's record files of one Region, and remembers each file's signature: a relist reads what changed."""

    def __init__(self, path: str, box: Box, region: str) -> None:
        self._path = path
        self._box = box
        self._seen: dict[str, Signature | None] = {}  # record name -> signature; None: read it again next time
        self._ledger = Ledger(region, lambda name: name + ".json")

    @property
    def broken(self) -> int:
        """How many files are there and cannot be used."""
        return self._ledger.broken

    @property
    def usable(self) -> int:
        """How many records are there."""
        return self._ledger.usable

    def has(self, name: str) -> bool:
        """Whether the record of that name is there and can be used."""
        return self._ledger.has(name)

    def forget(self) -> None:
        """Forget all signatures: the next complete reading yields every record."""
        self._seen.clear()
        self._ledger.forget()

    def read_all(self, now: float) -> Reading:
        """Read the whole folder; `now` is in Unix seconds. Raises FolderUnreadable: then `forget` before going on."""
        with self._opened() as folder:
            with os.scandir(folder) as entries:
                present = {entry.name[:-5] for entry in entries if _FILE_NAME.fullmatch(entry.name)}
            # A listing that runs beside a rename may miss the file: whatever was there is looked for by name.
            return self._read(folder, present | self._seen.keys(), now)

    def read_files(self, file_names: Collection[str], now: float) -> Reading:
        """Read only these files of the folder. Raises FolderUnreadable: then `forget` before going on."""
        with self._opened() as folder:
            return self._read(folder, {name[:-5] for name in file_names if _FILE_NAME.fullmatch(name)}, now)

    @contextmanager
    def _opened(self) -> Generator[int, None, None]:
        """A handle of the folder: files are looked up in what was listed, even when it is renamed meanwhile."""
        try:
            folder = os.open(self._path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                yield folder
                if os.fstat(folder).st_nlink == 0:
                    raise FolderUnreadable(f"the records folder {self._path} was removed")
            finally:
                os.close(folder)
        except OSError as error:
            raise FolderUnreadable(f"the records folder {self._path} cannot be read: {error.strerror}") from None

    def _read(self, folder: int, names: Collection[str], now: float) -> Reading:
        reading = Reading()
        for name in names:
            self._read_one(folder, name, now, reading)
        return reading

    def _read_one(self, folder: int, name: str, now: float, reading: Reading) -> None:
        try:
            status = os.lstat(name + ".json", dir_fd=folder)
        except FileNotFoundError:
            self._seen.pop(name, None)
            self._ledger.gone(name, reading)
            return
        signature = (status.st_mtime_ns, status.st_ctime_ns, status.st_size, status.st_ino)
        if self._seen.get(name) == signature:
            return
        self._seen[name] = signature if now - status.st_ctime > _SETTLED_SECONDS else None
        try:
            record = self._load(folder, name)
        except RecordError as error:
            self._ledger.unusable(name, str(error), reading)
        except OSError as error:
            self._seen[name] = None
            self._ledger.unusable(name, f"cannot be read: {error.strerror}", reading)
        else:
            self._ledger.found(name, record, reading)

    def _load(self, folder: int, name: str) -> Record:
        record = load_file(_read_regular(folder, name + ".json"), self._box)
        if record_name(record) != name:
            raise RecordError(f"its content is the record {record_name(record)}: it was renamed or copied")
        return record


def _read_regular(folder: int, name: str) -> bytes:
    # A link could lead out of the folder and a FIFO would hold the reader up for ever.
    handle = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder)
    try:
        status = os.fstat(handle)
        if not stat.S_ISREG(status.st_mode):
            raise RecordError("it is not a regular file")
        if status.st_size > _LARGEST_FILE:
            raise RecordError(f"it has {status.st_size} bytes; a record has at most {_LARGEST_FILE}")
        return b"".join(_chunks(handle))
    finally:
        os.close(handle)


def _chunks(handle: int) -> Iterator[bytes]:
    left = _LARGEST_FILE + 1
    while left > 0 and (chunk := os.read(handle, min(left, 1 << 16))):
        left -= len(chunk)
        yield chunk
