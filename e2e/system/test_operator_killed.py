"""The operator is killed at any moment: what comes after it converges, and nothing leaks."""

import asyncio
import random
import signal
import time
from collections.abc import Awaitable, Callable

import pytest

from e2e.system.audit import try_all, until_settled
from e2e.system.deliveries import Deliveries
from e2e.system.server import Server
from e2e.system.system import System
from e2e.system.workload import Workload
from support.operator_rig import OperatorProcess


async def test_killed_and_started_anew(
    system: System, tenant: str, server: Server, pytestconfig: pytest.Config
) -> None:
    soak = pytestconfig.getoption("--soak")
    kills, acts, seed = (20, 200, time.time_ns()) if soak else (4, 40, 1)
    dice = random.Random(seed)

    async def fault() -> None:
        """The one that starts need not wait for the Lease, so that kills follow one another amid the work."""
        await asyncio.sleep(dice.uniform(0, 4 if soak else 1.5))
        system.operator.kill()
        # What it had asked for is still done by a busy API server. Who waits for the Lease comes long after that; a
        # record that comes when its resource has gone meanwhile would be kept as somebody's data.
        await asyncio.sleep(1)
        await server.drop_lease(system.namespace)
        system.operator.start()
        await asyncio.to_thread(system.operator.wait_until_leading)

    workload, pause = Workload(server, tenant, random.Random(seed)), 0.4 if soak else 0.05
    await _work_through(system, workload, server, [fault] * kills, acts, seed, pause)


async def test_another_takes_over(system: System, tenant: str, server: Server, pytestconfig: pytest.Config) -> None:
    """Leaders that are killed, that end, and that are halted until another leads."""
    soak = pytestconfig.getoption("--soak")
    kinds = ["killed"] * 20 + ["stopped", "halted"] * 3 if soak else ["killed"]
    acts, seed = (260, time.time_ns()) if soak else (20, 2)
    dice = random.Random(seed)
    dice.shuffle(kinds)
    pair = Pair(system.operator, OperatorProcess(system.home / "operator-2.log", *system.operator.options))

    async def fault() -> None:
        await pair.leader_goes(kinds.pop(), dice.uniform(0, 1.5))

    with pair.waiting:
        workload = Workload(server, tenant, random.Random(seed))
        await _work_through(system, workload, server, [fault] * len(kinds), acts, seed, pause=0.3)
        if pair.leading is not system.operator:
            await pair.leader_goes("stopped", 0)
    for kind, took in pair.took.items():
        print(f"{kind}: taken over after {', '.join(f'{each:.1f}' for each in sorted(took))} s")
        # The Lease ends 15 s after it was seen to be renewed, or at once; who waits asks every 2 s.
        assert max(took) < (5 if kind == "stopped" else 20)


class Pair:
    """Two operators, of which one leads."""

    def __init__(self, leading: OperatorProcess, waiting: OperatorProcess) -> None:
        self.leading = leading
        self.waiting = waiting
        self.took: dict[str, list[float]] = {}

    async def leader_goes(self, kind: str, after: float) -> None:
        """It comes back when the other one leads, and waits."""
        await asyncio.to_thread(self.waiting.wait_until_waiting)
        await asyncio.sleep(after)
        former, self.leading, self.waiting = self.leading, self.waiting, self.leading
        began = time.monotonic()
        if kind == "halted":
            former.signal(signal.SIGSTOP)
        elif kind == "killed":
            former.kill()
        else:
            await asyncio.to_thread(former.stop)
        await asyncio.to_thread(self.leading.wait_until_leading)
        self.took.setdefault(kind, []).append(time.monotonic() - began)
        if kind == "halted":
            former.forget()
            former.signal(signal.SIGCONT)
        else:
            former.start()


async def _work_through(
    system: System,
    workload: Workload,
    server: Server,
    faults: list[Callable[[], Awaitable[None]]],
    acts: int,
    seed: int,
    pause: float = 0.05,
) -> None:
    """Faults one after the other, and as many acts, evenly between them; then everything is looked at."""
    print(f"seed {seed}")
    endpoints = [each.endpoint for each in system.gateways]
    async with Deliveries(server, workload, lambda: endpoints) as deliveries:
        await workload.prepare()
        await until_settled(system.namespace, workload, server)
        for fault in faults:
            running = asyncio.create_task(fault())
            for _ in range(acts // len(faults)):
                await workload.act()
                await asyncio.sleep(pause)
            await running
        began = time.monotonic()
        await until_settled(system.namespace, workload, server)
        took = time.monotonic() - began
        await try_all(workload, server, deliveries)
    print(
        f"{sum(workload.done.values())} acts ({dict(workload.done)}), {len(faults)} faults; settled after {took:.1f} s"
    )
    print(
        f"{len(deliveries.keys)} keys were delivered, tried {deliveries.tried} times, {deliveries.withdrawn} too late"
    )
    assert deliveries.problems == []
