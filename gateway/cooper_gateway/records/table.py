"""The records table: one LMDB map on tmpfs that the watcher writes and every worker reads at each request.

A row is `record name -> record, sealed under the per-boot key and bound to that name`. Two more rows say when the
source was last read completely (`stamp`) and count the changes of records (`revision`). They are apart so that a stamp
every two seconds costs no reader its decoded records.
"""

import os
import struct
from collections.abc import Iterable, Iterator, Mapping
from typing import Final

import lmdb

from cooper_crds.names import bucket_record_name, domain_record_name, key_record_name, region_record_name
from cooper_crds.records import (
    Box,
    BucketRecord,
    DomainRecord,
    KeyRecord,
    Record,
    RecordError,
    RegionRecord,
    decode,
    encode,
)

_STAMP: Final = b"\0stamp"  # no record name begins with a zero byte
_REVISION: Final = b"\0revision"
_FIRST_RECORD: Final = b"\1"
_TIME: Final = struct.Struct(">d")  # Unix seconds
_COUNT: Final = struct.Struct(">Q")
_NO_TRANSACTION: Final = -1

#: LMDB's longest key is 511 bytes; Kubernetes' longest name is 253. What is longer names no record.
_LONGEST_NAME: Final = 253
#: Room beyond the limit, for changes of records that are there, in bytes; of a small table one part in so many.
_RESERVE: Final = 16 << 20
_SHARE: Final = 8
#: Rows of one transaction there: each copies the pages that it changes, and those free up two transactions later.
_BATCH: Final = 16
#: Decoded records that a reader keeps, with their rows, and bytes of these rows: 100,000 keys must not cost each worker
#: their memory, nor the largest ones of somebody who has some thousands of them.
_CACHE_LIMIT: Final = 4096
_CACHE_BYTES: Final = 8 << 20

Changes = Mapping[str, Record | None]


class TableFull(Exception):
    """The records do not fit into the table's size limit. Nothing of the change was made."""


def record_name(record: Record) -> str:
    """The name that a record must be stored under."""
    if isinstance(record, KeyRecord):
        return key_record_name(record.access_key_id)
    if isinstance(record, BucketRecord):
        return bucket_record_name(record.name)
    if isinstance(record, DomainRecord):
        return domain_record_name(record.name)
    return region_record_name(record.name)


def open_for_writing(path: str, size_limit: int) -> lmdb.Environment:
    """Open the table as its only writer, making it when there is none. `size_limit` is in bytes."""
    os.makedirs(path, mode=0o700, exist_ok=True)
    # The table dies with the boot, so nothing is synced: a killed writer loses nothing that the kernel has.
    return lmdb.open(path, map_size=size_limit, mode=0o600, sync=False, metasync=False, max_dbs=0)


def open_for_reading(path: str, size_limit: int) -> lmdb.Environment:
    """Open the table as a reader. Raises lmdb.Error when there is none."""
    most = _with_reserve(size_limit)
    return lmdb.open(path, map_size=most, readonly=True, create=False, max_dbs=0, max_spare_txns=1)


