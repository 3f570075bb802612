"""Rotation: a key is replaced while programs use it, and there is no moment at which the Secret's key does not work."""

from typing import Any

import pytest

from cooper_crds.fields import timestamp
from cooper_crds.records import KeyRecord
from cooper_crds.rotation import ROTATE_AT
from cooper_operator.cluster.port import Ref
from unit.operator.operator_world import World

OVERLAP = 600.0
SPEC = {"grants": [{"bucket": "photos"}], "rotation": {"overlap": "10m"}}


async def annotate(world: World, kind: Any, name: str, value: str, annotation: str = ROTATE_AT) -> None:
    obj = await world.get(kind, name)
    assert obj is not None
    annotations = {**(obj["metadata"].get("annotations") or {}), annotation: value}
    await world.cluster.update({**obj, "metadata": {**obj["metadata"], "annotations": annotations}})


async def ready(world: World, **more: Any) -> KeyRecord:
    """The AccessKey `app`, whose key was issued a while ago."""
    await world.apply("Bucket", "photos", {"credentials": {"enabled": False}})
    await world.apply("AccessKey", "app", SPEC | more)
    await world.until_ready("AccessKey", "app")
    await world.settle()
    world.offset += 10
    return await world.key()


async def rotate(world: World) -> None:
    await annotate(world, "AccessKey", "app", timestamp(world.now()))


async def later(world: World, seconds: float) -> None:
    """Time passes, and somebody touches the resource."""
    world.offset += seconds
    await annotate(world, "AccessKey", "app", str(world.now()), "example.com/touched")
    await world.settle()


async def status(world: World) -> dict[str, Any]:
    return (await world.get("AccessKey", "app") or {})["status"]


async def live(world: World) -> list[str]:
    keys = sorted(await world.keys(), key=lambda key: key.serial)
    now = world.now()
    return [k.access_key_id for k in keys if k.state == "Active" and (k.not_after is None or k.not_after > now)]


async def test_a_new_key_works_beside_the_former_until_the_overlap_is_over(world: World) -> None:
    first = await ready(world)
    await rotate(world)
    await world.until_condition("AccessKey", "app", "False", "Overlapping", "Rotated")
    second = await world.key()
    assert second.serial == 1
    assert await live(world) == [first.access_key_id, second.access_key_id]
    assert (await world.secret("app"))["ACCESS_KEY"] == second.access_key_id
    found = await status(world)
    assert (found["state"], found["accessKeyId"]) == ("Rotating", second.access_key_id)
    assert found["retiringAccessKeyId"] == first.access_key_id
    assert await world.condition("AccessKey", "app") == ("True", "KeyWorks")
    record = next(key for key in await world.keys() if key.serial == 0)
    assert record.superseded_at is not None
    assert record.not_after == record.superseded_at + 2 * OVERLAP  # a gateway ends it, whatever becomes of operators
    assert found["retireAt"] == timestamp(record.superseded_at + OVERLAP)

    await later(world, OVERLAP - 5)
    assert first.access_key_id in await live(world)
    began = world.now() + 10
    await later(world, 10)
    await world.until_condition("AccessKey", "app", "True", "Rotated", "Rotated")
    assert await live(world) == [second.access_key_id]
    assert world.gateways.calls[-1] == f"prove_denied {first.access_key_id}"
    found = await status(world)
    assert (found["state"], "retiringAccessKeyId" in found) == ("Active", False)
    assert timestamp(began) <= found["rotatedAt"] <= timestamp(world.now())
    assert await world.message("AccessKey", "app") == "the key works and is delivered"


async def test_what_is_over_is_not_begun_again(world: World) -> None:
    await ready(world, rotation={"overlap": "0s"})
    await rotate(world)
    await world.until_condition("AccessKey", "app", "True", "Rotated", "Rotated")
    await world.settle()
    writes, calls = world.count_writes(), len(world.gateways.calls)
    await later(world, 10)
    assert [each for each in writes if not each.startswith("update {")] == []
    assert len(world.gateways.calls) == calls
    assert (await world.key()).serial == 1


