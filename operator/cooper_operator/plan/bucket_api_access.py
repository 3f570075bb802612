"""A Bucket's apiAccess: what its record says is true of the Bucket once every worker was seen to follow it.

A worker is asked with one key that works on the bucket, since API access is the bucket's: it holds for all keys alike.
Where no key works, nobody can ask. That is no proof of refusal: a worker that lags behind the records may still honour
a key or a grant that is gone from them.
"""

from dataclasses import dataclass

from cooper_crds.bucket import Bucket
from cooper_crds.conditions import find_condition
from cooper_crds.records import BucketRecord
from cooper_operator.plan.keys import key_in
from cooper_operator.plan.plan import Say
from cooper_operator.plan.reasons import (
    API_ACCESS_ALLOWED,
    API_ACCESS_REVOKED,
    GATEWAY_UNAVAILABLE,
    NO_KEY_TO_ASK_WITH,
    WAITING_FOR_GATEWAYS,
    Reason,
)
from cooper_operator.plan.region import Home
from cooper_operator.plan.snapshot import BucketSnapshot
from cooper_operator.plan.steps import ProveApiAccess

_PROVEN = {
    "Allowed": ("False", API_ACCESS_ALLOWED.name),
    "Revoked": ("True", API_ACCESS_REVOKED.name),
}

_NOBODY = Say("Revoked", "Unknown", NO_KEY_TO_ASK_WITH, "the record says Revoked, and no key can show it")


@dataclass(frozen=True, slots=True)
class ApiAccess:
    """What to do about a Bucket's API access, how it stands, and what keeps it from standing as it should."""

    steps: tuple[ProveApiAccess, ...]
    said: Say
    problem: tuple[Reason, str] | None = None


def noted(bucket: Bucket) -> bool:
    """Whether status says, of this generation, that every worker was seen to follow spec.apiAccess."""
    found = find_condition([] if bucket.status is None else bucket.status.conditions, "Revoked")
    return (
        found is not None
        and found.observed_generation == bucket.metadata.generation
        and (found.status, found.reason) == _PROVEN[bucket.spec.api_access]
    )


def plan(snapshot: BucketSnapshot, home: Home, record: BucketRecord, changed: bool) -> ApiAccess:
    """Prove what `record` says, unless that was done. `changed`: the record is written by this plan."""
    proven = _proven(record)
    if noted(snapshot.bucket) and not changed:
        return ApiAccess((), proven)
    if snapshot.key is None:
        return ApiAccess((), proven if record.api_access == "Allowed" else _NOBODY)
    if home.record is None:
        problem = home.problem or (GATEWAY_UNAVAILABLE, "the bucket's Region is not known")
        return ApiAccess((), Say("Revoked", "False", problem[0], f"no gateway can be asked: {problem[1]}"), problem)
    steps = (ProveApiAccess(home.record, record, key_in(snapshot.key)),)
    blocked = snapshot.blocked
    if blocked is None:
        return ApiAccess(steps, proven)
    # False is safe to say of both: it claims no refusal, and this reason claims no access.
    reason = GATEWAY_UNAVAILABLE if blocked.why == "unavailable" else WAITING_FOR_GATEWAYS
    waits = blocked.detail if blocked.step is ProveApiAccess else "the Bucket's AccessKey"
    text = f"the record says {record.api_access}; still waiting: {waits}"
    problem = (reason, text) if blocked.step is ProveApiAccess else None
    return ApiAccess(steps, Say("Revoked", "False", reason, text), problem)


def _proven(record: BucketRecord) -> Say:
    if record.api_access == "Allowed":
        return Say("Revoked", "False", API_ACCESS_ALLOWED, "keys are let to the bucket")
    return Say("Revoked", "True", API_ACCESS_REVOKED, "every key is refused on the bucket")
