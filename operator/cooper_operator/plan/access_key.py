"""An AccessKey: record, proof, Secret, in this order; and for revocation record, proof, and the Secret goes.

Pending ──issue──> Active ──state Revoked──> Revoked ──state Active──> Pending (a new key, next serial)
                     └──────expiresAt──────> Expired ──later expiresAt──┘
"""

from dataclasses import dataclass

from cooper_crds.access_key import AccessKey, AccessKeyStatus
from cooper_crds.meta import Binding
from cooper_crds.names import key_record_name
from cooper_crds.records import KeyRecord
from cooper_crds.stored import StoredRecord
from cooper_operator.plan.access_key_revocation import plan_deletion, plan_revoked, retire, revoke_records
from cooper_operator.plan.delivery import delivery, holder, obstacle, secret_name, withdrawal
from cooper_operator.plan.grants import Problem, Resolved, resolve
from cooper_operator.plan.keys import key_in, keys_of, usable_key, wanted_key, wanted_region
from cooper_operator.plan.plan import Plan, Say, conditions, holds, until_blocked
from cooper_operator.plan.reasons import (
    DELIVERED,
    GATEWAY_UNAVAILABLE,
    KEY_ACTIVE,
    KEY_WORKS,
    NOT_ISSUED,
    SECRET_CONFLICT,
    SECRET_REFUSED,
    WAITING_FOR_GATEWAYS,
)
from cooper_operator.plan.region import Home, find_home
from cooper_operator.plan.snapshot import FINALIZER, AccessKeySnapshot, Blocked, was_recalled
from cooper_operator.plan.steps import (
    AddFinalizer,
    EndRecall,
    IssueKey,
    ProveDenied,
    ProveWorks,
    Step,
    UpdateRecord,
)


def is_to_work(access_key: AccessKey, now: float) -> bool:
    """Whether the key is to be in use. Of one that is not no Bucket matters: it goes, whatever they are."""
    not_after = access_key.spec.not_after
    wanted = access_key.spec.state == "Active" and (not_after is None or not_after > now)
    return wanted and access_key.metadata.deletion_timestamp is None


def plan_access_key(snapshot: AccessKeySnapshot) -> Plan[AccessKeyStatus]:
    """What to do for an AccessKey, and what to say about it."""
    access_key = snapshot.access_key
    home = find_home(wanted_region(access_key, snapshot.records), snapshot.around)
    if access_key.metadata.deletion_timestamp is not None:
        return plan_deletion(snapshot, home)
    first: list[Step] = [] if FINALIZER in access_key.metadata.finalizers else [AddFinalizer()]
    if was_recalled(access_key.metadata):
        first.append(EndRecall())  # a key that was revoked on the way is followed by a new one, as ever
    not_after = access_key.spec.not_after
    if access_key.spec.state == "Revoked":
        return plan_revoked(snapshot, home, "Revoked", first)
    if not_after is not None and not_after <= snapshot.now:
        return plan_revoked(snapshot, home, "Expired", first)
    if home.problem is not None:
        usable = usable_key(keys_of(snapshot), snapshot.now)
        name = None if usable is None else holder(snapshot, key_in(usable).access_key_id)
        return Plan(tuple(first), _status(snapshot, home, None, name, home.problem), requeue_at=not_after)
    return _plan_active(snapshot, home, first)


@dataclass(frozen=True, slots=True)
class _Use:
    """The key that is, or is to be, in use."""

    key: KeyRecord
    usable: StoredRecord | None  # its record as found; None: it is yet to be issued
    resolved: Resolved
    problem: Problem | None


def _plan_active(snapshot: AccessKeySnapshot, home: Home, first: list[Step]) -> Plan[AccessKeyStatus]:
    keys = keys_of(snapshot)
    resolved = resolve(snapshot, home)
    problem = resolved.problem or obstacle(snapshot, home)
    usable = usable_key(keys, snapshot.now)
    former = keys if usable is None else keys[1:]
    steps = [*first, *revoke_records(former, snapshot.now)]
    use = None
    if usable is not None or problem is None:  # no key is made that could not be delivered
        use = _Use(wanted_key(snapshot, keys, home.name, resolved.grants), usable, resolved, problem)
        steps += _issue_and_deliver(snapshot, home, use)
    else:
        steps += withdrawal(snapshot, None)
    if home.record is not None:
        # The last of the former ones stays: its holder is told KeyAccessRevoked, and it keeps the count of keys.
        steps += retire(former[1:], home.record, snapshot.now)
    blocked = snapshot.blocked
    delivered_as = _delivered_as(snapshot, home, use)
    status = _status(snapshot, home, None if use is None else use.key, delivered_as, problem)
    proven = None
    if use is not None and _stopped(snapshot) is None and any(isinstance(step, ProveWorks) for step in steps):
        proven = key_record_name(use.key.access_key_id)
        status = status.model_copy(update={"proven_record": use.usable and use.usable.version})
    not_after = snapshot.access_key.spec.not_after
    # A Secret that is not ours wakes nobody when it goes: look again.
    again = blocked is not None or (problem is not None and problem[0] is SECRET_CONFLICT)
    return Plan(until_blocked(steps, blocked), status, proven=proven, retry=again, requeue_at=not_after)


