"""Workloads that use a Secret are restarted once whenever what it holds has changed, and never otherwise."""

from dataclasses import replace
from typing import Any

import pytest

from cooper_crds.fields import timestamp
from cooper_crds.rotation import WorkloadKind, WorkloadName
from cooper_crds.stored import Workload
from cooper_operator.cluster.port import NotAllowed
from unit.operator.operator_world import World
from unit.operator.test_rotation import annotate, later, live, ready, rotate

WEB = WorkloadName(kind="Deployment", name="web")
AT = ("default", WEB)
ROLLED = ("default", "Deployment web")
RESTART = [{"kind": "Deployment", "name": "web"}]


async def linked(world: World, **more: Any) -> None:
    """The AccessKey `app`, with a Deployment that started with its Secret."""
    world.cluster.workloads[AT] = Workload(WEB, "1")
    await ready(world, restart=RESTART, **more)


def is_rolled_out(world: World) -> None:
    """Its new Pods are there."""
    world.cluster.workloads[AT] = replace(world.cluster.workloads[AT], waiting="")


async def test_first_delivery_restarts_nothing(world: World) -> None:
    await linked(world)
    await world.until_condition("AccessKey", "app", "True", "RolledOut", "RolledOut")
    assert world.cluster.restarts == []


@pytest.mark.parametrize("noticed", [True, False])
async def test_a_new_key_restarts_once_also_what_came_unnoticed(world: World, noticed: bool) -> None:
    if noticed:
        await linked(world)
    else:
        await ready(world, restart=RESTART)
        world.cluster.workloads[AT] = Workload(WEB, "1")
    await rotate(world)
    await world.until_condition("AccessKey", "app", "False", "RollingOut", "RolledOut")
    await world.settle()
    assert world.cluster.restarts == [ROLLED]
    is_rolled_out(world)
    await later(world, 1)
    await world.until_condition("AccessKey", "app", "True", "RolledOut", "RolledOut")
    await later(world, 700)
    await world.until_condition("AccessKey", "app", "True", "Rotated", "Rotated")
    assert world.cluster.restarts == [ROLLED]
    (event,) = [each for each in world.cluster.events() if each.reason == "RollingOut" and "restarted:" in each.message]
    assert "Deployment web" in event.message


async def test_the_former_key_waits_for_the_roll_out(world: World) -> None:
    await linked(world)
    await rotate(world)
    await world.until_condition("AccessKey", "app", "False", "RollingOut", "RolledOut")
    await later(world, 601)
    await world.until_condition("AccessKey", "app", "False", "RollingOut", "Rotated")
    assert len(await live(world)) == 2
    is_rolled_out(world)
    await later(world, 1)
    await world.until_condition("AccessKey", "app", "True", "Rotated", "Rotated")
    assert len(await live(world)) == 1


async def test_at_most_twice_the_overlap(world: World) -> None:
    await linked(world)
    await rotate(world)
    await world.until_condition("AccessKey", "app", "False", "RollingOut", "RolledOut")
    await later(world, 1201)
    await world.until_condition("AccessKey", "app", "True", "Rotated", "Rotated")
    assert await world.condition("AccessKey", "app", "RolledOut") == ("False", "RolloutIncomplete")
    assert len(await live(world)) == 1
    assert "Deployment web: Pods that are new: 0 of 1" in await world.message("AccessKey", "app", "RolledOut")
    assert [each.type for each in world.cluster.events() if each.reason == "RolloutIncomplete"] == ["Warning"]


async def test_an_edit_that_is_put_back_restarts_nothing(world: World) -> None:
    await linked(world)
    found = await world.credentials("app")
    owner = await world.get("AccessKey", "app")
    assert found is not None
    assert owner is not None
    await world.cluster.update_credentials(
        found, {**found.data, "ENDPOINT": "edited"}, owner, found.access_key_id or ""
    )
    await later(world, 1)
    assert (await world.secret("app"))["ENDPOINT"] != "edited"
    assert world.cluster.restarts == []


