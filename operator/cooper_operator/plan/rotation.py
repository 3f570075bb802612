"""Rotation: a second key beside the first, which retires once what uses it has gone over to the new one.

one key ──rotate-at, interval──> another beside it ──proven, in the Secret──> the former retires ──> refused everywhere
                                                                     overlap, and roll-out; at most twice the overlap

Which of it has been done is read from the records and the Secret. So it goes on after a crash at any point, and there
are never more than two keys that work: none is begun before the last one has ended.
"""

from dataclasses import dataclass
from typing import Final

import msgspec

from cooper_crds.access_key import AccessKey, AccessKeyStatus
from cooper_crds.conditions import find_condition
from cooper_crds.fields import timestamp, unix_seconds
from cooper_crds.records import KeyRecord, spent
from cooper_crds.rotation import DEFAULT_OVERLAP, ROTATE_AT
from cooper_crds.stored import StoredRecord
from cooper_operator.plan.delivery import is_held
from cooper_operator.plan.keys import as_wanted, key_in, usable_key
from cooper_operator.plan.plan import Say
from cooper_operator.plan.reasons import (
    INVALID_ROTATE_AT,
    OVERLAPPING,
    REASONS,
    ROLLING_OUT,
    ROTATED,
    ROTATION_WAITS,
    WAITING_FOR_GATEWAYS,
)
from cooper_operator.plan.snapshot import AccessKeySnapshot
from cooper_operator.plan.steps import Step, UpdateRecord

#: Types of conditions that are said only where there is something to say.
OF_ROTATION: Final = frozenset({"Rotated", "RolledOut"})


@dataclass(frozen=True, slots=True)
class Turn:
    """What each key of an AccessKey is to be: `newest` None means that one is to be issued."""

    newest: StoredRecord | None
    beside: StoredRecord | None  # works on until `newest` has taken its place everywhere
    former: list[StoredRecord]  # refused, or to be refused now; the newest first
    waits: str = ""  # why a rotation that is due is not begun


def turn(snapshot: AccessKeySnapshot, keys: list[StoredRecord], rolled_out: bool, obstacle: str) -> Turn:
    """`keys`, the newest first. `rolled_out`: all workloads run with what the Secret holds. `obstacle`: why no key
    could be delivered now; empty where one could."""
    newest = usable_key(keys, snapshot.now)
    if newest is None:
        return Turn(None, None, keys)
    if len(keys) > 1 and _works_beside(key_in(keys[1]), key_in(newest), snapshot.now):
        if not _is_over(snapshot, key_in(keys[1]), rolled_out):
            return Turn(newest, keys[1], keys[2:])
        return Turn(newest, None, keys[1:])
    if not _due(snapshot, key_in(newest)):
        return Turn(newest, None, keys[1:])
    if not is_held(snapshot, key_in(newest).access_key_id):
        return Turn(newest, None, keys[1:], "the key in use is yet to be delivered")
    return Turn(newest, None, keys[1:], obstacle) if obstacle else Turn(None, newest, keys[1:])


def retires(access_key: AccessKey, superseded_at: float) -> tuple[float, float]:
    """Unix seconds at which a key retires at the soonest, and at the latest."""
    rotation = access_key.spec.rotation
    overlap = DEFAULT_OVERLAP if rotation is None else rotation.overlap
    return superseded_at + overlap, superseded_at + 2 * overlap


def wanted_beside(snapshot: AccessKeySnapshot, turn: Turn, wanted: KeyRecord) -> KeyRecord | None:
    """What the record of the key beside the newest is to say, whose record is to say `wanted`: the same rights, and an
    end that gateways enforce by themselves. None: there is no such key."""
    if turn.beside is None:
        return None
    key = as_wanted(snapshot.access_key, key_in(turn.beside), wanted.region, wanted.grants, newest=False)
    return _with_end(snapshot, key, key.superseded_at)


