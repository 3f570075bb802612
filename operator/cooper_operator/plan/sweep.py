"""The sweep of records whose resource is gone: keys are revoked and removed, data is never destroyed."""

from dataclasses import dataclass
from typing import Final

import msgspec

from cooper_crds.records import BucketRecord, KeyRecord
from cooper_crds.stored import StoredRecord

#: A sweep that would touch more than this share of all records halts: something else is wrong then.
LARGEST_SHARE: Final = 0.1
#: But so few may always be touched: a tenth of a handful is nothing.
A_HANDFUL: Final = 5


@dataclass(frozen=True, slots=True)
class Sweep:
    """What a sweep would touch."""

    keys: tuple[StoredRecord, ...]  # to be revoked, and removed once every worker refuses them
    buckets: tuple[StoredRecord, ...]  # to be marked as retained
    halted: bool


def suspects(records: list[StoredRecord], live_uids: set[str]) -> list[StoredRecord]:
    """Records whose owner is in no complete list. Each is to be confirmed by a live read before anything is done."""
    return [
        found
        for found in records
        if (isinstance(found.record, KeyRecord) and not found.record.system and found.record.owner.uid not in live_uids)
        or (
            isinstance(found.record, BucketRecord)
            and not found.record.retained
            and found.record.owner.uid not in live_uids
        )
    ]


def too_many(touched: int, total: int) -> bool:
    """Whether a sweep that would touch `touched` of `total` records is to halt."""
    return touched > A_HANDFUL and touched > total * LARGEST_SHARE


def plan_sweep(orphans: list[StoredRecord], total: int) -> Sweep:
    """What to do about orphans that are confirmed, out of `total` records. Keys that are revoked are no loss."""
    if too_many(sum(map(_is_in_use, orphans)), total):
        return Sweep((), (), True)
    keys = tuple(found for found in orphans if isinstance(found.record, KeyRecord))
    buckets = tuple(found for found in orphans if isinstance(found.record, BucketRecord))
    return Sweep(keys, buckets, False)


def _is_in_use(found: StoredRecord) -> bool:
    return not isinstance(found.record, KeyRecord) or found.record.state != "Revoked"


def retained(bucket: BucketRecord) -> BucketRecord:
    """The bucket as it is kept: its data and its claim on the name stay, and it serves nobody."""
    return msgspec.structs.replace(bucket, retained=True)
