"""One write transaction of the committer: what it reads and writes, and what has to happen before and after it."""

import logging
from typing import Final

import lmdb

from cooper_gateway.storage import entries, names_tree, set_hash
from cooper_gateway.storage.bucket_keys import BucketKeys
from cooper_gateway.storage.entries import BucketRow, Header, Kind, Piece, State
from cooper_gateway.storage.index import Index
from cooper_gateway.storage.port import (
    BucketClosed,
    ConditionFailed,
    Conditions,
    Guard,
    Recheck,
    Refused,
    StoreError,
    StoreFailed,
)

FILE_GARBAGE: Final = b"F"  # then directory id, segment id
KEY_GARBAGE: Final = b"K"  # then data id

#: What is to be removed: key of the table -> id of the object of many files that it was part of, or nothing. Nothing of
#: an object is removed while somebody pins it.
Garbage = dict[bytes, bytes]

_log = logging.getLogger(__name__)


class Batch:
    """The state of one write transaction. Operations check first, then write: one that raises has written nothing."""

    def __init__(self, index: Index, txn: lmdb.Transaction, keys: BucketKeys, recheck: Recheck) -> None:
        self.index = index
        self.txn = txn
        self.keys = keys
        self.directories: set[bytes] = set()  # to be synced before the commit
        self.garbage: Garbage = {}  # to be removed after it
        self.new_keys: list[bytes] = []  # data ids: to be published after it
        self._noted = False  # that the newest key-encryption key is needed: by this transaction, not durable yet
        self._recheck = recheck
        self._rows: dict[bytes, BucketRow] = {}

    def check_guard(self, guard: Guard | None, data_id: bytes, *names: bytes) -> None:
        """Raise Refused when the key may no longer do this to these objects; an empty name is all of the bucket. No
        guard: the store's own doing."""
        if guard is None:
            return
        code = guard.refusal(self._recheck, data_id, names)
        if code is not None:
            raise Refused(code)

    def any_row(self, data_id: bytes) -> BucketRow | None:
        """A bucket's row, whatever its state. Changes to it are stored with the batch."""
        row = self._rows.get(data_id)
        if row is None:
            row = self.index.row(self.txn, data_id)
            if row is not None:
                self._rows[data_id] = row
        return row

    def row(self, data_id: bytes) -> BucketRow:
        """The row of an open bucket. Raises BucketClosed, or StoreFailed when it has none."""
        row = self.any_row(data_id)
        if row is None:
            raise StoreFailed("the bucket was not made before it was written to")
        if row.state != State.OPEN:
            raise BucketClosed
        return row

    def new_row(self, data_id: bytes) -> BucketRow:
        """Make a bucket's row."""
        row = BucketRow(self.index.new_node(self.txn), self.index.new_node(self.txn), set_hash=set_hash.EMPTY)
        self._rows[data_id] = row
        return row

    def store_rows(self) -> None:
        """Write the rows that operations looked at (few, and most were changed)."""
        for data_id, row in self._rows.items():
            self.index.put_row(self.txn, data_id, row)

    def get_name(self, root: bytes, name: bytes) -> bytes | None:
        """A value of a names tree."""
        value = names_tree.get(self.txn, self.index.names, root, name)
        return None if value is None else bytes(value)

    def put_object(self, row: BucketRow, name: bytes, entry: bytes, old: bytes | None) -> None:
        """Set an object's entry; `old` is the one that was there."""
        self._put_name(row.objects_root, name, entry)
        _count(row, set_hash.OBJECT, name, entry, old)

    def delete_object(self, row: BucketRow, name: bytes, old: bytes) -> None:
        """Remove an object's entry."""
        names_tree.delete(self.txn, self.index.names, row.objects_root, name)
        _count(row, set_hash.OBJECT, name, None, old)

    def put_upload(self, row: BucketRow, key: bytes, upload: bytes) -> None:
        """Set an upload, which never was."""
        self._put_name(row.uploads_root, key, upload)
        _count(row, set_hash.UPLOAD, key, upload, None)

    def delete_upload(self, row: BucketRow, key: bytes, old: bytes) -> None:
        """Remove an upload. Its parts are for the caller to remove."""
        names_tree.delete(self.txn, self.index.names, row.uploads_root, key)
        _count(row, set_hash.UPLOAD, key, None, old)

    def put_part(self, row: BucketRow, key: bytes, part: bytes, old: bytes | None) -> None:
        """Set a part of an upload; `old` is the one that was there."""
        self.txn.put(key, part, db=self.index.parts)
        _count(row, set_hash.PART, key, part, old)

    def delete_part(self, row: BucketRow, key: bytes, old: bytes) -> None:
        """Remove a part of an upload."""
        self.txn.delete(key, db=self.index.parts)
        _count(row, set_hash.PART, key, None, old)

    def first_entries(self, root: bytes, most: int) -> list[tuple[bytes, bytes]]:
        """The least names of a names tree, at most so many, with their values."""
        walk, found = names_tree.Walk(self.txn, self.index.names, root), list[tuple[bytes, bytes]]()
        entry = walk.seek(b"") if most > 0 else None
        while entry is not None:
            found.append((entry[0], bytes(entry[1])))
            entry = walk.after() if len(found) < most else None
        return found

    def check_conditions(self, data_id: bytes, name: bytes, value: bytes | None, conditions: Conditions) -> None:
        """Raise ConditionFailed unless the preconditions hold for the object that is there now."""
        # RFC 9110, 13.1.1: "If the field value is "*", the condition is true if the origin server has a current
        # representation"; 13.1.2 is its negation.
        for wanted, expected in ((conditions.if_match, True), (conditions.if_none_match, False)):
            if wanted is None:
                continue
            holds = value is not None and (wanted == "*" or wanted == self._etag(data_id, name, value))
            if holds is not expected:
                raise ConditionFailed

    def keep_bytes(self, header: Header, body: bytes) -> None:
        """Store or refer to the bytes of a new entry or part."""
        if header.kind == Kind.FILE:
            self.txn.put(header.directory_id + header.segment_id, b"", db=self.index.files)
            self.directories.add(header.directory_id)
        else:
            self.txn.put(header.segment_id, body, db=self.index.bodies)

    def drop_bytes(self, data_id: bytes, header: Header) -> None:
        """Drop the bytes of an entry or part that is no more."""
        if header.kind == Kind.FILE:
            self._drop_file(header.directory_id, header.segment_id)
            return
        if header.kind == Kind.MULTI:
            for piece in self._pieces(data_id, header.segment_id):
                if piece.directory_id == entries.NO_DIRECTORY:
                    self.txn.delete(piece.segment_id, db=self.index.bodies)
                else:
                    self._drop_file(piece.directory_id, piece.segment_id, header.segment_id)
        self.txn.delete(header.segment_id, db=self.index.bodies)

    def make_key(self, data_id: bytes) -> None:
        """Make a bucket's key: durable now, and the bucket's after the commit."""
        self.note_key()
        self.keys.create(data_id)
        self.new_keys.append(data_id)

    def note_key(self) -> bool:
        """Note that what is stored needs the newest key-encryption key, before anything does. False: that is durable
        already."""
        newest, noted = self.keys.newest(), self.index.keks(self.txn).split()
        if newest not in noted:
            self.index.put_keks(self.txn, [newest, *noted])
            self._noted = True
        return self._noted

    def shred(self, data_id: bytes) -> None:
        """Have a bucket's key destroyed after the commit."""
        self._discard(KEY_GARBAGE + data_id)

    def _put_name(self, root: bytes, name: bytes, value: bytes) -> None:
        names_tree.put(self.txn, self.index.names, root, name, value, lambda: self.index.new_node(self.txn))

    def _drop_file(self, directory_id: bytes, segment_id: bytes, object_id: bytes = b"") -> None:
        key = directory_id + segment_id
        if self.txn.delete(key, db=self.index.files):
            self._discard(FILE_GARBAGE + key, object_id)

    def _discard(self, key: bytes, object_id: bytes = b"") -> None:
        self.txn.put(key, object_id, db=self.index.garbage)
        self.garbage[key] = object_id

    def _pieces(self, data_id: bytes, object_id: bytes) -> list[Piece]:
        value = self.txn.get(object_id, db=self.index.bodies)
        try:
            return entries.open_manifest(self.keys.get(data_id), object_id, value or b"")
        except (ValueError, StoreError):
            # The object could not be read any more either. It may go; its files stay until somebody looks into it.
            _log.exception("the manifest of object %s is damaged: its segments are not removed", object_id.hex())
            return []

    def _etag(self, data_id: bytes, name: bytes, value: bytes) -> str:
        return entries.open_entry(self.keys.get(data_id), name, value).etag


def _count(row: BucketRow, kind: bytes, key: bytes, new: bytes | None, old: bytes | None) -> None:
    """Have a bucket's hash know that an entry came, went or changed."""
    added = 0 if new is None else set_hash.element(kind, key, new)
    taken = 0 if old is None else set_hash.element(kind, key, old)
    row.set_hash = set_hash.changed(row.set_hash, added - taken)
