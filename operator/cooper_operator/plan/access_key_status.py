"""What is said of an AccessKey whose key is to be in use."""

from dataclasses import dataclass

from cooper_crds.access_key import AccessKeyStatus
from cooper_crds.conditions import drop_conditions, find_condition
from cooper_crds.meta import Binding
from cooper_crds.records import KeyRecord
from cooper_operator.plan import rotation
from cooper_operator.plan.delivery import holder, is_held, obstacle, sealed_key, secret_name
from cooper_operator.plan.grants import Problem, Resolved
from cooper_operator.plan.keys import key_in, keys_of, usable_key
from cooper_operator.plan.plan import Say, conditions, holds
from cooper_operator.plan.reasons import (
    DELIVERED,
    GATEWAY_UNAVAILABLE,
    KEY_ACTIVE,
    KEY_WORKS,
    NOT_ISSUED,
    ROLLOUT_INCOMPLETE,
    SECRET_REFUSED,
    WAITING_FOR_GATEWAYS,
)
from cooper_operator.plan.region import Home
from cooper_operator.plan.rollout import incomplete
from cooper_operator.plan.rotation import Turn
from cooper_operator.plan.secrets import SecretContent
from cooper_operator.plan.snapshot import AccessKeySnapshot, Blocked
from cooper_operator.plan.steps import ProveDenied


@dataclass(frozen=True, slots=True)
class Use:
    """The key that is, or is to be, in use, and what there is around it."""

    key: KeyRecord | None  # the newest, as its record is to be; None: none is to be issued now
    turn: Turn
    beside: KeyRecord | None  # the one that it takes the place of, as its record is to be
    content: SecretContent | None  # what the Secret is to hold; None: it is not to be written
    resolved: Resolved
    problem: Problem | None


@dataclass(frozen=True, slots=True)
class _Delivered:
    """How a key is delivered once a plan's steps have been done."""

    held: bool  # in a Secret, or sealed in status
    name: str | None  # of the Secret that holds it; None: none does
    access_key_id: str | None  # the key that is shown, delivered or not
    newest: bool  # whether it is the newest


def stopped(snapshot: AccessKeySnapshot) -> Blocked | None:
    """What keeps the key in use from being delivered. A former key that is still to be refused does not."""
    blocked = snapshot.blocked
    return None if blocked is None or blocked.step is ProveDenied else blocked


def active_status(snapshot: AccessKeySnapshot, home: Home, use: Use, rolled_out: Say | None) -> AccessKeyStatus:
    """What holds once the plan's steps have been done."""
    delivered = _delivered(snapshot, home, use)
    rotated = rotation.said(snapshot, use.turn, use.key, delivered.newest)
    over = rotation.retiring(snapshot, use.turn) is not None
    said = (
        _ready(snapshot, use, delivered),
        *_delivery(delivered, use.key),
        *(each for each in (rotated, _late(snapshot, use, rolled_out, over)) if each is not None),
    )
    return _status(snapshot, home, said, delivered).model_copy(
        update=rotation.told(snapshot, use.turn, use.key, delivered.newest)
        | _state(delivered, use.turn.beside is not None or (over and snapshot.blocked is not None))
    )


def _late(snapshot: AccessKeySnapshot, use: Use, rolled_out: Say | None, over: bool) -> Say | None:
    """A roll-out that has not ended when the former key does is incomplete from then on until it ends."""
    status = snapshot.access_key.status
    before = None if status is None else find_condition(status.conditions, "RolledOut")
    was = before is not None and before.reason == ROLLOUT_INCOMPLETE.name and use.turn.beside is None
    return incomplete(rolled_out) if over or was else rolled_out


def homeless_status(snapshot: AccessKeySnapshot, home: Home, problem: Problem) -> AccessKeyStatus:
    """The same where the Region is not known: nothing is proven or delivered then."""
    before = snapshot.access_key.status or AccessKeyStatus()
    usable = usable_key(keys_of(snapshot), snapshot.now)
    name = None if usable is None else holder(snapshot, key_in(usable).access_key_id)
    held = usable is not None and is_held(snapshot, key_in(usable).access_key_id)
    delivered = _Delivered(held, name, before.access_key_id, newest=False)
    said = (Say("Ready", "False", *problem), *_delivery(delivered, None))
    kept = ("retiring_access_key_id", "retire_at", "rotated_at", "next_rotation_at", "last_handled_rotate_at")
    return _status(snapshot, home, said, delivered).model_copy(
        update={"state": "Active" if held else "Pending"} | {each: getattr(before, each) for each in kept}
    )


