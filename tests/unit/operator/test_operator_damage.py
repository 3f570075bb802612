"""Damaged records: told, and replaced where it is known what they said; what is replaced is kept."""

from dataclasses import replace

import msgspec
import pytest

from cooper_crds.names import access_key_id, key_record_name
from cooper_crds.records import BucketRecord, KeyRecord, Owner, RegionRecord
from cooper_crds.region import MAX_RECORD_AGE
from cooper_operator.cluster.port import Ref
from unit.operator.operator_world import World


async def sweep(world: World) -> bool:
    swept = await world.operator._sweeper.sweep()  # pyright: ignore[reportPrivateUsage]
    await world.settle()
    return swept


def told(world: World, about: Ref, reason: str) -> list[str]:
    return [event.message for event in world.cluster.events(about) if event.reason == reason]


@pytest.fixture
async def provisioned(world: World) -> World:
    await world.apply("Bucket", "photos", {"visibility": "Public"})
    await world.until_ready("Bucket", "photos")
    await world.settle()
    return world


async def damaged(world: World) -> list[str]:
    return [each.name for each in (await world.cluster.list_records()).damaged]


@pytest.mark.parametrize("kind", ["Bucket", "Region"])
async def test_a_record_that_its_resource_tells_is_made_anew_as_it_was(provisioned: World, kind: str) -> None:
    world = provisioned
    name, about = {
        "Bucket": ("bucket-photos", Ref("Bucket", "default", "photos")),
        "Region": ("region-local", Ref("Region", "", "local")),
    }[kind]
    before = await world.cluster.get_record(name)
    key = await world.key()
    world.cluster.damage_record(name)
    await world.until_condition(kind, about.name, "False", "RecordUnreadable")
    await sweep(world)
    assert await damaged(world) == [name]
    assert "It is replaced by itself" in told(world, about, "RecordUnreadable")[-1]
    await sweep(world)
    after = await world.cluster.get_record(name)
    assert before is not None and after is not None
    if isinstance(after.record, RegionRecord):  # which age gateways go by that have not read it is not known
        assert after.record.longer_age_until == pytest.approx(world.now() + MAX_RECORD_AGE, abs=10)
        after = replace(after, record=msgspec.structs.replace(after.record, longer_age_until=0.0))
    assert after.record == before.record
    await world.until_ready(kind, about.name)
    assert list(world.cluster.set_aside) == [
        "bucket-photos.damaged-0" if kind == "Bucket" else "region-local.damaged-0"
    ]
    assert "is kept as" in told(world, about, "RecordRebuilt")[0]
    assert await world.key() == key


@pytest.mark.parametrize("state", ["Active", "Revoked"])
async def test_a_damaged_key_is_given_up_for_a_new_one(provisioned: World, state: str) -> None:
    world = provisioned
    first = await world.key()
    spec = (await world.get("AccessKey", "photos") or {})["spec"]
    world.cluster.damage_record(key_record_name(first.access_key_id))
    await world.until_condition("AccessKey", "photos", "False", "RecordUnreadable")
    await world.apply("AccessKey", "photos", {**spec, "state": state})
    await sweep(world)
    await sweep(world)
    if state == "Revoked":
        await world.until_condition("AccessKey", "photos", "True", "RefusedEverywhere", "Revoked")
        (tombstone,) = await world.keys()
        assert (tombstone.access_key_id, tombstone.state) == (first.access_key_id, "Revoked")
        assert tombstone.revoked_at == pytest.approx(world.now(), abs=10)
        return
    await world.until_ready("AccessKey", "photos")
    await world.settle()
    second = await world.key()
    assert (second.serial, second.state) == (first.serial + 1, "Active")
    secret = await world.secret("photos")
    assert (secret["ACCESS_KEY"], secret["SECRET_KEY"]) == (second.access_key_id, second.secret_key)
    assert second.secret_key != first.secret_key
    assert len(world.cluster.set_aside) == 1


