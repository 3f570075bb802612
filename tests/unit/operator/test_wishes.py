"""CreateBucket over S3, as the operator acts on it: over a cluster and gateways in memory."""

from typing import Any

import pytest

from cooper_crds.records import KeyRecord
from cooper_operator.cluster.port import Invalid, Object
from cooper_operator.gateways.memory import MemoryGateways
from cooper_operator.gateways.port import Wish
from unit.operator.operator_world import World

MAKES = {"allBuckets": {"actions": ["s3:GetObject", "s3:CreateBucket"]}}
SERVING = {"tag": "us-east-1", "default": True, "features": {"createBucket": True}}


@pytest.fixture
async def asking(quiet_world: World) -> World:
    """An AccessKey whose key may create buckets, in a world that polls for wishes."""
    world = quiet_world
    world.intervals = type(world.intervals)(intents=0.02, usage=3600, sweep=3600, resync=3600)
    await world.apply("Region", "local", SERVING)
    await world.start(region=False)
    await world.apply("AccessKey", "app", MAKES)
    await world.until_ready("AccessKey", "app")
    return world


async def ask(world: World, name: str = "new", age: float = 0.0, key: KeyRecord | None = None) -> Wish:
    key = key or await world.key()
    wish = Wish(f"wish for {name}", name, key.access_key_id, world.now() - age)
    world.gateways.asked[name] = wish
    return wish


async def outcome(world: World, name: str = "new") -> str:
    async def known() -> bool:
        return name in world.gateways.outcomes or name not in world.gateways.asked

    await world.until(known)
    return world.gateways.outcomes.get(name, "forgotten")


def events(world: World) -> list[str]:
    return [event.reason for event in world.cluster.events()]


def counted(world: World, operation: str, result: str) -> bool:
    text = world.operator._telemetry.text().decode()  # pyright: ignore[reportPrivateUsage]
    return f'cooper_operator_requests_over_s3_total{{operation="{operation}",result="{result}"}} 1.0' in text


async def test_the_bucket_is_made_and_the_key_can_use_it(asking: World) -> None:
    key = await asking.key()
    assert (key.create_buckets, key.grants) == (True, ())
    await ask(asking)
    assert await outcome(asking) == "made"
    await asking.until_ready("Bucket", "new")
    made = await asking.get("Bucket", "new")
    assert made is not None
    assert made["metadata"]["annotations"] == {"cooper.dev/created-by-key": key.access_key_id}
    assert made["spec"] == {"bucketName": "new", "region": "local", "credentials": {"enabled": False}}

    async def granted() -> bool:
        return [grant.bucket for grant in (await asking.key()).grants] == ["new"]

    await asking.until(granted)
    await asking.until_ready("AccessKey", "app")
    assert {each.access_key_id for each in await asking.keys()} == {key.access_key_id}  # and there is no other key
    assert await asking.condition("Bucket", "new", "AnnotationsKnown") == ("", "")
    assert "CreatedOverS3" in events(asking)
    assert counted(asking, "CreateBucket", "done")
    assert asking.gateways.calls.count("settle new made") == 1


async def test_nobody_is_asked_where_the_region_does_not_serve_it(asking: World) -> None:
    await asking.apply("Region", "local", {"tag": "us-east-1", "default": True})
    await asking.settle()
    await ask(asking)
    for _ in range(3):
        await asking.operator._intents.poll()  # pyright: ignore[reportPrivateUsage]
    assert await asking.get("Bucket", "new") is None
    assert asking.gateways.outcomes == {}


async def test_a_key_that_is_revoked_between_wish_and_deed_makes_nothing(asking: World) -> None:
    key = await asking.key()
    await asking.apply("AccessKey", "app", {**MAKES, "state": "Revoked"})
    await ask(asking, key=key)
    assert await outcome(asking) == "KeyAccessRevoked"
    assert await asking.get("Bucket", "new") is None
    assert "CreateRefused" in events(asking)
    assert counted(asking, "CreateBucket", "refused")


async def test_a_right_that_is_withdrawn_between_wish_and_deed_makes_nothing(asking: World) -> None:
    await asking.apply("AccessKey", "app", {"allBuckets": {"actions": ["s3:GetObject"]}})
    await ask(asking)
    assert await outcome(asking) == "AccessDenied"
    assert await asking.get("Bucket", "new") is None

    async def narrowed() -> bool:
        return not (await asking.key()).create_buckets

    await asking.until(narrowed)


