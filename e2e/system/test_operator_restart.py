"""The operator starts anew where everything is as it is to be: it looks at everything, and writes nothing."""

import asyncio
import time
from collections import Counter

import pytest

from cooper_operator.cluster.kubernetes_objects import core_path, kind_path
from e2e.kind.cluster import Cluster
from e2e.system.server import Server
from e2e.system.system import System, manifest

_BUCKETS = 10
_SOON = 6.0  # seconds


async def test_a_restart_writes_nothing(
    system: System, tenant: str, server: Server, cluster: Cluster, pytestconfig: pytest.Config
) -> None:
    await system.former_tenants_settled()
    count = 1000 if pytestconfig.getoption("--soak") else 20
    buckets = [f"bucket-{number}" for number in range(_BUCKETS)]
    for name in buckets:
        await server.create(manifest("Bucket", tenant, name, {"bucketName": f"{tenant}-{name}"}))
    for number in range(count):
        grants = [{"bucket": buckets[number % _BUCKETS]}]
        await server.create(manifest("AccessKey", tenant, f"key-{number:04}", {"grants": grants}))
    await _until_ready(server, tenant, _BUCKETS + count)
    took = await _resync(system, server, tenant, f"key-{count - 1:04}")
    print(f"{2 * _BUCKETS + count} resources were looked at {took:.1f} s after the start of the process")
    assert await _new_meanwhile(system, server, tenant) < _SOON

    await asyncio.to_thread(system.operator.stop)
    before, sizes = await system.writes(cluster), await _sizes(server)
    system.operator.start()
    await asyncio.to_thread(system.operator.wait_until_leading)
    await asyncio.sleep(max(5.0, 2 * took))
    written = (await system.writes(cluster))[len(before) :]
    # What buckets hold is asked now and then, for the first time within 5 minutes.
    asked = {name for name, size in (await _sizes(server)).items() if size != sizes[name]}
    sizes_told = [each for each in written if each.what == "update buckets/status" and each.about in asked]
    # Not even a key of its own: who led before gave the Lease up.
    others = [each for each in written if each not in sizes_told and each.what != "update leases"]
    assert others == []
    print(f"sizes that became known: {len(sizes_told)}")


async def test_who_follows_one_that_was_killed_has_a_key_of_his_own(system: System, cluster: Cluster) -> None:
    """Who did not give the Lease up may be at work still: gateways refuse his key from then on."""
    before = await system.writes(cluster)
    await asyncio.to_thread(system.operator.kill)
    system.operator.start()
    await asyncio.to_thread(system.operator.wait_until_leading)
    async with asyncio.timeout(30):
        while "delete secrets" not in (told := await _own_writes(system, cluster, len(before))):
            await asyncio.sleep(0.2)
    assert (told["create secrets"], told["delete secrets"]) == (1, 1)


async def _own_writes(system: System, cluster: Cluster, since: int) -> Counter[str]:
    written = (await system.writes(cluster))[since:]
    return Counter(each.what for each in written if each.about.startswith(f"{system.namespace}/"))


async def _until_ready(server: Server, tenant: str, keys: int) -> None:
    async with asyncio.timeout(30 + keys / 5):
        while True:
            found = await server.list(kind_path("Bucket", tenant)) + await server.list(kind_path("AccessKey", tenant))
            if len(found) == keys + _BUCKETS and all(_is_ready(each) for each in found):
                return
            await asyncio.sleep(1)


async def _sizes(server: Server) -> dict[str, int | None]:
    found = await server.list(kind_path("Bucket"))
    return {f"{each['metadata']['namespace']}/{each['metadata']['name']}": each["status"].get("size") for each in found}


def _is_ready(obj: dict) -> bool:
    conditions = obj.get("status", {}).get("conditions", ())
    return any(each["type"] == "Ready" and each["status"] == "True" for each in conditions)


async def _resync(system: System, server: Server, tenant: str, last: str) -> float:
    """Seconds from the start of the process until the last resource was looked at: its Secret is there again."""
    await asyncio.to_thread(system.operator.stop)
    await system.kubectl("-n", tenant, "delete", "secret", last)
    began = time.monotonic()
    system.operator.start()
    await _delivered(server, tenant, last)
    return time.monotonic() - began


async def _new_meanwhile(system: System, server: Server, tenant: str) -> float:
    """Seconds until all that came while nobody led is delivered, and what comes while everything is looked at anew."""
    await asyncio.to_thread(system.operator.stop)
    grants = [{"bucket": "bucket-0"}]
    await server.create(manifest("AccessKey", tenant, "new-before", {"grants": grants}))
    system.operator.start()
    await asyncio.to_thread(system.operator.wait_until_leading)
    began = time.monotonic()
    await server.create(manifest("AccessKey", tenant, "new-meanwhile", {"grants": grants}))
    took = []
    for name in ("new-before", "new-meanwhile"):
        await _delivered(server, tenant, name)
        took.append(time.monotonic() - began)
    print(f"{took[0]:.1f} s after it led, what had come before was delivered; after {took[1]:.1f} s what came then")
    return max(took)


async def _delivered(server: Server, tenant: str, name: str) -> None:
    async with asyncio.timeout(120):
        while not await server.list(core_path("secrets", tenant), fieldSelector=f"metadata.name={name}"):
            await asyncio.sleep(0.1)
