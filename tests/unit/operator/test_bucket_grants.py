"""BucketGrants: what crosses namespaces, for as long as it is granted."""

from dataclasses import replace
from typing import Any

import pytest

from cooper_operator.cluster.port import Ref
from cooper_operator.plan.grants import MAX_LETTING
from unit.operator.operator_world import World

NO_KEY = {"credentials": {"enabled": False}}
ASKS = {"grants": [{"bucket": "photos", "namespace": "films", "actions": ["s3:GetObject"]}]}
LETS = {"from": [{"namespace": "default"}]}


async def granted(world: World) -> list[str]:
    """S3 names of the buckets that the key is granted something on."""
    return [grant.bucket for grant in (await world.key()).grants] if await world.keys() else []


async def films(world: World, grant: dict[str, Any] | None = LETS) -> None:
    """Another namespace with a Bucket, and what it grants."""
    await world.apply("Bucket", "photos", {**NO_KEY, "bucketName": "films-photos"}, "films")
    await world.until_ready("Bucket", "photos", "films")
    if grant is not None:
        await world.apply("BucketGrant", "to-default", grant, "films")
        await world.until_ready("BucketGrant", "to-default", "films")


async def test_a_grant_makes_a_key_work_and_its_end_takes_that_away(world: World) -> None:
    await films(world, None)
    await world.apply("AccessKey", "app", ASKS)
    await world.until_condition("AccessKey", "app", "False", "NotGranted")
    assert await world.keys() == []
    await world.apply("BucketGrant", "to-default", LETS, "films")
    await world.until_ready("AccessKey", "app")
    assert await granted(world) == ["films-photos"]
    assert (await world.secret("app"))["BUCKET"] == "films-photos"
    await world.delete("BucketGrant", "to-default", "films")
    await world.until_condition("AccessKey", "app", "False", "NotGranted")
    assert await granted(world) == []
    await world.settle()
    key = await world.key()
    assert world.gateways.calls[-1] == f"prove_works {key.access_key_id}"  # that it has none any more


async def test_a_grant_to_others_is_none(world: World) -> None:
    await films(world, {"from": [{"namespace": "elsewhere"}]})
    await world.apply("AccessKey", "app", ASKS)
    await world.until_condition("AccessKey", "app", "False", "NotGranted")
    await world.apply("BucketGrant", "to-default", {**LETS, "buckets": ["logs"]}, "films")
    await world.until_condition("BucketGrant", "to-default", "False", "BucketNotFound", namespace="films")
    await world.settle()
    assert await world.condition("AccessKey", "app") == ("False", "NotGranted")
    await world.apply("BucketGrant", "to-default", {**LETS, "buckets": ["logs", "photos"]}, "films")
    await world.until_ready("AccessKey", "app")


async def test_a_grant_in_a_namespace_gives_nothing_of_another(world: World) -> None:
    """Whoever makes BucketGrants in a namespace of his own gets nowhere with them."""
    await films(world, None)
    await world.apply("BucketGrant", "mine", {"from": [{"namespace": "default"}, {"namespace": "films"}]})
    await world.apply("BucketGrant", "theirs", LETS, "elsewhere")
    await world.apply("AccessKey", "app", ASKS)
    await world.until_condition("AccessKey", "app", "False", "NotGranted")
    await world.settle()
    assert await world.keys() == []


async def test_a_grant_that_becomes_less_is_less_at_once(world: World) -> None:
    await films(world)
    await world.apply("AccessKey", "app", {"grants": [{"bucket": "photos", "namespace": "films"}]})
    await world.until_ready("AccessKey", "app")
    await world.apply("BucketGrant", "to-default", {**LETS, "actions": ["s3:ListBucket"], "prefixes": ["a/"]}, "films")

    async def is_less() -> bool:
        (grant,) = (await world.key()).grants
        return (grant.actions, grant.prefixes) == (("s3:ListBucket",), ("a/",))

    await world.until(is_less)
    await world.until_ready("AccessKey", "app")


