"""What keys were given over time: whatever comes to a key was given to it just before."""

from collections.abc import Callable
from typing import Final

from cooper_crds.access_key import AccessKey
from cooper_crds.records import BucketRecord, KeyRecord
from cooper_operator.reconcile.reading import read
from support.stages import Stage
from support.wanted_rights import Right, given_rights, rights_of

#: Seconds that an operator may take from its look at what is given to its write of a record.
_LOOK: Final = 1.0


class RightsOverTime:
    """Notes what is given, at each change of it, and judges each right that comes to a key."""

    def __init__(self, stage: Stage, now: Callable[[], float], violations: list[str]) -> None:
        self._stage = stage
        self._now = now
        self._violations = violations
        self._seen: set[tuple[str, int]] = set()  # UID and generation of what is there
        self._given: dict[str, set[Right]] = {}  # by the AccessKey's UID
        self._withdrawn: dict[tuple[str, Right], float] = {}  # when each was given last
        self._had: dict[tuple[str, str], set[Right]] = {}  # what each key could do at the last check
        stage.changed = self.note

    def note(self) -> None:
        """What is given now. To be called after each change of a resource."""
        objects = self._stage.objects()
        seen = {(obj["metadata"]["uid"], obj["metadata"]["generation"]) for obj in objects}
        if seen == self._seen:
            return
        before, self._seen = self._given, seen
        self._given = {
            obj["metadata"]["uid"]: given_rights(read(obj, AccessKey), objects)
            for obj in objects
            if obj["kind"] == "AccessKey"
        }
        for uid, rights in before.items():
            for right in rights - self._given.get(uid, set()):
                self._withdrawn[uid, right] = self._now()

    def check(self) -> None:
        """Every key that works: what it may do, and could not at the last check, was given a moment ago at most."""
        had, self._had = self._had, self._rights()
        for (uid, key_id), rights in self._had.items():
            for right in sorted(rights - had.get((uid, key_id), set())):
                if not self._is_given(uid, right, _LOOK):
                    self._violations.append(f"{key_id} may do what nobody gave it: {right}")

    def check_withdrawn(self, seconds: float) -> None:
        """No key may do what was withdrawn so many seconds ago."""
        for (uid, key_id), rights in self._rights().items():
            for right in sorted(rights):
                if not self._is_given(uid, right, seconds):
                    self._violations.append(f"{key_id} may still do what was withdrawn: {right}")

    def _rights(self) -> dict[tuple[str, str], set[Right]]:
        """What each key that works may do, by UID of its AccessKey and its id."""
        self.note()
        stored = [each for each in self._stage.records().values() if each is not None]
        buckets = [each for each in stored if isinstance(each, BucketRecord) and not each.retained]
        owners = {each.name: each.owner.uid for each in buckets}
        keys = (each for each in stored if isinstance(each, KeyRecord) and each.state == "Active")
        return {
            (key.owner.uid, key.access_key_id): {
                (owners[name], action, place) for name, action, place in rights_of(key, buckets)
            }
            for key in keys
        }

    def _is_given(self, uid: str, right: Right, lately: float) -> bool:
        """Whether it is, or was so many seconds ago."""
        return right in self._given.get(uid, ()) or self._withdrawn.get((uid, right), 0.0) >= self._now() - lately
