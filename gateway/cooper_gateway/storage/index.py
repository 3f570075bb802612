"""The index: one LMDB environment. The committer writes it, workers read it."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import lmdb
import msgspec

from cooper_gateway.storage import upgrade
from cooper_gateway.storage.entries import BucketRow, decode_row, encode_row
from cooper_gateway.storage.layout import Layout, StoreUnusable, sync_directory
from cooper_gateway.storage.port import Wish
from cooper_gateway.storage.room import map_with_reserve
from cooper_gateway.storage.sealing import Sealer

STORE_FORMAT: Final = b"2"
#: One that is brought to the present one (upgrade.py).
FORMER_FORMAT: Final = b"1"

#: Every table, and what it maps (docs/formats.md).
TABLES: Final = (
    "meta",  # format, store id, KEK fingerprints, last node id, a value that only makes a commit, an upgrade's progress
    "buckets",  # data id -> BucketRow
    "intents",  # data id -> why a closed bucket waits
    "names",  # node id, chunk -> entry | upload | child node: the trees of names_tree.py
    "bodies",  # segment or object id -> inline ciphertext | sealed manifest
    "parts",  # upload id, number -> part
    "completed",  # upload id -> sealed result
    "expiries",  # time, upload id -> nothing: when a result is forgotten
    "files",  # directory id, segment id -> nothing: files that something refers to
    "garbage",  # kind, what -> nothing: dropped by a commit, to be removed from disk after it
    "settled",  # directory id -> nothing: directories that need no sweep
    "wishes",  # name of a bucket that is asked for -> Wish
)

#: What reading a damaged index raises, where it does not end the process: of its pages, or of what lies in them.
DAMAGE: Final = (lmdb.Error, ValueError, msgspec.MsgspecError)

encode_wish: Final = msgspec.json.Encoder().encode
decode_wish: Final = msgspec.json.Decoder(Wish).decode


class Index:
    """An open environment and its tables."""

    def __init__(self, env: lmdb.Environment, writable: bool) -> None:
        self.env = env
        tables: dict[str, Any] = {name: env.open_db(name.encode(), create=writable) for name in TABLES}
        self.tables = tables
        self.meta = tables["meta"]
        self.buckets = tables["buckets"]
        self.intents = tables["intents"]
        self.names = tables["names"]
        self.bodies = tables["bodies"]
        self.parts = tables["parts"]
        self.completed = tables["completed"]
        self.expiries = tables["expiries"]
        self.files = tables["files"]
        self.garbage = tables["garbage"]
        self.settled = tables["settled"]
        self.wishes = tables["wishes"]

    def read(self) -> lmdb.Transaction:
        """A read transaction, a context manager. Values are views of the map: none may outlive it; no await within."""
        return self.env.begin(buffers=True)

    def read_to_keep(self) -> lmdb.Transaction:
        """The same for who keeps what is read: values are bytes of their own, which costs less than a view of each."""
        return self.env.begin()

    def row(self, txn: lmdb.Transaction, data_id: bytes) -> BucketRow | None:
        """A bucket's row; None when nothing was ever written to it."""
        value = txn.get(data_id, db=self.buckets)
        return None if value is None else decode_row(value)

    def put_row(self, txn: lmdb.Transaction, data_id: bytes, row: BucketRow) -> None:
        """Store a bucket's row."""
        txn.put(data_id, encode_row(row), db=self.buckets)

    def wishes_in(self, txn: lmdb.Transaction) -> list[Wish]:
        """All wishes for buckets."""
        with txn.cursor(self.wishes) as cursor:
            return [decode_wish(bytes(value)) for value in cursor.iternext(keys=False, values=True)]

    def keks(self, txn: lmdb.Transaction) -> str:
        """Fingerprints of the key-encryption keys that what is stored needs, with blanks between, newest first."""
        return bytes(txn.get(b"kek", default=b"", db=self.meta)).decode(errors="replace")

    def put_keks(self, txn: lmdb.Transaction, fingerprints: Sequence[str]) -> None:
        """Note them."""
        txn.put(b"kek", " ".join(fingerprints).encode(), db=self.meta)

    def touch(self, txn: lmdb.Transaction) -> None:
        """Write something that means nothing."""
        txn.put(b"touched", os.urandom(8), db=self.meta)

    def new_node(self, txn: lmdb.Transaction) -> bytes:
        """Draw a node id that never was."""
        number = int.from_bytes(bytes(txn.get(b"last-node", db=self.meta) or b"\0"), "big") + 1
        node = number.to_bytes(8, "big")
        txn.put(b"last-node", node, db=self.meta)
        return node


