"""Removing files: what commits dropped, and what crashes left behind. Only the committer's process does it.

A directory of segments belongs to the worker that made it for as long as that holds its lock. A file in it that the
index does not know may be about to be committed, so nothing of it is touched before (1) the lock is free, so its worker
is gone, and then (2) everything that any worker had sent by then has been committed.
"""

import logging
import os
from collections import deque
from typing import Any

import lmdb

from cooper_gateway.storage.batch import FILE_GARBAGE, KEY_GARBAGE, Garbage
from cooper_gateway.storage.bucket_keys import BucketKeys
from cooper_gateway.storage.entries import DIRECTORY_ID, ID
from cooper_gateway.storage.index import Index
from cooper_gateway.storage.layout import Layout, sync_directory, try_lock
from cooper_gateway.storage.pins import Pins
from cooper_gateway.storage.room import Room
from cooper_gateway.storage.sync import SyncFailed
from cooper_gateway.storage.unlinker import Unlinker

_log = logging.getLogger(__name__)


class Housekeeping:
    """Collects what has to go and removes it."""

    def __init__(self, layout: Layout, index: Index, keys: BucketKeys, room: Room, pins: Pins) -> None:
        self._layout = layout
        self._index = index
        self._keys = keys
        self._room = room
        self._removed: deque[bytes] = deque()  # garbage that is gone, its row not yet
        self._unlinker = Unlinker(layout, pins, self._removed)
        self._forgetting = 0
        self._candidates: set[bytes] = set()  # directories whose worker may be gone
        self._locked: dict[bytes, int] = {}  # directories whose worker is gone -> descriptor with the lock
        self._abandoned: list[bytes] = []
        self._holders: set[object] = set()  # who has what commits drop stay for now
        self._held: Garbage = {}

    def recover(self) -> None:
        """At the start: garbage that was not removed yet, and directories of workers that are gone."""
        with self._index.read() as txn, txn.cursor(self._index.garbage) as cursor:
            garbage = {bytes(key): bytes(value) for key, value in cursor.iternext(keys=True, values=True)}
            self._keys.settle_drafts(lambda data_id: self._index.row(txn, data_id) is not None)
        try:
            self.remove(garbage)
        except OSError:
            _log.exception("a bucket's key could not be shredded: its row stays, and the next start tries again")
        self.look_for_orphans()

    def remove(self, garbage: Garbage) -> None:
        """Remove what a commit dropped. A bucket's key is gone when this returns, unless somebody holds it back.

        Raises the first OSError of a key that could not be shredded, once everything else was seen to; SyncFailed when
        nobody knows whether one is.
        """
        if self._holders:
            self._held |= garbage
            return
        if files := {key: of for key, of in garbage.items() if not key.startswith(KEY_GARBAGE)}:
            self._unlinker.take(files)
        problem: OSError | None = None
        for key in garbage:
            if key.startswith(KEY_GARBAGE):
                try:
                    self._keys.shred(key[len(KEY_GARBAGE) :])
                    self._removed.append(key)
                except OSError as error:
                    problem = problem or error
        if problem is not None:
            raise problem

    def hold(self, holder: object) -> None:
        """Remove nothing that commits drop from now on until the holder lets go: somebody copies it.

        Its rows stay in the index: where this process ends first, the next one removes it.
        """
        self._holders.add(holder)

    @property
    def holding(self) -> bool:
        """Whether somebody has what commits drop stay."""
        return bool(self._holders)

    def let_go(self, holder: object) -> None:
        """A holder, or somebody who never was one, needs nothing any more. The last one's end removes what waited."""
        self._holders.discard(holder)
        if self._holders or not self._held:
            return
        held, self._held = self._held, {}
        try:
            self.remove(held)
        except OSError:
            _log.exception("a bucket's key could not be shredded: its row stays, and the next start tries again")

    def abandon(self, directory_id: bytes, segment_id: bytes) -> None:
        """A worker gave up a file of its own."""
        self._abandoned.append(directory_id + segment_id)

    def retire(self, directory_id: bytes) -> None:
        """A worker gave up a directory, and its lock."""
        self._candidates.add(directory_id)

    def look_for_orphans(self) -> None:
        """A worker may be gone: look at every directory that is not settled."""
        with self._index.read() as txn:
            for name in os.listdir(self._layout.segments):
                directory_id = _directory_id(name)
                if directory_id is not None and txn.get(directory_id, db=self._index.settled) is None:
                    self._candidates.add(directory_id)

    @property
    def waits_for_quiet(self) -> bool:
        """Whether `when_quiet` has work: the loop should not sleep until then."""
        return bool(self._candidates or self._locked or self._abandoned)

    def when_quiet(self) -> None:
        """Every request that had been sent when the loop's last round began has been committed: sweep.

        Only directories that were locked in an earlier round, so that the drain came after their worker's end. Raises
        SyncFailed when a commit failed: what is on disk is unknown.
        """
        if self._abandoned:
            abandoned, self._abandoned = self._abandoned, []
            with self._index.read() as txn:
                unknown = [key for key in abandoned if txn.get(key, db=self._index.files) is None]
            self.remove({FILE_GARBAGE + key: b"" for key in unknown})
        locked, self._locked = self._locked, {}
        for directory_id, descriptor in locked.items():
            try:
                self._sweep(directory_id)
            except (OSError, lmdb.Error) as error:
                if isinstance(error, lmdb.Error) and not isinstance(error, lmdb.MapFullError | lmdb.DiskError):
                    raise SyncFailed(f"a sweep could not be committed: {error}") from error
                _log.exception("directory %s could not be swept: it is when the committer starts", directory_id.hex())
            finally:
                os.close(descriptor)
        candidates, self._candidates = self._candidates, set()
        for directory_id in candidates:
            self._try_lock(directory_id)

    def forget_removed(self, txn: lmdb.Transaction) -> None:
        """Drop the rows of garbage that is gone, and directories that became empty, within a commit."""
        emptied: set[bytes] = set()
        removed = list(self._removed)  # a copy in one step: the unlinker adds to it meanwhile
        self._forgetting = len(removed)
        for key in removed:
            txn.delete(key, db=self._index.garbage)
            if key.startswith(FILE_GARBAGE):
                emptied.add(key[1 : 1 + DIRECTORY_ID])
        for directory_id in emptied:
            if txn.get(directory_id, db=self._index.settled) is not None and not self._in_use(txn, directory_id):
                _remove_directory(self._layout, directory_id)
                txn.delete(directory_id, db=self._index.settled)

    def forgotten(self) -> None:
        """The commit that `forget_removed` was part of is durable."""
        for _ in range(self._forgetting):
            self._removed.popleft()
        self._forgetting = 0

    def close(self) -> None:
        """Finish what is queued and release everything."""
        self._unlinker.close()
        for descriptor in self._locked.values():
            os.close(descriptor)

    def _try_lock(self, directory_id: bytes) -> None:
        try:
            descriptor = os.open(self._layout.directory(directory_id), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError:
            return
        if try_lock(descriptor):
            self._locked[directory_id] = descriptor
        else:
            os.close(descriptor)

    def _sweep(self, directory_id: bytes) -> None:
        """Remove what nothing refers to from a directory whose lock we hold, and settle it."""
        path = self._layout.directory(directory_id)
        with self._index.read() as txn:
            known = _with_prefix(txn, self._index.files, directory_id)
            known |= _with_prefix(txn, self._index.garbage, FILE_GARBAGE + directory_id)
        for name in os.listdir(path):
            if name not in known:
                (path / name).unlink(missing_ok=True)  # the unlinker may have been told of it, too
                _log.info("removed %s/%s: it was never acknowledged", directory_id.hex(), name)
        sync_directory(path)
        with self._room.opened(), self._index.env.begin(write=True) as txn:
            if known:
                txn.put(directory_id, b"", db=self._index.settled)
            else:
                _remove_directory(self._layout, directory_id)

    def _in_use(self, txn: lmdb.Transaction, directory_id: bytes) -> bool:
        return bool(
            _with_prefix(txn, self._index.files, directory_id, at_most=1)
            or _with_prefix(txn, self._index.garbage, FILE_GARBAGE + directory_id, at_most=1)
        )


def _with_prefix(txn: lmdb.Transaction, table: Any, prefix: bytes, at_most: int | None = None) -> set[str]:
    """Segment ids (hex) of keys that begin with a prefix and end with a segment id."""
    found: set[str] = set()
    with txn.cursor(table) as cursor:
        more = cursor.set_range(prefix)
        while more and len(found) != at_most:
            key = bytes(cursor.key())
            if not key.startswith(prefix):
                break
            found.add(key[-ID:].hex())
            more = cursor.next()
    return found


def _directory_id(name: str) -> bytes | None:
    try:
        directory_id = bytes.fromhex(name)
    except ValueError:
        return None
    return directory_id if len(directory_id) == DIRECTORY_ID else None


def _remove_directory(layout: Layout, directory_id: bytes) -> None:
    try:
        layout.directory(directory_id).rmdir()
    except OSError:
        _log.info("directory %s stays: it is not empty", directory_id.hex())