async def test_two_rotations_leave_one_tombstone(world: World) -> None:
    await ready(world, rotation={"overlap": "0s"})
    for serial in (1, 2, 3):
        await rotate(world)

        async def is_over(serial: int = serial) -> bool:
            return (await world.key()).serial == serial and (await status(world))["state"] == "Active"

        await world.until(is_over)
        await world.settle()
        world.offset += 10
    assert sorted((key.serial, key.state) for key in await world.keys()) == [(2, "Revoked"), (3, "Active")]


async def test_what_was_asked_for_is_said_to_be_done_once_it_is(world: World) -> None:
    """Unlike a condition that an earlier rotation left True, it can be waited for at once."""
    await ready(world)
    asked: list[str] = []
    for _ in range(2):
        asked.append(timestamp(world.now()))
        await annotate(world, "AccessKey", "app", asked[-1])
        await world.until_condition("AccessKey", "app", "False", "Overlapping", "Rotated")
        assert (await status(world)).get("lastHandledRotateAt") == (asked[-2] if len(asked) > 1 else None)
        await later(world, OVERLAP)
        await world.until_condition("AccessKey", "app", "True", "Rotated", "Rotated")
        assert (await status(world))["lastHandledRotateAt"] == asked[-1]
        await later(world, 10)


async def test_a_bucket_stays_ready_while_its_key_is_rotated(world: World) -> None:
    await world.apply("Bucket", "photos", {"credentials": {"rotation": {"overlap": "10m"}}})
    await world.until_ready("Bucket", "photos")
    await world.settle()
    world.offset += 10
    before = (await world.get("Bucket", "photos") or {})["status"]
    await annotate(world, "Bucket", "photos", timestamp(world.now()))
    await world.until_condition("AccessKey", "photos", "False", "Overlapping", "Rotated")
    await world.settle()
    assert (await world.get("Bucket", "photos") or {})["status"] == before
    told = [each.message for each in world.cluster.events(Ref("Bucket", "default", "photos"))]
    assert not [each for each in told if "being changed" in each]


async def test_a_time_to_come_is_waited_for(world: World) -> None:
    first = await ready(world)
    await annotate(world, "AccessKey", "app", timestamp(world.now() + 100))
    await world.settle()
    assert await live(world) == [first.access_key_id]
    await later(world, 101)
    await world.until_condition("AccessKey", "app", "False", "Overlapping", "Rotated")


async def test_a_key_is_replaced_when_it_is_as_old_as_the_interval(world: World) -> None:
    first = await ready(world, rotation={"interval": "2h", "overlap": "10m"})
    assert (await status(world))["nextRotationAt"] == timestamp(first.issued_at + 7200)
    await later(world, 7200 - 20)
    assert await live(world) == [first.access_key_id]
    await later(world, 20)
    await world.until_condition("AccessKey", "app", "False", "Overlapping", "Rotated")
    second = await world.key()
    assert (second.serial, (await status(world))["state"]) == (1, "Rotating")
    assert (await status(world))["nextRotationAt"] == timestamp(second.issued_at + 7200)
    await later(world, OVERLAP)
    await world.until_condition("AccessKey", "app", "True", "Rotated", "Rotated")
    assert await live(world) == [second.access_key_id]


async def test_the_annotation_rotates_before_the_interval_is_over_and_that_begins_anew(world: World) -> None:
    await ready(world, rotation={"interval": "2h", "overlap": "0s"})
    asked = timestamp(world.now() + 100)
    await annotate(world, "AccessKey", "app", asked)
    await world.settle()
    assert (await status(world))["nextRotationAt"] == asked
    await later(world, 101)
    await world.until_condition("AccessKey", "app", "True", "Rotated", "Rotated")
    second = await world.key()
    assert (await status(world))["nextRotationAt"] == timestamp(second.issued_at + 7200)


async def test_an_interval_that_is_given_to_an_old_key_replaces_it(world: World) -> None:
    first = await ready(world)
    await later(world, 7200)
    assert await live(world) == [first.access_key_id]
    assert "nextRotationAt" not in await status(world)
    await world.apply("AccessKey", "app", SPEC | {"rotation": {"interval": "2h", "overlap": "10m"}})
    await world.until_condition("AccessKey", "app", "False", "Overlapping", "Rotated")


