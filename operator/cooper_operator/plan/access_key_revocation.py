"""Revocation of an AccessKey's keys: the records first, then every worker's refusal, then the Secret goes."""

from typing import Literal

from cooper_crds.access_key import AccessKeyStatus
from cooper_crds.conditions import drop_conditions
from cooper_crds.records import RegionRecord
from cooper_crds.stored import StoredRecord
from cooper_operator.plan.delivery import own_secrets
from cooper_operator.plan.keys import key_in, keys_of, tombstone
from cooper_operator.plan.plan import Plan, Say, conditions, holds, until_blocked
from cooper_operator.plan.reasons import (
    DELETING,
    EXPIRED,
    GATEWAY_UNAVAILABLE,
    NEVER_ISSUED,
    REFUSED_EVERYWHERE,
    REGION_NOT_FOUND,
    REVOKED,
    WAITING_FOR_GATEWAYS,
    Reason,
)
from cooper_operator.plan.region import Home
from cooper_operator.plan.rotation import OF_ROTATION
from cooper_operator.plan.snapshot import FINALIZER, AccessKeySnapshot
from cooper_operator.plan.steps import DeleteCredentials, DeleteRecord, ProveDenied, RemoveFinalizer, Step, UpdateRecord

_REASONS: dict[Literal["Revoked", "Expired"], tuple[Reason, str]] = {
    "Revoked": (REVOKED, "spec.state is Revoked"),
    "Expired": (EXPIRED, "spec.expiresAt has passed"),
}


def revoke_records(keys: list[StoredRecord], now: float) -> list[Step]:
    """Say Revoked in every record that does not yet."""
    return [UpdateRecord(found, tombstone(key_in(found), now)) for found in keys if key_in(found).state != "Revoked"]


def retire(keys: list[StoredRecord], region: RegionRecord, now: float) -> list[Step]:
    """Take away keys that are revoked already: not before every worker refuses them."""
    return [step for found in keys for step in (_prove(found, region, now), DeleteRecord(found))]


def plan_revoked(
    snapshot: AccessKeySnapshot, home: Home, state: Literal["Revoked", "Expired"], first: list[Step]
) -> Plan[AccessKeyStatus]:
    """A key that is revoked or has expired, and its resource stays."""
    keys = keys_of(snapshot)
    revoking = revoke_records(keys, snapshot.now)
    # The records before all else: a resource that somebody has filled to the brim cannot be written to.
    steps = [*revoking, *first]
    ready = Say("Ready", "False", *_REASONS[state])
    if keys and home.record is None:
        said = (ready, _no_region(home))
        return Plan(tuple(steps), _status(snapshot, said, state), retry=True)
    if home.record is not None and (revoking or not _refused(snapshot, keys)):
        steps += [_prove(found, home.record, snapshot.now) for found in keys]
    steps += [DeleteRecord(found) for found in keys[1:]]
    steps += [DeleteCredentials(found) for found in own_secrets(snapshot)]
    if snapshot.blocked is not None:
        status = _status(snapshot, (ready, _waiting(snapshot)), state)
        return Plan(until_blocked(steps, snapshot.blocked), status, retry=True)
    refused = (REFUSED_EVERYWHERE, "every worker of every gateway refuses the key")
    denied = Say("Revoked", "True", *(refused if keys else (NEVER_ISSUED, "no key is there that could be used")))
    gone = Say("Delivered", "False", *_REASONS[state])
    status = _status(snapshot, (ready, gone, denied), state)
    newest = keys[0] if keys else None
    status = status.model_copy(update={"proven_record": newest and newest.version})
    return Plan(tuple(steps), status, proven=newest and newest.name)


def plan_deletion(snapshot: AccessKeySnapshot, home: Home) -> Plan[AccessKeyStatus]:
    """A key whose resource is to go: the finalizer holds it until every worker refuses the key.

    Somebody may have taken that off and have another one hold the resource. Nothing of it is gone then, and no sweep
    finds it: its keys are revoked all the same.
    """
    keys, held = keys_of(snapshot), FINALIZER in snapshot.access_key.metadata.finalizers
    if not held and not keys:
        return Plan((), None)
    steps = revoke_records(keys, snapshot.now)
    if keys and home.record is None:
        return Plan(tuple(steps), _status(snapshot, _held_up(_no_region(home)), None), retry=True)
    if home.record is not None:
        steps += [_prove(found, home.record, snapshot.now) for found in keys]
    steps += [DeleteCredentials(found) for found in own_secrets(snapshot)]
    steps += [*(DeleteRecord(found) for found in keys), *([RemoveFinalizer()] if held else [])]
    if snapshot.blocked is None:
        return Plan(tuple(steps), None)
    status = _status(snapshot, _held_up(_waiting(snapshot)), None)
    return Plan(until_blocked(steps, snapshot.blocked), status, retry=True)


def _held_up(revoked: Say) -> tuple[Say, Say]:
    """Of a deletion: what it waits for is said by Ready as well, which is what people look at first."""
    return Say("Ready", "False", DELETING, f"the key is being revoked: {revoked.message}"), revoked


def _prove(found: StoredRecord, region: RegionRecord, now: float) -> ProveDenied:
    return ProveDenied(region, tombstone(key_in(found), now))


def _refused(snapshot: AccessKeySnapshot, keys: list[StoredRecord]) -> bool:
    """Whether every worker's refusal of the only key was seen before, of this generation and its record as it is."""
    status = snapshot.access_key.status
    if status is None or len(keys) > 1:
        return False
    known = not keys or status.proven_record == keys[0].version
    return known and holds(status.conditions, "Revoked", snapshot.access_key.metadata.generation)


def _no_region(home: Home) -> Say:
    reason, text = home.problem or (REGION_NOT_FOUND, "")
    return Say("Revoked", "False", reason, f"the record says Revoked, and no gateway can be asked: {text}")


def _waiting(snapshot: AccessKeySnapshot) -> Say:
    detail = snapshot.blocked.detail if snapshot.blocked is not None else ""
    away = snapshot.blocked is not None and snapshot.blocked.why == "unavailable"
    return Say(
        "Revoked",
        "False",
        GATEWAY_UNAVAILABLE if away else WAITING_FOR_GATEWAYS,
        f"the record says Revoked; still waiting: {detail}",
    )


def _status(
    snapshot: AccessKeySnapshot, said: tuple[Say, ...], state: Literal["Revoked", "Expired"] | None
) -> AccessKeyStatus:
    """`state` None: as it was, for a resource that is being deleted."""
    before = snapshot.access_key.status or AccessKeyStatus()
    generation = snapshot.access_key.metadata.generation
    gone = any(say.type == "Delivered" and say.status == "False" for say in said)
    found = drop_conditions(before.conditions, *OF_ROTATION)
    update = {
        "observed_generation": generation,
        "conditions": conditions(found, said, snapshot.now, generation),
        "state": state or before.state,
        "retiring_access_key_id": None,
        "retire_at": None,
    }
    if gone:
        update |= {"secret_name": None, "binding": None, "once": None}
    return before.model_copy(update=update)
