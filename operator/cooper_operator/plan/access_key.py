"""An AccessKey: record, proof, Secret, in this order; and for revocation record, proof, and the Secret goes.

Pending ──issue──> Active ──state Revoked──> Revoked ──state Active──> Pending (a new key, next serial)
                     └──────expiresAt──────> Expired ──later expiresAt──┘
Active ──rotate-at, interval──> Rotating (a new key beside it, next serial) ──> Active
"""

from itertools import takewhile
from typing import Final, Literal

from cooper_crds.access_key import AccessKey, AccessKeyStatus
from cooper_crds.names import key_record_name
from cooper_crds.records import spent
from cooper_crds.stored import StoredRecord
from cooper_operator.plan.access_key_revocation import plan_deletion, plan_revoked, retire, revoke_records
from cooper_operator.plan.access_key_status import Use, active_status, homeless_status, stopped
from cooper_operator.plan.delivery import content_for, delivery, is_held, obstacle, withdrawal
from cooper_operator.plan.grants import resolve
from cooper_operator.plan.keys import as_wanted, key_in, keys_of, tombstone, usable_key, wanted_key, wanted_region
from cooper_operator.plan.plan import Plan, holds, until_blocked
from cooper_operator.plan.reasons import SECRET_CONFLICT
from cooper_operator.plan.region import Home, find_home
from cooper_operator.plan.rollout import is_done
from cooper_operator.plan.rollout import plan as plan_rollout
from cooper_operator.plan.rotation import Turn, look_again, retiring, supersede, turn, wanted_beside
from cooper_operator.plan.snapshot import FINALIZER, AccessKeySnapshot, was_recalled
from cooper_operator.plan.steps import AddFinalizer, EndRecall, IssueKey, ProveDenied, ProveWorks, Step, UpdateRecord

#: Seconds between looks at workloads that are being restarted, at most: while a key waits for it, and else.
_LOOKS_WHILE_RETIRING: Final = 2.0
_LOOKS: Final = 30.0
#: The same where a workload is not there: it may be yet to come, or misspelled.
_LOOKS_FOR_WORKLOADS: Final = 300.0


def is_to_work(access_key: AccessKey, now: float) -> bool:
    """Whether the key is to be in use. Of one that is not no Bucket matters: it goes, whatever they are."""
    return access_key.metadata.deletion_timestamp is None and _ended(access_key, now) is None


def _ended(access_key: AccessKey, now: float) -> Literal["Revoked", "Expired"] | None:
    """Why the spec wants no key that works; None: it wants one."""
    if access_key.spec.state == "Revoked":
        return "Revoked"
    not_after = access_key.spec.not_after
    return "Expired" if not_after is not None and not_after <= now else None


def plan_access_key(snapshot: AccessKeySnapshot) -> Plan[AccessKeyStatus]:
    """What to do for an AccessKey, and what to say about it."""
    access_key = snapshot.access_key
    home = find_home(wanted_region(access_key, snapshot.records), snapshot.around)
    if snapshot.unreadable:
        return Plan(tuple(_withdrawn(snapshot, home)), None, unreadable=snapshot.unreadable)
    if access_key.metadata.deletion_timestamp is not None:
        return plan_deletion(snapshot, home)
    first: list[Step] = [] if FINALIZER in access_key.metadata.finalizers else [AddFinalizer()]
    if was_recalled(access_key.metadata):
        first.append(EndRecall())  # a key that was revoked on the way is followed by a new one, as ever
    if (state := _ended(access_key, snapshot.now)) is not None:
        return plan_revoked(snapshot, home, state, first)
    if home.problem is not None:
        status = homeless_status(snapshot, home, home.problem)
        return Plan((*_homeless_records(snapshot, home), *first), status, requeue_at=access_key.spec.not_after)
    return _plan_active(snapshot, home, first)


def _withdrawn(snapshot: AccessKeySnapshot, home: Home) -> list[Step]:
    """Of a key whose record cannot be read nothing is known, not even that it is the newest. What is withdrawn is
    withdrawn from the others all the same."""
    if is_to_work(snapshot.access_key, snapshot.now):
        return _as_told(snapshot, home, newest=None)
    return revoke_records(keys_of(snapshot), snapshot.now)


def _homeless_records(snapshot: AccessKeySnapshot, home: Home) -> list[Step]:
    """Without its Region nothing can be proven and nothing is delivered. Gateways serve on by what records say: what is
    withdrawn is withdrawn all the same, of a former key first."""
    return _as_told(snapshot, home, newest=next(iter(keys_of(snapshot)), None))


def _as_told(snapshot: AccessKeySnapshot, home: Home, newest: StoredRecord | None) -> list[Step]:
    """Write what the AccessKey says into the records of keys that work; `newest` is not to end sooner than it says."""
    grants = resolve(snapshot, home).grants
    steps: list[Step] = []
    for found in reversed(keys_of(snapshot)):
        key = key_in(found)
        wanted = as_wanted(snapshot.access_key, key, key.region, grants, newest=found is newest)
        if not spent(key, snapshot.now) and key != wanted:
            steps.append(UpdateRecord(found, wanted))
    return steps