async def test_a_time_before_the_key_was_issued_rotates_nothing(world: World) -> None:
    first = await ready(world)
    await annotate(world, "AccessKey", "app", timestamp(world.now() - 3600))
    await world.settle()
    assert await live(world) == [first.access_key_id]


async def test_a_key_is_replaced_once_by_the_second_in_which_it_was_issued(world: World) -> None:
    """`date` leaves the fraction off: a script that makes a Bucket and rotates its key at once means that key."""
    first = await ready(world)
    await annotate(world, "AccessKey", "app", timestamp(first.issued_at))
    await world.until_condition("AccessKey", "app", "False", "Overlapping", "Rotated")
    second = await world.key()
    assert second.replaces == first.access_key_id
    # As if that had been done within the same second.
    at = timestamp(second.issued_at)
    await later(world, 3601)
    await annotate(world, "AccessKey", "app", at)
    await world.settle()
    assert await live(world) == [second.access_key_id]
    assert (await status(world))["lastHandledRotateAt"] == at


async def test_what_is_no_time_is_told(world: World) -> None:
    first = await ready(world)
    await annotate(world, "AccessKey", "app", "tomorrow")
    await world.until_condition("AccessKey", "app", "False", "InvalidRotateAt", "Rotated")
    assert await world.condition("AccessKey", "app") == ("True", "KeyWorks")
    assert "2030-01-31T12:00:00Z" in await world.message("AccessKey", "app", "Rotated")
    assert await live(world) == [first.access_key_id]


async def test_a_time_after_the_last_year_keeps_nothing_else_from_being_done(world: World) -> None:
    """By the clock of its time zone it is in the year 9999, and in UTC no time that can be written."""
    first = await ready(world)
    await annotate(world, "AccessKey", "app", "9999-12-31T23:59:59-12:00")
    await world.apply("AccessKey", "app", {"grants": [{"bucket": "photos", "actions": ["s3:GetObject"]}]})

    async def narrowed() -> bool:
        return [grant.actions for grant in (await world.key()).grants] == [("s3:GetObject",)]

    await world.until(narrowed)
    await world.settle()
    assert (await status(world))["nextRotationAt"] == "9999-12-31T23:59:59Z"
    assert await live(world) == [first.access_key_id]


async def test_a_bucket_s_annotation_rotates_its_own_key(world: World) -> None:
    await world.apply("Bucket", "photos", {"credentials": {"rotation": {"overlap": "0s"}}})
    await world.until_ready("Bucket", "photos")
    await world.settle()
    world.offset += 10
    await annotate(world, "Bucket", "photos", timestamp(world.now()))
    await world.until_condition("AccessKey", "photos", "True", "Rotated", "Rotated")
    await world.until_ready("Bucket", "photos")
    assert (await world.key()).serial == 1


async def test_nothing_is_delivered_that_gateways_do_not_know(world: World) -> None:
    first = await ready(world)
    world.gateways.stale.add(1)
    await rotate(world)
    await world.until_condition("AccessKey", "app", "False", "WaitingForGateways", "Rotated")
    assert (await world.secret("app"))["ACCESS_KEY"] == first.access_key_id
    assert await world.condition("AccessKey", "app") == ("True", "KeyWorks")
    found = await status(world)
    assert (found["accessKeyId"], found["retiringAccessKeyId"]) == (first.access_key_id, first.access_key_id)
    world.offset += 10
    await rotate(world)  # no third key
    await later(world, 3 * OVERLAP)
    assert len(await live(world)) == 2  # the key in the Secret has no end while it has no successor there
    world.gateways.stale.clear()
    world.operator.hurry()
    await world.until_condition("AccessKey", "app", "False", "Overlapping", "Rotated")
    assert (await world.secret("app"))["ACCESS_KEY"] == (await world.key()).access_key_id


async def test_where_nothing_can_be_delivered_none_is_begun(world: World) -> None:
    first = await ready(world)
    await world.apply("AccessKey", "app", SPEC | {"grants": [{"bucket": "photos"}, {"bucket": "none"}]})
    await world.until_condition("AccessKey", "app", "False", "BucketNotFound")
    await rotate(world)
    await world.until_condition("AccessKey", "app", "False", "RotationWaits", "Rotated")
    assert await live(world) == [first.access_key_id]


