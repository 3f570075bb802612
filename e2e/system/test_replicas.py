"""Gateways hang, are taken out of service, go and come: what is said of keys holds for each of them."""

import asyncio
import random
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest

from cooper_operator.cluster.port import Ref
from e2e.system.deliveries import Deliveries
from e2e.system.s3 import S3
from e2e.system.server import Server
from e2e.system.system import System, manifest
from e2e.system.workload import Workload
from support.gateway_rig import Gateway
from support.rig import KEY_REFUSED, eventually

_SOON = 2.0  # seconds


async def test_a_revocation_waits_for_every_gateway(
    system: System, tenant: str, server: Server, pytestconfig: pytest.Config
) -> None:
    here, hung = system.gateways
    keys = await _keys(system, tenant, "revoked", "deleted", "kept")
    address = f"{system.address}:{hung.port}"
    try:
        hung.freeze()
        await server.edit(_ref(tenant, "revoked"), {"state": "Revoked"})
        await server.delete(_ref(tenant, "deleted"))
        await server.create(_key(tenant, "new"))
        for name in ("revoked", "deleted"):
            assert address in (await _condition(system, tenant, name, "Revoked", "WaitingForGateways"))["message"]
            await _refused(here, keys[name])
        assert address in (await _condition(system, tenant, "new", "Ready", "WaitingForGateways"))["message"]
        # The pauses between attempts become longer.
        await asyncio.sleep(75 if pytestconfig.getoption("--soak") else 2)

        # Out of service, and still there: nothing new needs it, and whoever knows it can use it.
        await system.apply(system.slice(2, hung, ready=False))
        took = await _until(system, tenant, "new", "Ready")
        print(f"a new key was Ready {took:.1f} s after the gateway that hangs was taken out of service")
        for name in ("revoked", "deleted"):
            waits = f"{address} (not ready)"
            found = await _condition(system, tenant, name, "Revoked", "WaitingForGateways", waits)
            assert found["status"] == "False"
        hung.thaw()
        took = await _until(system, tenant, "revoked", "Revoked")
        print(f"Revoked {took:.1f} s after the gateway went on")
        assert took < _SOON
        await _gone(system, tenant, "deleted")
        for name in ("revoked", "deleted"):
            await _refused(hung, keys[name])

        # Its Pod is gone.
        hung.freeze()
        await server.edit(_ref(tenant, "kept"), {"state": "Revoked"})
        assert address in (await _condition(system, tenant, "kept", "Revoked", "WaitingForGateways"))["message"]
        await system.kubectl("-n", system.namespace, "delete", "endpointslice", "gateways-2")
        took = await _until(system, tenant, "kept", "Revoked")
        print(f"Revoked {took:.1f} s after the gateway was gone from the EndpointSlices")
        assert took < _SOON
    finally:
        hung.thaw()
        await system.apply(system.slice(2, hung))
    await _refused(hung, keys["kept"])


@pytest.mark.soak
async def test_a_gateway_that_hangs_counts_as_refusing_once_it_must(
    system: System, tenant: str, server: Server
) -> None:
    """30 s and a minute after the revocation, in a Region of its own that never allowed more. Then it goes on."""
    async with _region_of_its_own(system, "short", maxRecordAge="30s") as hung:
        bucket = {"bucketName": f"{tenant}-short", "region": "short"}
        await system.apply(manifest("Bucket", tenant, "short", bucket))
        await system.wait("bucket/short", tenant)
        key = await system.credentials(tenant, "short")
        hung.freeze()
        try:
            began = time.monotonic()
            await server.edit(_ref(tenant, "short"), {"state": "Revoked"})
            await _condition(system, tenant, "short", "Revoked", "WaitingForGateways", "waited for until")
            await system.wait("accesskey/short", tenant, "Revoked", seconds=150)
            print(f"a gateway that hangs counted as refusing {time.monotonic() - began:.0f} s after the revocation")
            assert time.monotonic() - began > 90
            async with aiohttp.ClientSession() as session:
                s3 = S3(session, hung.endpoint, key)
                waiting = [asyncio.create_task(s3.ask("GET", "/")) for _ in range(20)]
                await asyncio.sleep(0.5)
                hung.thaw()
                answers = Counter(answer.code for answer in await asyncio.gather(*waiting))
                for _ in range(200):
                    answers[(await s3.ask("GET", "/")).code] += 1
                    await asyncio.sleep(0.01)
        finally:
            hung.thaw()
        print(f"when it went on it answered {dict(answers)}")
        assert answers.keys() <= KEY_REFUSED | {"ServiceUnavailable"}
        await system.kubectl("-n", tenant, "delete", "bucket", "short", "--timeout=30s")