@pytest.mark.parametrize("how", ["revoked", "deleted"])
async def test_a_key_goes_whatever_is_to_be_said_of_its_buckets(provisioned: World, how: str) -> None:
    world = provisioned
    await world.apply("AccessKey", "ci", {"grants": [{"bucket": "photos"}]})
    await world.until_ready("AccessKey", "ci")
    await world.settle()
    world.cluster.damage_record("bucket-photos")
    if how == "deleted":
        await world.delete("AccessKey", "ci")
        await world.until_gone("AccessKey", "ci")
    else:
        await world.apply("AccessKey", "ci", {"grants": [{"bucket": "photos"}], "state": "Revoked"})
        await world.until_condition("AccessKey", "ci", "True", "RefusedEverywhere", "Revoked")
    assert {key.state for key in await world.keys() if key.owner.name == "ci"} <= {"Revoked"}


@pytest.mark.parametrize("state", ["Active", "Revoked"])
async def test_what_is_withdrawn_while_a_former_key_is_damaged_is_withdrawn_from_the_other(
    provisioned: World, state: str
) -> None:
    world = provisioned
    spec = {"grants": [{"bucket": "photos"}]}
    await world.apply("AccessKey", "ci", spec)
    await world.until_ready("AccessKey", "ci")
    (former,) = [each for each in await world.keys() if each.owner.name == "ci"]
    await world.apply("AccessKey", "ci", {**spec, "state": "Revoked"})
    await world.until_condition("AccessKey", "ci", "True", "RefusedEverywhere", "Revoked")
    await world.apply("AccessKey", "ci", spec)
    await world.until_ready("AccessKey", "ci")
    (key,) = [each for each in await world.keys() if each.owner.name == "ci" and each.state == "Active"]
    world.cluster.damage_record(key_record_name(former.access_key_id))
    await world.until_condition("AccessKey", "ci", "False", "RecordUnreadable")
    reads = [{"bucket": "photos", "actions": ["s3:GetObject"]}]
    await world.apply("AccessKey", "ci", {"grants": reads, "state": state})
    await world.settle()
    (after,) = [each for each in await world.keys() if each.access_key_id == key.access_key_id]
    assert after.state == state
    assert [grant.actions for grant in after.grants] == ([("s3:GetObject",)] if state == "Active" else [])


async def test_what_is_withdrawn_while_a_record_is_damaged_does_not_come_back_with_it(provisioned: World) -> None:
    """On that Bucket, and on others at once."""
    world = provisioned
    both = [{"bucket": name, "actions": ["s3:GetObject", "s3:PutObject"]} for name in ("photos", "logs")]
    await world.apply("Bucket", "logs")
    await world.apply("AccessKey", "ci", {"grants": both})
    await world.until_ready("AccessKey", "ci")
    await world.settle()
    world.cluster.damage_record("bucket-photos")
    await world.apply("AccessKey", "ci", {"grants": [{**each, "actions": ["s3:GetObject"]} for each in both]})
    await world.until_condition("AccessKey", "ci", "False", "RecordUnreadable")

    async def granted() -> dict[str, tuple[str, ...]]:
        (key,) = (key for key in await world.keys() if key.owner.name == "ci")
        return {grant.bucket: grant.actions for grant in key.grants}

    await world.settle()
    assert await granted() == {"logs": ("s3:GetObject",)}
    assert "Bucket photos in this namespace is not served" in await world.message("AccessKey", "ci")
    await sweep(world)
    await sweep(world)
    assert await damaged(world) == []
    await world.until_ready("AccessKey", "ci")
    assert await granted() == {"photos": ("s3:GetObject",), "logs": ("s3:GetObject",)}


async def test_a_bucket_whose_record_a_newer_version_wrote_takes_no_rights_away(provisioned: World) -> None:
    """As during an upgrade: its gateways read it."""
    world = provisioned
    await world.apply("AccessKey", "ci", {"grants": [{"bucket": "photos"}]})
    await world.until_ready("AccessKey", "ci")
    await world.settle()
    world.cluster.damage_record("bucket-photos", "record version 2 is not 1", replaceable=False)
    await world.apply("AccessKey", "ci", {"grants": [{"bucket": "photos"}], "allowedNetworks": ["192.0.2.0/24"]})
    await world.until_condition("AccessKey", "ci", "False", "RecordUnreadable")
    await world.settle()
    (key,) = (key for key in await world.keys() if key.owner.name == "ci")
    assert [grant.bucket for grant in key.grants] == ["photos"]


