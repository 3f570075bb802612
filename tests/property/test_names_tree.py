"""The tree of names against a sorted list, around every length at which a key is cut."""

import tempfile
from collections.abc import Iterator

import lmdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cooper_gateway.storage import names_tree
from cooper_gateway.storage.names_tree import Walk, past, roll_up, start_after

LENGTHS = (1, 2, 501, 502, 503, 504, 510, 511, 512, 1004, 1005, 1006, 1007, 1023, 1024)
ROOT = (1).to_bytes(8, "big")
OTHER_ROOT = (2).to_bytes(8, "big")


@st.composite
def names(draw: st.DrawFn) -> bytes:
    """Names that share long prefixes, differ near a cut, and end at one."""
    length = draw(st.sampled_from(LENGTHS) | st.integers(1, 1024))
    stem = draw(st.sampled_from([b"a", b"b/", b"\xff"])) * 1024
    name = bytearray(stem[:length])
    for position in draw(
        st.lists(st.sampled_from([0, 1, 500, 501, 502, 503, 504, 1004, 1005, 1006, 1023]), max_size=2)
    ):
        if position < length:
            name[position] = draw(st.sampled_from(b"/\x01ab\xff"))
    return bytes(name)


class Tree:
    """A tree in a fresh environment, next to a neighbour that must not be seen or touched."""

    def __init__(self, path: str) -> None:
        self.env = lmdb.open(path, max_dbs=1, map_size=1 << 26, sync=False)
        self.table = self.env.open_db(b"names")
        self.node = 10

    def new_node(self) -> bytes:
        self.node += 1
        return self.node.to_bytes(8, "big")

    def put(self, txn: lmdb.Transaction, root: bytes, name: bytes, value: bytes) -> None:
        names_tree.put(txn, self.table, root, name, value, self.new_node)

    def walk(self, txn: lmdb.Transaction, start: bytes) -> Iterator[tuple[bytes, bytes]]:
        walk = Walk(txn, self.table, ROOT)
        found = walk.seek(start)
        while found is not None:
            yield found[0], bytes(found[1])
            found = walk.after()


@pytest.fixture
def tree() -> Iterator[Tree]:
    with tempfile.TemporaryDirectory() as path:
        tree = Tree(path)
        yield tree
        tree.env.close()


def checked(tree: Tree, model: dict[bytes, bytes], starts: list[bytes]) -> None:
    with tree.env.begin() as txn:
        for start in [b"", *starts]:
            wanted = sorted(item for item in model.items() if item[0] >= start)
            assert list(tree.walk(txn, start)) == wanted
        for name in starts:
            value = names_tree.get(txn, tree.table, ROOT, name)
            assert (None if value is None else bytes(value)) == model.get(name)


@given(st.lists(st.tuples(names(), st.booleans()), max_size=40), st.lists(names(), max_size=4))
@settings(max_examples=150, deadline=None)
def test_it_is_a_sorted_map(steps: list[tuple[bytes, bool]], starts: list[bytes]) -> None:
    with tempfile.TemporaryDirectory() as path:
        tree, model = Tree(path), dict[bytes, bytes]()
        with tree.env.begin(write=True) as txn:
            tree.put(txn, OTHER_ROOT, b"a" * 1024, b"neighbour")
            for number, (name, add) in enumerate(steps):
                if add:
                    model[name] = b"%d" % number
                    tree.put(txn, ROOT, name, model[name])
                else:
                    assert names_tree.delete(txn, tree.table, ROOT, name) is (model.pop(name, None) is not None)
        checked(tree, model, starts + [name for name, _ in steps[:4]])
        with tree.env.begin(write=True) as txn:
            for name in list(model):
                assert names_tree.delete(txn, tree.table, ROOT, name)
            names_tree.delete(txn, tree.table, OTHER_ROOT, b"a" * 1024)
            assert txn.stat(tree.table)["entries"] == 0, "nodes were left behind"
        tree.env.close()


def test_every_pair_of_lengths_around_the_cuts(tree: Tree) -> None:
    model = {b"k" * length: b"%d" % length for length in range(1, 1025)}
    model |= {b"k" * (length - 1) + b"\x01": b"low" for length in LENGTHS}
    model |= {b"k" * (length - 1) + b"\xff": b"high" for length in LENGTHS}
    with tree.env.begin(write=True) as txn:
        for name, value in model.items():
            tree.put(txn, ROOT, name, value)
    checked(tree, model, [b"k" * length + tail for length in LENGTHS for tail in (b"", b"\x00", b"\xff", b"a", b"z")])


def naive(model: list[bytes], prefix: bytes, delimiter: bytes, after: bytes) -> list[tuple[bytes, bool]]:
    """Names and common prefixes after `after`, the slow way."""

    def rolled(name: bytes) -> bytes:
        cut = name.find(delimiter, len(prefix)) if delimiter else -1
        return name if cut < 0 else name[: cut + len(delimiter)]

    at_prefix = bool(delimiter) and after.startswith(prefix) and after.find(delimiter, len(prefix)) >= 0
    skip = after if at_prefix and rolled(after) == after else None
    page: list[tuple[bytes, bool]] = []
    for name in model:
        short = rolled(name)
        is_prefix = bool(delimiter) and name.find(delimiter, len(prefix)) >= 0
        if not name.startswith(prefix) or name <= after or (skip is not None and is_prefix and short == skip):
            continue
        if (short, is_prefix) not in page[-1:]:
            page.append((short, is_prefix))
    return page


@given(
    st.lists(names(), min_size=1, max_size=30, unique=True),
    names() | st.sampled_from([b"", b"a", b"b/"]),
    st.sampled_from([b"", b"/", b"b/b", b"a", b"\xff"]),
    st.data(),
)
@settings(max_examples=200, deadline=None)
def test_listings_page_by_page(stored: list[bytes], prefix: bytes, delimiter: bytes, data: st.DataObject) -> None:
    stored.sort()
    after = data.draw(names() | st.sampled_from([b"", *stored]))
    limit = data.draw(st.integers(1, 5))
    wanted = naive(stored, prefix, delimiter, after)
    with tempfile.TemporaryDirectory() as path:
        tree = Tree(path)
        with tree.env.begin(write=True) as txn:
            for name in stored:
                tree.put(txn, ROOT, name, b"v")
        got: list[tuple[bytes, bool]] = []
        with tree.env.begin() as txn:
            while (start := start_after(prefix, delimiter, after)) is not None:
                walk = roll_up(Walk(txn, tree.table, ROOT), prefix, delimiter, start)
                page = [(name, value is None) for name, value in _take(walk, limit)]
                got += page
                if len(page) < limit:
                    break
                after = page[-1][0]
        tree.env.close()
    assert got == wanted


def _take(
    walk: Iterator[tuple[bytes, names_tree.Value | None]], limit: int
) -> Iterator[tuple[bytes, names_tree.Value | None]]:
    for _, item in zip(range(limit), walk, strict=False):
        yield item


@given(st.binary(min_size=1, max_size=5), st.binary(max_size=5))
def test_past_is_the_least_name_beyond_a_prefix(prefix: bytes, tail: bytes) -> None:
    beyond = past(prefix)
    if beyond is None:
        assert set(prefix) == {0xFF}
    else:
        assert prefix + tail < beyond
        assert not beyond.startswith(prefix)
        assert beyond[:-1] + bytes([beyond[-1] - 1]) <= prefix