def supersede(snapshot: AccessKeySnapshot, turn: Turn, beside: KeyRecord | None) -> list[Step]:
    """Once the Secret holds the newest key: note in the record of the one beside it since when, which begins its end.
    `beside` is what that record is to say."""
    if turn.beside is None or beside is None or beside.superseded_at is not None:
        return []
    return [UpdateRecord(turn.beside, _with_end(snapshot, beside, snapshot.now))]


def retiring(snapshot: AccessKeySnapshot, turn: Turn) -> StoredRecord | None:
    """The key whose end a rotation is yet to see: its record no longer lets it work. Records tell which one it is, and
    status only that this has been done."""
    newest, status = None if turn.newest is None else key_in(turn.newest), snapshot.access_key.status
    if newest is None or not newest.replaces:
        return None
    if status is not None and status.access_key_id == newest.access_key_id and not status.retiring_access_key_id:
        return None
    return next((each for each in turn.former if key_in(each).access_key_id == newest.replaces), None)


def next_at(snapshot: AccessKeySnapshot, key: KeyRecord | None) -> float | None:
    """When the newest key is to be replaced, in Unix seconds: a time to come. None: at no time that is known."""
    ahead = [] if key is None else [at for at in _ends(snapshot.access_key, key) if at > snapshot.now]
    return min(ahead, default=None)


def look_again(snapshot: AccessKeySnapshot, turn: Turn, key: KeyRecord | None, delivered: bool) -> float | None:
    """When time alone changes what is to be done: Unix seconds. `delivered`: the Secret holds `key`, the newest."""
    ahead = [] if (at := next_at(snapshot, key)) is None else [at]
    if turn.beside is not None and (since := _superseded_at(snapshot, turn.beside, delivered)) is not None:
        ahead += [each for each in retires(snapshot.access_key, since) if each > snapshot.now] or [snapshot.now]
    return min(ahead, default=None)


def said(snapshot: AccessKeySnapshot, turn: Turn, key: KeyRecord | None, delivered: bool) -> Say | None:
    """How a rotation stands. None: there was none. `delivered`: the Secret holds `key`, the newest."""
    at = _rotate_at(snapshot.access_key)
    if isinstance(at, str):
        return Say("Rotated", "False", INVALID_ROTATE_AT, at)
    if turn.waits:
        return Say("Rotated", "False", ROTATION_WAITS, turn.waits)
    if turn.beside is not None and key is not None:
        return _overlap(snapshot, turn.beside, key, delivered)
    status = snapshot.access_key.status
    blocked = snapshot.blocked
    if (over := retiring(snapshot, turn)) is not None and key is not None:
        former = key_in(over).access_key_id
        if blocked is not None:
            text = f"key {former} is refused by its record; still waiting: {blocked.detail}"
            return Say("Rotated", "False", WAITING_FOR_GATEWAYS, text)
        return Say("Rotated", "True", ROTATED, f"key {key.access_key_id} is in the place of {former}")
    before = find_condition(status.conditions if status is not None else [], "Rotated")
    if before is None or before.status != "True":
        return None
    return Say("Rotated", "True", REASONS.get(before.reason, ROTATED), before.message)


def told(snapshot: AccessKeySnapshot, turn: Turn, key: KeyRecord | None, delivered: bool) -> dict[str, str | None]:
    """The fields of status that tell of a rotation. `delivered`: the Secret holds `key`, the newest."""
    before = snapshot.access_key.status or AccessKeyStatus()
    at = next_at(snapshot, key)
    fields = {"retiring_access_key_id": None, "retire_at": None, "rotated_at": before.rotated_at}
    fields["next_rotation_at"] = None if at is None else timestamp(at)
    fields["last_handled_rotate_at"] = _handled(snapshot, turn, key, delivered) or before.last_handled_rotate_at
    if turn.beside is not None:
        fields["retiring_access_key_id"] = key_in(turn.beside).access_key_id
        since = _superseded_at(snapshot, turn.beside, delivered)
        fields["retire_at"] = None if since is None else timestamp(retires(snapshot.access_key, since)[0])
    elif (over := retiring(snapshot, turn)) is not None:
        if snapshot.blocked is None:
            fields["rotated_at"] = timestamp(snapshot.now)
        else:
            fields["retiring_access_key_id"] = key_in(over).access_key_id
    return fields


