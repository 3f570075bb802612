"""Grants: from the Buckets that an AccessKey names to what its record allows. A grant dies with its bucket."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from typing import Final

import msgspec

from cooper_crds.access_key import AccessKey, BucketRight
from cooper_crds.bucket import Bucket
from cooper_crds.bucket_grant import BucketGrantSpec
from cooper_crds.conditions import find_condition
from cooper_crds.records import BucketRecord, Grant, Record
from cooper_operator.plan.reasons import (
    BUCKET_NOT_FOUND,
    BUCKET_NOT_READY,
    GRANTS_TOO_LARGE,
    NOT_GRANTED,
    RECORD_UNREADABLE,
    REGION_MISMATCH,
    TOO_MANY_BUCKETS,
    WAITING_FOR_BUCKET,
    Reason,
)
from cooper_operator.plan.region import Home
from cooper_operator.plan.snapshot import NOT_LOOKED_AT, AccessKeySnapshot, GrantedBucket, SharedBucket

Problem = tuple[Reason, str]
_Allowed = tuple[tuple[str, ...], tuple[str, ...]]  # actions and prefixes

#: Most Buckets that `allBuckets` is for: the record of a key has to fit into a Secret.
MAX_BUCKETS: Final = 2000
#: Most bytes of what a record says of its key's grants: that many Buckets fit, and a Secret (1 MiB) has room for the
#: rest. A record that nearly filled one could not be told of the key's end.
MAX_SIZE: Final = 640 << 10
#: Most BucketGrants by which one Bucket of another namespace is granted: what each gives is worked out at every look.
MAX_LETTING: Final = 64


@dataclass(frozen=True, slots=True)
class Resolved:
    """What can be granted now, and the first thing that stands against the rest."""

    grants: tuple[Grant, ...]
    listed: tuple[str, ...]  # S3 names that the key must see when it is probed
    problem: Problem | None


def resolve(snapshot: AccessKeySnapshot, home: Home) -> Resolved:
    """Turn the grants of the spec into those of the record: on Buckets of this namespace, and of others where a
    BucketGrant there lets them; in the key's Region."""
    wanted = _together((_named(snapshot, home), _shared(snapshot, home), _every(snapshot, home)))
    grants, problem = _fitting(wanted.grants), wanted.problem
    if len(grants) < len(wanted.grants):
        text = (
            f"what the AccessKey grants has more than {MAX_SIZE} bytes, and the key has the first {len(grants)} grants"
        )
        problem = problem or (GRANTS_TOO_LARGE, text)
    there = {grant.bucket for grant in grants}
    return Resolved(grants, tuple(name for name in wanted.listed if name in there), problem)


def _together(parts: Iterable[Resolved]) -> Resolved:
    """All grants, each name once, and the first problem."""
    found = tuple(parts)
    return Resolved(
        tuple(grant for part in found for grant in part.grants),
        tuple(dict.fromkeys(name for part in found for name in part.listed)),
        next((part.problem for part in found if part.problem), None),
    )


def _fitting(grants: tuple[Grant, ...]) -> tuple[Grant, ...]:
    """The first of them, as many as a record has room for."""
    sizes = accumulate(len(msgspec.json.encode(grant)) + 1 for grant in grants)
    return tuple(grant for grant, size in zip(grants, sizes, strict=True) if size <= MAX_SIZE)


def is_own(right: BucketRight, access_key: AccessKey) -> bool:
    """Whether a right is on a Bucket of the AccessKey's own namespace."""
    return right.namespace in (None, access_key.metadata.namespace)


def _named(snapshot: AccessKeySnapshot, home: Home) -> Resolved:
    """What is granted on single Buckets of the namespace. Each has to be there."""
    rights = (right for right in snapshot.access_key.spec.grants or () if is_own(right, snapshot.access_key))
    return _together(
        _on(_usable(right.bucket, snapshot.buckets.get(right.bucket, NOT_LOOKED_AT), home), (_asked(right),))
        for right in rights
    )


def _shared(snapshot: AccessKeySnapshot, home: Home) -> Resolved:
    """What is granted on single Buckets of other namespaces: what the key asks for and a BucketGrant there lets."""
    rights = (right for right in snapshot.access_key.spec.grants or () if not is_own(right, snapshot.access_key))
    return _together(_let(right, snapshot.shared.get((right.namespace or "", right.bucket)), home) for right in rights)


def _let(right: BucketRight, shared: SharedBucket | None, home: Home) -> Resolved:
    """The same of one Bucket. Whether it is there is told only where it is granted."""
    where = f"Bucket {right.bucket} of namespace {right.namespace}"
    if shared is None or not shared.grants:
        text = f"no BucketGrant in namespace {right.namespace} lets this one use {where}"
        return Resolved((), (), (NOT_GRANTED, text))
    counted = shared.grants[:MAX_LETTING]
    both = tuple(part for grant in counted if (part := _both(right, grant.spec)) is not None)
    if not both:
        text = f"the BucketGrants on {where} and this AccessKey have no action, or no prefix, in common"
        return Resolved((), (), (NOT_GRANTED, text))
    found = _on(_usable(right.bucket, shared.granted, home, f" of namespace {right.namespace}"), both)
    if len(shared.grants) == len(counted):
        return found
    text = f"more than {MAX_LETTING} BucketGrants let this namespace use {where}, and the first ones by name count"
    return replace(found, problem=found.problem or (GRANTS_TOO_LARGE, text))


