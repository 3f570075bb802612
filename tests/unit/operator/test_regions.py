"""Keys and buckets stay in the Region that they were made in, and its record stays for as long as one is there."""

from typing import Any

import pytest

from cooper_crds.names import region_record_name
from cooper_crds.records import KeyRecord, RegionRecord
from cooper_operator.gateways.port import Proof
from unit.operator.operator_world import World


async def the_default_becomes_another(world: World) -> None:
    """What is in the Region `local` stays there, and what comes goes to `west`."""
    await world.apply("Region", "local", {"tag": "us-east-1"})
    await world.apply("Region", "west", {"tag": "us-west-1", "default": True})
    await world.settle()


async def there_is_no_record_of(world: World, region: str) -> None:
    async def gone() -> bool:
        return await world.cluster.get_record(region_record_name(region)) is None

    await world.until(gone)


async def test_a_key_stays_where_it_was_made_when_the_default_becomes_another(world: World) -> None:
    await world.apply("Bucket", "photos")
    await world.apply("AccessKey", "ci", {"grants": [{"bucket": "photos"}]})
    await world.until_ready("AccessKey", "ci")
    before = await world.secret("ci")
    await the_default_becomes_another(world)
    await world.until_ready("AccessKey", "ci")
    await world.apply("AccessKey", "ci", {"grants": [{"bucket": "photos", "actions": ["s3:GetObject"]}]})
    await world.until_ready("AccessKey", "ci")
    assert await world.secret("ci") == before
    assert before["REGION"] == "us-east-1"
    assert {each.region for each in await world.keys()} == {"local"}
    assert ((await world.get("AccessKey", "ci")) or {})["status"]["region"] == "local"
    await world.apply("Bucket", "new")
    await world.until_ready("Bucket", "new")
    record = await world.bucket_record("new")
    assert record is not None
    assert record.region == "west"


async def test_a_key_is_refused_where_it_was_honoured(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    await world.apply("Bucket", "photos")
    await world.apply("AccessKey", "ci", {"grants": [{"bucket": "photos"}]})
    await world.until_ready("AccessKey", "ci")
    await the_default_becomes_another(world)
    asked: list[str] = []
    prove = world.gateways.prove_denied

    async def prove_denied(region: RegionRecord, key: KeyRecord) -> Proof:
        asked.append(region.name)
        return await prove(region, key)

    monkeypatch.setattr(type(world.gateways), "prove_denied", lambda _, region, key: prove_denied(region, key))
    await world.apply("AccessKey", "ci", {"grants": [{"bucket": "photos"}], "state": "Revoked"})
    await world.until_condition("AccessKey", "ci", "True", "RefusedEverywhere", "Revoked")
    await world.delete("AccessKey", "ci")
    await world.until_gone("AccessKey", "ci")
    assert set(asked) == {"local"}


async def test_what_is_withdrawn_is_withdrawn_without_the_region_too(world: World) -> None:
    """Its gateways serve on."""
    await world.apply("Bucket", "photos", {"credentials": {"enabled": False}}, "films")
    await world.apply("Bucket", "logs", {"credentials": {"enabled": False}})
    await world.apply("BucketGrant", "to-default", {"from": [{"namespace": "default"}]}, "films")
    both = [{"bucket": "photos", "namespace": "films"}, {"bucket": "logs", "actions": ["s3:GetObject", "s3:PutObject"]}]
    await world.apply("AccessKey", "ci", {"grants": both})
    await world.until_ready("AccessKey", "ci")
    await world.delete("Region", "local")
    await world.until_condition("AccessKey", "ci", "False", "RegionNotFound")

    def granted(what: dict[str, tuple[str, ...]]) -> Any:
        async def holds() -> bool:
            return {grant.bucket: grant.actions for grant in (await world.key()).grants} == what

        return holds

    await world.delete("BucketGrant", "to-default", "films")
    await world.until(granted({"logs": ("s3:GetObject", "s3:PutObject")}))
    narrowed = {"grants": [{"bucket": "logs", "actions": ["s3:GetObject"]}], "allowedNetworks": ["192.0.2.0/24"]}
    await world.apply("AccessKey", "ci", {**narrowed, "expiresAt": "2100-01-01T00:00:00Z"})
    await world.until(granted({"logs": ("s3:GetObject",)}))
    key = await world.key()
    assert (key.networks, key.not_after) == (("192.0.2.0/24",), 4102444800.0)
    assert await world.condition("AccessKey", "ci") == ("False", "RegionNotFound")


async def test_the_record_of_a_region_goes_with_the_last_that_is_there(world: World) -> None:
    await world.apply("Region", "west", {"tag": "us-west-1"})
    await world.apply("Bucket", "photos", {"region": "west"})
    await world.apply("Bucket", "elsewhere")
    for name in ("photos", "elsewhere"):
        await world.until_ready("Bucket", name)
    await world.delete("Region", "west")
    await world.settle()
    assert await world.cluster.get_record(region_record_name("west")) is not None
    await world.delete("Bucket", "photos")
    await world.until_gone("Bucket", "photos")
    await there_is_no_record_of(world, "west")
    assert await world.cluster.get_record(region_record_name("local")) is not None


async def test_the_record_of_a_region_is_held_by_who_names_none_and_is_there(world: World) -> None:
    await world.apply("Bucket", "photos")
    await world.apply("AccessKey", "ci", {"grants": [{"bucket": "photos"}]})
    await world.until_ready("AccessKey", "ci")
    await the_default_becomes_another(world)
    await world.delete("Region", "local")
    await world.settle()
    assert await world.cluster.get_record(region_record_name("local")) is not None
    for kind, name in (("AccessKey", "ci"), ("Bucket", "photos")):
        await world.delete(kind, name)
        await world.until_gone(kind, name)
    await there_is_no_record_of(world, "local")


async def test_nobody_who_names_no_region_holds_the_record_of_one_that_is_gone(world: World) -> None:
    await world.apply("Region", "west", {"tag": "us-west-1"})
    await world.apply("AccessKey", "waits", {"grants": [{"bucket": "missing"}]})
    await world.until_condition("AccessKey", "waits", "False", "BucketNotFound")
    await world.delete("Region", "west")
    await there_is_no_record_of(world, "west")


async def test_a_record_that_somebody_took_away_holds_no_region(world: World) -> None:
    await world.apply("Region", "west", {"tag": "us-west-1"})
    await world.apply("AccessKey", "ci", {"region": "west", "grants": [{"bucket": "photos"}]})
    await world.apply("Bucket", "photos", {"region": "west", "credentials": {"enabled": False}})
    await world.until_ready("AccessKey", "ci")
    index: Any = world.operator._index  # pyright: ignore[reportPrivateUsage]
    held = index.in_region("west")
    assert len(held) == 2
    for name in held:
        found = await world.cluster.get_record(name)
        assert found is not None
        await world.cluster.delete_record(found)
    for kind, name in (("AccessKey", "ci"), ("Bucket", "photos")):
        obj = await world.get(kind, name) or {}
        await world.cluster.update({**obj, "metadata": {**obj["metadata"], "finalizers": []}})
        await world.delete(kind, name)
        await world.until_gone(kind, name)
    await world.delete("Region", "west")
    await there_is_no_record_of(world, "west")
