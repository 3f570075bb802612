"""The checker of histories is worth something: it takes what can have been, and nothing else."""

import dataclasses
import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.linear import Event, linearizable


def write(began: float, ended: float, value: str, **more: object) -> Event:
    return Event("write", began, ended, value, **more)  # type: ignore[arg-type]


def read(began: float, ended: float, value: str | None) -> Event:
    return Event("read", began, ended, value)


def delete(began: float, ended: float) -> Event:
    return Event("delete", began, ended)


ONLY_ONE = {"if_none_match": True}
REFUSED = {"answer": "PreconditionFailed"}
POSSIBLE = {
    "nothing": [],
    "a read of nothing": [read(0, 1, None)],
    "one after the other": [write(0, 1, "a"), read(2, 3, "a"), delete(4, 5), read(6, 7, None)],
    "read while it is written": [write(0, 9, "a"), read(1, 2, None), read(3, 4, "a")],
    "writes at a time, in the other order": [write(0, 9, "a"), write(1, 8, "b"), read(10, 11, "a")],
    "one winner": [write(0, 9, "a", **ONLY_ONE), write(0, 9, "b", **ONLY_ONE, **REFUSED), read(10, 11, "a")],
    "If-Match": [write(0, 1, "a"), write(2, 3, "b", if_match="a"), write(4, 5, "c", if_match="a", **REFUSED)],
    "If-Match of nothing": [write(0, 1, "a", if_match="b", answer="NoSuchKey")],
    "no answer, and it happened": [write(0, math.inf, "a"), read(5, 6, None), read(7, 8, "a")],
    "no answer, and it did not": [write(0, math.inf, "a"), read(5, 6, None), read(7, 8, None)],
}
IMPOSSIBLE = {
    "a stale read": [write(0, 1, "a"), write(2, 3, "b"), read(4, 5, "a")],
    "a lost write": [write(0, 1, "a"), read(2, 3, None)],
    "a write that is undone": [write(0, 9, "a"), read(1, 2, "a"), read(3, 4, None)],
    "what nobody wrote": [write(0, 9, "a"), read(1, 2, "b")],
    "what is deleted": [write(0, 1, "a"), delete(2, 3), read(4, 5, "a")],
    "read before it was written": [read(0, 1, "a"), write(2, 3, "a")],
    "two winners": [write(0, 9, "a", **ONLY_ONE), write(0, 9, "b", **ONLY_ONE)],
    "two of one state": [write(0, 1, "a"), write(2, 9, "b", if_match="a"), write(2, 9, "c", if_match="a")],
    "refused without a reason": [write(0, 1, "a", **ONLY_ONE, **REFUSED)],
    "refused though it matched": [write(0, 1, "a"), write(2, 3, "b", if_match="a", **REFUSED)],
    "missing though it was there": [write(0, 1, "a"), write(2, 3, "b", if_match="a", answer="NoSuchKey")],
    "two readers that saw two orders": [
        write(0, 20, "a"),
        write(0, 20, "b"),
        *(read(1, 2, "a"), read(3, 4, "b")),
        *(read(5, 6, "a"), read(7, 8, "b")),
    ],
    "no answer, and it happened twice": [write(0, math.inf, "a"), read(1, 2, "a"), delete(3, 4), read(5, 6, "a")],
}


@pytest.mark.parametrize("case", POSSIBLE)
def test_what_can_have_been(case: str) -> None:
    assert linearizable(POSSIBLE[case])


@pytest.mark.parametrize("case", IMPOSSIBLE)
def test_what_cannot_have_been(case: str) -> None:
    assert not linearizable(IMPOSSIBLE[case])


def lived(dice: random.Random, count: int) -> list[Event]:
    """Requests that happened at one instant each, and were seen to last longer."""
    held, events = None, list[Event]()
    for instant in range(count):
        began, ended = instant - dice.uniform(0, 6), instant + dice.uniform(0, 6)
        what = dice.choice(["read", "read", "write", "write", "delete"])
        event = Event(what, began, ended)  # type: ignore[arg-type]
        if what == "read":
            event = dataclasses.replace(event, value=held)
        elif what == "delete":
            held = None
        else:
            event = dataclasses.replace(event, value=f"v{instant}", **_condition(dice, held))
            held = event.value if event.answer == "ok" else held
        events.append(event)
    dice.shuffle(events)
    return events


def _condition(dice: random.Random, held: str | None) -> dict[str, object]:
    match dice.randrange(4):
        case 0:
            return {"if_none_match": True} | ({} if held is None else REFUSED)
        case 1 if held is not None:
            return {"if_match": held}
        case 2:
            return {"if_match": "none such", "answer": "NoSuchKey" if held is None else "PreconditionFailed"}
        case _:
            return {}


@given(st.integers(0, 2**32), st.integers(1, 200))
def test_what_was_lived_is_taken(seed: int, count: int) -> None:
    assert linearizable(lived(random.Random(seed), count))


@given(st.integers(0, 2**32))
def test_a_read_of_another_value_is_noticed(seed: int) -> None:
    """Of a value that was surely overwritten before, or was never written."""
    dice = random.Random(seed)
    events = sorted(lived(dice, 60), key=lambda event: event.began)
    late = read(1000, 1001, dice.choice(["v0", "nobody's"]))
    sealed = write(900, 901, "last")
    assert linearizable([*events, sealed, read(1000, 1001, "last")])
    assert not linearizable([*events, sealed, late])
