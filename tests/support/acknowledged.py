"""What was acknowledged, by the marks of the workload: which contents of a store are right at a point of its life."""

import json
from typing import Any, Final

from support.store_checker import Seen

#: What the mirror of the records may be while it is written: it is then read again from its source.
DAMAGED: Final = "damaged"

_State = dict[str, Any]


class Lane:
    """One lane's possible states: more than one while something is under way, or was never answered."""

    def __init__(self) -> None:
        self.states: list[_State] = [{}]
        self._under_way: list[_State] | None = None  # the states if what is under way was done
        self.names: set[str] = set()

    def take(self, what: str, delta: _State | None) -> None:
        if what == "begin":
            assert delta is not None
            self.names |= set(delta)
            self._under_way = _distinct([_changed(state, delta) for state in self.states])
            return
        under_way, self._under_way = self._under_way, None
        assert under_way is not None
        if what == "ack":
            self.states = under_way
        elif what == "unknown":
            self.states = _distinct(self.states + under_way)

    def may_be(self, seen: _State) -> bool:
        return seen in self.states or (self._under_way is not None and seen in self._under_way)

    @property
    def is_writing(self) -> bool:
        return self._under_way is not None

    def __repr__(self) -> str:
        return f"{self.states}" + (f", or {self._under_way}" if self._under_way is not None else "")


class Knowledge:
    """All lanes."""

    def __init__(self) -> None:
        self.lanes: dict[str, Lane] = {}
        self.destroyed: set[str] = set()  # names of buckets whose destruction was acknowledged
        self._destroying: dict[str, str] = {}
        self.removed: set[str] = set()  # fingerprints of key-encryption keys whose removal was acknowledged
        self._removing: set[str] = set()

    def take(self, text: str) -> None:
        """The next mark."""
        what, name, delta = json.loads(text)
        lane = self.lanes.setdefault(name, Lane())
        lane.take(what, delta)
        for place, value in (delta or {}).items():
            if value == "destroyed":
                self._destroying[name] = place.removeprefix("b/")
            if place.startswith("removed/"):
                self._removing.add(place.removeprefix("removed/"))
        if what == "ack" and name in self._destroying:
            self.destroyed.add(self._destroying.pop(name))
        if what == "ack" and name == "keys":
            self.removed |= self._removing

    def wrong(self, seen: Seen) -> str | None:
        """What of this contents cannot be; None where all is right."""
        left = dict(seen)
        for name, lane in self.lanes.items():
            own = {place: left.pop(place) for place in lane.names if place in left}
            if lane.may_be(own) or (own.get("m/") == DAMAGED and lane.is_writing):
                continue
            return f"{name} has {_difference(own, lane)}"
        return f"nobody made {left}" if left else None


def _difference(own: _State, lane: Lane) -> str:
    best = min(lane.states, key=lambda state: len(_differing(own, state)))
    where = _differing(own, best)
    there, wanted = ({each: state.get(each) for each in where} for state in (own, best))
    return f"{there} instead of {wanted}, under way: {lane.is_writing}"


def _differing(one: _State, other: _State) -> list[str]:
    return sorted(place for place in one.keys() | other.keys() if one.get(place) != other.get(place))


def _changed(state: _State, delta: _State) -> _State:
    return {place: value for place, value in {**state, **delta}.items() if value is not None}


def _distinct(states: list[_State]) -> list[_State]:
    kept: list[_State] = []
    for state in states:
        if state not in kept:
            kept.append(state)
    return kept
