"""Records as files, one each: `<record name>.json`, mode 0600. A gateway watches the folder.

The version of a record is the digest of its file: sealing uses a new nonce at every write, so no two writes are alike.
"""

import os
import re
from pathlib import Path
from typing import Final

from cooper_crds.records import Box, Record, RecordError, RecordTooNew, dump_file, load_file
from cooper_operator.cluster import safe_files
from cooper_operator.cluster.owners import record_owner
from cooper_operator.cluster.port import AlreadyExists, Conflict, Invalid, NotFound, Ref, StoredRecord, Unavailable
from cooper_operator.cluster.record_listing import DamagedRecord, RecordListing

_NAME: Final = re.compile(r"(?=.{1,250}\Z)[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?")
_SUFFIX: Final = ".json"
_MAX_SIZE: Final = 4 << 20


class RecordFiles:
    """The records folder. All raise Unavailable when it cannot be read or written."""

    def __init__(self, root: Path, box: Box) -> None:
        self._root = root
        self._box = box
        self._known: dict[str, tuple[safe_files.Signature, StoredRecord | DamagedRecord]] = {}
        self._owners: dict[str, Ref] = {}
        self._seen: dict[str, safe_files.Signature] = {}

    def open(self) -> None:
        """Make the folder, and remove what a crash left."""
        self._root.mkdir(mode=0o700, exist_ok=True)
        with safe_files.opened(self._root) as folder:
            safe_files.remove_temporaries(folder)
        self.changed()

    def get(self, name: str) -> StoredRecord | None:
        """One record, live. Raises RecordError when it is there and unreadable."""
        if not _NAME.fullmatch(name):
            return None  # no record can have this name
        stored = self._load(name)
        if isinstance(stored, DamagedRecord):
            raise stored.error
        return stored

    def listing(self) -> RecordListing:
        """All records, the damaged ones apart."""
        loaded = [self._load(name) for name in self._names()]
        return RecordListing(
            (each for each in loaded if isinstance(each, StoredRecord)),
            (each for each in loaded if isinstance(each, DamagedRecord)),
        )

    def create(self, name: str, record: Record) -> StoredRecord:
        """Create-only. Raises AlreadyExists, also over a damaged record: it still claims its name."""
        data = self._dumped(name, record)
        try:
            with safe_files.opened(self._root) as folder:
                safe_files.create(folder, name + _SUFFIX, data)
        except FileExistsError:
            raise AlreadyExists(f"record {name} exists already") from None
        except OSError as error:
            raise Unavailable(f"record {name} cannot be written: {error.strerror}") from None
        return self._wrote(name, record, data)

    def update(self, current: StoredRecord, record: Record) -> StoredRecord:
        """Replace. Raises Conflict, NotFound."""
        data = self._dumped(current.name, record)
        if not self._is_current(current):
            raise NotFound(f"record {current.name} does not exist")
        try:
            with safe_files.opened(self._root) as folder:
                safe_files.replace(folder, current.name + _SUFFIX, data)
        except OSError as error:
            raise Unavailable(f"record {current.name} cannot be written: {error.strerror}") from None
        return self._wrote(current.name, record, data)

    def delete(self, current: StoredRecord) -> None:
        """Delete. Raises Conflict; absent already is success."""
        if not self._is_current(current):
            return
        try:
            with safe_files.opened(self._root) as folder:
                safe_files.remove(folder, current.name + _SUFFIX)
        except OSError as error:
            raise Unavailable(f"record {current.name} cannot be removed: {error.strerror}") from None
        self._known.pop(current.name, None)
        self._seen.pop(current.name, None)

    def replace_damaged(self, name: str, record: Record) -> str:
        """Replace one that cannot be read; its file is kept beside. Raises NotFound, Conflict."""
        data = self._dumped(name, record)
        try:
            with safe_files.opened(self._root) as folder:
                found = self._load_from(folder, name)
                if found is None:
                    raise NotFound(f"record {name} does not exist")
                if isinstance(found, StoredRecord) or not found.replaceable:
                    raise Conflict(f"record {name} is not to be replaced")
                kept = safe_files.keep_beside(folder, name + _SUFFIX, ".damaged-")
                safe_files.replace(folder, name + _SUFFIX, data)
        except safe_files.NotRegular:
            raise Conflict(f"record {name} is not a regular file") from None
        except OSError as error:
            raise Unavailable(f"record {name} cannot be replaced: {error.strerror}") from None
        self._wrote(name, record, data)
        return kept

    def changed(self) -> set[Ref]:
        """Owners of records that somebody else wrote or removed since the last call."""
        seen = self._signatures()
        names = {name for name in seen.keys() | self._seen.keys() if seen.get(name) != self._seen.get(name)}
        self._seen = seen
        before = {name: self._owners.get(name) for name in names}
        for name in names & seen.keys():
            self._load(name)
        found = [*before.values(), *(self._owners.get(name) for name in names)]
        return {owner for owner in found if owner is not None}

    def _load(self, name: str) -> StoredRecord | DamagedRecord | None:
        try:
            with safe_files.opened(self._root) as folder:
                return self._load_from(folder, name)
        except safe_files.NotRegular:
            return DamagedRecord(name, "it is not a regular file", replaceable=False)
        except OSError as error:
            raise Unavailable(f"record {name} cannot be read: {error.strerror}") from None

    def _load_from(self, folder: int, name: str) -> StoredRecord | DamagedRecord | None:
        try:
            status = os.stat(name + _SUFFIX, dir_fd=folder, follow_symlinks=False)
        except FileNotFoundError:
            return None
        known = self._known.get(name)
        if known and known[0] == safe_files.signature(status):
            return known[1]
        found = safe_files.read(folder, name + _SUFFIX, _MAX_SIZE)
        if found is None:
            return None
        data, status = found
        stored = self._decoded(name, data)
        self._known[name] = (safe_files.signature(status), stored)
        return stored

    def _decoded(self, name: str, data: bytes) -> StoredRecord | DamagedRecord:
        try:
            record = load_file(data, self._box)
        except RecordError as error:
            return DamagedRecord(name, str(error), replaceable=not isinstance(error, RecordTooNew))
        self._remember_owner(name, record)
        return StoredRecord(name, record, safe_files.digest(data))

    def _is_current(self, current: StoredRecord) -> bool:
        """Whether the record is there as it was read; False when it is gone. Raises Conflict."""
        stored = self._load(current.name)
        if isinstance(stored, DamagedRecord) or (stored is not None and stored.version != current.version):
            raise Conflict(f"record {current.name} changed since it was read")
        return stored is not None

    def _dumped(self, name: str, record: Record) -> bytes:
        if not _NAME.fullmatch(name):
            raise Invalid(f"record {name[:60]!r}: a record's name is a DNS name of at most 250 characters")
        return dump_file(record, self._box)

    def _wrote(self, name: str, record: Record, data: bytes) -> StoredRecord:
        self._remember_owner(name, record)
        self._seen.update(self._signature(name))
        return StoredRecord(name, record, safe_files.digest(data))

    def _remember_owner(self, name: str, record: Record) -> None:
        owner = record_owner(record)
        if owner:
            self._owners[name] = owner

    def _names(self) -> list[str]:
        return sorted(self._signatures())

    def _signature(self, name: str) -> dict[str, safe_files.Signature]:
        try:
            status = os.lstat(self._root / (name + _SUFFIX))
        except OSError:
            return {}
        return {name: safe_files.signature(status)}

    def _signatures(self) -> dict[str, safe_files.Signature]:
        """Signatures of all records' files. Files of other names are not records."""
        try:
            with safe_files.opened(self._root) as folder, os.scandir(folder) as entries:
                found = [entry for entry in entries if entry.name.endswith(_SUFFIX)]
                named = [(entry.name.removesuffix(_SUFFIX), entry) for entry in found]
                return {name: s for name, entry in named if _NAME.fullmatch(name) and (s := _stat(entry))}
        except OSError as error:
            raise Unavailable(f"the records folder cannot be read: {error.strerror}") from None


def reseal(root: Path, box: Box, newest: Box) -> None:
    """Have `newest` seal all secrets that `box` opens and it does not. Only while nobody else writes into the folder.
    Raises OSError."""
    try:
        with safe_files.opened(root) as folder:
            for name in sorted(os.listdir(folder)):
                if not name.endswith(_SUFFIX) or not _NAME.fullmatch(name.removesuffix(_SUFFIX)):
                    continue
                try:
                    found = safe_files.read(folder, name, _MAX_SIZE)
                except safe_files.NotRegular:
                    continue
                record = None if found is None else _opened_by_others(found[0], box, newest)
                if record is not None:
                    safe_files.replace(folder, name, dump_file(record, newest))
    except FileNotFoundError:
        return  # there are no records in files


def _opened_by_others(data: bytes, box: Box, newest: Box) -> Record | None:
    """The record, if its secret is to be sealed anew; one that cannot be read is left as it is."""
    try:
        load_file(data, newest)
    except RecordError:
        try:
            return load_file(data, box)
        except RecordError:
            pass
    return None


def _stat(entry: os.DirEntry[str]) -> safe_files.Signature | None:
    try:
        return safe_files.signature(entry.stat(follow_symlinks=False))
    except FileNotFoundError:
        return None
