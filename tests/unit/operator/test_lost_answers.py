"""A write of a record that was carried out, and whose answer was lost: the operator lives on and goes on with it.

Nothing else tells it of the record: no sweep comes in these lives.
"""

import pytest

from cooper_crds.names import key_record_name
from support.gates import Gated
from unit.operator.operator_world import World
from unit.operator.test_rotation import rotate

NO_KEY = {"credentials": {"enabled": False}}
SPEC = {"grants": [{"bucket": "photos"}]}


@pytest.fixture
async def view(quiet_world: World, view: Gated) -> Gated:
    """The same, with a Bucket that is Ready."""
    await quiet_world.apply("Bucket", "photos", NO_KEY)
    await quiet_world.until_ready("Bucket", "photos")
    await quiet_world.settle()
    return view


async def issued(world: World) -> None:
    """The AccessKey `app`, whose key was issued a while ago."""
    await world.apply("AccessKey", "app", SPEC)
    await world.until_ready("AccessKey", "app")
    await world.settle()
    world.offset += 10


async def known(world: World) -> tuple[set[str], set[str]]:
    """Records of keys that are known to be the AccessKey's, and known to be granted something on the bucket."""
    index = world.operator._index  # pyright: ignore[reportPrivateUsage]
    record = await world.bucket_record("photos")
    assert record is not None
    return index.owned_by((await world.key()).owner.uid), index.granted_on(record.data_id)


async def test_a_first_key_that_was_issued_unnoticed_is_delivered_and_known(quiet_world: World, view: Gated) -> None:
    world = quiet_world
    view.lose("create_record")
    await world.apply("AccessKey", "app", SPEC)
    await world.until_ready("AccessKey", "app")
    await world.settle()
    (key,) = await world.keys()
    assert (await world.secret("app"))["ACCESS_KEY"] == key.access_key_id
    name = key_record_name(key.access_key_id)
    assert await known(world) == ({name}, {name})


async def test_a_rotation_goes_on_with_a_key_that_was_issued_unnoticed(quiet_world: World, view: Gated) -> None:
    world = quiet_world
    await issued(world)
    view.lose("create_record")
    await rotate(world)
    await world.until_condition("AccessKey", "app", "False", "Overlapping", "Rotated")
    await world.settle()
    assert sorted(key.serial for key in await world.keys()) == [0, 1]
    assert (await world.secret("app"))["ACCESS_KEY"] == (await world.key()).access_key_id
    names = {key_record_name(key.access_key_id) for key in await world.keys()}
    assert await known(world) == (names, names)


@pytest.mark.parametrize("end", ["Revoked", "deleted"])
async def test_a_key_that_was_issued_unnoticed_ends_with_the_others(quiet_world: World, view: Gated, end: str) -> None:
    world = quiet_world
    await issued(world)
    lost = view.lose("create_record")
    await rotate(world)
    await lost.wait()
    if end == "deleted":
        await world.delete("AccessKey", "app")
        await world.until_gone("AccessKey", "app")
    else:
        await world.apply("AccessKey", "app", {**SPEC, "state": "Revoked"})
        await world.until_condition("AccessKey", "app", "True", "RefusedEverywhere", "Revoked")
    await world.settle()
    assert [key for key in await world.keys() if key.state == "Active"] == []


async def test_a_right_that_was_given_unnoticed_is_known(quiet_world: World, view: Gated) -> None:
    world = quiet_world
    await world.apply("Bucket", "films", NO_KEY)
    await world.until_ready("Bucket", "films")
    await world.apply("AccessKey", "app", {"grants": [{"bucket": "films"}]})
    await world.until_ready("AccessKey", "app")
    await world.settle()
    view.lose("update_record")
    await world.apply("AccessKey", "app", SPEC)
    await world.until_ready("AccessKey", "app")
    await world.settle()
    name = key_record_name((await world.key()).access_key_id)
    assert await known(world) == ({name}, {name})