def _issue_and_deliver(snapshot: AccessKeySnapshot, home: Home, use: _Use) -> list[Step]:
    """Record, proof, Secret; nothing of it where it is so already."""
    steps: list[Step] = []
    if use.usable is None:
        steps.append(IssueKey(key_record_name(use.key.access_key_id), use.key))
    elif use.usable.record != use.key:
        steps.append(UpdateRecord(use.usable, use.key))
    to_deliver = delivery(snapshot, home, use.key)
    proven = _settled(snapshot, use)
    if home.record is not None and (steps or to_deliver or not proven):
        steps.append(ProveWorks(home.record, use.key, use.resolved.listed))
    return steps + to_deliver


def _settled(snapshot: AccessKeySnapshot, use: _Use) -> bool:
    """Whether the key was proven to work before: the status says so of this generation, and of its record as it is.

    The record changes without the generation when a Bucket that is granted comes or goes. With a problem the key is
    not ready, and still its record is proven: grants may have been withdrawn.
    """
    meta, status, usable = snapshot.access_key.metadata, snapshot.access_key.status, use.usable
    if status is None or usable is None or status.access_key_id != key_in(usable).access_key_id:
        return False
    ready = use.problem is not None or holds(status.conditions, "Ready", meta.generation)
    return ready and status.proven_record == usable.version


def _stopped(snapshot: AccessKeySnapshot) -> Blocked | None:
    """What keeps the key in use from being delivered. A former key that is still to be refused does not."""
    blocked = snapshot.blocked
    return None if blocked is None or blocked.step is ProveDenied else blocked


def _delivered_as(snapshot: AccessKeySnapshot, home: Home, use: _Use | None) -> str | None:
    """Name of the Secret that holds the key once the plan's steps have been done; None: no Secret does."""
    if use is None:
        return None
    if _stopped(snapshot) is None and obstacle(snapshot, home) is None:
        return secret_name(snapshot)
    return holder(snapshot, use.key.access_key_id)


def _status(
    snapshot: AccessKeySnapshot, home: Home, key: KeyRecord | None, delivered_as: str | None, problem: Problem | None
) -> AccessKeyStatus:
    before = snapshot.access_key.status or AccessKeyStatus()
    generation = snapshot.access_key.metadata.generation
    said = (
        _ready(problem, _stopped(snapshot), key),
        Say("Delivered", "True", DELIVERED, f"the Secret {delivered_as} holds the key")
        if delivered_as is not None
        else Say("Delivered", "False", NOT_ISSUED, "no Secret holds the key"),
        Say("Revoked", "False", NOT_ISSUED, "no key was issued")
        if key is None and delivered_as is None
        else Say("Revoked", "False", KEY_ACTIVE, "the key is not revoked"),
    )
    return AccessKeyStatus(
        observed_generation=generation,
        conditions=conditions(before.conditions, said, snapshot.now, generation),
        state="Pending" if delivered_as is None else "Active",
        access_key_id=before.access_key_id if key is None else key.access_key_id,
        proven_record=before.proven_record,
        region=home.name or before.region,
        secret_name=delivered_as,
        binding=None if delivered_as is None else Binding(name=delivered_as),
    )


def _ready(problem: Problem | None, blocked: Blocked | None, key: KeyRecord | None) -> Say:
    if problem is not None:
        return Say("Ready", "False", *problem)
    if blocked is None:
        again = "; it was issued anew, and the former one stays revoked" if key is not None and key.serial else ""
        return Say("Ready", "True", KEY_WORKS, "the key works and is delivered" + again)
    if blocked.why == "refused":
        return Say("Ready", "False", SECRET_REFUSED, f"the Secret cannot be written: {blocked.detail}")
    reason = GATEWAY_UNAVAILABLE if blocked.why == "unavailable" else WAITING_FOR_GATEWAYS
    return Say("Ready", "False", reason, f"the key is recorded; still waiting: {blocked.detail}")