def _delivered(snapshot: AccessKeySnapshot, home: Home, use: Use) -> _Delivered:
    before = snapshot.access_key.status or AccessKeyStatus()
    if use.key is None:
        return _Delivered(False, None, before.access_key_id, newest=False)
    if stopped(snapshot) is None and obstacle(snapshot, home) is None:
        name = secret_name(snapshot) if snapshot.access_key.spec.recipient is None else None
        return _Delivered(True, name, use.key.access_key_id, newest=True)
    for key in (use.key, use.beside):
        if key is not None and is_held(snapshot, key.access_key_id):
            return _Delivered(True, holder(snapshot, key.access_key_id), key.access_key_id, newest=key is use.key)
    return _Delivered(False, None, use.key.access_key_id, newest=False)


def _delivery(delivered: _Delivered, key: KeyRecord | None) -> tuple[Say, Say]:
    said = Say("Delivered", "False", NOT_ISSUED, "no Secret holds the key")
    if delivered.name is not None:
        said = Say("Delivered", "True", DELIVERED, f"the Secret {delivered.name} holds the key")
    elif delivered.held:
        said = Say("Delivered", "True", DELIVERED, "status.once holds the key, sealed to spec.once.recipient")
    if key is None and not delivered.held:
        return said, Say("Revoked", "False", NOT_ISSUED, "no key was issued")
    return said, Say("Revoked", "False", KEY_ACTIVE, "the key is not revoked")


def _ready(snapshot: AccessKeySnapshot, use: Use, delivered: _Delivered) -> Say:
    if use.problem is not None:
        return Say("Ready", "False", *use.problem)
    blocked, access_key = stopped(snapshot), snapshot.access_key
    if blocked is not None and use.beside is not None and delivered.access_key_id == use.beside.access_key_id:
        before = [] if access_key.status is None else access_key.status.conditions
        if holds(before, "Ready", access_key.metadata.generation):
            return Say("Ready", "True", KEY_WORKS, "the key works and is delivered")
    if blocked is None:
        anew = use.key is not None and use.key.serial and use.turn.beside is None and not _rotates(access_key.status)
        again = "; it was issued anew, and the former one stays revoked" if anew else ""
        return Say("Ready", "True", KEY_WORKS, "the key works and is delivered" + again)
    if blocked.why == "refused":
        return Say("Ready", "False", SECRET_REFUSED, f"the Secret cannot be written: {blocked.detail}")
    reason = GATEWAY_UNAVAILABLE if blocked.why == "unavailable" else WAITING_FOR_GATEWAYS
    return Say("Ready", "False", reason, f"the key is recorded; still waiting: {blocked.detail}")


def _rotates(status: AccessKeyStatus | None) -> bool:
    """Whether a rotation goes on, or the key came by one."""
    return status is not None and (status.rotated_at or status.retiring_access_key_id) is not None


def _state(delivered: _Delivered, rotates: bool) -> dict[str, str]:
    if not delivered.held:
        return {"state": "Pending"}
    return {"state": "Rotating" if rotates else "Active"}


def _status(snapshot: AccessKeySnapshot, home: Home, said: tuple[Say, ...], delivered: _Delivered) -> AccessKeyStatus:
    before = snapshot.access_key.status or AccessKeyStatus()
    generation = snapshot.access_key.metadata.generation
    found = drop_conditions(before.conditions, *(rotation.OF_ROTATION - {say.type for say in said}))
    return AccessKeyStatus(
        observed_generation=generation,
        conditions=conditions(found, said, snapshot.now, generation),
        access_key_id=delivered.access_key_id,
        once=sealed_key(snapshot, delivered.access_key_id),
        proven_record=before.proven_record,
        region=home.name or before.region,
        secret_name=delivered.name,
        binding=None if delivered.name is None else Binding(name=delivered.name),
    )