class TableWriter:
    """Writes the table. Every method is one transaction: readers see all of it or nothing."""

    def __init__(self, env: lmdb.Environment, box: Box) -> None:
        self._env = env
        self._box = box
        self._limit = int(env.info()["map_size"])

    def replace_all(self, records: Iterable[Record], now: float) -> int:
        """Make the table hold exactly these records, verified at `now`. Returns how many rows changed.

        Rows that already say the same are not rewritten. Raises TableFull.
        """
        return self.apply(self.difference(records), now)

    def difference(self, records: Iterable[Record]) -> dict[str, Record | None]:
        """The changes after which the table holds exactly these records."""
        changes: dict[str, Record | None] = {record_name(record): record for record in records}
        with self._env.begin() as txn:
            for key, row in _rows(txn):
                name = key.decode()
                record = changes.get(name)
                if record is None:
                    changes[name] = None
                elif _unsealed(self._box, key, row) == record:
                    del changes[name]
        return changes

    def records(self) -> Iterator[tuple[str, Record]]:
        """All records with their names. The table must not be written meanwhile."""
        with self._env.begin() as txn:
            for key, row in _rows(txn):
                record = _unsealed(self._box, key, row)
                if record is not None:
                    yield key.decode(), record

    def apply(self, changes: Changes, verified_at: float | None) -> int:
        """Write these records (None: gone); with `verified_at`, also that the source was read completely then.

        Rows that already say the same are not rewritten. Returns how many changed. Raises TableFull.
        """
        try:
            with self._env.begin(write=True) as txn:
                changed = sum(self._put(txn, name, record) for name, record in changes.items())
                if changed:
                    txn.put(_REVISION, _COUNT.pack(_COUNT.unpack(txn.get(_REVISION, _COUNT.pack(0)))[0] + 1))
                if verified_at is not None:
                    txn.put(_STAMP, _TIME.pack(verified_at))
        except lmdb.MapFullError:
            raise TableFull(
                f"the records do not fit into {self._limit} bytes: raise table_size, or remove keys and buckets"
            ) from None
        except lmdb.DiskError:
            raise TableFull(f"the records do not fit: no room is left below {self._env.path()}") from None
        return changed

    def apply_to_present(self, changes: Changes) -> int:
        """Of these changes make those of records that are there, in room that is kept for them, and stamp nothing.

        A revocation is one of them: it must not wait until what is new fits. Not one transaction. Returns how many rows
        changed. Raises TableFull.
        """
        with self._env.begin() as txn:
            present = [change for change in changes.items() if txn.get(change[0].encode()) is not None]
        self._env.set_mapsize(_with_reserve(self._limit))
        try:
            begins = range(0, len(present), _BATCH)
            return sum(self.apply(dict(present[begin : begin + _BATCH]), None) for begin in begins)
        finally:
            self._env.set_mapsize(self._limit)  # LMDB takes at least what is used

    def stamp(self, now: float) -> None:
        """Note that the source was read completely at `now` and says what the table says. Raises TableFull."""
        self.apply({}, now)

    def size(self) -> tuple[int, int]:
        """Bytes that the records take, and how many they may: by the limit, and by what is left of the memory file
        system that the table lies on."""
        pages = self._env.stat()
        used = (pages["branch_pages"] + pages["leaf_pages"] + pages["overflow_pages"]) * pages["psize"]
        taken = os.stat(os.path.join(self._env.path(), "data.mdb")).st_blocks * 512
        left = os.statvfs(self._env.path())
        return used, min(self._limit, taken + left.f_bavail * left.f_frsize)

    def tidy(self) -> None:
        """Clear readers that are dead: one killed inside a transaction would pin old pages until the table is full."""
        self._env.reader_check()

    def verified_at(self) -> float | None:
        """The last stamp in Unix seconds; None when there was none."""
        with self._env.begin() as txn:
            row = txn.get(_STAMP)
        return None if row is None else _TIME.unpack(row)[0]

    def _put(self, txn: "lmdb.Transaction[bytes]", name: str, record: Record | None) -> bool:
        """Write one row; whether it said something else before."""
        key = name.encode()
        if record is None:
            return txn.delete(key)
        row = txn.get(key)
        if row is not None and _unsealed(self._box, key, row) == record:
            return False
        return txn.put(key, self._box.seal(encode(record), key))


