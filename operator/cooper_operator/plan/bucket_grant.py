"""BucketGrant: whether it is in force. What it lets happen is decided where an AccessKey asks for it."""

from cooper_crds.bucket_grant import BucketGrantStatus
from cooper_operator.plan.plan import Plan, Say, conditions
from cooper_operator.plan.reasons import BUCKET_NOT_FOUND, GRANTED
from cooper_operator.plan.snapshot import BucketGrantSnapshot


def plan_bucket_grant(snapshot: BucketGrantSnapshot) -> Plan[BucketGrantStatus]:
    """Nothing is done for it: say how it stands."""
    grant = snapshot.grant
    before, generation = grant.status or BucketGrantStatus(), grant.metadata.generation
    status = BucketGrantStatus(
        observed_generation=generation,
        conditions=conditions(before.conditions, (_ready(snapshot),), snapshot.now, generation),
    )
    return Plan((), status)


def _ready(snapshot: BucketGrantSnapshot) -> Say:
    if snapshot.missing:
        names = ", ".join(snapshot.missing)
        return Say("Ready", "False", BUCKET_NOT_FOUND, f"there is no Bucket {names} in this namespace")
    namespaces = ", ".join(each.namespace for each in snapshot.grant.spec.from_)
    return Say("Ready", "True", GRANTED, f"AccessKeys of {namespaces} may ask for it")
