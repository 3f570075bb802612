"""An operator that dies at one step of its plans, before it or after it, and is followed by another."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Final

import pytest

from cooper_operator.plan import steps as do
from cooper_operator.plan.snapshot import Blocked
from cooper_operator.reconcile.apply import Applier, Work
from cooper_operator.reconcile.sweep import Sweeper
from support.operator_model import Model

_OF_SWEEPS: Final = ("_update", "_remove_if_empty", "_give_up")


@dataclass(slots=True)
class Injection:
    """Dies at the step of this number, the first being 0; None: at none. `taken`: what was carried out, in order.

    What a status write and a sweep's writes are is named by the method that makes them.
    """

    at: int | None
    before: bool = True
    taken: list[str] = field(default_factory=list[str])
    died: bool = False
    ended: bool = False  # what is carried out by now is not counted any more

    def over(self, model: Model, patch: pytest.MonkeyPatch) -> None:
        """Have every step of the operators of this model counted, and one be the last of its operator."""
        step: Any = Applier._step  # pyright: ignore[reportPrivateUsage]

        async def counted(applier: Applier, what: do.Step, work: Work) -> Blocked | None:
            return await self._count(model, type(what).__name__, lambda: step(applier, what, work))

        patch.setattr(Applier, "_step", counted)
        for owner, name in ((Applier, "_write_status"), *((Sweeper, each) for each in _OF_SWEEPS)):
            self._over(model, patch, owner, name)

    def _over(self, model: Model, patch: pytest.MonkeyPatch, owner: type, name: str) -> None:
        method = getattr(owner, name)

        async def counted(*args: Any) -> Any:
            return await self._count(model, name, lambda: method(*args))

        patch.setattr(owner, name, counted)

    async def _count(self, model: Model, what: str, action: Callable[[], Awaitable[Any]]) -> Any:
        if self.ended:
            return await action()
        number = len(self.taken)
        self.taken.append(what)
        if number == self.at and self.before:
            await self._die(model)
        try:
            result = await action()
        except Exception:
            if number == self.at:  # what it did before it failed is done
                await self._die(model)
            raise
        if number == self.at:
            await self._die(model)
        return result

    async def _die(self, model: Model) -> None:
        """Nothing that this operator began goes on: its ports no longer answer."""
        self.died = True
        model.ports.dead.set()
        await asyncio.get_running_loop().create_future()


async def revive(model: Model) -> None:
    """Start another operator whenever one has died, a moment after."""
    while True:
        await model.ports.dead.wait()
        await model.stop()
        await asyncio.sleep(0.5)
        model.start()
