"""What an API server would keep, as files: one per object, one per tombstone, and the report of problems.

Names of files are UIDs and digests, since a resource's name can be as long as a file's name may be, before any suffix.
"""

import hashlib
import os
from pathlib import Path
from typing import Any, Final, TypeVar

import msgspec

from cooper_operator.cluster import safe_files
from cooper_operator.cluster.declaration import Declaration, Tombstone
from cooper_operator.cluster.folder_report import FolderReport
from cooper_operator.cluster.objects import Entry, ref_of
from cooper_operator.cluster.port import Ref, Unavailable

_T = TypeVar("_T")
_VERSION: Final = 1
_MAX_SIZE: Final = 8 << 20
_OBJECTS: Final = "objects"
_TOMBSTONES: Final = "tombstones"
_REPORT: Final = "report.json"


class _Stored(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel", omit_defaults=True):
    version: int
    object: dict[str, Any]
    declaration: Declaration | None = None


class StateFiles:
    """The state folder's part that is about objects. Implements `objects.Storage`. Raises Unavailable."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self.tombstones: dict[Ref, Tombstone] = {}

    def load(self) -> list[Entry]:
        """Read everything. A damaged file makes the whole state unavailable: what it held must not count as gone."""
        stored = self._load_all(_OBJECTS, _Stored)
        entries: dict[Ref, Entry] = {}
        for name, each in stored.items():
            ref = _identity(name, each)
            if ref in entries:
                raise Unavailable(f"state: {_OBJECTS}/{name}: {ref} is kept twice: restore the state from a backup")
            entries[ref] = Entry(each.object, each.declaration)
        tombstones = self._load_all(_TOMBSTONES, Tombstone).values()
        self.tombstones = {tombstone.ref: tombstone for tombstone in tombstones}
        return list(entries.values())

    def save(self, ref: Ref, entry: Entry) -> None:
        """Keep an object."""
        stored = _Stored(_VERSION, entry.obj, entry.declaration)
        self._write(_OBJECTS, _object_file(entry), msgspec.json.encode(stored))

    def remove(self, ref: Ref, entry: Entry) -> None:
        """Forget an object; one that was deleted other than by its file leaves a tombstone, written first."""
        declaration = entry.declaration
        if declaration and declaration.deleted_digest:
            tombstone = Tombstone(ref.kind, ref.namespace, ref.name, declaration.path, declaration.deleted_digest)
            self._write(_TOMBSTONES, _tombstone_file(ref), msgspec.json.encode(tombstone))
            self.tombstones[ref] = tombstone
        self._unlink(_OBJECTS, _object_file(entry))

    def forget_tombstone(self, ref: Ref) -> None:
        """Let a resource be made again."""
        self._unlink(_TOMBSTONES, _tombstone_file(ref))
        self.tombstones.pop(ref, None)

    def save_report(self, report: FolderReport) -> None:
        """Keep the report for who looks from another process."""
        self._write(None, _REPORT, msgspec.json.encode(report))

    def load_report(self) -> FolderReport:
        """What `save_report` kept; an empty one when there is nothing."""
        try:
            with safe_files.opened(self._root) as folder:
                found = safe_files.read(folder, _REPORT, _MAX_SIZE)
            return msgspec.json.decode(found[0], type=FolderReport) if found else FolderReport()
        except FileNotFoundError:
            return FolderReport()
        except (OSError, safe_files.NotRegular, msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise Unavailable(f"state: {_REPORT} cannot be read: {error}") from None

    def remove_temporaries(self) -> None:
        """Remove what a crash left. Only for the one process that writes here."""
        for parts in ((), (_OBJECTS,), (_TOMBSTONES,)):
            with safe_files.opened(self._root, *parts, create=True) as folder:
                safe_files.remove_temporaries(folder)

    def _load_all(self, part: str, type_: type[_T]) -> dict[str, _T]:
        loaded: dict[str, _T] = {}
        try:
            with safe_files.opened(self._root, part) as folder:
                for name in sorted(os.listdir(folder)):
                    found = safe_files.read(folder, name, _MAX_SIZE) if name.endswith(".json") else None
                    if found is not None:
                        loaded[name] = msgspec.json.decode(found[0], type=type_)
        except FileNotFoundError:
            return {}
        except (OSError, safe_files.NotRegular, msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise Unavailable(f"state: {part} cannot be read: {error}") from None
        return loaded

    def _write(self, part: str | None, name: str, data: bytes) -> None:
        try:
            with safe_files.opened(self._root, *([part] if part else []), create=True) as folder:
                safe_files.replace(folder, name, data)
        except OSError as error:
            raise Unavailable(f"state: {name} cannot be written: {error.strerror}") from None

    def _unlink(self, part: str, name: str) -> None:
        try:
            with safe_files.opened(self._root, part, create=True) as folder:
                safe_files.remove(folder, name)
        except OSError as error:
            raise Unavailable(f"state: {name} cannot be removed: {error.strerror}") from None


def _identity(name: str, stored: _Stored) -> Ref:
    if stored.version != _VERSION:
        raise Unavailable(f"state: {_OBJECTS}/{name} has version {stored.version}: upgrade Cooper")
    try:
        int(stored.object["metadata"]["resourceVersion"])
        ref = ref_of(stored.object)
        if name != _object_file(Entry(stored.object)):
            raise KeyError("uid")
    except (KeyError, TypeError, ValueError):
        raise Unavailable(f"state: {_OBJECTS}/{name} is damaged: restore the state from a backup") from None
    return ref


def _object_file(entry: Entry) -> str:
    return entry.obj["metadata"]["uid"] + ".json"


def _tombstone_file(ref: Ref) -> str:
    return hashlib.sha256(str(ref).encode()).hexdigest()[:32] + ".json"
