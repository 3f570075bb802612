"""What stayed behind when its namespace went, as under an API server that did not list our kinds just then."""

import pytest

from unit.operator.operator_world import World


async def left_behind(world: World, policy: str) -> None:
    """A Bucket and an AccessKey whose namespace is gone, and the Secrets with it."""
    await world.apply("Bucket", "photos", {"deletionPolicy": policy})
    await world.apply("AccessKey", "app", {"grants": [{"bucket": "photos"}]})
    for kind, name in (("Bucket", "photos"), ("AccessKey", "app")):
        await world.until_ready(kind, name)
    await world.settle()
    world.cluster.gone.add("default")
    for name in ("photos", "app"):
        world.cluster.remove_credentials("default", name)


@pytest.mark.parametrize("policy", ["Retain", "Delete"])
async def test_its_keys_end_and_whoever_makes_the_namespace_again_finds_nothing(world: World, policy: str) -> None:
    """Finalizers stay until then: nothing in a namespace that is not there can be written to."""
    await left_behind(world, policy)

    async def ended() -> bool:
        return await world.keys() == []

    await world.until(ended)
    await world.settle()
    every = (("AccessKey", "app"), ("AccessKey", "photos"), ("Bucket", "photos"))
    left = [await world.get(*each) or {"metadata": {}} for each in every]
    assert all("deletionTimestamp" in obj["metadata"] for obj in left)
    world.cluster.gone.clear()
    await world.stop()
    await world.start(region=False)
    for kind, name in every:
        await world.until_gone(kind, name)
    record = await world.bucket_record("photos")
    assert (record is not None and record.retained) == (policy == "Retain")


async def test_nothing_goes_because_another_namespace_is_gone(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """As that of the operator's own records would be."""
    await left_behind(world, "Delete")
    refuse = world.cluster._stand_in  # pyright: ignore[reportPrivateUsage]
    world.cluster.gone = {"elsewhere"}
    monkeypatch.setattr(world.cluster, "_stand_in", lambda namespace: refuse("elsewhere"))  # pyright: ignore
    await world.settle()
    assert await world.get("AccessKey", "app") is not None
    assert await world.get("Bucket", "photos") is not None