class RecordsTable:
    """Reads the table; a `Directory` for the access checks. For one thread: no transaction outlives a call."""

    def __init__(self, env: lmdb.Environment, box: Box, region: str) -> None:
        self._env = env
        self._box = box
        self._region_name = region_record_name(region)
        self._transaction = _NO_TRANSACTION
        self._revision = 0
        self._verified_at = 0.0
        self._records: dict[str, Record] = {}  # of this revision
        self._decoded_size = 0  # bytes of rows
        self._decoded: dict[str, tuple[bytes, Record]] = {}  # with the row that it was decoded from, of whichever
        self._no_domains: set[str] = set()

    def refresh(self) -> "RecordsTable":
        """See what was committed last. Called at the beginning of each request and of each recheck; 0.4 µs."""
        txn = self._env.begin()
        try:
            if txn.id() != self._transaction:
                self._renew(txn)
        finally:
            txn.abort()
        return self

    @property
    def revision(self) -> int:
        """Counts the changes of records; the same number means the same records."""
        return self._revision

    def verified_at(self) -> float:
        """When the source was last read completely, in Unix seconds; 0 when it never was."""
        return self._verified_at

    def key(self, access_key_id: str) -> KeyRecord | None:
        """The key of that id, also when it is revoked or expired."""
        record = self._lookup(key_record_name(access_key_id))
        # Record names are lower case and key ids are not: another spelling of the id is another key.
        if isinstance(record, KeyRecord) and record.access_key_id == access_key_id:
            return record
        return None

    def bucket(self, name: str) -> BucketRecord | None:
        """The bucket of that S3 name, also when it is retained."""
        record = self._lookup(bucket_record_name(name))
        return record if isinstance(record, BucketRecord) else None

    def domain(self, name: str) -> DomainRecord | None:
        """The claim on that host name. That there is none is remembered: most requests ask for one that is not."""
        if name in self._no_domains:
            return None
        record = self._lookup(domain_record_name(name))
        if isinstance(record, DomainRecord):
            return record
        if len(self._no_domains) >= _CACHE_LIMIT:
            self._no_domains.clear()
        self._no_domains.add(name)
        return None

    def region(self) -> RegionRecord | None:
        """The settings of the Region that this gateway serves."""
        record = self._lookup(self._region_name)
        return record if isinstance(record, RegionRecord) else None

    def _lookup(self, name: str) -> Record | None:
        record = self._records.get(name)
        if record is not None:
            return record
        if len(name) > _LONGEST_NAME or not name.isascii():
            return None
        txn = self._env.begin()
        try:
            if txn.id() != self._transaction:
                self._renew(txn)
            row = txn.get(name.encode())
        finally:
            txn.abort()
        return None if row is None else self._keep(name, row)

    def _keep(self, name: str, row: bytes) -> Record | None:
        """The row's record. Some other record's change is no reason to decode this one again: comparing is cheaper."""
        known = self._decoded.get(name)
        record = known[1] if known is not None and known[0] == row else _unsealed(self._box, name.encode(), row)
        if record is None:
            return None
        self._decoded_size += len(row) - (len(known[0]) if known is not None else 0)
        self._records[name], self._decoded[name] = record, (row, record)
        if len(self._decoded) > _CACHE_LIMIT or self._decoded_size > _CACHE_BYTES:
            self._records.clear()
            self._decoded.clear()
            self._decoded_size = 0
        return record

    def _renew(self, txn: "lmdb.Transaction[bytes]") -> None:
        revision = _COUNT.unpack(txn.get(_REVISION, _COUNT.pack(0)))[0]
        if revision != self._revision:
            self._records.clear()
            self._no_domains.clear()
            self._revision = revision
        self._verified_at = _TIME.unpack(txn.get(_STAMP, _TIME.pack(0.0)))[0]
        self._transaction = txn.id()


def _with_reserve(size_limit: int) -> int:
    return size_limit + min(_RESERVE, size_limit // _SHARE)


def _rows(txn: "lmdb.Transaction[bytes]") -> Iterator[tuple[bytes, bytes]]:
    with txn.cursor() as cursor:
        if cursor.set_range(_FIRST_RECORD):
            for key, row in cursor.iternext():
                yield bytes(key), bytes(row)


def _unsealed(box: Box, name: bytes, row: bytes) -> Record | None:
    """The row's record; None, which grants nothing, when it was not sealed under this boot's key for this name."""
    try:
        return decode(box.open(row, name))
    except (ValueError, RecordError):
        return None
