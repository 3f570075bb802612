"""How the operator's process is: whether its event loop turns, and what keeps it from its work."""

import asyncio
import time
from collections.abc import Callable
from typing import Final

#: Seconds between signs of life, and how long one may be missing: a loop that is late by so much does not come back.
_BEAT: Final = 1.0
_LATEST: Final = 60.0


class Health:
    """`clock` is monotonic. Questions may come from another thread."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._last = clock()
        self._problems: dict[str, str] = {}

    async def beat(self) -> None:
        """Show that the event loop turns, until cancelled."""
        while True:
            self._last = self._clock()
            await asyncio.sleep(_BEAT)

    def note(self, what: str, problem: str) -> None:
        """Say what keeps `what` from working; empty: nothing does."""
        if problem:
            self._problems[what] = problem
        else:
            self._problems.pop(what, None)

    @property
    def dead(self) -> list[str]:
        """Why the process should be begun anew; empty: it should not."""
        late = self._clock() - self._last
        return [f"the event loop has not turned for {late:.0f} s"] if late > _LATEST else []

    @property
    def problems(self) -> list[str]:
        """Why no work is done; empty: it works, or waits until it leads."""
        return [*self.dead, *self._problems.values()]
