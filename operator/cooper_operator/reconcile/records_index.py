"""Names of the records that exist, by whom they were made for and by the data they grant something on.

Only names: each record is read live when it matters.
"""

from collections.abc import Callable, Iterable, Iterator

from cooper_crds.names import bucket_record_name, region_record_name
from cooper_crds.records import BucketRecord, DomainRecord, KeyRecord, Record, RegionRecord
from cooper_crds.stored import StoredRecord
from cooper_operator.cluster.port import Ref
from cooper_operator.plan.keys import keys_of
from cooper_operator.plan.snapshot import AccessKeySnapshot, BucketSnapshot, RegionSnapshot, Snapshot

_REGION_PREFIX = region_record_name("")


class RecordsIndex:
    """Filled from a complete list, then kept by the operator's own writes: it is the only writer of records.

    A write may be carried out and its answer lost; what each resource finds of its own is noted for that.
    `wake` is called for a Bucket that waits for a key when there is one that may reach it.
    """

    def __init__(self, wake: Callable[[Ref], None] = lambda _: None) -> None:
        self._wake = wake
        self._waiting: dict[str, Ref] = {}  # Buckets that wait for a key, by UID
        self._by_owner: dict[str, set[str]] = {}
        self._owner_of: dict[str, str] = {}
        self._granted_on: dict[str, set[str]] = {}
        self._grants_of: dict[str, tuple[str, ...]] = {}
        self._in_region: dict[str, set[str]] = {}
        self._region_of: dict[str, str] = {}
        self.regions: set[str] = set()  # names of Regions that have a record

    def fill(self, records: Iterable[tuple[str, Record]]) -> None:
        """Add everything that was listed."""
        for name, record in records:
            self.wrote(name, record)

    def wrote(self, name: str, record: Record) -> None:
        """A record is there."""
        if isinstance(record, RegionRecord):
            self.regions.add(record.name)
            return
        self.removed(name)
        self._owner_of[name] = record.owner.uid
        self._by_owner.setdefault(record.owner.uid, set()).add(name)
        if not isinstance(record, BucketRecord) or not record.retained:
            self._region_of[name] = record.region
            self._in_region.setdefault(record.region, set()).add(name)
        if isinstance(record, KeyRecord):
            self._grants_of[name] = tuple(grant.data_id for grant in record.grants)
            for data_id in self._grants_of[name]:
                self._granted_on.setdefault(data_id, set()).add(name)
            for grant in record.grants if self._waiting else ():
                bucket = self._waiting.get(self._owner_of.get(bucket_record_name(grant.bucket), ""))
                if bucket is not None:
                    self._wake(bucket)

    def waits_for_key(self, uid: str, bucket: Ref, *, waits: bool) -> None:
        """Whether a Bucket is to be told of keys that are granted something there."""
        if waits:
            self._waiting[uid] = bucket
        else:
            self._waiting.pop(uid, None)

    def looked_at(self, snapshot: Snapshot | None) -> None:
        """A resource was looked at: its records are there. Those of others are not noted: they may be written now."""
        for found in _own_records(snapshot):
            self.wrote(found.name, found.record)

    def removed(self, name: str) -> None:
        """A record is gone."""
        if name.startswith(_REGION_PREFIX):
            self.regions.discard(name.removeprefix(_REGION_PREFIX))
        owner = self._owner_of.pop(name, None)
        if owner is None:
            return
        _discard(self._by_owner, owner, name)
        _discard(self._in_region, self._region_of.pop(name, ""), name)
        for data_id in self._grants_of.pop(name, ()):
            _discard(self._granted_on, data_id, name)

    def owned_by(self, uid: str) -> set[str]:
        """Names of the records made for the resource with this UID."""
        return set(self._by_owner.get(uid, ()))

    def granted_on(self, data_id: str) -> set[str]:
        """Names of the records of keys that are granted something on a bucket's data."""
        return set(self._granted_on.get(data_id, ()))

    def in_region(self, name: str) -> set[str]:
        """Names of the records of keys and of buckets that are not retained, in the Region of that name."""
        return set(self._in_region.get(name, ()))


def _own_records(snapshot: Snapshot | None) -> Iterator[StoredRecord]:
    if isinstance(snapshot, AccessKeySnapshot):
        yield from keys_of(snapshot)
    if isinstance(snapshot, RegionSnapshot) and snapshot.record is not None:
        yield snapshot.record
    if isinstance(snapshot, BucketSnapshot):
        uid = snapshot.bucket.metadata.uid
        for found in (snapshot.owned, *snapshot.domains):
            if (
                found is not None
                and isinstance(found.record, BucketRecord | DomainRecord)
                and found.record.owner.uid == uid
            ):
                yield found


def _discard(names: dict[str, set[str]], of: str, name: str) -> None:
    held = names.get(of, set())
    held.discard(name)
    if not held:
        names.pop(of, None)
