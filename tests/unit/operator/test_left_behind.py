"""What stayed behind when its namespace went, as under an API server that did not list our kinds just then."""

from collections.abc import Awaitable, Callable

import pytest

from cooper_operator.cluster.port import NamespaceGone, Object
from unit.operator.operator_world import World

EVERY = (("AccessKey", "app"), ("AccessKey", "photos"), ("Bucket", "photos"))


async def furnished(world: World, policy: str) -> None:
    await world.apply("Bucket", "photos", {"deletionPolicy": policy})
    await world.apply("AccessKey", "app", {"grants": [{"bucket": "photos"}]})
    await world.apply("BucketGrant", "to-films", {"from": [{"namespace": "films"}]})
    for kind, name in (("Bucket", "photos"), ("AccessKey", "app"), ("BucketGrant", "to-films")):
        await world.until_ready(kind, name)
    await world.settle()


def lose_secrets(world: World) -> None:
    for name in ("photos", "app"):
        world.cluster.remove_credentials("default", name)


async def is_deleted(world: World, kind: str, name: str, namespace: str = "default") -> bool:
    obj = await world.get(kind, name, namespace)
    return obj is None or "deletionTimestamp" in obj["metadata"]


def ended(world: World) -> Callable[[], Awaitable[bool]]:
    async def keys_are_gone() -> bool:
        return await world.keys() == []

    return keys_are_gone


@pytest.mark.parametrize("policy", ["Retain", "Delete"])
async def test_its_keys_end_and_whoever_makes_the_namespace_again_finds_nothing(world: World, policy: str) -> None:
    """Finalizers stay until then: nothing in a namespace that is not there can be written to."""
    await furnished(world, policy)
    world.cluster.gone.add("default")
    lose_secrets(world)
    await world.until(ended(world))
    await world.settle()
    for each in EVERY:
        assert await is_deleted(world, *each)
    assert await world.get("BucketGrant", "to-films") is None
    world.cluster.gone.clear()
    await world.stop()
    await world.start(region=False)
    for kind, name in EVERY:
        await world.until_gone(kind, name)
    assert await world.operator._sweeper.sweep()  # pyright: ignore[reportPrivateUsage]
    record = await world.bucket_record("photos")
    assert (record is not None and record.retained) == (policy == "Retain")


async def test_a_sweep_finds_what_nothing_is_to_be_written_for(world: World) -> None:
    """Such as a key that was delivered once: no Secret of it is missed."""
    await furnished(world, "Retain")
    world.cluster.gone.add("default")
    assert await world.operator._sweeper.sweep()  # pyright: ignore[reportPrivateUsage]
    await world.until(ended(world))
    for each in EVERY:
        assert await is_deleted(world, *each)


async def test_it_is_told_from_what_is_in_a_namespace_that_was_made_anew(world: World) -> None:
    """Before anybody looked: what is much older than its namespace is of another one, and no Secret is put there."""
    await furnished(world, "Retain")
    world.cluster.namespaces["default"], world.cluster.made["default"] = "anew", world.now() + 3600
    lose_secrets(world)
    await world.until(ended(world))
    for kind, name in EVERY:
        await world.until_gone(kind, name)
    assert await world.get("BucketGrant", "to-films") is None
    assert [await world.credentials(name) for name in ("photos", "app")] == [None, None]


async def test_what_a_bucket_holds_is_nobodys_who_makes_the_namespace_again(world: World) -> None:
    """Though its Bucket waits for its deletion, since it is not empty: no new key comes to it."""
    await furnished(world, "Delete")
    before = await world.bucket_record("photos")
    assert before is not None
    world.gateways.bucket(before.data_id).objects = 1
    world.cluster.gone.add("default")
    lose_secrets(world)
    await world.until(ended(world))
    await world.settle()
    world.cluster.gone.clear()
    world.cluster.namespaces["default"] = "anew"
    await world.apply("AccessKey", "thief", {"grants": [{"bucket": "photos"}]})
    await world.until_condition("AccessKey", "thief", "False", "BucketNotReady", "Ready")
    await world.settle()
    assert [key for key in await world.keys() if key.grants] == []
    record = await world.bucket_record("photos")
    assert record is not None and record.retained
    assert not world.gateways.bucket(before.data_id).destroyed


async def test_a_bucketgrant_alone_is_found(world: World) -> None:
    await world.apply("BucketGrant", "to-films", {"from": [{"namespace": "films"}]}, "shop")
    await world.until_ready("BucketGrant", "to-films", "shop")
    world.cluster.made["shop"] = world.now() + 3600
    assert await world.operator._sweeper.sweep()  # pyright: ignore[reportPrivateUsage]
    assert await world.get("BucketGrant", "to-films", "shop") is None


async def test_nothing_goes_because_another_namespace_is_gone(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """As that of the operator's own records would be."""
    await furnished(world, "Delete")
    await world.apply("Bucket", "logs", {}, "elsewhere")
    await world.until_ready("Bucket", "logs", "elsewhere")

    async def refused(*_: object) -> Object:
        raise NamespaceGone('namespaces "elsewhere" not found', "elsewhere")

    monkeypatch.setattr(world.cluster, "create_credentials", refused)
    lose_secrets(world)
    await world.settle()
    for each in (*EVERY, ("Bucket", "logs", "elsewhere")):
        assert not await is_deleted(world, *each)


async def test_what_is_made_in_a_namespace_that_is_there_again_is_left_alone(world: World) -> None:
    """That something could not be written there proves nothing any more when it is looked at."""
    await furnished(world, "Delete")
    await world.operator._reconciler._left_behind.delete("default")  # pyright: ignore[reportPrivateUsage]
    await world.settle()
    for each in EVERY:
        assert not await is_deleted(world, *each)