@asynccontextmanager
async def _region_of_its_own(system: System, name: str, **spec: Any) -> AsyncIterator[Gateway]:
    """Another Region with one gateway, behind a Service of the Region's name."""
    with system.gateway(f"gateway-{name}", region=name) as gateway:
        found = system.slice(9, gateway)
        found["metadata"]["labels"] = {"kubernetes.io/service-name": name}
        region = {"tag": name, "endpoints": {"internal": gateway.endpoint}, **spec}
        await system.apply(found, manifest("Region", "", name, region))
        try:
            await system.kubectl("wait", "--for=condition=Ready", f"region/{name}", "--timeout=30s")
            yield gateway
        finally:
            await system.kubectl("delete", "region", name, "--timeout=30s")
            await system.kubectl("-n", system.namespace, "delete", "endpointslice", found["metadata"]["name"])


async def test_a_gateway_comes_while_keys_are_issued(
    system: System, tenant: str, server: Server, pytestconfig: pytest.Config
) -> None:
    count = 600 if pytestconfig.getoption("--soak") else 12
    workload = Workload(server, tenant, random.Random(1))
    published = [each.endpoint for each in system.gateways]
    third = system.gateway("gateway-3")
    async with Deliveries(server, workload, lambda: published) as deliveries:
        await workload.prepare()
        coming = asyncio.create_task(_come(system, third, published))
        try:
            after = 0  # keys since it came
            while not coming.done() or after < count:
                await workload.create_key()
                after += coming.done()
                await asyncio.sleep(0.1)
            await coming
            async with asyncio.timeout(60):
                while len(deliveries.keys) < len(workload.wanted()):
                    await asyncio.sleep(0.1)
        finally:
            await asyncio.gather(coming, return_exceptions=True)
            await system.kubectl("-n", system.namespace, "delete", "endpointslice", "gateways-3", "--ignore-not-found")
            await asyncio.to_thread(third.stop)
    print(f"{len(deliveries.keys)} keys were tried {deliveries.tried} times")
    assert deliveries.problems == []
    assert deliveries.tried >= 2 * len(deliveries.keys) + count


async def _come(system: System, gateway: Gateway, published: list[str]) -> None:
    """It starts, and is published once it says that it is ready, as Pods are."""
    await asyncio.to_thread(gateway.start)
    await asyncio.to_thread(eventually, "readiness", lambda: gateway.ready)
    await system.apply(system.slice(3, gateway))
    published.append(gateway.endpoint)


def _key(tenant: str, name: str) -> dict[str, Any]:
    return manifest("AccessKey", tenant, name, {"grants": [{"bucket": "photos"}]})


async def _keys(system: System, tenant: str, *names: str) -> dict[str, dict[str, str]]:
    """AccessKeys that work, on a Bucket that all of them may use."""
    await system.apply(manifest("Bucket", tenant, "photos", {"bucketName": f"{tenant}-photos"}))
    await system.apply(*(_key(tenant, name) for name in names))
    for name in names:
        await system.wait(f"accesskey/{name}", tenant)
    return {name: await system.credentials(tenant, name) for name in names}


async def _refused(gateway: Gateway, key: dict[str, str]) -> None:
    async with aiohttp.ClientSession() as session:
        assert not await S3(session, gateway.endpoint, key).accepted()


async def _condition(system: System, tenant: str, name: str, type_: str, reason: str, text: str = "") -> dict[str, Any]:
    """A condition, once it has that reason and text."""
    found: Any = None
    async with asyncio.timeout(20):
        while True:
            obj = await system.get("accesskey", tenant, name)
            assert obj is not None, f"{name} is gone"
            found = {each["type"]: each for each in obj.get("status", {}).get("conditions", ())}.get(type_)
            if found is not None and found["reason"] == reason and text in found["message"]:
                return found
            await asyncio.sleep(0.2)


async def _until(system: System, tenant: str, name: str, condition: str) -> float:
    """Seconds until a condition is True."""
    began = time.monotonic()
    await system.wait(f"accesskey/{name}", tenant, condition)
    return time.monotonic() - began


async def _gone(system: System, tenant: str, name: str) -> None:
    await system.kubectl("-n", tenant, "wait", "--for=delete", f"accesskey/{name}", "--timeout=10s")


def _ref(tenant: str, name: str) -> Ref:
    return Ref("AccessKey", tenant, name)