@pytest.mark.parametrize("key_id", ["AKIANOBODY", "../bucket-new", "", "akia"])
async def test_a_key_that_is_none(asking: World, key_id: str) -> None:
    asking.gateways.asked["new"] = Wish("1", "new", key_id, asking.now())
    assert await outcome(asking) == "KeyAccessRevoked"
    assert await asking.get("Bucket", "new") is None


@pytest.mark.parametrize("name", ["../new", "New", "a/b", "public", "", "a.-b"])
async def test_a_name_that_is_none(asking: World, name: str) -> None:
    await ask(asking, name)
    assert await outcome(asking, name) == "InvalidBucketName"
    assert await asking.cluster.list_kind("Bucket") == []


async def test_another_namespace_s_bucket_is_left_alone(asking: World) -> None:
    await asking.apply("Bucket", "new", {"credentials": {"enabled": False}}, namespace="another")
    await asking.until_ready("Bucket", "new", "another")
    before = await asking.get("Bucket", "new", "another")
    await ask(asking)
    assert await outcome(asking) == "BucketAlreadyExists"
    assert await asking.get("Bucket", "new") is None
    assert await asking.get("Bucket", "new", "another") == before
    assert "CreateRefused" not in events(asking)  # clients ask for what is there as a matter of routine


async def test_a_bucket_of_the_namespace_is_left_alone(asking: World) -> None:
    await asking.apply("Bucket", "new", {"credentials": {"enabled": False}, "visibility": "Public"})
    await asking.until_ready("Bucket", "new")
    before = (await asking.get("Bucket", "new") or {})["spec"]
    await asking.apply("Bucket", "named", {"credentials": {"enabled": False}, "bucketName": "other"})
    await ask(asking)
    await ask(asking, "named")
    assert await outcome(asking) in ("BucketAlreadyOwnedByYou", "BucketAlreadyExists")
    assert await outcome(asking, "named") == "BucketAlreadyExists"
    assert (await asking.get("Bucket", "new") or {})["spec"] == before


async def test_there_is_room_for_so_many(asking: World) -> None:
    await asking.apply("Region", "local", {**SERVING, "limits": {"maxCreatedBuckets": 2}})
    await asking.settle()
    for name in ("one", "two", "three"):  # in one poll
        await ask(asking, name)
    assert [await outcome(asking, name) for name in ("one", "two", "three")] == ["made", "made", "TooManyBuckets"]
    assert len(await asking.cluster.list_kind("Bucket")) == 2
    assert "CreateRefused" in events(asking)


async def test_a_wish_that_nobody_waits_for_makes_nothing(asking: World) -> None:
    await ask(asking, age=601)
    assert await outcome(asking) == "forgotten"
    assert await asking.get("Bucket", "new") is None


async def test_a_bucket_that_is_deleted_at_once_does_not_come_again(asking: World) -> None:
    await ask(asking)
    await asking.until_ready("Bucket", "new")
    await asking.delete("Bucket", "new")
    await asking.until_gone("Bucket", "new")
    for _ in range(3):
        await asking.operator._intents.poll()  # pyright: ignore[reportPrivateUsage]
    assert await asking.get("Bucket", "new") is None


async def test_an_operator_that_dies_between_deed_and_word_makes_it_once(
    asking: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    settle = MemoryGateways.settle_wish
    lost: list[str] = []

    async def unheard(gateways: MemoryGateways, region: Any, wish: Wish, outcome: str) -> None:
        lost.append(outcome)
        if len(lost) == 1:
            raise RuntimeError("the operator died")
        await settle(gateways, region, wish, outcome)

    monkeypatch.setattr(MemoryGateways, "settle_wish", unheard)
    await ask(asking)
    assert await outcome(asking) == "made"
    assert lost == ["made", "made"]
    assert len(await asking.cluster.list_kind("Bucket")) == 1
    assert events(asking).count("CreatedOverS3") == 1


async def test_what_the_cluster_refuses_is_refused_to_the_client(asking: World) -> None:
    async def refused(obj: Object) -> Object:
        raise Invalid("exceeded quota: buckets")

    asking.cluster.declare = refused  # type: ignore[method-assign]
    await ask(asking)
    assert await outcome(asking) == "AccessDenied"
    messages = [event.message for event in asking.cluster.events() if event.reason == "CreateRefused"]
    assert len(messages) == 1
    assert "exceeded quota" in messages[0]


async def test_wishes_wait_while_the_cluster_is_away(asking: World) -> None:
    wish = await ask(asking)
    asking.cluster.unavailable = "maintenance"
    await asking.operator._intents.poll()  # pyright: ignore[reportPrivateUsage]
    assert asking.gateways.asked == {"new": wish}
    asking.cluster.unavailable = None
    assert await outcome(asking) == "made"
