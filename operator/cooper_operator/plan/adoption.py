"""Data that a former Bucket left under an S3 name with deletionPolicy Retain, and who may take it over.

Whose data it is tells the UID of the namespace, never its name: another one of that name may be somebody else's. A
record that does not tell it is nobody's. Beside the owner only those may whom a platform admin names in the Region.

Nobody is to be served by a right of before: the former Bucket is proven absent, and no key is granted anything on the
data. Data that a purge had closed is opened while the record still serves nobody, so that a crash leaves no trace.
"""

from cooper_crds.bucket import Adopted, Bucket, BucketStatus
from cooper_crds.fields import timestamp
from cooper_crds.records import BucketRecord
from cooper_operator.plan.reasons import GATEWAY_UNAVAILABLE, NAME_TAKEN, REGION_CHANGED, WAITING_TO_ADOPT, Reason
from cooper_operator.plan.region import Home
from cooper_operator.plan.snapshot import BucketSnapshot
from cooper_operator.plan.steps import AdoptBucket, ReopenBucket, Step
from cooper_operator.plan.sweep import is_kept


def inherited(snapshot: BucketSnapshot, home: Home) -> BucketRecord | None:
    """What the record says that the bucket takes over; None where there is none, or it may not, or not yet."""
    record = _permitted(snapshot, home)
    return record if record is not None and _lies_here(record, home) and _is_free(snapshot) else None


def taken_problem(snapshot: BucketSnapshot, home: Home, name: str) -> tuple[Reason, str] | None:
    """Why the bucket cannot have an S3 name whose record is another's; None: it takes that over.

    Who holds the name, and how it stands, is told within the namespace only: what others have is theirs.
    """
    record = _permitted(snapshot, home)
    if record is None:
        return NAME_TAKEN, _taken(snapshot, name)
    if not _lies_here(record, home):
        return REGION_CHANGED, f"the data that was retained under the S3 name {name} lies in Region {record.region}"
    if not _is_free(snapshot):
        return WAITING_TO_ADOPT, f"the data that was retained under the S3 name {name} is not free yet"
    blocked = snapshot.blocked
    if blocked is not None and blocked.step is ReopenBucket:
        return GATEWAY_UNAVAILABLE, f"the data that was retained may be closed: {blocked.detail}"
    return None


def adoption_steps(snapshot: BucketSnapshot, home: Home, before: BucketRecord, record: BucketRecord) -> list[Step]:
    """What makes the data the bucket's, by its `record`."""
    if snapshot.claim is None or home.record is None:
        return []
    return [ReopenBucket(home.record, before), AdoptBucket(snapshot.claim, record)]


def adopted(bucket: Bucket, record: BucketRecord, now: float) -> Adopted | None:
    """What status is to say of data that was taken over: once, as of when."""
    if record.data_id == bucket.metadata.uid:
        return None
    told = (bucket.status or BucketStatus()).adopted
    same = told is not None and told.data_id == record.data_id
    return told if same else Adopted(at=timestamp(now), data_id=record.data_id)


def _permitted(snapshot: BucketSnapshot, home: Home) -> BucketRecord | None:
    """The retained record that the bucket asks for and may have."""
    record = None if snapshot.claim is None else snapshot.claim.record
    if not isinstance(record, BucketRecord) or not snapshot.bucket.spec.adopt or not is_kept(record):
        return None
    if _is_of_this_namespace(record, snapshot):
        return record
    named = home.region is not None and home.region.spec.lets_adopt(record.name, snapshot.bucket.metadata.namespace)
    return record if named and _lies_here(record, home) else None


def _is_of_this_namespace(record: BucketRecord, snapshot: BucketSnapshot) -> bool:
    return record.namespace_uid != "" and record.namespace_uid == snapshot.namespace_uid


def _lies_here(record: BucketRecord, home: Home) -> bool:
    return record.region in ("", home.name)


def _is_free(snapshot: BucketSnapshot) -> bool:
    return snapshot.left.absent and not snapshot.left.granted


def _taken(snapshot: BucketSnapshot, name: str) -> str:
    record = None if snapshot.claim is None else snapshot.claim.record
    if not isinstance(record, BucketRecord) or not _is_of_this_namespace(record, snapshot):
        return f"the S3 name {name} belongs to another namespace"
    if is_kept(record):
        holds = f"holds the retained data of the former Bucket {record.owner.name} of this namespace"
        return f"the S3 name {name} {holds}, which spec.adopt true takes over"
    former = "the former " if record.owner.name == snapshot.bucket.metadata.name else ""
    return f"the S3 name {name} belongs to {former}Bucket {record.owner.name} of this namespace"
