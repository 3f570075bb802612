"""Copying a store that is at work: the index as it is at one instant, and every file that it refers to.

```
<target>/
  manifest                                   written last: what is not in it does not count
  lock                                       of who makes a backup
  segments/<directory id>/<segment id>       shared by all backups into this folder: segments never change
  snapshots/<id>/index/data.mdb              the index, compacted
  snapshots/<id>/bucket-keys/<data id>.key   wrapped keys
  snapshots/<id>/state/…                     what lies beside a store where `cooper up` runs
```
Whoever calls holds a lease, or the store's lock: nothing that the copy of the index refers to is removed meanwhile. The
copy of the index itself is one read transaction, which ends before the files are copied: pages that it keeps from being
reused would make the index grow.
"""

import hashlib
import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import lmdb

from cooper_gateway.storage import backup_folder, backup_manifest
from cooper_gateway.storage.backup_folder import BackupFailed
from cooper_gateway.storage.backup_manifest import Entry, Head, Manifest
from cooper_gateway.storage.copying import copy, folders_of
from cooper_gateway.storage.entries import DIRECTORY_ID, State, decode_row
from cooper_gateway.storage.index import TABLES, Index, open_readonly
from cooper_gateway.storage.layout import Layout, sync_directory
from cooper_gateway.storage.verification.pace import Pace

_MOST_TABLES: Final = len(TABLES) + 4
_BETWEEN_CHECKS: Final = 64  # files, between two looks at whether all is still held back


@dataclass(frozen=True, slots=True)
class Summary:
    """What a backup holds."""

    kek: str  # fingerprints of the key-encryption keys that it needs, with blanks between: they are not in it
    files: int
    size: int  # bytes
    copied: int  # bytes of those that were not there from a backup before


