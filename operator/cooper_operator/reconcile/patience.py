"""How often gateways are asked whether they go by a new record: seldom in vain, and for half a second at most."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Final

from cooper_operator.gateways.port import Proof

#: Probes are repeated this long within one step, first after 5 ms: gateways see a new record within some tens of ms.
PROVE_FOR: Final = 0.5
_FIRST_PAUSE: Final = 0.005
_LONGEST_PAUSE: Final = 0.1
#: How far the time of the first probe moves, as a part of what it was off: by one that came too early, and of itself by
#: one that was not, and so may have come too late.
_LATER: Final = 0.5
_SOONER: Final = 0.05


def _loop_time() -> float:
    """By the clock that `asyncio.sleep` goes by: tests have one of their own."""
    return asyncio.get_running_loop().time()


class Incomplete(Exception):
    """Not every worker has answered as it should."""

    def __init__(self, proof: Proof) -> None:
        super().__init__(proof.waiting_for)
        self.why: Any = "incomplete" if proof.expected else "unavailable"
        self.detail = proof.waiting_for or "a gateway"
        self.proven = proof.proven


class Patience:
    """Repeats probes. What gateways took for the last records they are not asked before: while many keys come at a
    time, they would answer more questions in vain than others. `clock` and `sleep` are in seconds."""

    def __init__(
        self,
        clock: Callable[[], float] = _loop_time,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        self._clock = clock
        self._sleep = sleep
        self._before = 0.0  # seconds from a step's begin until its first probe

    async def until_complete(self, ask: Callable[[], Awaitable[Proof]]) -> None:
        """Ask until all have answered as they should. Raises Incomplete."""
        began = self._clock()
        if self._before >= _FIRST_PAUSE:
            await self._sleep(self._before)
        first = asked = self._clock()
        pause = _FIRST_PAUSE
        while not (proof := await ask()).complete:
            if proof.expected == 0 or self._clock() + pause > began + PROVE_FOR:
                raise Incomplete(proof)
            await self._sleep(pause)
            asked = self._clock()
            pause = min(pause * 1.5, _LONGEST_PAUSE)
        early = min(asked - began, _LONGEST_PAUSE) - self._before
        self._before += _LATER * early if asked > first else -_SOONER * self._before