def _handled(snapshot: AccessKeySnapshot, turn: Turn, key: KeyRecord | None, delivered: bool) -> str | None:
    """What the annotation says, once the key in use was issued since and no gateway honours the former one."""
    at = _rotate_at(snapshot.access_key)
    goes_on = turn.beside is not None or (retiring(snapshot, turn) is not None and snapshot.blocked is not None)
    if not isinstance(at, float) or key is None or _precedes(key, at) or goes_on or not delivered:
        return None
    return snapshot.access_key.metadata.annotations[ROTATE_AT]


def _overlap(snapshot: AccessKeySnapshot, beside: StoredRecord, key: KeyRecord, delivered: bool) -> Say:
    former = key_in(beside)
    if not delivered:
        detail = snapshot.blocked.detail if snapshot.blocked is not None else "it is being proven"
        text = f"the new key {key.access_key_id} is recorded; {former.access_key_id} is in use until it works: {detail}"
        return Say("Rotated", "False", WAITING_FOR_GATEWAYS, text)
    soonest, latest = retires(snapshot.access_key, former.superseded_at or snapshot.now)
    if soonest > snapshot.now or former.superseded_at is None:
        text = f"key {former.access_key_id} works beside {key.access_key_id} until {timestamp(soonest)}"
        return Say("Rotated", "False", OVERLAPPING, text)
    text = f"key {former.access_key_id} works until workloads are restarted, at most until {timestamp(latest)}"
    return Say("Rotated", "False", ROLLING_OUT, text)


def _with_end(snapshot: AccessKeySnapshot, key: KeyRecord, superseded_at: float | None) -> KeyRecord:
    ends = [] if superseded_at is None else [retires(snapshot.access_key, superseded_at)[1]]
    ends += [] if (not_after := snapshot.access_key.spec.not_after) is None else [not_after]
    return msgspec.structs.replace(key, superseded_at=superseded_at, not_after=min(ends, default=None))


def _superseded_at(snapshot: AccessKeySnapshot, beside: StoredRecord, delivered: bool) -> float | None:
    """Since when the Secret has held the successor, or will once the plan's steps have been done. None: it does not."""
    since = key_in(beside).superseded_at
    return snapshot.now if since is None and delivered else since


def _is_over(snapshot: AccessKeySnapshot, key: KeyRecord, rolled_out: bool) -> bool:
    if key.superseded_at is None:
        return False
    return snapshot.now >= retires(snapshot.access_key, key.superseded_at)[0 if rolled_out else 1]


def _works_beside(key: KeyRecord, newest: KeyRecord, now: float) -> bool:
    return newest.replaces == key.access_key_id and not spent(key, now)


def _due(snapshot: AccessKeySnapshot, key: KeyRecord) -> bool:
    return any(at <= snapshot.now for at in _ends(snapshot.access_key, key))


def _ends(access_key: AccessKey, key: KeyRecord) -> list[float]:
    """When a key is to be replaced, in Unix seconds: at the interval's end, and when the annotation says so."""
    at, rotation = _rotate_at(access_key), access_key.spec.rotation
    ends = [at] if isinstance(at, float) and _precedes(key, at) else []
    return ends if rotation is None or rotation.interval is None else [*ends, key.issued_at + rotation.interval]


def _precedes(key: KeyRecord, at: float) -> bool:
    """Whether a key was issued before the time that the annotation names. One to the second, as `date` prints it, is
    any moment of that second: a first key that was issued in it is replaced, and not again what replaced a key then."""
    return key.issued_at < (at + 1 if at.is_integer() and not key.replaces else at)


def _rotate_at(access_key: AccessKey) -> float | str | None:
    """The time that the annotation names, in Unix seconds; or what is wrong with it."""
    text = access_key.metadata.annotations.get(ROTATE_AT)
    if text is None:
        return None
    try:
        return unix_seconds(text)
    except ValueError:
        return f"the annotation {ROTATE_AT} is no RFC 3339 time"
