"""Everything is edited at a high rate while keys are issued: writes meet conflicts, and no edit is lost."""

import asyncio
import json
import random
import time

import pytest

from e2e.chart.release import FULL_NAME, Release
from e2e.chart.weather.conftest import Trials
from e2e.chart.weather.storm import Storm
from e2e.kind.cluster import Cluster
from e2e.system.server import Server

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_a_storm_of_edits(
    busy: Trials, release: Release, server: Server, tenant: str, cluster: Cluster, soak: bool
) -> None:
    refused = await _conflicts(release, cluster)
    async with busy() as going_on:
        began = time.monotonic()
        async with Storm(server, tenant, random.Random(going_on.dice.random())) as storm:
            await going_on.work(240 if soak else 25, pause=0.1)
        seconds = time.monotonic() - began
        await going_on.settle()
        async with asyncio.timeout(20):
            while await storm.junk():
                await asyncio.sleep(0.2)
        assert await storm.lost() == []
    refused = await _conflicts(release, cluster) - refused
    print(f"{storm.count.total() / seconds:.0f} edits a second ({dict(storm.count)}), none undone")
    print(f"{refused} of the operator's writes met a conflict")
    assert refused > 0, "the storm is to be one"
    assert going_on.load.failures == []


async def _conflicts(release: Release, cluster: Cluster) -> int:
    """How many of the operator's writes were refused as of a version that is not the latest."""
    account = f"system:serviceaccount:{release.namespace}:{FULL_NAME}-operator"
    lines = (await asyncio.to_thread(cluster.audit_log)).splitlines()
    events = [json.loads(line) for line in lines if account in line]
    return sum(each["user"]["username"] == account and each["responseStatus"]["code"] == 409 for each in events)
