"""Bringing a store of format 1 to format 2: every bucket's row gets the hash of its entries.

The committer does it when it opens the store, before anybody reads or writes. Each transaction is small, and notes how
far it came: whoever is interrupted goes on there. The first one says format 2, so that no older program writes to what
is half done.
"""

import logging
from collections.abc import Callable, Iterator
from typing import Any, Final

import lmdb
import msgspec

from cooper_gateway.storage import entries, names_tree, set_hash
from cooper_gateway.storage.entries import BucketRow, decode_row, encode_row

#: In the table `meta` while a store is being upgraded: how far.
MARK: Final = b"upgrading"

_SLICE: Final = 50_000  # entries between two transactions

_log = logging.getLogger(__name__)


class _Progress(msgspec.Struct, array_like=True):
    """How far an upgrade came: all buckets before this one, and of it what lies before a name."""

    data_id: bytes = b""
    uploads: bool = False  # its objects are done
    name: bytes = b""  # to go on from
    sum: bytes = set_hash.EMPTY


_decode = msgspec.msgpack.Decoder(_Progress).decode
_encode = msgspec.msgpack.Encoder().encode


def begin(txn: lmdb.Transaction, meta: Any, new_format: bytes) -> None:
    """Say the new format, and that the store is being brought to it."""
    txn.put(b"format", new_format, db=meta)
    txn.put(MARK, _encode(_Progress()), db=meta)


def finish(env: lmdb.Environment, tables: dict[str, Any]) -> None:
    """Do what is left of an upgrade; nothing when none was begun. Raises lmdb.Error."""
    with env.begin() as txn:
        mark = txn.get(MARK, db=tables["meta"])
    if mark is None:
        return
    _log.info("the store is brought to a new format: about 3 seconds for each million objects")
    upgrade = _Upgrade(env, tables, _decode(bytes(mark)))
    while upgrade.step():
        pass
    _log.info("the store has the new format; programs of before cannot open it")


class _Upgrade:
    def __init__(self, env: lmdb.Environment, tables: dict[str, Any], progress: _Progress) -> None:
        self._env = env
        self._tables = tables
        self._progress = progress

    def step(self) -> bool:
        """Go on by one transaction. False when all is done."""
        done = self._progress
        with self._env.begin(write=True) as txn:
            found = self._row_from(txn, done.data_id)
            if found is None:
                txn.delete(MARK, db=self._tables["meta"])
                return False
            data_id, row = found
            if data_id != done.data_id:
                done = _Progress(data_id)
            self._progress = self._sum_up(txn, row, done)
            txn.put(MARK, _encode(self._progress), db=self._tables["meta"])
        return True

    def _row_from(self, txn: lmdb.Transaction, data_id: bytes) -> tuple[bytes, BucketRow] | None:
        with txn.cursor(self._tables["buckets"]) as cursor:
            if not cursor.set_range(data_id):
                return None
            return bytes(cursor.key()), decode_row(bytes(cursor.value()))

    def _sum_up(self, txn: lmdb.Transaction, row: BucketRow, done: _Progress) -> _Progress:
        """Take in a slice of a bucket; when it is the last one, write its row. Returns where to go on."""
        root = row.uploads_root if done.uploads else row.objects_root
        left, more = _SLICE, 0
        walk = names_tree.Walk(txn, self._tables["names"], root)
        entry = self._next(lambda: walk.seek(done.name), root)
        while entry is not None:
            name, value = entry
            if left <= 0:
                total = set_hash.changed(done.sum, more)
                return _Progress(done.data_id, done.uploads, name, total)
            if done.uploads:
                more += set_hash.element(set_hash.UPLOAD, name, value)
                for key, part in self._parts(txn, name[-entries.ID :]):
                    more += set_hash.element(set_hash.PART, key, part)
                    left -= 1
            else:
                more += set_hash.element(set_hash.OBJECT, name, value)
            left -= 1
            entry = self._next(walk.after, root)
        total = set_hash.changed(done.sum, more)
        if not done.uploads:
            return _Progress(done.data_id, uploads=True, sum=total)
        row.set_hash = total
        txn.put(done.data_id, encode_row(row), db=self._tables["buckets"])
        return _Progress(done.data_id + b"\0")  # the next one that there can be

    def _next(self, step: Callable[[], names_tree.Entry | None], root: bytes) -> names_tree.Entry | None:
        try:
            return step()
        except ValueError as error:  # damage is for `verify` to name, and must not keep what is sound from being served
            _log.error("node %s: %s; `cooper store verify` tells more", root.hex(), error)
            return None

    def _parts(self, txn: lmdb.Transaction, upload_id: bytes) -> Iterator[tuple[bytes, bytes]]:
        with txn.cursor(self._tables["parts"]) as cursor:
            more = cursor.set_range(upload_id)
            while more and (key := bytes(cursor.key())).startswith(upload_id):
                yield key, bytes(cursor.value())
                more = cursor.next()