async def test_the_grant_ends_with_the_bucket(world: World) -> None:
    await films(world)
    await world.apply("AccessKey", "app", ASKS)
    await world.until_ready("AccessKey", "app")
    await world.delete("Bucket", "photos", "films")
    await world.until_condition("AccessKey", "app", "False", "BucketNotFound")
    assert await granted(world) == []


async def test_one_s_own_namespace_needs_no_grant(world: World) -> None:
    await world.apply("Bucket", "photos", NO_KEY)
    await world.apply("AccessKey", "app", {"grants": [{"bucket": "photos", "namespace": "default"}]})
    await world.until_ready("AccessKey", "app")
    assert await granted(world) == ["photos"]


async def test_who_asks_for_all_buckets_gets_none_of_another_namespace(world: World) -> None:
    await films(world)
    await world.apply("Bucket", "own-bucket", NO_KEY)
    await world.apply("AccessKey", "app", {"allBuckets": {}})
    await world.until_ready("AccessKey", "app")
    await world.settle()
    assert await granted(world) == ["own-bucket"]


async def test_a_key_that_another_finalizer_holds_ends_with_its_deletion(world: World) -> None:
    """Its own finalizer was taken off: nothing waits for its end, and as it stays no sweep finds its record."""
    await films(world)
    await world.apply("AccessKey", "app", ASKS)
    await world.until_ready("AccessKey", "app")
    await world.stop()
    obj = await world.get("AccessKey", "app") or {}
    await world.cluster.update({**obj, "metadata": {**obj["metadata"], "finalizers": ["example.com/hold"]}})
    await world.delete("AccessKey", "app")
    await world.start(region=False)
    await world.settle()
    assert await world.keys() == []
    assert await world.credentials("app") is None
    left = await world.get("AccessKey", "app") or {}
    assert left["metadata"]["finalizers"] == ["example.com/hold"]
    writes = world.count_writes()
    await world.cluster.update({**left, "metadata": {**left["metadata"], "labels": {"a": "b"}}})
    await world.settle()
    assert [each.split()[0] for each in writes] == ["update"]


async def test_what_a_grant_took_away_goes_before_a_crowd_of_its_holder_s(world: World) -> None:
    await films(world)
    await world.apply("AccessKey", "app", ASKS)
    await world.until_ready("AccessKey", "app")
    await world.settle()
    queue = world.operator._queue  # pyright: ignore[reportPrivateUsage]
    assert queue is not None
    queue._concurrency = 1  # pyright: ignore[reportPrivateUsage]
    crowd = [f"crowd-{number}" for number in range(200)]
    for name in crowd:
        await world.apply("AccessKey", name, {"grants": [{"bucket": "photos"}]})
    await world.delete("BucketGrant", "to-default", "films")

    async def ended() -> bool:
        (key,) = await world.keys()
        return key.grants == ()

    await world.until(ended)
    waiting = [name for name in crowd if await world.condition("AccessKey", name) == ("", "")]
    assert len(waiting) > 150


async def test_of_many_grants_on_one_bucket_the_first_count(world: World) -> None:
    await films(world, None)
    for number in range(MAX_LETTING + 1):
        grant = {**LETS, "prefixes": [f"{number}/"], "buckets": ["photos"]}
        await world.apply("BucketGrant", f"share-{number:03}", grant, "films")
    await world.apply("AccessKey", "app", {"grants": [{"bucket": "photos", "namespace": "films"}]})
    await world.until_condition("AccessKey", "app", "False", "GrantsTooLarge")
    await world.settle()
    found = [grant.prefixes for grant in (await world.key()).grants] if await world.keys() else []
    assert found in ([], [(f"{number}/",) for number in range(MAX_LETTING)])
    await world.delete("BucketGrant", "share-000", "films")
    await world.until_ready("AccessKey", "app")
    assert [grant.prefixes for grant in (await world.key()).grants] == [(f"{n + 1}/",) for n in range(MAX_LETTING)]


