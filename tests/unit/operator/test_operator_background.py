"""What the operator does besides reconciling: its own key, DeleteBucket over S3, the sweep of orphans."""

import dataclasses
from typing import Any

import msgspec
import pytest

from cooper_crds.names import access_key_id, key_record_name
from cooper_crds.records import BucketRecord, Grant, KeyRecord, Owner
from cooper_operator.cluster.recollection import Seen
from cooper_operator.gateways.port import Intent
from cooper_operator.gateways.system_key import SystemKey
from cooper_operator.reconcile import queue
from unit.operator.operator_world import World


async def system_keys(world: World) -> list[KeyRecord]:
    records = [stored.record for stored in await world.cluster.list_records()]
    return [record for record in records if isinstance(record, KeyRecord) and record.system]


async def test_the_system_key_is_made_anew_at_each_start(world: World) -> None:
    async def made() -> bool:
        return len(await system_keys(world)) == 1 and world.system_key.current() is not None

    await world.until(made)
    (first,) = await system_keys(world)
    assert world.system_key.current() == first
    assert first.grants == ()
    await world.stop()
    await world.start(region=False)

    async def replaced() -> bool:
        return [key.access_key_id for key in await system_keys(world)] not in ([first.access_key_id], [])

    await world.until(replaced)
    await world.settle()
    (second,) = await system_keys(world)
    assert world.system_key.current() == second


async def test_the_system_key_of_who_gave_the_lease_up_is_kept(world: World) -> None:
    before = await _used(world)
    await world.stop()
    world.keep_key = True
    writes = world.count_writes()
    assert await _started_again(world) == before
    assert await system_keys(world) == [before]
    assert writes == []


#: What may be there instead of one key as it is made here.
NOT_KEPT: dict[str, dict[str, Any]] = {
    "revoked": {"state": "Revoked"},
    "somebody's": {"owner": Owner("team", "key", "uid-of-key")},
    "of other networks": {"networks": ("10.0.0.0/8",)},
    "expired": {"not_after": 1.0},
}


@pytest.mark.parametrize("change", NOT_KEPT.values(), ids=NOT_KEPT)
async def test_a_system_key_that_is_not_as_it_is_made_is_not_kept(world: World, change: dict[str, Any]) -> None:
    before = await _used(world)
    await world.stop()
    (stored,) = [each for each in await world.cluster.list_records() if each.record == before]
    await world.cluster.update_record(stored, msgspec.structs.replace(before, **change))
    world.keep_key = True
    after = await _started_again(world)
    assert after.access_key_id != before.access_key_id
    assert await system_keys(world) == [after]


async def test_none_of_two_system_keys_is_kept(world: World) -> None:
    """Who made the second one crashed before he removed the first, or was not the only one to lead."""
    before = await _used(world)
    await world.stop()
    other = msgspec.structs.replace(
        before, access_key_id=access_key_id("other", 0), owner=Owner("", "cooper-operator", "other")
    )
    await world.cluster.create_record(key_record_name(other.access_key_id), other)
    world.keep_key = True
    after = await _started_again(world)
    assert after.access_key_id not in (before.access_key_id, other.access_key_id)
    assert await system_keys(world) == [after]


async def _used(world: World) -> KeyRecord:
    async def used() -> bool:
        return world.system_key.current() is not None and len(await system_keys(world)) == 1

    await world.until(used)
    (key,) = await system_keys(world)
    return key


async def _started_again(world: World) -> KeyRecord:
    world.system_key = SystemKey()
    await world.start(region=False)
    key = await _used(world)
    assert world.system_key.current() == key
    return key


@pytest.fixture
async def asking(quiet_world: World) -> World:
    """A bucket whose key may delete it, in a world that polls for intents."""
    world = quiet_world
    world.intervals = type(world.intervals)(intents=0.02, usage=3600, sweep=3600, resync=3600)
    await world.start()
    await world.apply("Bucket", "photos", {"credentials": {"actions": ["s3:GetObject", "s3:DeleteBucket"]}})
    await world.until_ready("Bucket", "photos")
    return world


