"""A Region says how its gateways stand, as that changes, and nobody else is troubled by it."""

from typing import Any

import pytest

from cooper_operator.cluster.memory import MemoryCluster
from unit.operator.operator_world import World

_BOTH = "gateways ready: 2 of 2; they go by the Region's settings"


async def stands(world: World) -> tuple[str, str]:
    """What is said of the gateways, and how many of how many are ready."""
    obj: Any = await world.get("Region", "local") or {}
    return (await world.condition("Region", "local", "GatewaysReady"))[1], obj["status"]["gateways"]


async def test_gateways_go_and_come_back(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    await world.until_condition("Region", "local", "True", "GatewaysReady", "GatewaysReady")
    assert await world.message("Region", "local", "GatewaysReady") == _BOTH
    await world.apply("Bucket", "photos")
    await world.apply("AccessKey", "ci", {"grants": [{"bucket": "photos"}]})
    for kind, name in (("Bucket", "photos"), ("AccessKey", "ci")):
        await world.until_ready(kind, name)
    await world.settle()
    writes, looks = world.count_writes(), 0
    get = MemoryCluster.get_credentials

    async def looked(cluster: MemoryCluster, namespace: str, name: str) -> Any:
        nonlocal looks
        looks += 1  # an AccessKey that is looked at reads its Secret
        return await get(cluster, namespace, name)

    monkeypatch.setattr(MemoryCluster, "get_credentials", looked)
    for unready, ready, reason, gateways in (
        ({1}, "True", "GatewaysNotReady", "1/2"),
        ({0, 1}, "False", "NoGatewayReady", "0/2"),
        ({0}, "True", "GatewaysNotReady", "1/2"),
        (set[int](), "True", "GatewaysReady", "2/2"),
    ):
        world.gateways.unready = unready
        for _ in range(3):
            world.operator.hurry()
            await world.settle()
        assert await stands(world) == (reason, gateways)
        assert (await world.condition("Region", "local"))[0] == ready
    # Each change is one write; nobody else has anything to say about it, nor is looked at.
    assert [each.partition(" ")[0] for each in writes] == ["update_status"] * 4
    assert looks == 0
    assert await world.condition("Bucket", "photos") == ("True", "BucketServed")


async def test_the_last_gateway_is_gone(world: World) -> None:
    await world.until_condition("Region", "local", "True", "SettingsRecorded")
    world.gateways.workers = 0
    world.operator.hurry()
    await world.until_condition("Region", "local", "False", "NoGatewayFound")
    assert (await world.message("Region", "local")).startswith("no gateway is behind Service local. Nobody is served")


async def test_settings_are_waited_for_until_every_worker_follows_them(world: World) -> None:
    await world.until_condition("Region", "local", "True", "SettingsRecorded")
    world.gateways.stale = {1}
    await world.apply("Region", "local", {"tag": "us-east-1", "default": True, "maxRecordAge": "1h"})
    await world.until_condition("Region", "local", "False", "WaitingForGateways", "GatewaysReady")
    assert "still waiting: worker 1" in await world.message("Region", "local", "GatewaysReady")
    assert await world.condition("Region", "local") == ("True", "SettingsRecorded")
    world.gateways.stale = {0, 1}
    await world.apply("Region", "local", {"tag": "us-east-1", "default": True, "maxRecordAge": "2h"})
    await world.until_condition("Region", "local", "False", "WaitingForGateways")
    world.gateways.stale = set()
    await world.until_condition("Region", "local", "True", "SettingsRecorded")
    await world.until_condition("Region", "local", "True", "GatewaysReady", "GatewaysReady")


async def test_nobody_is_asked_again_for_what_was_seen(world: World) -> None:
    await world.until_condition("Region", "local", "True", "GatewaysReady", "GatewaysReady")
    await world.settle()
    asked, writes = len(world.gateways.calls), world.count_writes()
    world.operator.hurry()
    await world.settle()
    assert (world.gateways.calls[asked:], writes) == ([], [])


async def test_an_operator_that_does_not_know_them_yet_leaves_what_was_said(world: World) -> None:
    await world.until_condition("Region", "local", "True", "GatewaysReady", "GatewaysReady")
    await world.stop()
    world.gateways.away = True
    writes = world.count_writes()
    await world.start(region=False)
    await world.settle()
    assert [each for each in writes if "status" in each] == []
    assert await world.condition("Region", "local") == ("True", "SettingsRecorded")
