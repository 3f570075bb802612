"""DeleteBucket over S3: the gateway closed the bucket and asks; here it is authorised again, from what holds now."""

from dataclasses import dataclass
from typing import Literal

from cooper_crds.actions import DELETE_BUCKET
from cooper_crds.bucket import Bucket
from cooper_crds.records import BucketRecord, KeyRecord

Decision = Literal["delete", "reopen", "leave"]


@dataclass(frozen=True, slots=True)
class IntentSnapshot:
    """A DeleteBucket that waits, and all that decides about it. None: proven absent."""

    data_id: str
    record: BucketRecord | None
    key: KeyRecord | None
    bucket: Bucket | None
    now: float  # Unix seconds


def decide(snapshot: IntentSnapshot) -> tuple[Decision, str]:
    """What to do, and why. `leave`: the deletion is under way already, or there is nothing to reopen."""
    record, bucket = snapshot.record, snapshot.bucket
    if record is None or record.data_id != snapshot.data_id:
        return "leave", "there is no record of this bucket any more"
    if bucket is None or bucket.metadata.uid != record.owner.uid:
        return "reopen", "the bucket has no resource"
    if bucket.metadata.deletion_timestamp is not None:
        return "leave", "the Bucket is being deleted already"
    if problem := _key_problem(snapshot, record):
        return "reopen", problem
    return "delete", "the key may delete the bucket"


def _key_problem(snapshot: IntentSnapshot, record: BucketRecord) -> str | None:
    key = snapshot.key
    if key is None or key.state != "Active":
        return "the key is not in use any more"
    if key.not_after is not None and key.not_after <= snapshot.now:
        return "the key has expired"
    if record.api_access == "Revoked":
        return "spec.apiAccess of the Bucket is Revoked"
    granted = any(grant.is_on(record) and DELETE_BUCKET in grant.actions for grant in key.grants)
    return None if granted else f"the key was not granted {DELETE_BUCKET}"