async def ask(world: World) -> BucketRecord:
    record = await world.bucket_record("photos")
    assert record is not None
    world.gateways.bucket(record.data_id).closed = True
    world.gateways.requests.append(Intent("photos", record.data_id, (await world.key()).access_key_id))
    return record


async def test_delete_bucket_over_s3_deletes_the_resource(asking: World) -> None:
    record = await ask(asking)
    await asking.until_gone("Bucket", "photos")
    assert asking.gateways.bucket(record.data_id).destroyed
    assert asking.gateways.requests == []


async def test_delete_bucket_over_s3_without_the_right_reopens_the_bucket(asking: World) -> None:
    await asking.apply("Bucket", "photos", {"credentials": {"actions": ["s3:GetObject"]}})
    await asking.until_ready("Bucket", "photos")

    async def narrowed() -> bool:
        return (await asking.key()).grants[0].actions == ("s3:GetObject",)

    await asking.until(narrowed)
    record = await ask(asking)

    async def reopened() -> bool:
        return asking.gateways.requests == []

    await asking.until(reopened)
    assert not asking.gateways.bucket(record.data_id).closed
    assert (await asking.get("Bucket", "photos") or {})["metadata"].get("deletionTimestamp") is None
    assert "DeleteNotAuthorized" in [event.reason for event in asking.cluster.events()]


async def test_intents_wait_while_the_cluster_is_away(asking: World) -> None:
    asking.cluster.unavailable = "maintenance"
    asking.gateways.requests.append(Intent("photos", "x", "AKIA"))
    assert await asking.operator._intents.poll() is None  # pyright: ignore[reportPrivateUsage]
    asking.cluster.unavailable = None
    assert len(asking.gateways.requests) == 1


async def orphan_key(world: World, number: int) -> str:
    owner = Owner("default", f"lost-{number}", f"lost-uid-{number}")
    key = KeyRecord(f"AKIALOST{number:012d}", "s" * 40, owner, 0, (Grant("b", "d", ()),))
    name = key_record_name(key.access_key_id)
    await world.cluster.create_record(name, key)
    return name


async def orphan_bucket(world: World, objects: int, **fields: Any) -> None:
    """The record of a Bucket that is gone."""
    await world.until_ready("Region", "local")
    lost = BucketRecord("lost", "lost-uid", Owner("default", "lost", "lost-uid"), region="local", **fields)
    await world.cluster.create_record("bucket-lost", lost)
    world.gateways.bucket("lost-uid").objects = objects


async def test_orphans_go_but_data_stays(world: World) -> None:
    await world.apply("Bucket", "photos")
    await world.until_ready("Bucket", "photos")
    name = await orphan_key(world, 1)
    await orphan_bucket(world, 3, deletion_policy="Delete")
    assert await world.operator._sweeper.sweep()  # pyright: ignore[reportPrivateUsage]
    assert await world.cluster.get_record(name) is None
    record = await world.bucket_record("lost")
    assert record is not None
    assert (record.retained, record.deletion_policy) == (True, "Retain")
    data = world.gateways.bucket("lost-uid")
    assert (data.closed, data.destroyed) == (False, False)
    assert (await world.key()).owner.name == "photos"
    kept = await world.bucket_record("photos")
    assert kept is not None
    assert not kept.retained


@pytest.mark.parametrize(
    ("policy", "retained", "stays"),
    [
        ("Delete", False, False),
        ("Delete", True, False),  # stopped when its deletion was shown
        ("Purge", False, False),
        ("Retain", False, True),
        ("Retain", True, True),
    ],
)
async def test_an_orphaned_bucket_that_holds_nothing_gives_its_name_free_unless_it_was_to_be_retained(
    world: World, policy: str, retained: bool, stays: bool
) -> None:
    await orphan_bucket(world, 0, deletion_policy=policy, retained=retained)
    assert await world.operator._sweeper.sweep()  # pyright: ignore[reportPrivateUsage]
    record = await world.bucket_record("lost")
    assert (record is not None and record.retained) == stays
    assert world.gateways.bucket("lost-uid").destroyed != stays


