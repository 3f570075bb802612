"""What a listing costs grows with what is asked for, not with what is stored: its steps in the index are counted."""

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import lmdb
import pytest

from cooper_gateway.storage import listing, names_tree
from cooper_gateway.storage.entries import BucketRow
from cooper_gateway.storage.index import Index

ROOT = (1).to_bytes(8, "big")
FOLDERS = 20


class Counted:
    """A transaction whose cursors count how often they are moved."""

    def __init__(self, txn: lmdb.Transaction) -> None:
        self._txn = txn
        self.moves = 0

    def cursor(self, table: Any) -> "_Cursor":
        return _Cursor(self, self._txn.cursor(table))


class _Cursor:
    """A cursor of LMDB's; what moves it is counted."""

    def __init__(self, counted: Counted, cursor: lmdb.Cursor) -> None:
        self._counted = counted
        self._cursor = cursor
        self.key, self.value = cursor.key, cursor.value

    def _moved(self, found: bool) -> bool:
        self._counted.moves += 1
        return found

    def set_range(self, key: bytes) -> bool:
        return self._moved(self._cursor.set_range(key))

    def set_key(self, key: bytes) -> bool:
        return self._moved(self._cursor.set_key(key))

    def next(self) -> bool:
        return self._moved(self._cursor.next())

    def iternext(self) -> Iterator[tuple[bytes, bytes]]:
        for entry in self._cursor.iternext():
            self._moved(True)
            yield entry


class Stored:
    """A tree of names in folders, as many in each."""

    def __init__(self, path: Path, each: int, tail: bytes) -> None:
        self.env = lmdb.open(str(path), max_dbs=1, map_size=1 << 28, sync=False)
        self.table = self.env.open_db(b"names")
        self._nodes = 1
        with self.env.begin(write=True) as txn:
            for folder in range(FOLDERS):
                for number in range(each):
                    name = b"%03d/%05d" % (folder, number) + tail
                    names_tree.put(txn, self.table, ROOT, name, b"entry", self._new_node)

    def _new_node(self) -> bytes:
        self._nodes += 1
        return self._nodes.to_bytes(8, "big")

    def moves(self, prefix: bytes, delimiter: bytes, after: bytes, limit: int) -> tuple[int, int]:
        """Steps that a page takes, and how much is on it."""
        index, row = cast(Index, SimpleNamespace(names=self.table)), BucketRow(ROOT, ROOT)
        with self.env.begin(buffers=True) as txn:
            counted = Counted(txn)
            page = listing.page_of_objects(cast(lmdb.Transaction, counted), index, row, prefix, delimiter, after, limit)
        return counted.moves, len(page[0]) + len(page[1])


@pytest.fixture(params=[b"", b"x" * 700], ids=["short names", "names of two nodes"])
def stored(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[Stored, Stored]]:
    """Little, and fifty times as much."""
    few, many = Stored(tmp_path / "few", 10, request.param), Stored(tmp_path / "many", 500, request.param)
    yield few, many
    few.env.close()
    many.env.close()


def test_a_page_of_common_prefixes_takes_a_few_steps_for_each(stored: tuple[Stored, Stored]) -> None:
    few, many = (each.moves(b"", b"/", b"", 1_000) for each in stored)
    assert few[1] == many[1] == FOLDERS
    assert many[0] == few[0]
    assert many[0] <= 3 * (FOLDERS + 1)


@pytest.mark.parametrize("after", [b"", b"010/00005"], ids=["from the first", "from within"])
def test_a_page_of_names_takes_a_few_steps_for_each(stored: tuple[Stored, Stored], after: bytes) -> None:
    few, many = (each.moves(b"", b"", after, 50) for each in stored)
    assert few[1] == many[1] == 50
    assert many[0] <= 4 * 50 + 10
    assert many[0] <= few[0] + 10


def test_a_page_that_follows_a_common_prefix_does_not_go_through_it(stored: tuple[Stored, Stored]) -> None:
    few, many = (each.moves(b"", b"/", b"004/", 5) for each in stored)
    assert few[1] == many[1] == 5
    assert many[0] == few[0]


def test_what_lies_outside_the_prefix_is_not_gone_through(stored: tuple[Stored, Stored]) -> None:
    few, many = (each.moves(b"007/0000", b"", b"", 1_000) for each in stored)
    assert few[1] == many[1] == 10
    assert many[0] <= few[0] + 2
