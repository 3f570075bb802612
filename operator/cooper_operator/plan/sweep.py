"""The sweep of records whose resource is gone: keys are revoked and removed, what a bucket holds is never destroyed.

A domain is given up. A bucket that holds nothing goes, unless its Bucket was to be retained. One that holds something
is kept from then on.

A sweep that halts touches nothing of that. What nobody lends any more each of them takes (`plan/lending.py`): whose
Bucket is there decides alone who else may use it.
"""

from dataclasses import dataclass
from typing import Final

import msgspec

from cooper_crds.records import BucketRecord, DomainRecord, KeyRecord
from cooper_crds.stored import StoredRecord

#: A sweep that would touch more than this share of all records halts: something else is wrong then.
LARGEST_SHARE: Final = 0.1
#: But so few may always be touched: a tenth of a handful is nothing.
A_HANDFUL: Final = 5


@dataclass(frozen=True, slots=True)
class Sweep:
    """What a sweep would touch."""

    keys: tuple[StoredRecord, ...]  # to be revoked, and removed once every worker refuses them
    domains: tuple[StoredRecord, ...]  # to be given up
    buckets: tuple[StoredRecord, ...]  # to serve nobody; and to go, if they hold nothing and were not to be retained
    halted: bool


def suspects(records: list[StoredRecord], live_uids: set[str]) -> list[StoredRecord]:
    """Records whose owner is in no complete list. Each is to be confirmed by a live read before anything is done."""
    return [
        found
        for found in records
        if (isinstance(found.record, DomainRecord) and found.record.owner.uid not in live_uids)
        or (isinstance(found.record, KeyRecord) and not found.record.system and found.record.owner.uid not in live_uids)
        or (
            isinstance(found.record, BucketRecord)
            and not is_kept(found.record)
            and found.record.owner.uid not in live_uids
        )
    ]


def too_many(touched: int, total: int) -> bool:
    """Whether a sweep that would touch `touched` of `total` records is to halt."""
    return touched > A_HANDFUL and touched > total * LARGEST_SHARE


def plan_sweep(orphans: list[StoredRecord], total: int) -> Sweep:
    """What to do about orphans that are confirmed, out of `total` records. Keys that are revoked are no loss, and no
    domain is one without its bucket."""
    if too_many(sum(map(_is_in_use, orphans)), total):
        return Sweep((), (), (), True)
    domains = tuple(found for found in orphans if isinstance(found.record, DomainRecord))
    keys = tuple(found for found in orphans if isinstance(found.record, KeyRecord))
    buckets = tuple(found for found in orphans if isinstance(found.record, BucketRecord))
    return Sweep(keys, domains, buckets, False)


def _is_in_use(found: StoredRecord) -> bool:
    if isinstance(found.record, BucketRecord):
        return not found.record.retained
    if isinstance(found.record, DomainRecord):
        return False
    return not isinstance(found.record, KeyRecord) or found.record.state != "Revoked"


def is_kept(bucket: BucketRecord) -> bool:
    """Whether nothing is to be done any more about a bucket that has no resource."""
    return bucket.retained and bucket.deletion_policy == "Retain"


def kept(bucket: BucketRecord) -> BucketRecord:
    """The bucket as it is kept for good, and for who may take it over."""
    return msgspec.structs.replace(retained(bucket), deletion_policy="Retain")


def retained(bucket: BucketRecord) -> BucketRecord:
    """The bucket as it serves nobody: its data and its claim on the name stay.

    Lists do not, which can be of many kilobytes and count in no quota of a namespace: who takes the data over, or calls
    the deletion off, brings his own.
    """
    return msgspec.structs.replace(bucket, retained=True, content_types=(), cors=())
