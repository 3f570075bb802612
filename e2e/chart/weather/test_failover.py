"""The operator that leads is killed amid its work, again and again: the other one takes over, and nothing is amiss."""

import asyncio
import statistics
import time

import pytest

from e2e.chart.release import Release
from e2e.chart.weather.conftest import Trials
from e2e.kind.nodes import Nodes

pytestmark = pytest.mark.asyncio(loop_scope="session")

#: A Lease ends 15 s after it was seen to be renewed; who waits asks every 2 s.
_LONGEST = 20.0


async def test_the_leader_is_killed_amid_its_work(busy: Trials, release: Release, nodes: Nodes, soak: bool) -> None:
    took: list[float] = []
    async with busy() as going_on:
        for _ in range(20 if soak else 3):
            await _until_two(release)
            acting = asyncio.create_task(going_on.work(10, pause=0.1))
            await asyncio.sleep(going_on.dice.uniform(0, 1))
            took.append(await _kill_leader(release, nodes))
            await acting
    print(f"{len(took)} leaders killed; another led after {statistics.median(took):.1f} s, {max(took):.1f} s at worst")
    assert max(took) < _LONGEST


async def _kill_leader(release: Release, nodes: Nodes) -> float:
    """How long nobody led, in seconds."""
    holder, pods = await release.holder(), await release.pods("operator")
    pod = holder.rpartition("_")[0]
    killed = await asyncio.to_thread(nodes.kill_pod, pods[pod])
    # A new Pod instead of one whose next restart the kubelet would put off.
    await release.kubectl("-n", release.namespace, "delete", "pod", pod, "--grace-period=0", "--force")
    async with asyncio.timeout(2 * _LONGEST):
        while await release.holder() in ("", holder):
            await asyncio.sleep(0.1)
    return time.time() - killed


async def _until_two(release: Release) -> None:
    """One leads and one waits. The Deployment's status would not do: its controller may be away as well."""
    async with asyncio.timeout(90):
        while len(ready := await _ready(release)) < 2 or await release.leader() not in ready:
            await asyncio.sleep(0.2)


async def _ready(release: Release) -> list[str]:
    return [
        name
        for name, pod in (await release.pods("operator")).items()
        if any(each["type"] == "Ready" and each["status"] == "True" for each in pod["status"].get("conditions", ()))
    ]
