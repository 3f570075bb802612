"""BucketGrant: whether it is in force. What it lets happen is decided where an AccessKey asks for it."""

from collections.abc import Sequence
from typing import Final

from cooper_crds.bucket_grant import BucketGrantStatus
from cooper_operator.plan.plan import Plan, Say, conditions
from cooper_operator.plan.reasons import BUCKET_NOT_FOUND, GRANTED
from cooper_operator.plan.snapshot import BucketGrantSnapshot

#: Characters that names in a column have together, where there is more than one.
_SHORT: Final = 40


def plan_bucket_grant(snapshot: BucketGrantSnapshot) -> Plan[BucketGrantStatus]:
    """Nothing is done for it: say how it stands."""
    grant = snapshot.grant
    before, generation = grant.status or BucketGrantStatus(), grant.metadata.generation
    status = BucketGrantStatus(
        observed_generation=generation,
        conditions=conditions(before.conditions, (_ready(snapshot),), snapshot.now, generation),
        namespaces=in_short([each.namespace for each in grant.spec.from_]),
        buckets="all" if grant.spec.buckets is None else in_short(grant.spec.buckets),
    )
    return Plan((), status)


def _ready(snapshot: BucketGrantSnapshot) -> Say:
    if snapshot.missing:
        names = ", ".join(snapshot.missing)
        return Say("Ready", "False", BUCKET_NOT_FOUND, f"there is no Bucket {names} in this namespace")
    namespaces = ", ".join(each.namespace for each in snapshot.grant.spec.from_)
    text = f"AccessKeys of {namespaces} may ask for it; whether such a namespace is there is not looked at"
    return Say("Ready", "True", GRANTED, text)


def in_short(names: Sequence[str]) -> str:
    """Names for a column of a table: as many as are short together, one at least, and how many more."""
    count = max(1, *(n for n in range(len(names) + 1) if len(", ".join(names[:n])) <= _SHORT))
    more = f" and {len(names) - count} more" if len(names) > count else ""
    return ", ".join(names[:count]) + more
