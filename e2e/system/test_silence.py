"""Once everything is as it is to be, nothing is written: what is reconciled again and again costs only reads."""

import asyncio
from collections import Counter

import pytest

from e2e.kind.cluster import Cluster
from e2e.system.tenant import Tenant

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_nothing_is_written_but_the_lease(team: Tenant, cluster: Cluster, request: pytest.FixtureRequest) -> None:
    seconds = 60 if request.config.getoption("--soak") else 8
    await team.system.former_tenants_settled()
    await team.apply(team.bucket("photos"), team.bucket("logs", visibility="Public"))
    await team.apply(team.access_key("both", "photos", "logs"))
    await team.until_ready(("Bucket", "photos"), ("Bucket", "logs"), ("AccessKey", "both"))
    await asyncio.sleep(1)  # what comes after Ready: the records' revision, an event
    before = await team.system.writes(cluster)
    await asyncio.sleep(seconds)
    after = Counter(each.what for each in (await team.system.writes(cluster))[len(before) :])
    print(f"\nwritten in {seconds} s: {dict(after)}")
    assert after.keys() == {"update leases"}, dict(after)
    assert after["update leases"] <= seconds
