"""A Region's gateways go and come back: it says so, and nobody else has anything to write about it."""

import asyncio

import pytest

from e2e.kind.cluster import Cluster
from e2e.system.regions import Regions
from e2e.system.system import REGION, System
from e2e.system.tenant import Tenant

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def _row(team: Tenant, region: str) -> list[str]:
    """The first columns of `kubectl get`: name, Ready, gateways."""
    return (await team.kubectl("get", "region", region, "--no-headers")).split()[:3]


async def test_all_are_gone_and_come_back(team: Tenant, regions: Regions, cluster: Cluster, system: System) -> None:
    region = await regions.make()
    await team.apply(team.bucket("photos", region=region))
    await team.until_ready(("Bucket", "photos"), ("Region", region))
    await team.until_said("Region", region, "True", "GatewaysReady", type_="GatewaysReady")
    assert await _row(team, region) == [region, "True", "1/1"]
    bucket = await team.get("Bucket", "photos")
    before = len(await system.writes(cluster))
    try:
        await regions.publish(ready=False)
        text = f"gateways ready: 0 of 1; not ready: {regions.address}"
        for type_ in ("Ready", "GatewaysReady"):
            await team.until_said("Region", region, "False", "NoGatewayReady", text, type_=type_, seconds=5)
        assert await _row(team, region) == [region, "False", "0/1"]
        await regions.withdraw()
        text = (
            f"there is no Service {regions.service} with EndpointSlices in namespace {system.namespace}: create it, or "
            "name the gateways' Service in spec.service of the Region"
        )
        for type_ in ("Ready", "GatewaysReady"):
            await team.until_said("Region", region, "False", "NoGatewayFound", text, type_=type_, seconds=5)
    finally:
        await regions.publish()
    await team.until_said("Region", region, "True", "SettingsRecorded", seconds=5)
    assert await _row(team, region) == [region, "True", "1/1"]
    await asyncio.sleep(2)
    written = [each.what for each in (await system.writes(cluster))[before:] if each.about == f"/{region}"]
    assert written == ["update regions/status"] * 3
    assert await team.get("Bucket", "photos") == bucket


async def test_one_of_two_is_not_ready(team: Tenant, system: System) -> None:
    one = system.gateways[1]
    try:
        await system.apply(system.slice(2, one, ready=False))
        text = f"gateways ready: 1 of 2; not ready: {system.address}:{one.port}"
        await team.until_said("Region", REGION, "False", "GatewaysNotReady", text, type_="GatewaysReady", seconds=5)
        assert await _row(team, REGION) == [REGION, "True", "1/2"]
    finally:
        await system.apply(system.slice(2, one))
    await team.until_said("Region", REGION, "True", "GatewaysReady", type_="GatewaysReady", seconds=5)
    assert await _row(team, REGION) == [REGION, "True", "2/2"]


async def test_one_that_lags_behind_the_settings(team: Tenant, system: System) -> None:
    hung = system.gateways[1]
    found = await team.get("Region", REGION) or {}
    try:
        hung.freeze()
        await team.change("region", REGION, limits={"maxMetadataSize": "3Ki"})
        await team.until_said("Region", REGION, "False", "WaitingForGateways", type_="GatewaysReady")
        waits = (await team.condition("Region", REGION, "GatewaysReady"))["message"]
        assert f"{system.address}:{hung.port}" in waits
        await team.until_said("Region", REGION, "True")  # as soon as the other one goes by them
    finally:
        hung.thaw()
    await team.until_said("Region", REGION, "True", "GatewaysReady", type_="GatewaysReady", seconds=5)
    await team.change("region", REGION, limits=found["spec"]["limits"])
    await team.until_said("Region", REGION, "True", "GatewaysReady", type_="GatewaysReady")
