"""A whole store, verified bucket by bucket. It only reads."""

import time
from collections.abc import Callable, Iterator, Sequence

from cooper_gateway.storage.batch import KEY_GARBAGE
from cooper_gateway.storage.bucket_keys import BucketKeys
from cooper_gateway.storage.entries import BucketRow, State
from cooper_gateway.storage.index import DAMAGE
from cooper_gateway.storage.port import StoreError
from cooper_gateway.storage.sealing import BucketSealer
from cooper_gateway.storage.verification import pages
from cooper_gateway.storage.verification.findings import At, Damage, Note, Plan
from cooper_gateway.storage.verification.left_over import Remains
from cooper_gateway.storage.verification.reading_back import BucketReader, Place, Tell, references
from cooper_gateway.storage.verification.recount import Nodes, Recount, last_node

#: (data id in hex, or nothing for what is of the store, and the step): what ended a process that tried it.
Skipped = frozenset[tuple[str, str]]


class Verifier:
    """One verification. What it finds is told; what it cannot read as well."""

    def __init__(self, place: Place, keys: BucketKeys, tell: Tell, skipped: Skipped = frozenset()) -> None:
        self._place = place
        self._keys = keys
        self._tell = tell
        self._skipped = skipped
        self._nodes = Nodes()
        self._last_node = 0
        self._gaps = False  # something could not be read: what is left over cannot be told
        self._began = time.time_ns() // 1_000_000

    def run(self, only: Sequence[bytes] | None = None, begin: bytes = b"") -> None:
        """Verify these buckets, from a data id on; or, with `only` None, all of them and the rest of the store."""
        self._gaps = bool(begin) or bool(self._skipped)
        self._first_pages()
        self._try("last node", "", self._note_last_node)
        rows = self._rows()
        if only is not None:
            for data_id in sorted(set(only) - rows.keys()):
                self._tell(Note(f"bucket {data_id.hex()} holds nothing: nothing was ever written to it"))
            rows = {data_id: row for data_id, row in rows.items() if data_id in only}
        self._tell(_plan(rows, self._format()))
        for data_id in rows:
            if data_id >= begin:
                self._bucket(data_id)
        if only is None:
            self._rest()

    def _rest(self) -> None:
        remains = Remains(self._place, self._referred, self._tell)
        if self._gaps:
            self._tell(Note("what nothing refers to was not looked for, since not everything could be read"))
        else:
            self._try("tables", "", lambda: remains.in_tables(self._began))
            self._try("names", "", lambda: remains.in_names(self._nodes, self._last_node))
        self._try("files", "", remains.on_disk)

    def _first_pages(self) -> None:
        try:
            problem = pages.problem_of(self._place.layout.index / "data.mdb")
        except OSError as error:
            problem = f"its first pages: {error.strerror}"
        if problem is not None:
            self._tell(Damage("IndexUnreadable", problem))

    def _note_last_node(self) -> None:
        with self._place.index.read() as txn:
            self._last_node = last_node(txn, self._place.index)

    def _format(self) -> str:
        index = self._place.index
        with index.read() as txn:
            return bytes(txn.get(b"format", db=index.meta) or b"").decode(errors="replace")

    def _rows(self) -> dict[bytes, BucketRow]:
        """All buckets' rows, of one instant, in order of their data ids."""
        index, rows = self._place.index, dict[bytes, BucketRow]()

        def read() -> None:
            with index.read() as txn, txn.cursor(index.buckets) as cursor:
                for key in cursor.iternext(keys=True, values=False):
                    data_id = bytes(key)
                    try:
                        row = index.row(txn, data_id)
                    except DAMAGE as error:
                        self._gaps = True
                        self._tell(Damage("IndexUnreadable", f"the bucket's row: {error}", data_id.hex()))
                        continue
                    if row is None:
                        self._gaps = True
                        self._tell(Damage("EntryNotFound", "the bucket's row: a look-up ends elsewhere", data_id.hex()))
                    else:
                        rows[data_id] = row

        self._try("buckets", "", read)
        return dict(sorted(rows.items()))

    def _bucket(self, data_id: bytes) -> None:
        name = data_id.hex()
        self._try("index", name, lambda: self._recount(data_id))
        found: list[BucketSealer | None] = []
        self._try("key", name, lambda: found.append(self._sealer(data_id)))
        for sealer in found:
            if sealer is not None:
                reader = BucketReader(self._place, data_id, sealer, self._tell)
                self._try("uploads", name, reader.uploads)
                self._try("objects", name, reader.objects)

    def _recount(self, data_id: bytes) -> None:
        """Compare a bucket's row with what there is, in one read transaction."""
        index, name = self._place.index, data_id.hex()
        with index.read() as txn:
            row = index.row(txn, data_id)
            if row is None:
                self._tell(Damage("EntryNotFound", "the bucket's row is gone", name))  # rows stay for ever
                return
            found = Recount(txn, index, row, self._nodes)
        self._place.pace.spend(found.read)
        self._gaps |= bool(found.problems)
        for problem in found.problems:
            self._tell(Damage("NamesBroken", problem, name))
        wrong = [
            f"{there} {what}, and the row says {said}"
            for what, there, said in (
                ("objects", found.objects, row.objects),
                ("bytes of objects", found.size, row.size),
                ("uploads", found.uploads, row.uploads),
            )
            if there != said
        ]
        if row.parts_size > found.parts_size:  # a store of before has not counted all
            wrong.append(f"{found.parts_size} bytes of parts, and the row says {row.parts_size}")
        if wrong:
            self._tell(Damage("CountsDiffer", "; ".join(wrong), name))
        if not row.set_hash:
            self._tell(Note(f"bucket {name} has no hash of its entries yet: the gateway makes it when it starts"))
        elif row.set_hash != found.set_hash:
            self._tell(Damage("EntriesDiffer", "their hash is not the one of the bucket's row", name))

    def _sealer(self, data_id: bytes) -> BucketSealer | None:
        """The bucket's cipher; None where it has none, and is to have none, or that is told as damage."""
        name, path = data_id.hex(), self._place.layout.bucket_key(data_id)
        if self._row(data_id).state == State.DESTROYED:
            if path.exists() and not self._is_garbage(data_id) and path.exists():
                self._tell(Damage("KeyLeft", path.name, name))
            return None
        try:
            return self._keys.get(data_id)
        except StoreError as error:
            row = self._row(data_id)
            if row.state == State.DESTROYED or not (path.exists() or row.objects or row.uploads):
                return None  # it was destroyed meanwhile, or never written to
            self._gaps = True
            self._tell(Damage("KeyDamaged" if path.exists() else "KeyMissing", str(error), name))
            return None

    def _row(self, data_id: bytes) -> BucketRow:
        index = self._place.index
        with index.read() as txn:
            return index.row(txn, data_id) or BucketRow(b"", b"", state=State.DESTROYED)

    def _is_garbage(self, data_id: bytes) -> bool:
        index = self._place.index
        with index.read() as txn:
            return txn.get(KEY_GARBAGE + data_id, db=index.garbage) is not None

    def _referred(self) -> Iterator[bytes]:
        """Ids that all buckets' entries refer to, also of buckets that came since."""
        for data_id, row in self._rows().items():
            if row.objects or row.uploads:
                self._tell(At("tables", key=data_id))
                try:
                    sealer = self._keys.get(data_id)
                except StoreError:
                    if self._row(data_id).state == State.DESTROYED:
                        continue  # meanwhile
                    raise
                yield from references(self._place.index, sealer, data_id)

    def _try(self, step: str, name: str, do: Callable[[], None]) -> None:
        """Do a step. Where the index cannot be read that is damage, and the next step may do."""
        if (name, step) in self._skipped:
            return
        self._tell(At(step, name))
        try:
            do()
        except DAMAGE as error:
            self._gaps = True
            self._tell(Damage("IndexUnreadable", f"{step}: {error}", name))
        except StoreError as error:  # a key is gone: told where its bucket is looked at
            self._gaps = True
            self._tell(Note(f"{step}: {error}"))


def _plan(rows: dict[bytes, BucketRow], version: str) -> Plan:
    entries = sum(max(0, row.objects) + max(0, row.uploads) for row in rows.values())
    size = sum(max(0, row.size) + max(0, row.parts_size) for row in rows.values())
    return Plan([data_id.hex() for data_id in rows], entries, size, version)
