"""How often gateways are asked: what they took for the last records they are not asked before."""

import pytest

from cooper_operator.gateways.port import Proof
from cooper_operator.reconcile.patience import PROVE_FOR, Incomplete, Patience


class Gateways:
    """They know a record `lag` seconds after a step began; time passes while they are waited for, and not otherwise."""

    def __init__(self, lag: float, replicas: int = 1) -> None:
        self.lag = lag
        self.replicas = replicas
        self.now = 0.0
        self.asked = 0
        self._began = 0.0
        self._patience = Patience(lambda: self.now, self._sleep)

    async def _sleep(self, seconds: float) -> None:
        self.now += seconds

    async def _ask(self) -> Proof:
        self.asked += 1
        return Proof(self.replicas * (self.now - self._began >= self.lag), self.replicas, "they lag")

    async def step(self) -> tuple[int, float]:
        """How often they were asked, and how long after they knew that was over, in seconds."""
        self._began, self.asked = self.now, 0
        await self._patience.until_complete(self._ask)
        return self.asked, self.now - self._began - self.lag


async def test_gateways_that_take_their_time_are_mostly_asked_once() -> None:
    gateways = Gateways(0.03)
    assert (await gateways.step())[0] > 3
    later = [await gateways.step() for _ in range(100)][10:]
    assert sum(asked for asked, _ in later) / len(later) < 1.6
    assert max(late for _, late in later) < 0.01


async def test_gateways_that_know_at_once_are_soon_asked_at_once() -> None:
    gateways = Gateways(0.03)
    await gateways.step()
    gateways.lag = 0
    assert [(await gateways.step())[0] for _ in range(40)] == [1] * 40
    assert (await gateways.step())[1] == 0


async def test_one_that_took_long_does_not_make_the_others_wait_longer_than_that() -> None:
    gateways = Gateways(0.4)
    await gateways.step()
    gateways.lag = 0
    assert (await gateways.step())[1] <= 0.1


@pytest.mark.parametrize(("replicas", "why", "asked"), [(1, "incomplete", 8), (0, "unavailable", 1)])
async def test_what_is_not_proven_ends_in_time_and_teaches_nothing(replicas: int, why: str, asked: int) -> None:
    gateways = Gateways(10, replicas)
    with pytest.raises(Incomplete, match="they lag") as found:
        await gateways.step()
    assert found.value.why == why
    assert (gateways.asked >= asked) if replicas else (gateways.asked == asked)
    assert gateways.now <= PROVE_FOR
    gateways.lag, gateways.replicas = 0, 1
    assert await gateways.step() == (1, 0)