async def orphaned_keys(world: World, count: int) -> None:
    """So many keys on another namespace's Bucket and one of their own lose their AccessKeys while nobody works."""
    await films(world)
    await world.apply("Bucket", "logs", NO_KEY)
    await world.until_ready("Bucket", "logs")
    names = [f"app-{number}" for number in range(count)]
    for name in names:
        await world.apply("AccessKey", name, {"grants": [*ASKS["grants"], {"bucket": "logs"}]})
        await world.until_ready("AccessKey", name)
    await world.settle()
    await world.stop()
    for name in names:
        obj = await world.get("AccessKey", name) or {}
        await world.cluster.update({**obj, "metadata": {**obj["metadata"], "finalizers": []}})
        await world.delete("AccessKey", name)
    await world.start(region=False)
    await world.settle()


async def halted_sweep(world: World) -> set[tuple[str, ...]]:
    """What keys are granted after a sweep that halts, on which buckets."""
    assert not await world.operator._sweeper.sweep()  # pyright: ignore[reportPrivateUsage]
    await world.settle()
    return {tuple(grant.bucket for grant in key.grants) for key in await world.keys()}


async def test_a_sweep_that_halts_takes_what_nobody_lends_any_more(world: World) -> None:
    await orphaned_keys(world, 8)
    both = {("films-photos", "logs")}
    assert {tuple(sorted(each)) for each in await halted_sweep(world)} == both, "it is lent still"
    await world.apply("BucketGrant", "to-default", {**LETS, "actions": ["s3:PutObject"]}, "films")
    await world.settle()
    assert await halted_sweep(world) == {("logs",)}


@pytest.mark.parametrize(
    "spec",
    [{**LETS, "buckets": ["logs"]}, {**LETS, "prefixes": ["public/"]}, {"from": [{"namespace": "elsewhere"}]}, None],
)
async def test_a_halted_sweep_goes_by_all_that_a_grant_says(world: World, spec: dict[str, Any] | None) -> None:
    await orphaned_keys(world, 8)
    if spec is None:
        await world.delete("BucketGrant", "to-default", "films")
    else:
        await world.apply("BucketGrant", "to-default", spec, "films")
    await world.settle()
    assert await halted_sweep(world) == {("logs",)}


async def test_a_sweep_takes_what_was_overlooked_from_keys_that_are_there(world: World) -> None:
    """Whatever kept their AccessKey from being looked at."""
    await films(world)
    await world.apply("AccessKey", "app", ASKS)
    await world.until_ready("AccessKey", "app")
    await world.settle()
    await world.stop()
    entries = world.cluster._objects.entries  # pyright: ignore[reportPrivateUsage]
    entry = entries[Ref("AccessKey", "default", "app")]
    spec = {**entry.obj["spec"], "state": "Nonsense"}  # as a later version could know
    entries[Ref("AccessKey", "default", "app")] = replace(entry, obj={**entry.obj, "spec": spec})
    await world.start(region=False)
    assert await world.operator._sweeper.sweep()  # pyright: ignore[reportPrivateUsage]
    assert await granted(world) == ["films-photos"], "who cannot be read is left as he is"
    await world.delete("BucketGrant", "to-default", "films")
    assert await world.operator._sweeper.sweep()  # pyright: ignore[reportPrivateUsage]
    assert await granted(world) == []


async def test_a_halted_sweep_takes_nothing_where_all_was_lost(world: World) -> None:
    """Without the Bucket nobody can tell whether it is lent: whoever restores the cluster restores it."""
    await orphaned_keys(world, 8)
    await world.stop()
    for kind, name in (("BucketGrant", "to-default"), ("Bucket", "photos")):
        obj = await world.get(kind, name, "films") or {}
        await world.cluster.update({**obj, "metadata": {**obj["metadata"], "finalizers": []}})
        await world.delete(kind, name, "films")
    await world.start(region=False)
    await world.settle()
    assert {tuple(sorted(each)) for each in await halted_sweep(world)} == {("films-photos", "logs")}
