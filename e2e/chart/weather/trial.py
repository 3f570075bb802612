"""A tenant at work and clients of S3, while something befalls the cluster; and the look at everything after."""

import asyncio
import random
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from cooper_operator.cluster.kubernetes_objects import core_path
from e2e.chart.release import Release
from e2e.system.audit import try_all, until_settled
from e2e.system.deliveries import Deliveries
from e2e.system.load import Load
from e2e.system.s3 import PatientS3
from e2e.system.server import Server, values
from e2e.system.workload import Workload

_SERVED_AGAIN = 120.0  # seconds
_LOADED = "base-1"  # the Bucket that the clients write to


@dataclass(frozen=True)
class Trial:
    """What goes on while it lasts."""

    release: Release
    server: Server
    workload: Workload
    load: Load
    deliveries: Deliveries
    dice: random.Random

    async def work(self, acts: int, pause: float = 0.05) -> None:
        """Apply and delete by lot."""
        for _ in range(acts):
            await self.workload.act()
            await asyncio.sleep(pause)

    async def until_served(self) -> float:
        """Wait until something is written; how long it took, in seconds."""
        began = time.monotonic()
        async with asyncio.timeout(_SERVED_AGAIN):
            while not self.load.written or self.load.written[-1] < began:
                await asyncio.sleep(0.05)
        return time.monotonic() - began

    async def settle(self) -> None:
        """Wait until all is as wanted, with nothing left of what was."""
        began = time.monotonic()
        await until_settled(self.release.namespace, self.workload, self.server)
        print(f"settled after {time.monotonic() - began:.1f} s")


@asynccontextmanager
async def trial(release: Release, server: Server, namespace: str, dice: random.Random) -> AsyncIterator[Trial]:
    """Begin it in a tenant's namespace, and look at everything when it ends.

    Every acknowledged object is as it was sent; every Secret's key works and did from the first moment on; what was
    revoked is refused; of what was deleted no record, key, Secret or finalizer is left.
    """
    workload = Workload(server, namespace, random.Random(dice.random()))
    endpoints = [await release.node_endpoint()]
    await workload.prepare()
    await until_settled(release.namespace, workload, server)
    async with (
        Load(await _credentials(server, workload), endpoints) as load,
        Deliveries(server, workload, lambda: endpoints, PatientS3) as deliveries,
    ):
        going_on = Trial(release, server, workload, load, deliveries, dice)
        yield going_on
        await going_on.until_served()
        await going_on.settle()
        await try_all(workload, server, deliveries)
        await load.rest()
        assert await load.audit() == []
    _tell(going_on)
    assert load.wrong == [], load.wrong[:5]
    assert deliveries.problems == [], deliveries.problems[:5]


async def _credentials(server: Server, workload: Workload) -> dict[str, str]:
    path = core_path("secrets", workload.namespace)
    secrets = {each["metadata"]["name"]: values(each) for each in await server.list(path)}
    return secrets[workload.wanted()[_LOADED].secret]


def _tell(done: Trial) -> None:
    load, deliveries = done.load, done.deliveries
    print(f"{sum(done.workload.done.values())} acts: {dict(done.workload.done)}")
    print(f"{len(deliveries.keys)} keys were delivered and tried, {deliveries.withdrawn} too late")
    print(f"{load.total} requests served, {len(load.failures)} not; {load.acknowledged} objects are as acknowledged")
