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
async def test_it_goes_as_the_rest_of_its_namespace(world: World, policy: str) -> None:
    await left_behind(world, policy)
    for kind, name in (("AccessKey", "app"), ("AccessKey", "photos"), ("Bucket", "photos")):
        await world.until_gone(kind, name)
    assert await world.keys() == []
    record = await world.bucket_record("photos")
    assert (record is not None and record.retained) == (policy == "Retain")


async def test_nothing_goes_because_another_namespace_is_gone(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """As that of the operator's own records would be."""
    await left_behind(world, "Delete")
    refuse = world.cluster._stand_in  # pyright: ignore[reportPrivateUsage]
    world.cluster.gone.add("elsewhere")
    monkeypatch.setattr(world.cluster, "_stand_in", lambda namespace: refuse("elsewhere"))  # pyright: ignore
    await world.settle()
    assert await world.get("AccessKey", "app") is not None
    assert await world.get("Bucket", "photos") is not None
