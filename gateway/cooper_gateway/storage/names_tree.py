"""Names in byte order in a table whose keys end at 511 bytes.

S3 names have up to 1,024 bytes, LMDB's keys 511. So a bucket's names are a small tree of *nodes* in one table: a key is
an 8-byte node id and a chunk of at most 503 bytes. A shorter chunk ends a name, and its value is the entry; a chunk
of exactly 503 bytes never does: its value is the id of a child node, which holds the rest, possibly empty. Byte order
of keys within a node is byte order of names, since all names under a full chunk begin with it.
"""

from collections.abc import Callable, Iterator
from typing import Any, Final

import lmdb

CHUNK: Final = 503  # bytes; with the node id: LMDB's longest key
NODE: Final = 8  # bytes of a node id
LEVELS: Final = 3  # nodes that the longest name, an upload's of 1,041 bytes, goes through

Value = bytes | memoryview
Entry = tuple[bytes, Value]


def get(txn: lmdb.Transaction, table: Any, root: bytes, name: bytes) -> Value | None:
    """The value of a name, as the transaction gives it (a view where it was begun with buffers), or None."""
    node = root
    while len(name) >= CHUNK:
        child = txn.get(node + name[:CHUNK], db=table)
        if child is None:
            return None
        node, name = bytes(child), name[CHUNK:]
    return txn.get(node + name, db=table)


def put(
    txn: lmdb.Transaction, table: Any, root: bytes, name: bytes, value: bytes, new_node: Callable[[], bytes]
) -> None:
    """Set the value of a name. `new_node` draws the id of a node that never was."""
    node = root
    while len(name) >= CHUNK:
        key = node + name[:CHUNK]
        child = txn.get(key, db=table)
        if child is None:
            child = new_node()
            txn.put(key, child, db=table)
        node, name = bytes(child), name[CHUNK:]
    txn.put(node + name, value, db=table)


def delete(txn: lmdb.Transaction, table: Any, root: bytes, name: bytes) -> bool:
    """Remove a name, and the nodes that it leaves empty. False when it was not there."""
    path: list[bytes] = []  # keys of the pointers above
    node, rest = root, name
    while len(rest) >= CHUNK:
        path.append(node + rest[:CHUNK])
        child = txn.get(path[-1], db=table)
        if child is None:
            return False
        node, rest = bytes(child), rest[CHUNK:]
    if not txn.delete(node + rest, db=table):
        return False
    with txn.cursor(table) as cursor:
        while path and not (cursor.set_range(node) and bytes(cursor.key()[:NODE]) == node):
            pointer = path.pop()
            txn.delete(pointer, db=table)
            node = pointer[:NODE]
    return True


class Walk:
    """A walk over a tree's names in byte order. Valid while its transaction is, and nothing is written in it."""

    def __init__(self, txn: lmdb.Transaction, table: Any, root: bytes) -> None:
        self._cursor = txn.cursor(table)
        self._root = root
        self._above: list[tuple[bytes, bytes]] = []  # (pointer key, name up to its node) of each level above

    def seek(self, name: bytes) -> Entry | None:
        """The first entry whose name is `name` or greater."""
        self._above.clear()
        node, before = self._root, b""
        while True:
            found = self._cursor.set_range(node + name[:CHUNK])
            if not found or len(name) < CHUNK or bytes(self._cursor.key()) != node + name[:CHUNK]:
                return self._settle(node, before, found)
            self._descend(node + name[:CHUNK], before)
            node, before, name = bytes(self._cursor.value()), before + name[:CHUNK], name[CHUNK:]

    def entries(self, prefix: bytes, start: bytes) -> Iterator[Entry]:
        """Those whose names begin with `prefix`, from the first one on that is `start` or greater."""
        cursor, root = self._cursor, self._root
        plain = root + prefix[:CHUNK]
        found = self.seek(max(start, prefix))
        while found is not None and found[0].startswith(prefix):
            yield found
            if self._above:
                found = self.after()
                continue
            if not cursor.next():
                return
            # The root's own, as most names are: LMDB's iterator is twice as fast as single steps.
            for key, value in cursor.iternext():
                key = bytes(key)
                if len(key) == NODE + CHUNK or not key.startswith(plain):
                    break
                yield key[NODE:], value
            else:
                return
            found = self._settle(root, b"", True)

    def after(self) -> Entry | None:
        """The entry that follows the one given last."""
        if self._above:
            pointer, before = self._above[-1]
            before += pointer[NODE:]
            node = self._node_of_current()
        else:
            node, before = self._root, b""
        return self._settle(node, before, self._cursor.next())

    def _descend(self, pointer: bytes, before: bytes) -> None:
        if len(self._above) == LEVELS - 1:
            raise ValueError("the names are damaged: a node leads deeper than any name goes")  # a circle, perhaps
        self._above.append((pointer, before))

    def _node_of_current(self) -> bytes:
        return bytes(self._cursor.key()[:NODE])

    def _settle(self, node: bytes, before: bytes, found: bool) -> Entry | None:
        """From where the cursor stands, go up out of finished nodes and down into children, to an entry."""
        cursor = self._cursor
        while True:
            key = bytes(cursor.key()) if found else b""
            if not key.startswith(node) or not found:
                if not self._above:
                    return None
                pointer, before = self._above.pop()
                node = pointer[:NODE]
                found = cursor.set_key(pointer) and cursor.next()
            elif len(key) == NODE + CHUNK:
                self._descend(key, before)
                node, before = bytes(cursor.value()), before + key[NODE:]
                found = cursor.set_range(node)
            else:
                return before + key[NODE:], cursor.value()


def past(prefix: bytes) -> bytes | None:
    """The least name greater than everything that begins with `prefix`; None when there is none."""
    stem = prefix.rstrip(b"\xff")
    return stem[:-1] + bytes([stem[-1] + 1]) if stem else None


def roll_up(
    walk: Walk, prefix: bytes, delimiter: bytes, start: bytes, tail: int = 0
) -> Iterator[tuple[bytes, Value | None]]:
    """Names from `start` on that begin with `prefix`, in order.

    Those that go on behind a delimiter come as one common prefix, without a value, and are skipped by seeking: the cost
    is that of what is asked for. The last `tail` bytes are no part of the name.
    """
    if not delimiter:
        yield from walk.entries(prefix, start)
        return
    found = walk.seek(max(start, prefix))
    while found is not None and found[0].startswith(prefix):
        name, value = found
        cut = name.find(delimiter, len(prefix), len(name) - tail)
        if cut < 0:
            yield name, value
            found = walk.after()
        else:
            common = name[: cut + len(delimiter)]
            yield common, None
            beyond = past(common)
            found = walk.seek(beyond) if beyond is not None else None
            if found is not None and beyond is not None and found[0] < beyond:
                raise ValueError("the names are damaged: they are out of order")  # it would go round in circles


def start_after(prefix: bytes, delimiter: bytes, after: bytes) -> bytes | None:
    """Where a page that follows `after` begins; None when nothing can follow.

    `after` may be a common prefix that ended the page before: then everything under it is past.
    """
    if delimiter and after.startswith(prefix):
        cut = after.find(delimiter, len(prefix))
        if cut >= 0 and cut + len(delimiter) == len(after):
            return past(after)
    return after + b"\0" if after else b""  # names hold no NUL: the next possible one