async def test_an_orphaned_bucket_is_not_removed_while_no_gateway_can_be_asked(world: World) -> None:
    await orphan_bucket(world, 0, deletion_policy="Delete")
    world.gateways.away = True
    assert await world.operator._sweeper.sweep()  # pyright: ignore[reportPrivateUsage]
    record = await world.bucket_record("lost")
    assert record is not None and record.retained
    world.gateways.away = False
    assert await world.operator._sweeper.sweep()  # pyright: ignore[reportPrivateUsage]
    assert await world.bucket_record("lost") is None


async def test_what_a_sweep_left_of_a_namespace_is_adopted_there(world: World) -> None:
    await orphan_bucket(world, 3, deletion_policy="Delete", namespace_uid="uid-of-default")
    await world.apply("Bucket", "lost", {"adopt": True})
    await world.until_condition("Bucket", "lost", "False", "NameTaken")
    assert await world.operator._sweeper.sweep()  # pyright: ignore[reportPrivateUsage]
    await world.until_ready("Bucket", "lost")
    record = await world.bucket_record("lost")
    assert record is not None and record.data_id == "lost-uid"


async def test_records_of_namespaces_that_are_not_served_are_left_alone(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = await orphan_key(world, 1)
    monkeypatch.setattr(world.cluster, "serves", lambda namespace: namespace != "default")
    assert await world.operator._sweeper.sweep()  # pyright: ignore[reportPrivateUsage]
    assert await world.cluster.get_record(name) is not None
    monkeypatch.undo()
    assert await world.operator._sweeper.sweep()  # pyright: ignore[reportPrivateUsage]
    assert await world.cluster.get_record(name) is None


async def test_an_orphaned_key_is_refused_everywhere_before_its_record_goes(world: World) -> None:
    await world.settle()
    name = await orphan_key(world, 1)
    world.gateways.away = True
    assert await world.operator._sweeper.sweep()  # pyright: ignore[reportPrivateUsage]
    stored = await world.cluster.get_record(name)
    assert stored is not None
    assert isinstance(stored.record, KeyRecord)
    assert stored.record.state == "Revoked"
    world.gateways.away = False
    assert await world.operator._sweeper.sweep()  # pyright: ignore[reportPrivateUsage]
    assert await world.cluster.get_record(name) is None


async def test_a_sweep_that_would_touch_many_halts_and_says_so(world: World) -> None:
    await world.settle()
    names = [await orphan_key(world, number) for number in range(6)]
    assert not await world.operator._sweeper.sweep()  # pyright: ignore[reportPrivateUsage]
    for name in names:
        stored = await world.cluster.get_record(name)
        assert stored is not None
        assert isinstance(stored.record, KeyRecord)
        assert stored.record.state == "Active"
    assert "SweepHalted" in [event.reason for event in world.cluster.events()]


async def unheld(world: World, *names: str) -> list[str]:
    """AccessKeys that somebody deletes after taking the finalizer off, while nobody works; their UIDs."""
    await world.apply("Bucket", "photos")
    for name in names:
        await world.apply("AccessKey", name, {"grants": [{"bucket": "photos"}]})
        await world.until_ready("AccessKey", name)
    await world.settle()
    await world.stop()
    uids: list[str] = []
    for name in names:
        obj = await world.get("AccessKey", name) or {}
        uids.append(obj["metadata"]["uid"])
        await world.cluster.update({**obj, "metadata": {**obj["metadata"], "finalizers": []}})
        await world.delete("AccessKey", name)
        assert await world.get("AccessKey", name) is None
    return uids


async def states(world: World, uids: list[str]) -> set[str]:
    return {key.state for key in await world.keys() if key.owner.uid in uids}


async def test_a_deletion_that_was_seen_revokes_however_many_there_are(quiet_world: World) -> None:
    world = await quiet_world.start()
    world.recollection = seen = Seen()
    uids = await unheld(world, *(f"ci-{number}" for number in range(12)))
    await world.start(region=False)
    await world.settle()
    sweeper = world.operator._sweeper  # pyright: ignore[reportPrivateUsage]
    assert not await sweeper.sweep(), "absence alone proves too little"
    assert await states(world, uids) == {"Active"}
    for uid in uids:
        seen.saw_deletion(uid)
    world.cluster.unavailable = "maintenance"
    await sweeper.stop_deleted()
    world.cluster.unavailable = None

    async def revoked() -> bool:
        return await states(world, uids) == {"Revoked"}

    await world.until(revoked)
    assert await sweeper.sweep()
    assert await states(world, uids) == set()
    await world.until_ready("AccessKey", "photos")


async def test_what_is_there_is_not_stopped_by_a_deletion_that_was_seen(quiet_world: World) -> None:
    world = await quiet_world.start()
    world.recollection = seen = Seen()
    await world.apply("Bucket", "photos")
    await world.until_ready("Bucket", "photos")
    await world.stop()
    await world.start(region=False)
    await world.settle()
    bucket, key = await world.bucket_record("photos"), await world.key()
    assert bucket is not None
    for each in (bucket, key):
        seen.saw_deletion(each.owner.uid)
    await world.operator._sweeper.stop_deleted()  # pyright: ignore[reportPrivateUsage]
    assert (await world.bucket_record("photos"), await world.key()) == (bucket, key)


async def test_a_sweep_touches_nothing_while_the_cluster_is_away(world: World) -> None:
    await world.settle()
    name = await orphan_key(world, 1)
    world.cluster.unavailable = "maintenance"
    assert not await world.operator._sweeper.sweep()  # pyright: ignore[reportPrivateUsage]
    world.cluster.unavailable = None
    stored = await world.cluster.get_record(name)
    assert stored is not None
    assert isinstance(stored.record, KeyRecord)
    assert stored.record.state == "Active"


async def test_the_record_of_a_region_that_is_gone_and_unused_goes(world: World) -> None:
    await world.apply("Bucket", "photos")
    await world.until_ready("Bucket", "photos")
    await world.delete("Region", "local")
    await world.settle()
    assert await world.cluster.get_record("region-local") is not None
    await world.delete("Bucket", "photos")
    await world.until_gone("Bucket", "photos")
    await world.operator._sweeper.sweep()  # pyright: ignore[reportPrivateUsage]

    async def gone() -> bool:
        return await world.cluster.get_record("region-local") is None

    await world.until(gone)


@pytest.mark.parametrize(("where", "kept"), [(None, False), ("second", True)])
async def test_a_bucket_that_names_no_region_lives_where_its_status_says(
    world: World, where: str | None, kept: bool
) -> None:
    await world.apply("Region", "second", {"tag": "us-west-2"})
    await world.apply("Bucket", "photos", {"region": where} if where else {})
    await world.until_ready("Bucket", "photos")
    await world.delete("Region", "second")
    await world.settle()
    assert (await world.cluster.get_record("region-second") is not None) is kept


async def test_a_gap_in_a_list_is_no_proof_of_absence(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    await world.apply("Bucket", "photos")
    await world.until_ready("Bucket", "photos")

    async def nothing(kind: str) -> list[object]:
        return []

    monkeypatch.setattr(world.cluster, "list_kind", nothing)
    assert await world.operator._sweeper.sweep()  # pyright: ignore[reportPrivateUsage]
    assert (await world.key()).state == "Active"
    record = await world.bucket_record("photos")
    assert record is not None
    assert not record.retained


async def test_what_waits_for_a_gateway_goes_on_when_it_answers_again(
    quiet_world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queue, "FIRST_RETRY", 3600.0)
    world = quiet_world
    world.intervals = dataclasses.replace(world.intervals, returns=0.02)
    await world.start()
    world.gateways.silent = {0}
    await world.apply("Bucket", "photos")
    await world.until_condition("AccessKey", "photos", "False", "WaitingForGateways")
    await world.settle()
    world.gateways.silent = set()
    await world.until_ready("Bucket", "photos")
