"""Candidates for a Lease on machines that crash, halt and have clocks of their own, and what must hold of them.

Their clocks count from anywhere and differ in speed by less than a Lease's duration and deadline do.
"""

import asyncio
import contextvars
import random
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from types import SimpleNamespace
from typing import Any

import pytest

from cooper_operator.cluster import kubernetes_lease
from cooper_operator.cluster.kubernetes_lease import Leadership, LeadershipLost
from cooper_operator.cluster.lease import Settings
from support.lease_server import Fate, LeaseServer, Line, Object

SETTINGS = Settings()
#: Speeds of clocks: the fastest is 1.41 times the slowest, and duration / renew_deadline is 1.5.
SPEEDS = (0.85, 1.0, 1.2)

_machine: contextvars.ContextVar["Machine"] = contextvars.ContextVar("machine")


class Machine:
    """While it is halted its timers fire late and answers are read late, in any order; what it sent goes on."""

    def __init__(self, chance: random.Random) -> None:
        self.speed = chance.choice(SPEEDS)
        self._since = chance.uniform(-1e6, 1e6)
        self.wall_ahead = chance.uniform(-1e5, 1e5)
        self._halted_until = 0.0
        self._well = False
        self._chance = chance
        self._timers: set[asyncio.Timeout] = set()

    def monotonic(self) -> float:
        return self._since + now() * self.speed

    def clock(self) -> float:
        return 1.8e9 + now() + self.wall_ahead

    def halt(self, seconds: float) -> None:
        if self._well:
            return
        self._halted_until = max(self._halted_until, now() + seconds)
        for timer in self._timers:
            when = timer.when()
            if when is not None and not timer.expired():
                timer.reschedule(max(when, self._halted_until + self._chance.choice([0.0, 0.02])))

    def wake(self) -> None:
        self._halted_until = now()

    def mend(self) -> None:
        """It is not halted again."""
        self._well = True
        self.wake()

    async def running(self) -> None:
        while self._halted_until > now():
            await asyncio.sleep(min(0.1, self._halted_until - now()))

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds / self.speed)
        await self.running()

    @asynccontextmanager
    async def timeout(self, seconds: float) -> AsyncIterator[None]:
        async with asyncio.timeout(seconds / self.speed) as timer:
            self._timers.add(timer)
            try:
                yield
            finally:
                self._timers.discard(timer)


def on_machines(patch: pytest.MonkeyPatch) -> None:
    """Have elections use the timers of the machine that each is on."""
    timers = {name: _of_machine(name) for name in ("sleep", "timeout")}
    patch.setattr(kubernetes_lease, "asyncio", SimpleNamespace(**timers))


def now() -> float:
    return asyncio.get_running_loop().time()


class Model:
    """`violations` says which promise was broken, and when."""

    def __init__(self, seed: int, candidates: int) -> None:
        self.violations: list[str] = []
        self.chance = random.Random(seed)
        self.server = _Watched(self)
        self.candidates = [Candidate(self, f"operator{number}") for number in range(candidates)]

    def check(self) -> None:
        leaders = [each.identity for each in self.candidates if each.leads]
        if len(leaders) > 1:
            self.violations.append(f"{now():.2f}: {leaders} lead at one time")
        if leaders and self.server.holder not in leaders:
            self.violations.append(f"{now():.2f}: {leaders} leads, and {self.server.holder} holds the Lease")

    async def live(self, seconds: float) -> None:
        """Let time pass."""
        until = now() + seconds
        while now() < until:
            self.check()
            await asyncio.sleep(min(0.2, until - now()))

    async def converge(self) -> None:
        """Faults stop: one leads as soon as a former one's time has passed, and goes on to."""
        for each in self.candidates:
            each.mend()
        await self.live(max(0.0, *(each.line.arriving_until - now() for each in self.candidates)))
        begun, slowest = now(), min(SPEEDS)
        # Who leads after this has renewed since, and what hung was given up.
        await self.live(SETTINGS.renew_deadline / slowest)
        longest = (SETTINGS.request_timeout + SETTINGS.duration + SETTINGS.retry_period) / slowest + 0.5
        while not any(each.leads for each in self.candidates):
            await self.live(0.1)
            if now() - begun > longest:
                self.violations.append(f"{now():.2f}: nobody leads {longest:.1f} s after the last fault")
                return
        leader = self.server.holder
        await self.live(30)
        if self.server.holder != leader:
            self.violations.append(f"{now():.2f}: {self.server.holder} took over from {leader}, which was well")

    async def stop(self) -> None:
        for each in self.candidates:
            await each.crash()


class Candidate:
    """An operator that is started again, as somebody else, whenever it ended."""

    def __init__(self, model: Model, name: str) -> None:
        self._model = model
        self._name = name
        self._starts = 0
        self.start()

    def start(self) -> None:
        self._starts += 1
        self.identity = f"{self._name}_{self._starts}"
        self.machine = Machine(self._model.chance)
        self.line = _Line(self._model.server, self.identity, self.machine)
        clocks = {"clock": self.machine.clock, "monotonic": self.machine.monotonic}
        self.leadership = Leadership(self.line, "cooper", self.identity, SETTINGS, **clocks)  # type: ignore[arg-type]
        self._task = self._on_machine(self._run())

    @property
    def leads(self) -> bool:
        return self.leadership.is_leader

    async def crash(self) -> None:
        """It is gone: what it believed matters no more."""
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        self.leadership._leads_until = float("-inf")  # pyright: ignore[reportPrivateUsage]

    async def end(self) -> None:
        """It ends as it should."""
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        await self._on_machine(self.leadership.release())

    def mend(self) -> None:
        self.line.fate = Fate()
        self.line.fates.clear()
        self.machine.mend()

    def _on_machine(self, work: Any) -> asyncio.Task[None]:
        context = contextvars.copy_context()
        context.run(_machine.set, self.machine)
        return asyncio.create_task(work, context=context)

    async def _run(self) -> None:
        while True:
            await self.leadership.acquire()
            with suppress(LeadershipLost):
                await self.leadership.hold()


class _Line(Line):
    def __init__(self, server: LeaseServer, name: str, machine: Machine) -> None:
        super().__init__(server, name)
        self._machine = machine
        self.arriving_until = 0.0
        self.halts_for = 0.0  # once, when the next request was carried out and before its answer is read

    async def _ask(self, verb: str, body: Mapping[str, Any] | None) -> Object:
        fate = self.fates[0] if self.fates else self.fate
        if fate.there < 1e6:
            self.arriving_until = max(self.arriving_until, now() + fate.there)
            if self.halts_for:
                asyncio.get_running_loop().call_later(fate.there + 0.005, self._machine.halt, self.halts_for)
                self.halts_for = 0.0
        try:
            return await super()._ask(verb, body)
        finally:
            await self._machine.running()


class _Watched(LeaseServer):
    def __init__(self, model: Model) -> None:
        super().__init__()
        self._model = model

    def put(self, spec: Any, **metadata: Any) -> Object:
        written = super().put(spec, **metadata)
        self._model.check()
        return written


def _of_machine(name: str) -> Any:
    return lambda seconds: getattr(_machine.get(), name)(seconds)