def _plan_active(snapshot: AccessKeySnapshot, home: Home, first: list[Step]) -> Plan[AccessKeyStatus]:
    use = _use(snapshot, home)
    to_deliver = _issue_and_deliver(snapshot, home, use)
    rollout = plan_rollout(snapshot, use.content, to_deliver)
    # Records that are there before all else: a resource that somebody has filled to the brim cannot be written to.
    known = list(takewhile(lambda step: isinstance(step, UpdateRecord), to_deliver))
    steps = [*revoke_records(use.turn.former, snapshot.now), *known, *first, *rollout.before]
    steps += [*to_deliver[len(known) :], *rollout.after, *_end(snapshot, home, use.turn)]
    blocked = snapshot.blocked
    status = active_status(snapshot, home, use, rollout.said)
    proven = None
    if use.key is not None and stopped(snapshot) is None and any(isinstance(step, ProveWorks) for step in steps):
        proven = key_record_name(use.key.access_key_id)
        newest = use.turn.newest
        status = status.model_copy(update={"proven_record": newest and newest.version})
    later = look_again(snapshot, use.turn, use.key, delivered=use.content is not None and stopped(snapshot) is None)
    ends = [at for at in (snapshot.access_key.spec.not_after, later) if at is not None]
    if use.beside is not None and _is_yet_to_be_told(snapshot, use):
        ends.append(snapshot.now)
    # A Secret that is not ours wakes nobody when it goes, nor does a workload that was restarted: look again.
    conflict = use.problem is not None and use.problem[0] is SECRET_CONFLICT
    soon = blocked is not None or conflict or rollout.goes_on
    cap = _LOOKS if soon or not rollout.lacks_one else _LOOKS_FOR_WORKLOADS
    return Plan(
        until_blocked(steps, blocked),
        status,
        proven=proven,
        retry=soon or rollout.lacks_one,
        retry_cap=cap if use.turn.beside is None else _LOOKS_WHILE_RETIRING,
        requeue_at=min(ends, default=None),
    )


def _use(snapshot: AccessKeySnapshot, home: Home) -> Use:
    keys = keys_of(snapshot)
    resolved = resolve(snapshot, home)
    problem = resolved.problem or obstacle(snapshot, home)
    usable = usable_key(keys, snapshot.now)
    held = None if usable is None else content_for(snapshot, home, key_in(usable))
    whose = turn(snapshot, keys, is_done(snapshot, held), "" if problem is None else problem[1])
    if whose.newest is None and whose.beside is None and problem is not None:
        return Use(None, whose, None, None, resolved, problem)  # no key is made that could not be delivered
    key = wanted_key(snapshot, keys, whose.newest, whose.beside, home.name, resolved.grants)
    beside = wanted_beside(snapshot, whose, key)
    return Use(key, whose, beside, content_for(snapshot, home, key), resolved, problem)


def _issue_and_deliver(snapshot: AccessKeySnapshot, home: Home, use: Use) -> list[Step]:
    """Record, proof, Secret; nothing of it where it is so already. Without a key no Secret is to hold one."""
    if use.key is None:
        return withdrawal(snapshot)
    steps: list[Step] = []
    newest, beside = use.turn.newest, use.turn.beside
    if beside is not None and use.beside is not None and beside.record != use.beside:
        steps.append(UpdateRecord(beside, use.beside))  # before the other: who has seen that has seen this as well
    if newest is None:
        steps.append(IssueKey(key_record_name(use.key.access_key_id), use.key))
    elif newest.record != use.key:
        steps.append(UpdateRecord(newest, use.key))
    to_deliver = delivery(snapshot, use.content, use.key, *([] if use.beside is None else [use.beside]))
    if home.record is not None and (steps or to_deliver or not _settled(snapshot, use)):
        steps.append(ProveWorks(home.record, use.key, use.resolved.listed))
    steps += to_deliver
    if use.content is None or _is_yet_to_be_told(snapshot, use):
        return steps
    return steps + supersede(snapshot, use.turn, use.beside)


def _is_yet_to_be_told(snapshot: AccessKeySnapshot, use: Use) -> bool:
    """Whether the key is to be delivered in status, and is not there yet: that is written after all steps, so the end
    of the former one begins with the next plan."""
    if snapshot.access_key.spec.recipient is None or use.key is None:
        return False
    return not is_held(snapshot, use.key.access_key_id)


def _end(snapshot: AccessKeySnapshot, home: Home, whose: Turn) -> list[Step]:
    """See the end of keys that are refused by their records."""
    if home.record is None:
        return []
    steps: list[Step] = []
    if (over := retiring(snapshot, whose)) is not None:
        steps.append(ProveDenied(home.record, tombstone(key_in(over), snapshot.now)))
    # The last of the former ones stays: its holder is told KeyAccessRevoked, and it keeps the count of keys.
    return steps + retire(whose.former[1:], home.record, snapshot.now)


def _settled(snapshot: AccessKeySnapshot, use: Use) -> bool:
    """Whether the key was proven to work before: the status says so of this generation, and of its record as it is.

    The record changes without the generation when a Bucket that is granted comes or goes. With a problem the key is
    not ready, and still its record is proven: grants may have been withdrawn.
    """
    meta, status, newest = snapshot.access_key.metadata, snapshot.access_key.status, use.turn.newest
    if status is None or newest is None or status.access_key_id != key_in(newest).access_key_id:
        return False
    ready = use.problem is not None or holds(status.conditions, "Ready", meta.generation)
    return ready and status.proven_record == newest.version
