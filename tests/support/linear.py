"""Can what concurrent clients saw of one key have been, had each request happened at one instant?

A history is linearizable when there is such an instant for every request, between its begin and its end, and a plain
variable gives the same answers in that order (Herlihy and Wing 1990). It is looked for as Wing and Gong do (1993), and
what was tried once is not tried again.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Answer = Literal["ok", "PreconditionFailed", "NoSuchKey"]


@dataclass(frozen=True)
class Event:
    """One request to the key, and its answer. `ended` without end: no answer came, and it may have happened or not."""

    what: Literal["read", "write", "delete"]
    began: float
    ended: float
    value: str | None = None  # what was read or was to be written; None: nothing
    if_match: str | None = None  # of a write
    if_none_match: bool = False  # of a write: only where there is nothing
    answer: Answer = "ok"

    def after(self, held: str | None) -> tuple[bool, str | None]:
        """Whether it can have happened where the key holds this, and what the key holds then."""
        if self.what == "read":
            return self.value == held, held
        if self.what == "delete":
            return True, None
        return self._written(held)

    def _written(self, held: str | None) -> tuple[bool, str | None]:
        if self.answer == "NoSuchKey":
            return self.if_match is not None and held is None, held
        failed = (self.if_none_match and held is not None) or (self.if_match is not None and held != self.if_match)
        if self.answer == "PreconditionFailed":
            return failed, held
        return not failed, self.value


def linearizable(history: Sequence[Event], held: str | None = None) -> bool:
    """Whether these events can have been, in a key that held `held` before."""
    events = sorted(history, key=lambda event: event.began)
    wanted = sum(1 << place for place, event in enumerate(events) if event.ended < math.inf)
    waiting = [(0, held)]
    tried = set(waiting)
    while waiting:
        done, held = waiting.pop()
        if done & wanted == wanted:
            return True
        for place in _next(events, done):
            possible, holds = events[place].after(held)
            step = (done | 1 << place, holds)
            if possible and step not in tried:
                tried.add(step)
                waiting.append(step)
    return False


def _next(events: Sequence[Event], done: int) -> list[int]:
    """Those that can be the next one: no other that is left had ended before they began."""
    found: list[int] = []
    ended = math.inf
    place = (~done & (done + 1)).bit_length() - 1  # the first that is left
    while place < len(events) and events[place].began <= ended:
        if not done >> place & 1:
            found.append(place)
            ended = min(ended, events[place].ended)
        place += 1
    return [place for place in found if events[place].began <= ended]