async def test_the_bucket_of_a_key_that_cannot_be_read_says_so_too(provisioned: World) -> None:
    provisioned.cluster.damage_record(key_record_name((await provisioned.key()).access_key_id))
    await provisioned.until_condition("Bucket", "photos", "False", "RecordUnreadable")


async def test_the_serial_of_a_key_that_status_names_is_found(provisioned: World) -> None:
    world = provisioned
    spec = (await world.get("AccessKey", "photos") or {})["spec"]
    for _ in range(2):
        await world.apply("AccessKey", "photos", {**spec, "state": "Revoked"})
        await world.until_condition("AccessKey", "photos", "True", "RefusedEverywhere", "Revoked")
        await world.apply("AccessKey", "photos", spec)
        await world.until_ready("AccessKey", "photos")
    await world.settle()
    key = await world.key()
    assert key.serial == 2
    world.cluster.damage_record(key_record_name(key.access_key_id))
    await sweep(world)
    await sweep(world)
    await world.until_ready("AccessKey", "photos")
    await world.settle()
    assert (await world.key()).serial == 3


async def test_a_record_that_is_put_back_between_two_looks_is_left_alone(provisioned: World) -> None:
    world = provisioned
    key = await world.key()
    name = key_record_name(key.access_key_id)
    world.cluster.damage_record(name)
    await sweep(world)
    world.cluster._put_record(name, key)  # pyright: ignore[reportPrivateUsage]
    await sweep(world)
    await world.until_ready("AccessKey", "photos")
    assert await world.key() == key
    assert not world.cluster.set_aside


async def test_a_record_of_a_newer_version_is_told_and_left_alone(provisioned: World) -> None:
    world = provisioned
    world.cluster.damage_record("bucket-photos", "record version 2 is not 1", replaceable=False)
    for _ in range(3):
        await sweep(world)
    assert await damaged(world) == ["bucket-photos"]
    messages = told(world, Ref("Bucket", "default", "photos"), "RecordUnreadable")
    assert any("by itself" not in message for message in messages)
    assert not world.cluster.set_aside


async def test_a_record_of_nobody_is_told_once_and_kept(provisioned: World) -> None:
    world = provisioned
    lost = BucketRecord("lost", "d", Owner("default", "lost", "uid"), retained=True)
    await world.cluster.create_record("bucket-lost", lost)
    world.cluster.damage_record("bucket-lost")
    for _ in range(3):
        await sweep(world)
    assert await damaged(world) == ["bucket-lost"]
    (event,) = [each for each in world.cluster.events() if "bucket-lost" in each.message]
    assert (event.about, event.reason, event.count) == (Ref("Region", "", "local"), "RecordUnreadable", 1)


async def test_a_name_that_two_buckets_claim_is_given_to_neither(provisioned: World) -> None:
    world = provisioned
    await world.stop()
    await world.apply("Bucket", "forger", {"bucketName": "photos"}, "other")
    forger = await world.get("Bucket", "forger", "other") or {}
    await world.cluster.update_status({**forger, "status": {"bucketName": "photos"}})
    world.cluster.damage_record("bucket-photos")
    await world.start(region=False)
    for _ in range(3):
        await sweep(world)
    assert await damaged(world) == ["bucket-photos"]


async def test_so_many_damaged_records_that_something_else_is_wrong_are_left_alone(provisioned: World) -> None:
    world = provisioned
    uid = (await world.get("AccessKey", "photos") or {})["metadata"]["uid"]
    for serial in range(1, 7):
        key = KeyRecord(access_key_id(uid, serial), "s" * 40, Owner("default", "photos", uid), serial, state="Revoked")
        await world.cluster.create_record(key_record_name(key.access_key_id), key)
        world.cluster.damage_record(key_record_name(key.access_key_id))
    for _ in range(3):
        await sweep(world)
    assert len(await damaged(world)) == 6
    assert not world.cluster.set_aside
    (message,) = told(world, Ref("Region", "", "local"), "SweepHalted")
    assert message.startswith("6 records cannot be read; none of them was replaced")
