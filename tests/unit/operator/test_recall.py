"""Deletions that are called off, as putting a manifest back into a resources folder does, at whatever point."""

import itertools
from typing import Any

import pytest

from cooper_operator.cluster.port import Ref
from cooper_operator.gateways.memory import MemoryGateways
from unit.operator.operator_world import World

BUCKET = Ref("Bucket", "default", "photos")
KEY = Ref("AccessKey", "default", "ci")
GRANTS = {"grants": [{"bucket": "photos"}]}


class Gateways(MemoryGateways):
    """Gateways whose methods can be replaced."""


@pytest.fixture
def world(quiet_world: World) -> World:
    quiet_world.gateways = Gateways(quiet_world.gateways.records)
    return quiet_world


async def provisioned(world: World, **spec: Any) -> str:
    """A Bucket that is ready; returns its UID."""
    await world.start()
    await world.apply("Bucket", "photos", spec)
    await world.until_ready("Bucket", "photos")
    obj = await world.get("Bucket", "photos")
    assert obj
    return obj["metadata"]["uid"]


async def assert_as_new(world: World, uid: str) -> None:
    """The Bucket has its UID, serves, and its credentials work."""
    await world.until_ready("Bucket", "photos")
    await world.settle()
    obj = await world.get("Bucket", "photos")
    assert obj
    assert obj["metadata"]["uid"] == uid
    assert not obj["metadata"].get("annotations")
    data, record = world.gateways.bucket(uid), await world.bucket_record("photos")
    assert record
    assert (data.closed, data.destroyed, record.retained, record.data_id) == (False, False, False, uid)
    key, secret = await world.key(), await world.secret("photos")
    assert (key.state, secret["ACCESS_KEY"], secret["SECRET_KEY"]) == ("Active", key.access_key_id, key.secret_key)


async def test_bucket_that_is_not_empty_goes_on_with_its_key(world: World) -> None:
    uid = await provisioned(world)
    before = await world.key()
    world.gateways.bucket(uid).objects = 3
    await world.delete("Bucket", "photos")
    await world.until_condition("Bucket", "photos", "False", "BucketNotEmpty")
    assert await world.cluster.recall(BUCKET)
    await assert_as_new(world, uid)
    assert await world.key() == before
    events = [event.reason for event in world.cluster.events(BUCKET)]
    assert events.count("DeletionCalledOff") == 1


async def test_bucket_that_was_closed_is_opened_and_gets_a_new_key(world: World) -> None:
    uid = await provisioned(world)
    before = await world.key()
    world.gateways.stale.add(1)
    await world.delete("Bucket", "photos")

    async def revoking() -> bool:
        return (await world.key()).state == "Revoked"

    await world.until(revoking)
    assert world.gateways.bucket(uid).closed
    assert await world.cluster.recall(BUCKET)
    await world.settle()
    assert not world.gateways.bucket(uid).closed
    world.gateways.stale.clear()
    await assert_as_new(world, uid)
    assert (await world.key()).access_key_id != before.access_key_id


async def test_bucket_stays_closed_while_no_gateway_answers_and_says_so(world: World) -> None:
    uid = await provisioned(world)
    await world.delete("Bucket", "photos")
    world.gateways.away = True
    await world.until_condition("Bucket", "photos", "False", "GatewayUnavailable")
    assert await world.cluster.recall(BUCKET)
    await world.until_condition("Bucket", "photos", "False", "GatewayUnavailable")
    assert "called off" in await world.message("Bucket", "photos")
    world.gateways.away = False
    await assert_as_new(world, uid)


async def test_bucket_that_was_to_be_retained_serves_again(world: World) -> None:
    cors = [{"allowedOrigins": ["*"], "allowedMethods": ["GET"]}]
    uid = await provisioned(world, deletionPolicy="Retain", cors=cors, allowedContentTypes=["image/*"])
    before = await world.bucket_record("photos")
    world.gateways.stale.add(1)
    await world.delete("Bucket", "photos")

    async def retained() -> bool:
        record = await world.bucket_record("photos")
        return record is not None and record.retained

    await world.until(retained)
    assert await world.cluster.recall(BUCKET)
    world.gateways.stale.clear()
    await assert_as_new(world, uid)
    assert await world.bucket_record("photos") == before


async def test_access_key_that_was_revoked_gets_a_new_key(world: World) -> None:
    await provisioned(world, credentials={"enabled": False})
    await world.apply("AccessKey", "ci", GRANTS)
    await world.until_ready("AccessKey", "ci")
    before = await world.key()
    world.gateways.stale.add(1)
    await world.delete("AccessKey", "ci")
    await world.until_condition("AccessKey", "ci", "False", "Deleting")
    assert await world.cluster.recall(KEY)
    world.gateways.stale.clear()
    await world.until_ready("AccessKey", "ci")
    await world.settle()
    secret = await world.secret("ci")
    assert secret["ACCESS_KEY"] != before.access_key_id
    (active,) = [key for key in await world.keys() if key.state == "Active"]
    assert (secret["ACCESS_KEY"], secret["SECRET_KEY"]) == (active.access_key_id, active.secret_key)


WRITES = ("update", "update_status", "delete", "update_record", "delete_record", "delete_credentials")
ASKED = ("close_bucket", "purge_bucket", "destroy_bucket", "prove_denied")


def recall_at(world: World, ref: Ref, number: int) -> list[bool]:
    """Call a deletion off just before the operator's `number`th call from now on. Returns what came of it."""
    outcome: list[bool] = []
    calls = itertools.count(1)
    get = world.cluster.get

    def intercept(port: Any, name: str) -> None:
        original = getattr(port, name)

        async def call(*args: Any, **named: Any) -> Any:
            if next(calls) == number and await get(ref) is not None:
                outcome.append(await world.cluster.recall(ref))
            return await original(*args, **named)

        setattr(port, name, call)

    for name in WRITES:
        intercept(world.cluster, name)
    for name in ASKED:
        intercept(world.gateways, name)
    return outcome


@pytest.mark.parametrize("number", range(1, 20))
@pytest.mark.parametrize("policy", ["Delete", "Retain", "Purge"])
async def test_bucket_is_whole_or_gone_wherever_the_recall_comes(world: World, policy: str, number: int) -> None:
    uid = await provisioned(world, deletionPolicy=policy)
    held = 0 if policy == "Delete" else 25
    world.gateways.bucket(uid).objects = held
    delete = world.cluster.delete
    outcome = recall_at(world, BUCKET, number)
    await delete(BUCKET, uid)

    async def over() -> bool:
        return bool(outcome) or await world.get("Bucket", "photos") is None

    await world.until(over)
    if outcome == [True]:
        await assert_as_new(world, uid)
        assert world.gateways.bucket(uid).objects == held
    else:
        await world.until_gone("Bucket", "photos")
        await world.settle()
        assert await world.keys() == []
        assert world.gateways.bucket(uid).destroyed == (policy != "Retain")
