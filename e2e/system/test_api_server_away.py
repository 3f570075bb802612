"""The API server is away: S3 is served on, until the records are too old; and all goes on when it is back."""

import asyncio
import time
from collections import Counter

import pytest

from e2e.kind.cluster import Cluster
from e2e.system.load import Load
from e2e.system.system import System, manifest

_AGE = 30.0  # seconds: the least that a Region allows
#: Gateways verify their records every 2 s, so the records are that much older than the outage at most.
_EARLIEST = 25.0
_SOON = 10.0


async def test_the_api_server_is_away(
    system: System, tenant: str, cluster: Cluster, pytestconfig: pytest.Config
) -> None:
    """Shorter than the records may be old, and longer. The short run has only the longer one, which begins alike."""
    if pytestconfig.getoption("--soak"):
        await _outage(system, tenant, cluster, "long-allowed", seconds=60, max_record_age="24h")
    try:
        seconds = 60 if pytestconfig.getoption("--soak") else 33
        await _outage(system, tenant, cluster, "short-allowed", seconds=seconds, max_record_age=f"{_AGE:.0f}s")
    finally:
        await system.apply(system.region())


async def _outage(
    system: System, tenant: str, cluster: Cluster, name: str, *, seconds: float, max_record_age: str
) -> None:
    await system.former_tenants_settled()
    await system.apply(system.region(maxRecordAge=max_record_age), _bucket(tenant, f"{name}-load"))
    await system.wait(f"bucket/{name}-load", tenant)
    credentials = await system.credentials(tenant, f"{name}-load")
    process = system.operator.process
    async with Load(credentials, [each.endpoint for each in system.gateways]) as load:
        await asyncio.sleep(2)
        before = [_bucket(tenant, f"{name}-before-{number}") for number in range(5)]
        await system.apply(*before)
        async with system.api_server_away(cluster) as began:
            await asyncio.sleep(seconds - (time.monotonic() - began))
            ended = time.monotonic()
        ready = time.monotonic()
        await _until_served(load, ready)
        served_again = time.monotonic()
        for each in before:
            await system.wait(f"bucket/{each['metadata']['name']}", tenant)
        print(f"what was applied just before is Ready {time.monotonic() - ready:.1f} s after the return")
        await _works_on(system, tenant, name)
        await asyncio.sleep(1)
    print(f"away for {ready - began:.0f} s; {load.total} requests served: {dict(load.served)}")
    if seconds < _AGE or max_record_age == "24h":
        assert load.failures == []
    else:
        _refused_in_time(load, began, ended, served_again)
    assert system.operator.process is process
    assert process.poll() is None
    assert "Traceback" not in system.operator.log.read_text()


async def _until_served(load: Load, since: float) -> None:
    """Every gateway has served something since then."""
    async with asyncio.timeout(_SOON):
        while any(at < since for at in load.last_served.values()):
            await asyncio.sleep(0.05)


def _refused_in_time(load: Load, began: float, ended: float, served_again: float) -> None:
    """No request failed before the records were too old, all did after, with 503, and none once they were new again."""
    assert Counter(each.what.partition(": ")[2] for each in load.failures).keys() == {"503 ServiceUnavailable"}
    for endpoint in load.served:
        first = load.first_failure(endpoint)
        assert first is not None, f"{endpoint} has refused nothing"
        print(f"{endpoint} refused {first - began:.1f} s after the API server went")
        assert _EARLIEST < first - began < _AGE + 1
    last = max(each.at for each in load.failures)
    assert last < served_again
    print(f"{len(load.failures)} requests were refused; the last one {last - ended:.1f} s after the outage")


async def _works_on(system: System, tenant: str, name: str) -> None:
    """Watches live, and so does the Lease."""
    began = time.monotonic()
    await system.apply(_bucket(tenant, f"{name}-after"))
    await system.wait(f"bucket/{name}-after", tenant, seconds=10)
    print(f"applied after the return: Ready after {time.monotonic() - began:.1f} s")
    began = time.monotonic()
    await system.edit("accesskey", tenant, f"{name}-after", {"state": "Revoked"})
    await system.wait(f"accesskey/{name}-after", tenant, "Revoked", seconds=10)
    print(f"edited after the return: Revoked after {time.monotonic() - began:.1f} s")
    renewals = set()
    async with asyncio.timeout(_SOON):
        while len(renewals) < 2:
            lease = await system.get("lease", system.namespace, "cooper-operator")
            assert lease is not None
            assert lease["spec"]["holderIdentity"]
            renewals.add(lease["spec"]["renewTime"])
            await asyncio.sleep(0.5)


def _bucket(tenant: str, name: str) -> dict:
    return manifest("Bucket", tenant, name, {"bucketName": f"{tenant}-{name}"})