def _on(found: BucketRecord | Problem, allowed: Iterable[_Allowed]) -> Resolved:
    """Grants of that on a bucket, or what stands against them."""
    if not isinstance(found, BucketRecord):
        return Resolved((), (), found)
    listed = (found.name,) if found.api_access == "Allowed" else ()
    return Resolved(tuple(Grant(found.name, found.data_id, *each) for each in allowed), listed, None)


def _asked(right: BucketRight) -> _Allowed:
    return tuple(right.actions), tuple(right.prefixes or ())


def _both(right: BucketRight, spec: BucketGrantSpec) -> _Allowed | None:
    """Actions and prefixes that are in both; None where there are none."""
    actions = tuple(each for each in right.actions if each in spec.actions)
    prefixes = common_prefixes(right.prefixes, spec.prefixes)
    return None if not actions or prefixes == () else (actions, prefixes or ())


def covers(spec: BucketGrantSpec, bucket: BucketRecord, grant: Grant) -> bool:
    """Whether a BucketGrant lets all that a record grants on a Bucket beside it."""
    within = spec.prefixes is None or (
        grant.prefixes != () and all(each.startswith(tuple(spec.prefixes)) for each in grant.prefixes)
    )
    return spec.is_on(bucket.owner.name) and within and set(grant.actions) <= set(spec.actions)


def common_prefixes(one: Sequence[str] | None, other: Sequence[str] | None) -> tuple[str, ...] | None:
    """Prefixes of the names that begin with one of both. None stands for all names, an empty tuple for none."""
    if one is None or other is None:
        return None if one is other else tuple(one or other or ())
    of_one, of_other = tuple(one), tuple(other)
    longer = [each for each in one if each.startswith(of_other)] + [each for each in other if each.startswith(of_one)]
    return tuple(dict.fromkeys(longer))


def _every(snapshot: AccessKeySnapshot, home: Home) -> Resolved:
    """What is granted on all Buckets: those that are provisioned here now. The others are none of its business yet."""
    right = snapshot.access_key.spec.all_buckets
    if right is None:
        return Resolved((), (), None)
    usable = [_usable(name, granted, home) for name, granted in snapshot.buckets.items()]
    found = [each for each in usable if isinstance(each, BucketRecord)]
    text = f"there are {len(found)} Buckets in this namespace, and the key is for the first {MAX_BUCKETS} of them"
    problem = None if len(found) <= MAX_BUCKETS else (TOO_MANY_BUCKETS, text)
    found = found[:MAX_BUCKETS]
    grants = tuple(Grant(each.name, each.data_id, tuple(right.actions)) for each in found)
    return Resolved(grants, tuple(each.name for each in found if each.api_access == "Allowed"), problem)


def _usable(name: str, granted: GrantedBucket, home: Home, where: str = " in this namespace") -> BucketRecord | Problem:
    bucket = granted.bucket
    if bucket is None:
        return BUCKET_NOT_FOUND, f"there is no Bucket {name}{where}"
    if granted.unreadable:  # gateways serve nobody there; what is withdrawn meanwhile does not come back with it
        return RECORD_UNREADABLE, f"Bucket {name}{where} is not served: {granted.unreadable}"
    record = granted.record.record if granted.record is not None else None
    region = _region_of(bucket, record, home)
    if region is not None and region != home.name:
        return REGION_MISMATCH, f"Bucket {name} is in Region {region}, this AccessKey in Region {home.name}"
    ours = isinstance(record, BucketRecord) and record.owner.uid == bucket.metadata.uid and not record.retained
    if region is None or not ours or not isinstance(record, BucketRecord):
        return _not_provisioned(bucket)
    return record


def _not_provisioned(bucket: Bucket) -> Problem:
    """One that says nothing yet was just made; what stands against others, they say."""
    name = bucket.metadata.name
    ready = find_condition([] if bucket.status is None else bucket.status.conditions, "Ready")
    if ready is None or ready.status == "True":
        return WAITING_FOR_BUCKET, f"Bucket {name} is being provisioned"
    return BUCKET_NOT_READY, f"Bucket {name} is not provisioned ({ready.reason})"


def _region_of(bucket: Bucket, record: Record | None, home: Home) -> str | None:
    """Name of the Bucket's Region; None while that cannot be told."""
    if isinstance(record, BucketRecord) and record.region:
        return record.region
    if bucket.status is not None and bucket.status.region is not None:
        return bucket.status.region
    if bucket.spec.region is not None:
        return bucket.spec.region
    return home.name if home.region is not None and home.region.spec.default else None