async def test_another_endpoint_restarts_as_well(world: World) -> None:
    await linked(world)
    await world.apply("Region", "local", {"tag": "eu-1", "default": True})
    await world.until_condition("AccessKey", "app", "False", "RollingOut", "RolledOut")
    await world.settle()
    assert world.cluster.restarts == [ROLLED]


async def test_a_key_after_a_revocation_restarts_what_had_the_former(world: World) -> None:
    await linked(world)
    spec = (await world.get("AccessKey", "app") or {})["spec"]
    await world.apply("AccessKey", "app", {**spec, "state": "Revoked"})
    await world.until_condition("AccessKey", "app", "True", "RefusedEverywhere", "Revoked")
    assert world.cluster.restarts == []
    await world.apply("AccessKey", "app", spec)
    await world.until_ready("AccessKey", "app")
    await world.settle()
    assert world.cluster.restarts == [ROLLED]


async def test_a_workload_that_is_named_later_is_not_restarted(world: World) -> None:
    await ready(world)
    world.cluster.workloads[AT] = Workload(WEB, "1")
    spec = (await world.get("AccessKey", "app") or {})["spec"]
    await world.apply("AccessKey", "app", {**spec, "restart": RESTART})
    await world.until_condition("AccessKey", "app", "True", "RolledOut", "RolledOut")
    assert world.cluster.restarts == []


async def test_one_that_is_not_there_holds_up_nothing(world: World) -> None:
    await ready(world, restart=RESTART, rotation={"overlap": "0s"})
    await world.until_condition("AccessKey", "app", "False", "WorkloadNotFound", "RolledOut")
    await rotate(world)
    await world.until_condition("AccessKey", "app", "True", "Rotated", "Rotated")


@pytest.mark.parametrize("what", ["read", "written"])
async def test_one_that_may_not_be_restarted_is_told_and_holds_up_no_other(world: World, what: str) -> None:
    other = WorkloadName(kind="StatefulSet", name="db")
    await linked(world)
    world.cluster.workloads["default", other] = Workload(other, "1")
    spec = (await world.get("AccessKey", "app") or {})["spec"]
    await world.apply("AccessKey", "app", {**spec, "restart": [*RESTART, {"kind": "StatefulSet", "name": "db"}]})
    await world.settle()
    if what == "read":
        world.cluster.workloads[AT] = Workload(WEB, problem="may not be read")
    else:
        _refuse(world, WEB)
    await rotate(world)
    await world.until_condition("AccessKey", "app", "False", "Overlapping", "Rotated")
    await world.settle()
    assert world.cluster.restarts == [("default", "StatefulSet db")]
    if what == "written":
        await later(world, 100)
        await later(world, 100)
    # Once, however often it is tried again.
    assert [each.type for each in world.cluster.events() if each.reason == "RolloutRefused"] == ["Warning"]
    assert await world.condition("AccessKey", "app") == ("True", "KeyWorks")
    await later(world, 1201)
    await world.until_condition("AccessKey", "app", "True", "Rotated", "Rotated")


@pytest.mark.parametrize("kind", ["Deployment", "StatefulSet", "DaemonSet"])
async def test_a_bucket_passes_on_what_to_restart(world: World, kind: WorkloadKind) -> None:
    name = WorkloadName(kind=kind, name="web")
    world.cluster.workloads["default", name] = Workload(name, "1")
    credentials = {"restart": [{"kind": kind, "name": "web"}], "rotation": {"overlap": "0s"}}
    await world.apply("Bucket", "photos", {"credentials": credentials})
    await world.until_ready("Bucket", "photos")
    await world.settle()
    world.offset += 10
    await annotate(world, "Bucket", "photos", timestamp(world.now()))

    async def is_restarted() -> bool:
        return bool(world.cluster.restarts)

    await world.until(is_restarted)
    await world.settle()
    assert world.cluster.restarts == [("default", str(name))]


def _refuse(world: World, name: WorkloadName) -> None:
    original = world.cluster.annotate_workload

    async def refused(namespace: str, current: Workload, *args: str, roll: bool) -> Workload:
        if current.name == name and roll:
            raise NotAllowed("may not be restarted")
        return await original(namespace, current, *args, roll=roll)

    world.cluster.annotate_workload = refused