def open_writable(layout: Layout, map_size: int, sealer: Sealer) -> Index:
    """Open the index for the committer, making it when the store is new. Raises StoreUnusable, or what the sealer
    raises when the store was made with another key-encryption key.
    """
    try:
        _make_whole(layout, map_with_reserve(map_size))
        index = Index(_environment(layout.index, map_with_reserve(map_size), readonly=False), writable=True)
    except lmdb.Error as error:
        raise StoreUnusable(f"the index {layout.index} cannot be opened: {error}") from error
    try:
        _settle_format(index, layout, sealer)
        sync_directory(layout.index)  # LMDB syncs its files, and not that they are there
    except OSError as error:
        index.env.close()
        raise StoreUnusable(f"the index {layout.index} cannot be synced: {error.strerror}") from error
    except BaseException:
        index.env.close()
        raise
    return index


def _settle_format(index: Index, layout: Layout, sealer: Sealer) -> None:
    """Make a new store one of this format, and one of the former format, too. Raises StoreUnusable on others."""
    with index.env.begin(write=True) as txn:
        version = txn.get(b"format", db=index.meta)
        if version is None:
            txn.put(b"format", STORE_FORMAT, db=index.meta)
            txn.put(b"id", os.urandom(16), db=index.meta)
            index.put_keks(txn, [sealer.fingerprint])
        else:
            _check_format(layout, bytes(version))
            noted = index.keks(txn)
            sealer.check_fingerprint(noted)
            if sealer.fingerprint not in noted.split():  # others seal with it from now on
                index.put_keks(txn, [sealer.fingerprint, *noted.split()])
            if bytes(version) == FORMER_FORMAT:
                upgrade.begin(txn, index.meta, STORE_FORMAT)
    try:
        upgrade.finish(index.env, index.tables)
    except lmdb.Error as error:
        raise StoreUnusable(
            f"the store {layout.root} cannot be brought to format {STORE_FORMAT.decode()}: {error}"
        ) from error


def open_readonly(layout: Layout, map_size: int) -> Index | None:
    """Open the index for a worker; None while the committer has not made it yet. Raises lmdb.Error, and StoreUnusable
    when a newer program made it.
    """
    if not (layout.index / "data.mdb").exists():
        return None
    env = _environment(layout.index, map_with_reserve(map_size), readonly=True)
    try:
        index = Index(env, writable=False)
        with index.read() as txn:
            version = txn.get(b"format", db=index.meta)
            if version is not None:
                _check_format(layout, bytes(version))
                return index
    except lmdb.NotFoundError:
        pass  # its tables are not there yet
    except StoreUnusable:
        env.close()
        raise
    env.close()
    return None


def _check_format(layout: Layout, version: bytes) -> None:
    if version not in (STORE_FORMAT, FORMER_FORMAT):
        raise StoreUnusable(
            f"the store {layout.root} has format {version.decode(errors='replace')!r}, and this program knows up to "
            f"{STORE_FORMAT.decode()!r}: use the version that wrote it, or a newer one"
        )


def _make_whole(layout: Layout, map_size: int) -> None:
    """Make the index's file, where there is none, and put it in its place once it is durable: LMDB begins a file with
    pages that it does not sync, and refuses one in which these are torn. Raises lmdb.Error, StoreUnusable.
    """
    path, draft = layout.index / "data.mdb", layout.index / "data.mdb.new"
    try:
        for left in (draft, Path(f"{draft}-lock")):  # by a crash
            left.unlink(missing_ok=True)
        if path.exists():
            return
        env = _environment(draft, map_size, readonly=False, subdir=False)
        env.open_db(b"meta")  # a commit, which syncs the whole file
        env.close()
        draft.rename(path)
        Path(f"{draft}-lock").unlink()
    except OSError as error:
        raise StoreUnusable(f"the index {layout.index} cannot be made: {error.strerror}") from error


def _environment(path: Path, map_size: int, readonly: bool, subdir: bool = True) -> lmdb.Environment:
    # Durable by default: no `sync=False`, no `writemap`. `meminit` stays on: pages that were not zeroed would carry the
    # process's memory, keys included, to the disk. No `readahead`: reads are random.
    return lmdb.open(
        str(path),
        subdir=subdir,
        map_size=map_size,
        max_dbs=len(TABLES),
        max_readers=512,
        readonly=readonly,
        create=not readonly,
        readahead=False,
        mode=0o600,
    )