class Backup:
    """One backup of a store into a folder."""

    def __init__(
        self,
        layout: Layout,
        map_size: int,
        target: Path,
        check: Callable[[], None],
        *,
        beside: Sequence[str] = (),
        rate: int = 0,
        progress: Callable[[int, int], None] = lambda done, of: None,
    ) -> None:
        """`check` raises when what is held back may be gone; `beside` are folders in the data folder that belong to the
        store's program, copied in this order; `progress` is told how many files are done, of how many.
        """
        self._layout = layout
        self._map_size = map_size
        self._target = target
        self._check = check
        self._beside = beside
        self._pace = Pace(rate)
        self._progress = progress
        self._snapshot = os.urandom(8).hex()
        self._copied = 0

    def run(self) -> Summary:
        """Make it. Raises BackupFailed, OSError, or what `check` raises."""
        made = [folder for folder in self._target.parents if not folder.exists()]
        self._target.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._refuse_strange()
        with backup_folder.locked(self._target):
            return self._run(made)

    def _run(self, made: Sequence[Path]) -> Summary:
        """Make it, where nobody else makes one. `made` are folders that were not there."""
        before = self._before()
        for folder in (self._target / "segments", self._target / "snapshots"):
            backup_folder.make(folder)
        self._drop_snapshots("" if before is None else before.head.snapshot)  # of backups that failed
        own = self._target / "snapshots" / self._snapshot
        for folder in (own, own / "index", own / "bucket-keys"):
            folder.mkdir(mode=0o700)
        manifest = backup_manifest.Writer(self._target)
        try:
            beside = [entry for folder in self._beside for entry in self._copy_beside(folder, own)]
            self._copy_index(own / "index")
            with _Snapshot(own / "index", self._map_size) as snapshot:
                head = snapshot.head(self._snapshot)
                manifest.begin(head)
                for entry in (*beside, self._entry(own / "index" / "data.mdb")):
                    manifest.add(entry)
                for data_id, holds_something in snapshot.buckets():
                    path = self._layout.bucket_key(data_id)
                    if holds_something or path.exists():
                        manifest.add(self._copy(path, own / "bucket-keys"))
                for entry in self._copy_segments(snapshot, before):
                    manifest.add(entry)
                for folder in (*folders_of(own), own.parent, self._target / "segments", self._target):
                    sync_directory(folder)
                for folder in (self._target.parent, *(new.parent for new in made)):
                    sync_directory(folder)
                self._check()
                manifest.finish()
                self._clear(snapshot)
        finally:
            manifest.close()
        return Summary(head.kek, manifest.files, manifest.size, self._copied)

    def _before(self) -> Manifest | None:
        """The backup that the folder already holds."""
        if (self._target / backup_manifest.NAME).exists():
            manifest = Manifest(self._target)
            if manifest.head.store != self._store_id():
                raise BackupFailed(f"{self._target} holds a backup of another store: name another folder")
            return manifest
        return None

    def _refuse_strange(self) -> None:
        """What else lies in the folder shows that it is not meant for a backup."""
        here = set(os.listdir(self._target))
        if backup_manifest.NAME in here:
            return
        strange = here - _OWN
        for each in here & {"segments", "snapshots"}:
            folder = self._target / each
            if folder.is_dir() and not folder.is_symlink():
                strange |= {f"{each}/{name}" for name in os.listdir(folder) if not backup_folder.is_own(name)}
        if strange:
            raise BackupFailed(f"{self._target} holds other things ({min(strange)}): name an empty folder")

    def _store_id(self) -> str:
        index = self._open_index()
        try:
            with index.read() as txn:
                return bytes(txn.get(b"id", default=b"", db=index.meta)).hex()
        finally:
            index.env.close()

    def _copy_index(self, folder: Path) -> None:
        index = self._open_index()
        try:
            index.env.copy(str(folder), compact=True)
        except lmdb.Error as error:
            raise BackupFailed(f"the index could not be copied to {folder}: {error}") from None
        finally:
            index.env.close()
        (folder / "data.mdb").chmod(0o600)
        _sync(folder / "data.mdb")

    def _open_index(self) -> Index:
        index = open_readonly(self._layout, self._map_size)
        if index is None:
            raise BackupFailed(f"{self._layout.root} holds no store that can be read: start its program once")
        return index

    def _copy_beside(self, name: str, own: Path) -> Iterator[Entry]:
        """Copy the files below a folder, which are replaced as wholes. One that is removed meanwhile is left out."""
        for source, folders, files in os.walk(self._layout.root / name):
            folders[:] = sorted(filter(backup_manifest.is_beside, folders))
            folder = own / Path(source).relative_to(self._layout.root)
            folder.mkdir(mode=0o700, parents=True)
            for file in sorted(filter(backup_manifest.is_beside, files)):
                try:
                    with Path(source, file).open("rb") as reading:
                        digest, size = copy(reading.fileno(), folder / file, self._pace)
                except FileNotFoundError:
                    continue
                self._copied += size
                yield Entry(str((folder / file).relative_to(self._target)), size, digest)

    def _copy_segments(self, snapshot: "_Snapshot", before: Manifest | None) -> Iterator[Entry]:
        """Copy those that a backup before has not. They come ordered by directory: each is synced once."""
        known = _Former(before)
        count, folder = snapshot.count(), None
        for number, (directory_id, segment_id) in enumerate(snapshot.segments()):
            target = self._target / "segments" / directory_id.hex()
            if target != folder:
                if folder is not None:
                    sync_directory(folder)
                folder = target
                backup_folder.make(folder)
            if number % _BETWEEN_CHECKS == 0:
                self._check()
            former = known.entry(f"segments/{directory_id.hex()}/{segment_id.hex()}")
            if former is not None and _size(target / segment_id.hex()) == former.size:
                yield former
            else:
                yield self._copy(self._layout.segment(directory_id, segment_id), target)
            self._progress(number + 1, count)
        if folder is not None:
            sync_directory(folder)

    def _copy(self, source: Path, folder: Path) -> Entry:
        """Copy a file, durable. What a backup that was cut short left is written anew."""
        target = folder / source.name
        target.unlink(missing_ok=True)
        try:
            with source.open("rb") as reading:
                digest, size = copy(reading.fileno(), target, self._pace)
        except FileNotFoundError:
            self._check()
            raise BackupFailed(f"{source} is missing: `cooper store verify` says whose it is") from None
        self._copied += size
        return Entry(str(target.relative_to(self._target)), size, digest)

    def _entry(self, path: Path) -> Entry:
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        size = path.stat().st_size
        self._copied += size
        return Entry(str(path.relative_to(self._target)), size, digest)

    def _clear(self, snapshot: "_Snapshot") -> None:
        """Remove what only an earlier backup had: the manifest names it no more."""
        self._drop_snapshots(self._snapshot)
        for folder in backup_folder.own_in(self._target / "segments"):
            if folder.is_symlink() or not folder.is_dir():
                folder.unlink()
                continue
            for file in folder.iterdir():
                if not snapshot.names(folder.name, file.name):
                    backup_folder.remove(file)
            if not any(folder.iterdir()):
                folder.rmdir()

    def _drop_snapshots(self, kept: str) -> None:
        """Remove all of them but one."""
        for folder in backup_folder.own_in(self._target / "snapshots"):
            if folder.name != kept:
                backup_folder.remove(folder)


