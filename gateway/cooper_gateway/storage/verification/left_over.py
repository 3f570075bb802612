"""What is stored and nothing refers to: remains of something that was lost, or room that is never given back.

Whatever is referred to at one time and is there at a later one was referred to all the time in between: ids are used
once. So references are collected first, then tables are read, and what is unknown is looked for a second time among
references that are collected anew: it may have been written meanwhile.
"""

import os
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final

from cooper_gateway.storage import entries
from cooper_gateway.storage.batch import FILE_GARBAGE
from cooper_gateway.storage.entries import DIRECTORY_ID, ID
from cooper_gateway.storage.names_tree import NODE
from cooper_gateway.storage.verification.findings import At, Damage
from cooper_gateway.storage.verification.reading_back import Place, Tell
from cooper_gateway.storage.verification.recount import Nodes

_AT_ONCE: Final = 4096  # keys of one read transaction
_MOST: Final = 1000  # remains that are told one by one

#: Gives all ids that entries of all buckets refer to.
Referred = Callable[[], Iterable[bytes]]


class IdFilter:
    """Which ids were seen: never forgets one, and takes one in five thousand for seen that was not."""

    def __init__(self, expected: int) -> None:
        self._mask = (1 << max(16, (32 * expected).bit_length())) - 1
        self._bits = bytearray((self._mask >> 3) + 1)

    def add(self, identity: bytes) -> None:
        """Note an id."""
        for place in self._places(identity):
            self._bits[place >> 3] |= 1 << (place & 7)

    def __contains__(self, identity: bytes) -> bool:
        return all(self._bits[place >> 3] >> (place & 7) & 1 for place in self._places(identity))

    def _places(self, identity: bytes) -> tuple[int, int, int, int]:
        # The end of an id is random (entries.new_id): it needs no hash.
        number = int.from_bytes(identity[-8:], "big")
        one, other, mask = number >> 32, number & 0xFFFFFFFF | 1, self._mask
        return one & mask, one + other & mask, one + 2 * other & mask, one + 3 * other & mask


class Remains:
    """Looks for them in the tables `bodies`, `files` and `parts`, among nodes of names, and in folders of segments."""

    def __init__(self, place: Place, referred: Referred, tell: Tell) -> None:
        self._place = place
        self._referred = referred
        self._tell = tell
        self._told = 0

    def in_tables(self, began: int) -> None:
        """Rows that nothing refers to. Those of ids that were made since `began` (Unix ms) are too young to tell."""
        index = self._place.index
        with index.read() as txn:
            tables = {"bodies": index.bodies, "files": index.files, "parts": index.parts}
            count = sum(txn.stat(table)["entries"] for table in tables.values())
        known = IdFilter(count)
        for identity in self._referred():
            known.add(identity)
        suspects: dict[bytes, tuple[str, bytes]] = {}
        for name, table in tables.items():
            for key in self._keys(name, table):
                identity = _id_of(name, key)
                if identity not in known and int.from_bytes(identity[:6], "big") < began and len(suspects) < _MOST:
                    suspects[identity] = name, key
        if not suspects:
            return
        for identity in self._referred():
            suspects.pop(identity, None)
        for name, key in suspects.values():
            with index.read() as txn:
                there = txn.get(key, db=tables[name]) is not None
            if there:
                self._damage(f"row {key.hex()} of the table {name}")

    def in_names(self, known: Nodes, last: int) -> None:
        """Nodes up to the number `last` that hang in no bucket's tree."""
        index, number, previous = self._place.index, 0, -1
        while True:
            self._tell(At("names"))
            with index.read() as txn, txn.cursor(index.names) as cursor:
                for _ in range(_AT_ONCE):
                    if not cursor.set_range(number.to_bytes(NODE, "big")):
                        return
                    found = int.from_bytes(bytes(cursor.key()[:NODE]), "big")
                    if found <= previous or found > last:
                        return
                    if found not in known:
                        self._damage(f"node {found:016x} of the table names, with {bytes(cursor.key()[NODE:])!r}")
                    previous, number = found, found + 1
            self._place.pace.spend(_AT_ONCE)

    def on_disk(self) -> None:
        """Files in settled folders that the index does not know. Others are swept when their worker is gone."""
        place, index = self._place, self._place.index
        for folder in sorted(os.listdir(place.layout.segments)):
            self._tell(At("files", key=folder.encode()))
            try:
                directory_id = bytes.fromhex(folder)
                names = set(os.listdir(place.layout.segments / folder))
            except (ValueError, OSError):
                continue  # none of ours, or gone since
            with index.read() as txn:
                if len(directory_id) != DIRECTORY_ID or txn.get(directory_id, db=index.settled) is None:
                    continue
                names -= {key[-ID:].hex() for key in _with_prefix(txn, index.files, directory_id)}
                names -= {key[-ID:].hex() for key in _with_prefix(txn, index.garbage, FILE_GARBAGE + directory_id)}
            for name in sorted(names):
                if (place.layout.segments / folder / name).exists():  # else it was removed while we looked
                    self._damage(f"the file segments/{folder}/{name}")

    def _keys(self, name: str, table: Any) -> Iterator[bytes]:
        """All keys of a table, slice by slice."""
        index, after = self._place.index, b""
        while True:
            self._tell(At("tables", key=after))
            keys: list[bytes] = []
            with index.read() as txn, txn.cursor(table) as cursor:
                found = cursor.set_range(after)
                for view in cursor.iternext(keys=True, values=False) if found else ():
                    key = bytes(view)
                    if key < after:
                        raise ValueError(f"the table {name} is out of order at {key.hex()}")
                    keys.append(key)
                    after = key + b"\0"
                    if len(keys) == _AT_ONCE:
                        break
            yield from keys
            self._place.pace.spend(sum(map(len, keys)))
            if len(keys) < _AT_ONCE:
                return

    def _damage(self, detail: str) -> None:
        self._told += 1
        if self._told <= _MOST:
            self._tell(Damage("LeftOver", detail))


def _id_of(table: str, key: bytes) -> bytes:
    return key[: entries.ID] if table == "parts" else key[-entries.ID :]


def _with_prefix(txn: Any, table: Any, prefix: bytes) -> Iterator[bytes]:
    with txn.cursor(table) as cursor:
        found = cursor.set_range(prefix)
        for view in cursor.iternext(keys=True, values=False) if found else ():
            key = bytes(view)
            if not key.startswith(prefix):
                return
            yield key
