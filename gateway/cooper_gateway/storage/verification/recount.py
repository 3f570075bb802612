"""The index of one bucket, walked whole in one read transaction, so that its row can be compared with what is there."""

from collections.abc import Iterator
from typing import Any, Final

import lmdb

from cooper_gateway.storage import entries, set_hash
from cooper_gateway.storage.entries import BucketRow
from cooper_gateway.storage.index import Index
from cooper_gateway.storage.names_tree import CHUNK, LEVELS, NODE

_MOST_PROBLEMS: Final = 20  # of one bucket's trees that are told


class Nodes:
    """Which nodes of names are known to hang in a tree. Their ids are numbers that were drawn one after another."""

    def __init__(self) -> None:
        self._bits = bytearray()

    def __contains__(self, number: int) -> bool:
        at = number >> 3
        return at < len(self._bits) and bool(self._bits[at] >> (number & 7) & 1)

    def add(self, number: int) -> None:
        """Note a node."""
        at = number >> 3
        if at >= len(self._bits):
            self._bits.extend(bytes(at + 1024 - len(self._bits)))
        self._bits[at] |= 1 << (number & 7)


class Recount:
    """What a bucket holds, counted anew."""

    def __init__(self, txn: lmdb.Transaction, index: Index, row: BucketRow, nodes: Nodes) -> None:
        """Walk everything. Raises lmdb.Error."""
        self._txn = txn
        self._index = index
        self._nodes = nodes
        self._last_node = last_node(txn, index)
        self.problems: list[str] = []  # of the trees
        self.read = 0  # bytes of keys and values
        self.objects = self.size = self.uploads = self.parts_size = 0
        self._sum = 0
        for name, value in self._tree(row.objects_root):
            self.objects += 1
            self._sum += set_hash.element(set_hash.OBJECT, name, value)
            self.size += _size(value)
        for key, value in self._tree(row.uploads_root):
            self.uploads += 1
            self._sum += set_hash.element(set_hash.UPLOAD, key, value)
            for part_key, part in parts_of(txn, index, key[-entries.ID :]):
                self._sum += set_hash.element(set_hash.PART, part_key, part)
                self.read += len(part_key) + len(part)
                self.parts_size += _size(part)

    @property
    def set_hash(self) -> bytes:
        """The hash of all entries."""
        return set_hash.changed(set_hash.EMPTY, self._sum)

    def _tree(self, root: bytes) -> Iterator[tuple[bytes, Any]]:
        return self._visit(root, b"", 1)

    def _visit(self, node: bytes, before: bytes, level: int) -> Iterator[tuple[bytes, Any]]:
        """Entries of a node and of those below it: name, and a view of its value."""
        if not self._enter(node):
            return
        last = b""
        with self._txn.cursor(self._index.names) as cursor:
            found = cursor.set_range(node)
            for view, value in cursor.iternext() if found else ():
                key = bytes(view)
                if key[:NODE] != node:
                    break
                if key <= last:
                    self._problem(f"names are out of order at {before + key[NODE:]!r}")
                last = key
                self.read += len(key) + len(value)
                if len(key) < NODE + CHUNK:
                    yield before + key[NODE:], value
                elif level == LEVELS:
                    self._problem(f"node {node.hex()} leads deeper than any name goes")
                else:
                    yield from self._visit(bytes(value), before + key[NODE:], level + 1)
        if not last and level > 1:
            self._problem(f"node {node.hex()} is empty: what it held is gone")

    def _enter(self, node: bytes) -> bool:
        number = int.from_bytes(node, "big")
        if len(node) != NODE or not 0 < number <= self._last_node:
            self._problem(f"node {node.hex()} never was")
        elif number in self._nodes:
            self._problem(f"node {node.hex()} hangs in two places")
        else:
            self._nodes.add(number)
            return True
        return False

    def _problem(self, text: str) -> None:
        if len(self.problems) < _MOST_PROBLEMS:
            self.problems.append(text)


def last_node(txn: lmdb.Transaction, index: Index) -> int:
    """The number of the node that was drawn last."""
    return int.from_bytes(bytes(txn.get(b"last-node", db=index.meta) or b""), "big")


def parts_of(txn: lmdb.Transaction, index: Index, upload_id: bytes) -> Iterator[tuple[bytes, Any]]:
    """The parts of an upload: key, and a view of what is stored."""
    with txn.cursor(index.parts) as cursor:
        found = cursor.set_range(upload_id)
        for view, value in cursor.iternext() if found else ():
            key = bytes(view)
            if not key.startswith(upload_id):
                return
            yield key, value


def _size(value: Any) -> int:
    return int.from_bytes(value[2:10], "big")  # of the header; whether that is one is told where it is read
