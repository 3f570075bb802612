"""CreateBucket over S3: a gateway keeps the wish; here it is authorised again, from what holds now, by a row of checks.

What a gateway says is believed of nothing but that somebody asked: which namespace the Bucket is made in, and whether
at all, follows from the key's record and its AccessKey. What is made gives nobody a right that he did not have.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final, Literal

from cooper_crds.access_key import AccessKey
from cooper_crds.bucket import Bucket
from cooper_crds.meta import API_VERSION, CREATED_BY
from cooper_crds.names import DNS_SUBDOMAIN, bucket_name_problem
from cooper_crds.records import BucketRecord, KeyRecord
from cooper_operator.plan.access_key import is_to_work

#: make: the Bucket is to be made. made: it is there. refuse: it will not be. leave: nothing is to be done now.
#: forget: nobody waits any more.
Decision = Literal["make", "made", "refuse", "leave", "forget"]

#: Seconds for which a wish may be acted on: it has to come to an end, or a bucket would come out of the blue.
KEPT: Final = 600.0
#: The same for which its outcome is kept for a client that asks again.
KEPT_SETTLED: Final = 120.0

DENIED: Final = "AccessDenied"
REVOKED: Final = "KeyAccessRevoked"


@dataclass(frozen=True, slots=True)
class WishSnapshot:
    """A CreateBucket that waits, and all that decides about it. None: proven absent."""

    name: str  # S3 name, and name of the Bucket
    access_key_id: str
    asked_at: float  # Unix seconds
    settled: bool  # it has an outcome, which is the client's to be told
    region: str  # whose gateway was asked
    served: bool  # whether that Region lets buckets be created so
    most: int  # Buckets of a namespace with which there is room for another
    key: KeyRecord | None
    access_key: AccessKey | None  # that the key's record was made for
    bucket: Bucket | None  # of that name in the key's namespace
    record: BucketRecord | None  # the claim on the S3 name
    count: int  # Buckets of the key's namespace
    now: float  # Unix seconds


@dataclass(frozen=True, slots=True)
class Verdict:
    """What to do, and why. `code` is the S3 error code of a refusal."""

    decision: Decision
    why: str
    code: str = ""


Check = Callable[[WishSnapshot], Verdict | None]


def decide(snapshot: WishSnapshot) -> Verdict:
    """The first check that has something to say decides."""
    verdicts: Iterator[Verdict | None] = (check(snapshot) for check in CHECKS)
    return next((each for each in verdicts if each is not None), Verdict("make", "the key may create buckets"))


def manifest(name: str, region: str, key: KeyRecord) -> dict[str, Any]:
    """The Bucket that is asked for. It has no key of its own, which would be one more than there was."""
    metadata = {"name": name, "namespace": key.owner.namespace, "annotations": {CREATED_BY: key.access_key_id}}
    spec = {"bucketName": name, "region": region, "credentials": {"enabled": False}}
    return {"apiVersion": API_VERSION, "kind": "Bucket", "metadata": metadata, "spec": spec}


def at_once(asked_at: float, settled: bool, now: float) -> Verdict | None:
    """What is to become of a wish by itself, before anything else is read; None: that has to be looked at."""
    age = now - asked_at
    if age > KEPT:
        return Verdict("forget", "nobody waits for it any more")
    if settled:
        return Verdict("forget" if age > KEPT_SETTLED else "leave", "its outcome is known")
    return None


def _is_over(snapshot: WishSnapshot) -> Verdict | None:
    return at_once(snapshot.asked_at, snapshot.settled, snapshot.now)


def _region_serves_no_creation(snapshot: WishSnapshot) -> Verdict | None:
    if snapshot.served:
        return None
    return Verdict("refuse", "features.createBucket of the Region is false", "NotImplemented")


def _name_is_none(snapshot: WishSnapshot) -> Verdict | None:
    problem = bucket_name_problem(snapshot.name)
    if problem is None and not DNS_SUBDOMAIN.fullmatch(snapshot.name):
        problem = "no resource can have that name"
    return None if problem is None else Verdict("refuse", problem, "InvalidBucketName")


def _key_may_not(snapshot: WishSnapshot) -> Verdict | None:
    key = snapshot.key
    if key is None or key.state != "Active":
        return Verdict("refuse", "the key is not in use any more", REVOKED)
    if key.not_after is not None and key.not_after <= snapshot.now:
        return Verdict("refuse", "the key has expired", REVOKED)
    if key.system or not key.create_buckets or key.region != snapshot.region:
        return Verdict("refuse", "the key was not granted s3:CreateBucket in this Region", DENIED)
    return None


def _access_key_wants_it_otherwise(snapshot: WishSnapshot) -> Verdict | None:
    """Its record may not have followed yet."""
    found, key = snapshot.access_key, snapshot.key
    if found is None or key is None or found.metadata.uid != key.owner.uid or not is_to_work(found, snapshot.now):
        return Verdict("refuse", "the key's AccessKey is gone, revoked or expired", REVOKED)
    if not found.spec.creates_buckets:
        return Verdict("refuse", "the AccessKey does not have s3:CreateBucket in allBuckets.actions", DENIED)
    return None


def _bucket_is_there(snapshot: WishSnapshot) -> Verdict | None:
    bucket = snapshot.bucket
    if bucket is None:
        return None
    if bucket.metadata.deletion_timestamp is not None:
        return Verdict("leave", "a Bucket of that name is being deleted")
    named = bucket.spec.bucket_name or (bucket.status.bucket_name if bucket.status is not None else None)
    if named != snapshot.name:
        return Verdict("refuse", "a Bucket of that name has another S3 name", "BucketAlreadyExists")
    if (bucket.spec.region or (bucket.status.region if bucket.status is not None else None)) not in (
        None,  # it was just made, and its status is to come
        snapshot.region,
    ):
        return Verdict("refuse", "a Bucket of that name is in another Region", "BucketAlreadyExists")
    if bucket.metadata.annotations.get(CREATED_BY) == snapshot.access_key_id:
        return Verdict("made", "the Bucket is there")
    return Verdict("refuse", "the Bucket is there already", "BucketAlreadyOwnedByYou")


def _name_is_taken(snapshot: WishSnapshot) -> Verdict | None:
    record, key = snapshot.record, snapshot.key
    if record is None or key is None:
        return None
    if record.owner.namespace == key.owner.namespace and not record.retained:
        return Verdict("leave", "the name is still that of another Bucket here, perhaps of one that goes")
    return Verdict("refuse", "the S3 name is taken", "BucketAlreadyExists")


def _there_are_too_many(snapshot: WishSnapshot) -> Verdict | None:
    if snapshot.count < snapshot.most:
        return None
    text = f"the namespace has {snapshot.count} Buckets, and limits.maxCreatedBuckets of the Region is {snapshot.most}"
    return Verdict("refuse", text, "TooManyBuckets")


CHECKS: Final[tuple[Check, ...]] = (
    _is_over,
    _region_serves_no_creation,
    _name_is_none,
    _key_may_not,
    _access_key_wants_it_otherwise,
    _bucket_is_there,
    _name_is_taken,
    _there_are_too_many,
)
