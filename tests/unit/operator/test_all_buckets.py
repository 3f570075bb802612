"""`allBuckets`: a key for every Bucket of its namespace, those that come and those that go."""

from typing import Any

import pytest

from cooper_operator.plan import grants as grants_module
from unit.operator.operator_world import World

EVERY = {"allBuckets": {"actions": ["s3:GetObject", "s3:ListBucket"]}}
NO_KEY = {"credentials": {"enabled": False}}


async def granted(world: World) -> dict[str, list[tuple[str, ...]]]:
    """Actions of the key's grants, by bucket."""
    found: dict[str, list[tuple[str, ...]]] = {}
    for grant in (await world.key()).grants if await world.keys() else ():
        found.setdefault(grant.bucket, []).append(grant.actions)
    return found


async def until_granted(world: World, *buckets: str) -> None:
    async def is_so() -> bool:
        return set(await granted(world)) == set(buckets)

    await world.until(is_so)
    await world.settle()
    await world.until_ready("AccessKey", "app")


async def test_buckets_come_and_go(world: World) -> None:
    await world.apply("AccessKey", "app", EVERY)
    await world.until_ready("AccessKey", "app")
    assert "BUCKET" not in await world.secret("app")
    for name in ("one", "two"):
        await world.apply("Bucket", name, NO_KEY)
    await until_granted(world, "one", "two")
    assert await granted(world) == {name: [("s3:GetObject", "s3:ListBucket")] for name in ("one", "two")}
    assert "BUCKET" not in await world.secret("app")
    await world.delete("Bucket", "one")
    await until_granted(world, "two")


async def test_grants_are_given_besides_and_have_to_be_there(world: World) -> None:
    await world.apply("Bucket", "one", NO_KEY)
    own = [{"bucket": "two", "actions": ["s3:PutObject"], "prefixes": ["in/"]}]
    await world.apply("AccessKey", "app", {**EVERY, "grants": own})
    await world.until_condition("AccessKey", "app", "False", "BucketNotFound")
    await world.apply("Bucket", "two", NO_KEY)
    await until_granted(world, "one", "two")
    two = [grant for grant in (await world.key()).grants if grant.bucket == "two"]
    assert [(grant.actions, grant.prefixes) for grant in two] == [
        (("s3:PutObject",), ("in/",)),
        (("s3:GetObject", "s3:ListBucket"), ()),
    ]


async def test_buckets_of_another_namespace_or_region_are_none_of_its(world: World) -> None:
    await world.apply("Region", "other", {"tag": "other", "default": False})
    await world.apply("Bucket", "near", NO_KEY)
    await world.apply("Bucket", "far", {**NO_KEY, "region": "other"})
    await world.apply("Bucket", "theirs", NO_KEY, namespace="another")
    for name, namespace in (("near", "default"), ("far", "default"), ("theirs", "another")):
        await world.until_ready("Bucket", name, namespace=namespace)
    await world.apply("AccessKey", "app", EVERY)
    await until_granted(world, "near")


async def test_there_is_an_end_to_what_a_key_can_have(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(grants_module, "MAX_BUCKETS", 2)
    for name in ("aaa", "bbb", "ccc"):
        await world.apply("Bucket", name, NO_KEY)
        await world.until_ready("Bucket", name)
    await world.apply("AccessKey", "app", EVERY)
    await world.until_condition("AccessKey", "app", "False", "TooManyBuckets")
    await world.delete("Bucket", "bbb")
    await until_granted(world, "aaa", "ccc")


async def test_a_key_that_has_more_keeps_the_first_ones(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(grants_module, "MAX_BUCKETS", 2)
    await world.apply("AccessKey", "app", EVERY)
    for name in ("aaa", "ccc", "bbb"):
        await world.apply("Bucket", name, NO_KEY)
        await world.until_ready("Bucket", name)
    await world.until_condition("AccessKey", "app", "False", "TooManyBuckets")
    assert set(await granted(world)) == {"aaa", "bbb"}


async def test_a_bucket_s_own_key_is_not_for_others(world: World) -> None:
    """Whoever edits it: the Bucket says what it is for."""
    await world.apply("Bucket", "one", {})
    await world.until_ready("Bucket", "one")
    obj: dict[str, Any] = await world.get("AccessKey", "one") or {}
    wider = {**obj["spec"], **EVERY, "grants": [{"bucket": "one", "prefixes": ["a/"]}]}
    await world.cluster.update({**obj, "spec": wider})
    await world.settle()
    spec = (await world.get("AccessKey", "one") or {})["spec"]
    assert "allBuckets" not in spec
    assert "prefixes" not in spec["grants"][0]
    assert len((await world.key()).grants) == 1