async def test_both_are_refused_when_the_resource_is_revoked(world: World) -> None:
    await ready(world)
    await rotate(world)
    await world.until_condition("AccessKey", "app", "False", "Overlapping", "Rotated")
    await world.apply("AccessKey", "app", SPEC | {"state": "Revoked"})
    await world.until_condition("AccessKey", "app", "True", "RefusedEverywhere", "Revoked")
    await world.settle()
    assert await live(world) == []
    assert "retiringAccessKeyId" not in await status(world)
    assert await world.condition("AccessKey", "app", "Rotated") == ("", "")


async def test_both_lose_what_is_no_longer_granted(world: World) -> None:
    await ready(world)
    await rotate(world)
    await world.until_condition("AccessKey", "app", "False", "Overlapping", "Rotated")
    await world.apply("AccessKey", "app", SPEC | {"grants": [{"bucket": "photos", "actions": ["s3:GetObject"]}]})
    await world.settle()
    assert {grant.actions for key in await world.keys() for grant in key.grants} == {("s3:GetObject",)}


async def test_a_shorter_overlap_ends_one_that_goes_on(world: World) -> None:
    await ready(world)
    await rotate(world)
    await world.until_condition("AccessKey", "app", "False", "Overlapping", "Rotated")
    await world.apply("AccessKey", "app", SPEC | {"rotation": {"overlap": "0s"}})
    await world.until_condition("AccessKey", "app", "True", "Rotated", "Rotated")


async def _until_rotated(world: World) -> None:
    await world.until_condition("AccessKey", "app", "True", "Rotated", "Rotated")


def _die_at(world: World, write: int, reborn: list[bool], *, before: bool) -> list[str]:
    """Let the cluster be out of the operator's reach from just before, or just after, its write of this number on."""
    done: list[str] = []

    def dying(name: str) -> None:
        original = getattr(world.cluster, name)

        async def call(*args: Any, **kwargs: Any) -> Any:
            done.append(name)
            if len(done) == write and before and not reborn:
                world.cluster.unavailable = "the operator is dead"
            found = await original(*args, **kwargs)
            if len(done) == write and not before and not reborn:
                world.cluster.unavailable = "the operator is dead"
            return found

        setattr(world.cluster, name, call)

    for name in dir(world.cluster):
        if name.split("_")[0] in {"create", "update", "delete", "annotate"}:
            dying(name)
    return done


@pytest.mark.parametrize("before", [True, False])
@pytest.mark.parametrize("write", range(1, 9))
async def test_an_operator_that_dies_at_any_write_leaves_what_the_next_goes_on_with(
    quiet_world: World, write: int, before: bool
) -> None:
    world = await quiet_world.start()
    await ready(world, rotation={"overlap": "0s"})
    await rotate(world)
    reborn: list[bool] = []
    done = _die_at(world, write, reborn, before=before)

    async def is_dead_or_done() -> bool:
        return (
            world.cluster.unavailable is not None or (await world.condition("AccessKey", "app", "Rotated"))[0] == "True"
        )

    await world.until(is_dead_or_done)
    await world.stop()
    died, world.cluster.unavailable = world.cluster.unavailable is not None, None
    assert died == (len(done) >= write)
    assert (await world.secret("app"))["ACCESS_KEY"] in await live(world)
    assert len(await live(world)) <= 2
    reborn.append(True)
    await world.start(region=False)
    await _until_rotated(world)
    await world.settle()
    assert sorted((key.serial, key.state) for key in await world.keys()) == [(0, "Revoked"), (1, "Active")]
    assert (await world.secret("app"))["ACCESS_KEY"] == (await world.key()).access_key_id


async def test_there_are_not_more_writes_than_were_tried(world: World) -> None:
    await ready(world, rotation={"overlap": "0s"})
    await rotate(world)
    done = _die_at(world, 0, [], before=True)
    await _until_rotated(world)
    await world.settle()
    assert 5 <= len(done) <= 8
