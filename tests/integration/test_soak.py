"""64 clients at once, killed connections, revoked and rotated keys: nothing goes wrong, nothing leaks.

`make soak` has ten minutes of it from a new seed, `make test` some seconds. SOAK_SEED and SOAK_SECONDS choose others.
"""

import asyncio
import contextlib
import json
import os
import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

import pytest
import uvloop

from support.process_tree import anonymous_memory, descriptors, tree_of
from support.raw_s3 import RawS3
from support.rig import REGION, Rig, bucket, eventually
from support.soak_load import BUCKET, Client, Fault, Tally, Team

CLIENTS, TEAMS, WORKERS = 64, 8, 3
MIB = 1 << 20
#: MiB that a process may have grown from the second fifth of the time to the last, and some seconds after its start;
#: descriptors that all may keep. What is kept for reuse is not as much at any time, and a leak is there once for each
#: of ten thousands.
GROWTH, WARMING = 16, 64
KEPT = 24
#: Seconds until a revocation is in force, on a machine that has a load of its own.
IN_FORCE = 5.0


@dataclass
class Gauge:
    """What the processes take, once a second."""

    pid: int
    samples: list[dict[str, float]] = field(default_factory=list[dict[str, float]])  # MiB of each process

    async def watch(self) -> None:
        while True:
            self.samples.append(await asyncio.to_thread(self.memory))
            await asyncio.sleep(1)

    def memory(self) -> dict[str, float]:
        return {title(pid): anonymous_memory(pid) / MIB for pid in tree_of(self.pid)}

    def descriptors(self) -> int:
        """Of all processes."""
        return sum(map(descriptors, tree_of(self.pid)))

    def growth(self) -> dict[str, tuple[int, int]]:
        """MiB of each process in the second fifth of the time, and in the last: before that it warms up."""
        fifth = max(1, len(self.samples) // 5)
        parts = (self.samples[fifth : 2 * fifth] or self.samples, self.samples[-fifth:])
        before, after = ({name: median(each[name] for each in part) for name in part[0]} for part in parts)
        return {name: (round(before[name]), round(after.get(name, 0))) for name in before}


def title(pid: int) -> str:
    """`cooper worker 1/3`; of the one that began them all, `up`."""
    words = Path(f"/proc/{pid}/cmdline").read_bytes().decode().split("\0")[0]
    return words if words.startswith("cooper ") else "up"


async def withdraw(teams: list[Team], dice: random.Random, until: Callable[[], bool], pause: float) -> None:
    """Revoke and rotate keys, one after the other: one is revoked first, however short the time is."""
    await teams[0].revoke()
    while not until():
        await asyncio.sleep(dice.uniform(0, pause))
        team = dice.choice(teams)
        await (team.revoke() if dice.randrange(3) else team.rotate())


async def load(rig: Rig, seconds: float, seed: int, tally: Tally, gauge: Gauge) -> None:
    loop, dice = asyncio.get_running_loop(), random.Random(seed)
    teams = [Team(rig, number, tally) for number in range(TEAMS)]
    for team in teams:
        await team.issue()
    end = loop.time() + seconds
    watching = asyncio.create_task(gauge.watch())
    withdrawing = asyncio.create_task(withdraw(teams, dice, lambda: loop.time() > end, pause=min(4.0, seconds / 10)))
    clients = [Client(number, teams[number % TEAMS], tally, seed) for number in range(CLIENTS)]
    # Who waits for a key is to get one: they end after the last withdrawal.
    over = lambda: loop.time() > end and withdrawing.done()  # noqa: E731
    async with asyncio.TaskGroup() as group:
        for client in clients:
            group.create_task(client.run(over))
    watching.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await watching  # or it says why it ended before
    try:
        await withdrawing
    except Fault as fault:
        tally.faults.append(str(fault))


def files(rig: Rig) -> list[Path]:
    return [path for path in (rig.data / "segments").rglob("*") if path.is_file()]


def left_over(rig: Rig) -> list[str]:
    """Names and uploads in the bucket."""
    env = rig.env(BUCKET)
    owner = RawS3(rig.port, env["ACCESS_KEY"], env["SECRET_KEY"])
    answers = [owner.ask("GET", f"/{BUCKET}?list-type=2"), owner.ask("GET", f"/{BUCKET}?uploads")]
    return [answer.raw.decode() for answer in answers if b"<Key>" in answer.raw or answer.status != 200]


def run(home: Path, seconds: float, seed: int) -> tuple[Tally, dict[str, Any]]:
    """What was counted, and the figures."""
    rig, tally = Rig(home, "--workers", str(WORKERS)), Tally()
    rig.apply("all.yaml", REGION, bucket(BUCKET))
    with rig:
        assert rig.process is not None
        gauge = Gauge(rig.process.pid)
        assert left_over(rig) == []
        before, began = gauge.descriptors(), time.monotonic()
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(load(rig, seconds, seed, tally, gauge))
        took = time.monotonic() - began
        if not tally.faults:
            assert left_over(rig) == []
            eventually("the garbage collected", lambda: not files(rig), 60, pause=0.2)
            eventually("descriptors as before", lambda: gauge.descriptors() <= before + KEPT, 60, pause=0.5)
        after, log = gauge.descriptors(), rig.log.read_text()
    counted = sum(tally.operations.values())
    figures = {
        "seed": seed,
        "seconds": round(took),
        "operations": counted,
        "of each kind": dict(tally.operations.most_common()),
        "errors that clients caused": dict(tally.caused.most_common()),
        "faults": len(tally.faults),
        "withdrawals": dict(tally.withdrawals),
        "longest that a revoked key was allowed, s": round(max(tally.still_allowed, default=0.0), 2),
        "MiB sent and received": [tally.sent // MIB, tally.received // MIB],
        "memory under load, MiB": gauge.growth(),
        "descriptors before and after": [before, after],
        "tracebacks": log.count("Traceback"),
    }
    return tally, figures


def test_mixed_load_with_withdrawn_keys_and_killed_connections(tmp_path: Path, pytestconfig: pytest.Config) -> None:
    soak = pytestconfig.getoption("--soak")
    seed = int(os.environ.get("SOAK_SEED", time.time_ns() if soak else 1))
    seconds = float(os.environ.get("SOAK_SECONDS", 600 if soak else 6))
    print(f"seed {seed}")
    tally, figures = run(tmp_path, seconds, seed)
    print(json.dumps(figures, indent=1))
    assert tally.faults == []
    assert figures["tracebacks"] == 0, (tmp_path / "cooper.log").read_text()[-10_000:]
    assert tally.withdrawals["revocations"] > 0
    most = GROWTH if soak else WARMING
    memory = figures["memory under load, MiB"]
    assert {name for name, (before, after) in memory.items() if after > before + most} == set()
    assert max(tally.still_allowed, default=0.0) < IN_FORCE
    assert figures["operations"] > 5 * seconds