_OWN: Final = frozenset({"segments", "snapshots", backup_folder.LOCK, f"{backup_manifest.NAME}.new"})


class _Snapshot:
    """The copy of the index, which says what belongs to the backup. A context manager."""

    def __init__(self, folder: Path, map_size: int) -> None:
        self._env = lmdb.open(str(folder), readonly=True, lock=False, max_dbs=_MOST_TABLES, map_size=map_size)
        self._tables = {name: self._env.open_db(name.encode(), create=False) for name in ("meta", "buckets", "files")}
        self._txn = self._env.begin()

    def __enter__(self) -> "_Snapshot":
        return self

    def __exit__(self, *_: object) -> None:
        self._txn.abort()
        self._env.close()

    def head(self, snapshot: str) -> Head:
        """What the manifest says of the store."""
        store, version, kek = (
            bytes(self._txn.get(key, default=b"", db=self._tables["meta"])) for key in (b"id", b"format", b"kek")
        )
        return Head(snapshot, store.hex(), version.decode(), kek.decode(), int(time.time() * 1000))

    def buckets(self) -> Iterator[tuple[bytes, bool]]:
        """Data ids of buckets that were not destroyed, and whether they hold anything: one that was closed before it
        was ever written to has no key.
        """
        with self._txn.cursor(self._tables["buckets"]) as cursor:
            for data_id, value in cursor.iternext():
                row = decode_row(value)
                if row.state != State.DESTROYED:
                    yield bytes(data_id), bool(row.objects or row.uploads)

    def count(self) -> int:
        """How many files there are."""
        return self._txn.stat(self._tables["files"])["entries"]

    def segments(self) -> Iterator[tuple[bytes, bytes]]:
        """Directory and segment id of every file, in order."""
        with self._txn.cursor(self._tables["files"]) as cursor:
            for key in cursor.iternext(values=False):
                yield bytes(key[:DIRECTORY_ID]), bytes(key[DIRECTORY_ID:])

    def names(self, folder: str, file: str) -> bool:
        """Whether a file belongs to the backup, by the names of its folder and its own."""
        try:
            key = bytes.fromhex(folder) + bytes.fromhex(file)
        except ValueError:
            return False
        return self._txn.get(key, db=self._tables["files"]) is not None


class _Former:
    """Segments of the backup before, asked for in the order in which its manifest has them."""

    def __init__(self, manifest: Manifest | None) -> None:
        entries = iter(()) if manifest is None else manifest.entries()
        self._entries = (each for each in entries if each.path.startswith("segments/"))
        self._at = next(self._entries, None)

    def entry(self, path: str) -> Entry | None:
        """Of this path; None when it was not there. Paths that are asked for grow."""
        while self._at is not None and self._at.path < path:
            self._at = next(self._entries, None)
        return self._at if self._at is not None and self._at.path == path else None


def _size(path: Path) -> int:
    try:
        return path.lstat().st_size
    except FileNotFoundError:
        return -1


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
