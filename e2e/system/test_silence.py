"""Once everything is as it is to be, nothing is written: what is reconciled again and again costs only reads."""

import asyncio
import json
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
    before = writes(team, cluster)
    await asyncio.sleep(seconds)
    after = writes(team, cluster) - before
    print(f"\nwritten in {seconds} s: {dict(after)}")
    assert after.keys() == {"update leases"}
    assert after["update leases"] <= seconds


def writes(team: Tenant, cluster: Cluster) -> Counter[str]:
    """The operator's writes so far, by what was done to what."""
    account = f"system:serviceaccount:{team.system.namespace}:operator"
    events = [json.loads(line) for line in cluster.audit_log().splitlines()]
    return Counter(
        f"{event['verb']} {event['objectRef']['resource']}" for event in events if event["user"]["username"] == account
    )
