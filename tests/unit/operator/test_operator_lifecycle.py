"""What the operator does over a cluster and gateways in memory, from apply to gone."""

from dataclasses import replace

import msgspec
import pytest

from cooper_crds.actions import DEFAULT_ACTIONS
from cooper_crds.fields import timestamp, unix_seconds
from cooper_crds.names import key_record_name
from cooper_crds.records import BucketRecord, RegionRecord
from cooper_operator.cluster.port import ClusterError, Invalid, NotAllowed, Object, Ref
from cooper_operator.reconcile import queue
from unit.operator.operator_world import ENDPOINT, World, manifest


async def ready_bucket(world: World, name: str = "photos", **spec: object) -> None:
    await world.apply("Bucket", name, dict(spec))
    await world.until_ready("Bucket", name)
    await world.settle()


async def test_a_bucket_gets_credentials_that_work(world: World) -> None:
    await ready_bucket(world)
    key = await world.key()
    record = await world.bucket_record("photos")
    assert await world.secret("photos") == {
        "ACCESS_KEY": key.access_key_id,
        "SECRET_KEY": key.secret_key,
        "ENDPOINT": ENDPOINT,
        "REGION": "us-east-1",
        "BUCKET": "photos",
    }
    bucket = await world.get("Bucket", "photos")
    assert bucket is not None and record is not None
    assert record.data_id == record.owner.uid == bucket["metadata"]["uid"]
    assert [(grant.bucket, grant.data_id, grant.actions) for grant in key.grants] == [
        ("photos", record.data_id, DEFAULT_ACTIONS)
    ]
    assert len(key.secret_key) == 40
    assert bucket["status"]["bucketName"] == "photos"
    assert bucket["status"]["binding"] == {"name": "photos"}
    assert bucket["metadata"]["finalizers"] == ["cooper.dev/finalizer"]


async def test_credentials_are_not_written_before_every_worker_accepts_the_key(world: World) -> None:
    world.gateways.stale.add(1)
    await world.apply("Bucket", "photos")
    await world.until_condition("AccessKey", "photos", "False", "WaitingForGateways")
    assert "worker 1" in await world.message("AccessKey", "photos")
    assert await world.credentials("photos") is None
    world.gateways.stale.clear()
    await world.until_ready("Bucket", "photos")
    assert (await world.secret("photos"))["ACCESS_KEY"] == (await world.key()).access_key_id


async def test_nothing_is_written_when_nothing_changed(world: World) -> None:
    await ready_bucket(world)
    await world.apply("Bucket", "shut", {"apiAccess": "Revoked"})
    await world.until_condition("Bucket", "shut", "True", "ApiAccessRevoked", "Revoked")
    await world.apply("AccessKey", "gone", {"grants": [{"bucket": "photos"}], "state": "Revoked"})
    await world.until_condition("AccessKey", "gone", "True", "NeverIssued", "Revoked")
    await world.stop()
    world.gateways.calls.clear()
    writes = world.count_writes()
    await world.start(region=False)
    await world.until(lambda: _true(world))
    await world.settle()
    own = [write for write in writes if "key-" not in write]  # the operator's own key is made at each start
    assert own == []
    assert len(writes) == 2
    assert world.gateways.calls == []


async def _true(world: World) -> bool:
    return world.system_key.current() is not None


async def test_a_missing_region_is_said_and_its_coming_wakes(quiet_world: World) -> None:
    world = await quiet_world.start(region=False)
    await world.apply("Bucket", "named", {"region": "east"})
    await world.apply("Bucket", "unnamed")
    await world.until_condition("Bucket", "named", "False", "RegionNotFound")
    await world.until_condition("Bucket", "unnamed", "False", "RegionNotFound")
    assert "there is no Region east" in await world.message("Bucket", "named")
    await world.apply("Region", "east", {"tag": "east-1"})
    await world.until_ready("Bucket", "named")
    await world.apply("Region", "west", {"tag": "west-1", "default": True})
    await world.until_ready("Bucket", "unnamed")
    assert (await world.secret("unnamed"))["REGION"] == "west-1"


async def test_two_default_regions_are_said_on_both_and_on_the_bucket(world: World) -> None:
    await world.apply("Region", "other", {"tag": "other", "default": True})
    await world.apply("Bucket", "photos")
    for kind, name in (("Region", "local"), ("Region", "other"), ("Bucket", "photos")):
        await world.until_condition(kind, name, "False", "DefaultRegionAmbiguous")
    await world.apply("Region", "other", {"tag": "other"})
    await world.until_ready("Region", "local")
    await world.until_ready("Bucket", "photos")


async def test_the_name_belongs_to_the_first(world: World) -> None:
    await ready_bucket(world)
    before = await world.bucket_record("photos")
    await world.apply("Bucket", "photos", namespace="other")
    await world.until_condition("Bucket", "photos", "False", "NameTaken", namespace="other")
    assert await world.bucket_record("photos") == before
    assert await world.credentials("photos", "other") is None


@pytest.fixture
def no_retries(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is looked at again by itself, as far as a test goes."""
    monkeypatch.setattr(queue, "FIRST_RETRY", 60.0)


@pytest.mark.usefixtures("no_retries")
async def test_the_name_is_had_as_soon_as_the_first_is_gone(world: World) -> None:
    await ready_bucket(world)
    await world.apply("Bucket", "photos", namespace="other")
    await world.until_condition("Bucket", "photos", "False", "NameTaken", namespace="other")
    await world.settle()
    await world.delete("Bucket", "photos")
    await world.until_ready("Bucket", "photos", namespace="other")
    record = await world.bucket_record("photos")
    assert record is not None
    assert record.owner.namespace == "other"


@pytest.mark.usefixtures("no_retries")
async def test_the_secrets_name_is_had_as_soon_as_a_foreign_one_is_gone(world: World) -> None:
    world.cluster.set_credentials("default", "photos", {"password": "mine"})
    await world.apply("Bucket", "photos")
    await world.until_condition("AccessKey", "photos", "False", "SecretConflict")
    await world.settle()
    world.cluster.remove_credentials("default", "photos")
    await world.until_ready("AccessKey", "photos")


async def test_a_foreign_secret_is_left_alone_and_its_removal_lets_it_go_on(world: World) -> None:
    world.cluster.set_credentials("default", "photos", {"password": "mine"})
    await world.apply("Bucket", "photos")
    await world.until_condition("AccessKey", "photos", "False", "SecretConflict")
    await world.until_condition("Bucket", "photos", "False", "SecretConflict")
    assert await world.secret("photos") == {"password": "mine"}
    assert await world.keys() == []
    world.cluster.remove_credentials("default", "photos")
    await world.until_ready("Bucket", "photos")


async def test_a_foreign_access_key_is_left_alone(world: World) -> None:
    await world.apply("Bucket", "other")
    await world.apply("AccessKey", "photos", {"grants": [{"bucket": "other"}]})
    await world.until_ready("AccessKey", "photos")
    await world.apply("Bucket", "photos")
    await world.until_condition("Bucket", "photos", "False", "AccessKeyConflict")
    await world.delete("AccessKey", "photos")
    await world.until_ready("Bucket", "photos")


@pytest.mark.parametrize("error", [Invalid("a quota"), NotAllowed("a right that is missing")])
async def test_what_the_cluster_refuses_is_said_and_done_once_it_is_allowed(world: World, error: ClusterError) -> None:
    create = world.cluster.create

    async def refused(obj: Object) -> Object:
        raise error

    world.cluster.create = refused  # type: ignore[method-assign]
    await world.apply("Bucket", "photos")
    await world.until_condition("Bucket", "photos", "False", "AccessKeyRefused")
    assert str(error) in await world.message("Bucket", "photos")
    world.cluster.create = create  # type: ignore[method-assign]
    await world.until_ready("Bucket", "photos")


@pytest.mark.parametrize("how", ["edited", "removed"])
async def test_credentials_that_drift_are_put_back(world: World, how: str) -> None:
    await ready_bucket(world)
    before = await world.secret("photos")
    if how == "edited":
        world.cluster.set_credentials("default", "photos", {**before, "SECRET_KEY": "wrong"})
    else:
        world.cluster.remove_credentials("default", "photos")

    async def back() -> bool:
        found = await world.credentials("photos")
        return found is not None and dict(found.data) == before

    await world.until(back)
    await world.settle()
    told = [each for each in world.cluster.events(Ref("AccessKey", "default", "photos")) if each.reason != "KeyWorks"]
    assert [(each.type, each.reason, each.count) for each in told] == [("Normal", "SecretRewritten", 1)]


async def test_a_record_that_drifts_is_put_back(world: World) -> None:
    await ready_bucket(world)
    stored = await world.cluster.get_record("bucket-photos")
    assert stored is not None
    record = await world.bucket_record("photos")
    await world.cluster.delete_record(stored)

    async def back() -> bool:
        return await world.bucket_record("photos") == record

    await world.until(back)


async def test_edits_reach_the_record(world: World) -> None:
    await ready_bucket(world)
    await world.apply("Bucket", "photos", {"visibility": "Public", "maxObjectSize": "1Ki", "apiAccess": "Revoked"})
    await world.until_condition("Bucket", "photos", "False", "ApiAccessRevoked")
    record = await world.bucket_record("photos")
    assert record is not None
    assert (record.visibility, record.max_object_size, record.api_access) == ("Public", 1024, "Revoked")
    assert await world.credentials("photos") is not None


async def test_revoked_api_access_is_proven_in_every_worker_and_so_is_its_return(world: World) -> None:
    await ready_bucket(world)
    world.gateways.stale.add(1)
    await world.apply("Bucket", "photos", {"apiAccess": "Revoked"})
    await world.until_condition("Bucket", "photos", "False", "WaitingForGateways", "Revoked")
    assert "worker 1" in await world.message("Bucket", "photos", "Revoked")
    await world.until_condition("Bucket", "photos", "False", "ApiAccessRevoked")
    world.gateways.stale.clear()
    await world.until_condition("Bucket", "photos", "True", "ApiAccessRevoked", "Revoked")
    world.gateways.stale.add(0)
    await world.apply("Bucket", "photos", {"apiAccess": "Allowed"})
    await world.until_condition("Bucket", "photos", "False", "WaitingForGateways")
    assert "worker 0" in await world.message("Bucket", "photos")
    world.gateways.stale.clear()
    await world.until_ready("Bucket", "photos")
    await world.until_condition("Bucket", "photos", "False", "ApiAccessAllowed", "Revoked")
    assert [call for call in world.gateways.calls if "bucket" in call][-1] == "prove_bucket_allowed photos"


async def test_a_crash_between_a_grant_from_elsewhere_and_its_proof_leaves_a_probe_to_do(world: World) -> None:
    await ready_bucket(world)
    await world.apply("AccessKey", "both", {"grants": [{"bucket": "photos"}, {"bucket": "logs"}]})
    await world.until_condition("AccessKey", "both", "False", "BucketNotFound")
    await world.apply("Bucket", "logs", {"credentials": {"enabled": False}})
    await world.until_ready("AccessKey", "both")
    await world.settle()
    await world.stop()
    key = next(key for key in await world.keys() if key.owner.name == "both")
    name = key_record_name(key.access_key_id)
    stored = await world.cluster.get_record(name)
    assert stored is not None
    await world.cluster.update_record(stored, key)  # as a crash leaves it: written, and nobody was asked
    world.gateways.calls.clear()
    await world.start(region=False)
    await world.until(lambda: _probed(world, f"prove_works {key.access_key_id}"))
    await world.settle()
    assert await world.condition("AccessKey", "both") == ("True", "KeyWorks")


async def _probed(world: World, call: str) -> bool:
    return call in world.gateways.calls


async def test_revoke_takes_the_key_and_then_the_secret(world: World) -> None:
    await ready_bucket(world)
    world.gateways.stale.add(0)
    child = await world.get("AccessKey", "photos")
    assert child is not None
    await world.apply("AccessKey", "photos", {**child["spec"], "state": "Revoked"})
    await world.until_condition("AccessKey", "photos", "False", "WaitingForGateways", "Revoked")
    assert "worker 0" in await world.message("AccessKey", "photos", "Revoked")
    assert (await world.key()).state == "Revoked"
    assert await world.credentials("photos") is not None
    world.gateways.stale.clear()
    await world.until_condition("AccessKey", "photos", "True", "RefusedEverywhere", "Revoked")
    assert await world.credentials("photos") is None
    assert (await world.key()).secret_key  # the tombstone keeps it
    await world.until_condition("Bucket", "photos", "False", "Revoked")


async def test_reactivation_issues_a_new_key(world: World) -> None:
    await ready_bucket(world)
    first = await world.key()
    spec = (await world.get("AccessKey", "photos") or {})["spec"]
    await world.apply("AccessKey", "photos", {**spec, "state": "Revoked"})
    await world.until_condition("AccessKey", "photos", "True", "RefusedEverywhere", "Revoked")
    await world.apply("AccessKey", "photos", {**spec, "state": "Active"})
    await world.until_ready("AccessKey", "photos")
    await world.settle()
    second = await world.key()
    assert (second.serial, second.state) == (1, "Active")
    assert second.access_key_id != first.access_key_id
    assert second.secret_key != first.secret_key
    assert (await world.secret("photos"))["ACCESS_KEY"] == second.access_key_id
    message = await world.message("AccessKey", "photos")
    assert message == "the key works and is delivered; it was issued anew, and the former one stays revoked"
    (event,) = [each for each in world.cluster.events() if each.reason == "KeyReissued"]
    assert second.access_key_id in event.message
    assert second.secret_key not in event.message


async def test_only_the_last_former_key_is_remembered(world: World) -> None:
    await ready_bucket(world)
    spec = (await world.get("AccessKey", "photos") or {})["spec"]
    for _ in range(3):
        await world.apply("AccessKey", "photos", {**spec, "state": "Revoked"})
        await world.until_condition("AccessKey", "photos", "True", "RefusedEverywhere", "Revoked")
        await world.apply("AccessKey", "photos", spec)
        await world.until_ready("AccessKey", "photos")
        await world.settle()
    assert sorted((key.serial, key.state) for key in await world.keys()) == [(2, "Revoked"), (3, "Active")]
    await world.delete("Bucket", "photos")
    await world.until_gone("Bucket", "photos")
    await world.settle()
    assert await world.keys() == []


async def test_a_first_key_is_not_said_to_be_anew(world: World) -> None:
    await ready_bucket(world)
    assert await world.message("AccessKey", "photos") == "the key works and is delivered"
    assert not [each for each in world.cluster.events() if each.reason == "KeyReissued"]


async def test_a_record_of_before_gets_the_date_of_its_resource(world: World) -> None:
    await ready_bucket(world)
    stored = await world.cluster.get_record("bucket-photos")
    assert stored is not None
    assert isinstance(stored.record, BucketRecord)
    obj = await world.get("Bucket", "photos")
    assert obj is not None
    made = int(unix_seconds(obj["metadata"]["creationTimestamp"]))
    assert stored.record.created == made
    await world.cluster.update_record(stored, msgspec.structs.replace(stored.record, created=0))

    async def dated() -> bool:
        record = await world.bucket_record("photos")
        return record is not None and record.created == made

    await world.until(dated)


async def test_a_key_expires_by_itself_and_a_later_time_issues_a_new_one(world: World) -> None:
    await ready_bucket(world)
    soon = timestamp(world.now() + 60)
    await world.apply("AccessKey", "ci", {"grants": [{"bucket": "photos"}], "expiresAt": soon})
    await world.until_ready("AccessKey", "ci")
    assert any(key.not_after is not None for key in await world.keys())
    world.offset = 120.0
    await world.apply("Bucket", "photos", {"visibility": "Public"})  # its generation wakes the key
    await world.until_condition("AccessKey", "ci", "False", "Expired")
    await world.until_condition("AccessKey", "ci", "True", "RefusedEverywhere", "Revoked")
    assert await world.credentials("ci") is None
    later = timestamp(world.now() + 3600)
    await world.apply("AccessKey", "ci", {"grants": [{"bucket": "photos"}], "expiresAt": later})
    await world.until_ready("AccessKey", "ci")
    await world.settle()
    keys = [key for key in await world.keys() if key.owner.name == "ci"]
    assert sorted((key.serial, key.state) for key in keys) == [(0, "Revoked"), (1, "Active")]


async def test_expiry_needs_no_event(world: World) -> None:
    await ready_bucket(world)
    at = timestamp(world.now() + 2)
    await world.apply("AccessKey", "ci", {"grants": [{"bucket": "photos"}], "expiresAt": at})
    await world.until_ready("AccessKey", "ci")
    await world.until_condition("AccessKey", "ci", "False", "Expired")


async def test_a_bucket_says_under_which_keys_its_secret_has_what(world: World) -> None:
    keys = {"accessKeyId": "MY_ID", "bucket": "MY_BUCKET"}
    await ready_bucket(world, credentials={"secretProfiles": ["AWS"], "secretKeys": keys})
    before, key = await world.secret("photos"), await world.key()
    assert (before["MY_ID"], before["MY_BUCKET"]) == (key.access_key_id, "photos")
    assert (before["AWS_ACCESS_KEY_ID"], before["AWS_SECRET_ACCESS_KEY"]) == (key.access_key_id, key.secret_key)
    assert not {"ACCESS_KEY", "BUCKET"} & before.keys()
    made = await world.get("AccessKey", "photos")
    assert made is not None
    assert (made["spec"]["secretProfiles"], made["spec"]["secretKeys"]) == (["AWS"], keys)
    await world.apply("Bucket", "photos")

    async def as_ever() -> bool:
        return set(await world.secret("photos")) == {"ACCESS_KEY", "SECRET_KEY", "ENDPOINT", "REGION", "BUCKET"}

    await world.until(as_ever)
    made = await world.get("AccessKey", "photos")
    assert made is not None
    assert "secretKeys" not in made["spec"]
    after = await world.secret("photos")
    assert (after["ACCESS_KEY"], after["SECRET_KEY"]) == (key.access_key_id, key.secret_key)
    assert [event for event in world.cluster.events() if event.reason == "SecretRewritten"] == []


async def test_a_secret_of_an_earlier_version_is_marked_and_keeps_its_key(world: World) -> None:
    await ready_bucket(world)
    before = await world.credentials("photos")
    await world.stop()
    secrets = world.cluster._secrets
    secrets["default", "photos"] = replace(secrets["default", "photos"], access_key_id=None)
    await world.start(region=False)

    async def marked() -> bool:
        found = await world.credentials("photos")
        return found is not None and found.access_key_id is not None

    await world.until(marked)
    after = await world.credentials("photos")
    assert before is not None and after is not None
    assert (after.data, after.access_key_id) == (before.data, before.access_key_id)


async def test_changed_grants_keep_the_key(world: World) -> None:
    await ready_bucket(world)
    await ready_bucket(world, "logs")
    await world.apply("AccessKey", "both", {"grants": [{"bucket": "photos"}]})
    await world.until_ready("AccessKey", "both")
    before = await world.secret("both")
    assert before["BUCKET"] == "photos"
    grants = [{"bucket": "photos"}, {"bucket": "logs", "actions": ["s3:GetObject"]}]
    await world.apply("AccessKey", "both", {"grants": grants})
    await world.until_ready("AccessKey", "both")
    after = await world.secret("both")
    assert "BUCKET" not in after
    assert after["SECRET_KEY"] == before["SECRET_KEY"]
    key = next(key for key in await world.keys() if key.owner.name == "both")
    assert [(grant.bucket, grant.actions) for grant in key.grants] == [
        ("photos", DEFAULT_ACTIONS),
        ("logs", ("s3:GetObject",)),
    ]


async def test_a_new_secret_name_is_delivered_before_the_old_one_goes(world: World) -> None:
    await ready_bucket(world)
    before = await world.secret("photos")
    await world.apply("Bucket", "photos", {"credentials": {"secretName": "app"}})
    await world.until_condition("AccessKey", "photos", "True", "KeyWorks")

    async def moved() -> bool:
        return await world.credentials("photos") is None and await world.credentials("app") is not None

    await world.until(moved)
    assert await world.secret("app") == before
    await world.until_ready("Bucket", "photos")
    assert (await world.get("Bucket", "photos") or {})["status"]["binding"] == {"name": "app"}


async def test_grants_die_with_their_bucket(world: World) -> None:
    await ready_bucket(world)
    await ready_bucket(world, "logs", credentials={"enabled": False})
    await world.apply("AccessKey", "both", {"grants": [{"bucket": "photos"}, {"bucket": "logs"}]})
    await world.until_ready("AccessKey", "both")
    await world.delete("Bucket", "logs")
    await world.until_gone("Bucket", "logs")
    await world.until_condition("AccessKey", "both", "False", "BucketNotFound")
    key = next(key for key in await world.keys() if key.owner.name == "both")
    assert [grant.bucket for grant in key.grants] == ["photos"]


async def test_a_key_for_several_has_no_bucket_of_its_own_also_when_one_is_left(world: World) -> None:
    for name in ("one", "two"):
        await world.apply("Bucket", name, {"credentials": {"enabled": False}})
    await world.apply("AccessKey", "both", {"grants": [{"bucket": "one"}, {"bucket": "two"}]})
    await world.until_ready("AccessKey", "both")
    before = await world.secret("both")
    await world.delete("Bucket", "two")
    await world.until_gone("Bucket", "two")
    await world.until_condition("AccessKey", "both", "False", "BucketNotFound")
    assert await world.secret("both") == before
    assert "BUCKET" not in before


async def test_a_bucket_in_another_region_is_not_granted(world: World) -> None:
    await world.apply("Region", "west", {"tag": "west"})
    await ready_bucket(world)
    await world.apply("AccessKey", "far", {"region": "west", "grants": [{"bucket": "photos"}]})
    await world.until_condition("AccessKey", "far", "False", "RegionMismatch")
    assert [key.owner.name for key in await world.keys()] == ["photos"]


async def test_a_bucket_of_another_namespace_is_not_granted(world: World) -> None:
    await ready_bucket(world)
    await world.apply("AccessKey", "thief", {"grants": [{"bucket": "photos"}]}, "other")
    await world.until_condition("AccessKey", "thief", "False", "BucketNotFound", namespace="other")
    assert [key.owner.namespace for key in await world.keys()] == ["default"]


async def test_deletion_waits_while_objects_remain_and_the_key_works_on(world: World) -> None:
    await ready_bucket(world)
    record = await world.bucket_record("photos")
    assert record is not None
    world.gateways.bucket(record.data_id).objects = 3
    await world.delete("Bucket", "photos")
    await world.until_condition("Bucket", "photos", "False", "BucketNotEmpty")
    assert "3 objects" in await world.message("Bucket", "photos")
    await world.settle()
    assert (await world.key()).state == "Active"
    assert await world.credentials("photos") is not None
    world.gateways.bucket(record.data_id).objects = 0
    await world.until_gone("Bucket", "photos")
    assert world.gateways.bucket(record.data_id).destroyed
    assert await world.keys() == []
    assert await world.bucket_record("photos") is None
    assert await world.credentials("photos") is None
    assert await world.get("AccessKey", "photos") is None


@pytest.mark.parametrize("policy", ["Delete", "Purge"])
async def test_data_is_destroyed_only_after_the_key_is_refused(world: World, policy: str) -> None:
    await ready_bucket(world, deletionPolicy=policy)
    record = await world.bucket_record("photos")
    assert record is not None
    held = 3 if policy == "Purge" else 0
    world.gateways.bucket(record.data_id).objects = held
    world.gateways.stale.add(1)
    await world.delete("Bucket", "photos")
    await world.until_condition("AccessKey", "photos", "False", "WaitingForGateways", "Revoked")
    data = world.gateways.bucket(record.data_id)
    assert (data.objects, data.closed, data.destroyed) == (held, True, False)
    assert await world.get("Bucket", "photos") is not None
    world.gateways.stale.clear()
    await world.until_gone("Bucket", "photos")
    assert world.gateways.bucket(record.data_id).destroyed


async def purging(world: World, objects: int) -> str:
    """A Bucket with so many objects that is deleted with deletionPolicy Purge; returns the UID of its data."""
    await ready_bucket(world, deletionPolicy="Purge")
    record = await world.bucket_record("photos")
    assert record is not None
    world.gateways.bucket(record.data_id).objects = objects
    await world.delete("Bucket", "photos")
    return record.data_id


async def test_purge_removes_the_objects_and_says_how_far_it_has_come(world: World) -> None:
    world.gateways.purged_at_once = 0
    data_id = await purging(world, 25)
    data = world.gateways.bucket(data_id)
    await world.until_condition("Bucket", "photos", "False", "Purging")
    assert "25 of 25 objects are left" in await world.message("Bucket", "photos")
    assert (data.objects, data.closed, data.destroyed) == (25, True, False)
    assert await world.keys() == []
    assert await world.credentials("photos") is None
    world.gateways.purged_at_once = 10
    record = await world.bucket_record("photos")
    assert record is not None
    await world.gateways.purge_bucket(RegionRecord("local", "us-east-1"), record)
    world.gateways.purged_at_once = 0

    async def told() -> bool:
        return "15 of 25 objects are left" in await world.message("Bucket", "photos")

    await world.until(told)
    obj = await world.get("Bucket", "photos")
    assert obj is not None
    assert obj["status"]["purge"] == {"objectsDone": 10, "objectsTotal": 25}
    assert obj["status"]["objects"] == 15
    world.gateways.purged_at_once = 10
    await world.until_gone("Bucket", "photos")
    assert (data.objects, data.destroyed) == (0, True)
    assert await world.bucket_record("photos") is None


async def test_a_purge_that_is_to_retain_what_is_left_keeps_it(world: World) -> None:
    world.gateways.purged_at_once = 0
    data = world.gateways.bucket(await purging(world, 25))
    await world.until_condition("Bucket", "photos", "False", "Purging")
    data.objects = 5
    await world.apply("Bucket", "photos", {"deletionPolicy": "Retain"})
    await world.until_gone("Bucket", "photos")
    kept = await world.bucket_record("photos")
    assert kept is not None and kept.retained
    assert (data.objects, data.destroyed) == (5, False)


async def test_a_purge_that_is_to_wait_for_others_to_empty_the_bucket_opens_it(world: World) -> None:
    world.gateways.purged_at_once = 0
    data = world.gateways.bucket(await purging(world, 25))
    await world.until_condition("Bucket", "photos", "False", "Purging")
    await world.apply("Bucket", "photos", {"deletionPolicy": "Delete"})
    await world.until_condition("Bucket", "photos", "False", "BucketNotEmpty")
    obj = await world.get("Bucket", "photos")
    assert obj is not None and "purge" not in obj["status"]
    assert (data.objects, data.closed) == (25, False)
    data.objects = 0
    await world.until_gone("Bucket", "photos")
    assert data.destroyed


async def test_a_purge_leaves_the_data_of_others_alone(world: World) -> None:
    """Not even that of a former Bucket of the same name, whose record it finds."""
    await ready_bucket(world, deletionPolicy="Retain")
    former = await world.bucket_record("photos")
    assert former is not None
    data = world.gateways.bucket(former.data_id)
    data.objects = 3
    await world.delete("Bucket", "photos")
    await world.until_gone("Bucket", "photos")
    await world.apply("Bucket", "photos", {"deletionPolicy": "Purge"})
    await world.until_condition("Bucket", "photos", "False", "NameTaken")
    await world.delete("Bucket", "photos")
    await world.until_gone("Bucket", "photos")
    assert (data.objects, data.closed, data.destroyed, data.purged) == (3, False, False, 0)
    assert await world.bucket_record("photos") is not None
    assert not [call for call in world.gateways.calls if call.startswith(("purge", "destroy"))]


async def test_retain_keeps_data_and_name_and_revokes_the_key(world: World) -> None:
    await ready_bucket(world, deletionPolicy="Retain")
    record = await world.bucket_record("photos")
    assert record is not None
    world.gateways.bucket(record.data_id).objects = 3
    await world.delete("Bucket", "photos")
    await world.until_gone("Bucket", "photos")
    kept = await world.bucket_record("photos")
    assert kept is not None
    assert kept.retained
    assert await world.keys() == []
    data = world.gateways.bucket(record.data_id)
    assert (data.objects, data.closed, data.destroyed) == (3, False, False)
    await world.apply("Bucket", "photos")
    await world.until_condition("Bucket", "photos", "False", "NameTaken")
    assert "retained data" in await world.message("Bucket", "photos")


async def test_everything_deleted_at_once_goes(world: World) -> None:
    await ready_bucket(world)
    await world.apply("AccessKey", "extra", {"grants": [{"bucket": "photos"}]})
    await world.until_ready("AccessKey", "extra")
    for kind, name in (("Region", "local"), ("Bucket", "photos"), ("AccessKey", "extra")):
        await world.delete(kind, name)
    await world.until_gone("Bucket", "photos")
    await world.until_gone("AccessKey", "extra")
    assert await world.keys() == []


async def test_credentials_switched_off_and_on_replace_the_key(world: World) -> None:
    await ready_bucket(world)
    first = await world.key()
    world.gateways.stale.add(1)
    await world.apply("Bucket", "photos", {"credentials": {"enabled": False}})
    await world.until_condition("Bucket", "photos", "False", "Deleting", "CredentialsReady")
    assert "AccessKey photos is being revoked" in await world.message("Bucket", "photos", "CredentialsReady")

    async def revoked() -> bool:
        return (await world.key()).state == "Revoked"

    await world.until(revoked)
    await world.until_condition("Bucket", "photos", "False", "Deleting", "CredentialsReady")
    world.gateways.stale.clear()
    await world.until_condition("Bucket", "photos", "False", "CredentialsDisabled", "CredentialsReady")
    assert await world.credentials("photos") is None
    assert await world.keys() == []
    await world.apply("Bucket", "photos", {})
    await world.until_ready("Bucket", "photos")
    second = await world.key()
    assert second.access_key_id != first.access_key_id
    assert (await world.secret("photos"))["ACCESS_KEY"] == second.access_key_id


async def test_credentials_switched_off_revoke_the_key(world: World) -> None:
    await ready_bucket(world)
    await world.apply("Bucket", "photos", {"credentials": {"enabled": False}})
    await world.until_gone("AccessKey", "photos")
    await world.until_condition("Bucket", "photos", "True", "BucketServed")
    assert await world.keys() == []
    await world.apply("Bucket", "photos", {})
    await world.until_condition("Bucket", "photos", "True", "CredentialsWork", "CredentialsReady")


async def test_nothing_is_revoked_or_deleted_while_the_cluster_is_away(world: World) -> None:
    await ready_bucket(world)
    before = await world.key()
    world.cluster.unavailable = "maintenance"
    for kind, name in (("Bucket", "photos"), ("AccessKey", "photos")):
        world.operator._wake(Ref(kind, "default", name))  # pyright: ignore[reportArgumentType, reportPrivateUsage]
    await world.settle()
    world.cluster.unavailable = None
    await world.settle()
    assert await world.key() == before
    await world.until_ready("Bucket", "photos")


async def test_a_gateway_that_is_away_delays_deletion_and_says_so(world: World) -> None:
    await ready_bucket(world)
    world.gateways.away = True
    await world.delete("Bucket", "photos")
    await world.until_condition("Bucket", "photos", "False", "GatewayUnavailable")
    assert (await world.key()).state == "Active"
    world.gateways.away = False
    await world.until_gone("Bucket", "photos")


async def test_a_broken_record_is_said_and_not_overwritten(world: World) -> None:
    await ready_bucket(world)
    world.cluster.damage_record("bucket-photos")
    await world.apply("Bucket", "photos", {"visibility": "Public"})
    await world.until_condition("Bucket", "photos", "False", "RecordUnreadable")
    assert [each.name for each in (await world.cluster.list_records()).damaged] == ["bucket-photos"]


async def test_usage_reaches_status(quiet_world: World) -> None:
    world = quiet_world
    world.intervals = type(world.intervals)(intents=3600, usage=0.05, sweep=3600, resync=3600)
    await world.start()
    await ready_bucket(world)
    record = await world.bucket_record("photos")
    assert record is not None
    data = world.gateways.bucket(record.data_id)
    data.objects, data.size = 7, 2048

    async def told() -> bool:
        status = (await world.get("Bucket", "photos") or {})["status"]
        return (status.get("objects"), status.get("size")) == (7, "2Ki")

    await world.until(told)


async def test_events_tell_a_state_once(world: World) -> None:
    await ready_bucket(world)
    for _ in range(3):
        world.operator._wake(Ref("Bucket", "default", "photos"))  # pyright: ignore[reportPrivateUsage]
        await world.settle()
    events = [
        event for event in world.cluster.events(Ref("Bucket", "default", "photos")) if event.reason == "BucketServed"
    ]
    assert [event.count for event in events] == [1]


async def test_a_restart_between_record_and_credentials_resumes_with_the_same_key(world: World) -> None:
    world.gateways.away = True
    await world.cluster.apply(manifest("Bucket", "photos"))

    async def issued() -> bool:
        return len(await world.keys()) == 1

    await world.until(issued)
    await world.stop()
    before = await world.key()
    world.gateways.away = False
    await world.start(region=False)
    await world.until_ready("Bucket", "photos")
    assert await world.key() == before
    assert (await world.secret("photos"))["SECRET_KEY"] == before.secret_key


async def test_a_status_full_of_others_conditions_keeps_nothing_from_being_done(world: World) -> None:
    await ready_bucket(world)
    theirs = {"status": "True", "reason": "Theirs", "message": "", "lastTransitionTime": "2026-01-01T00:00:00Z"}
    for kind in ("Bucket", "AccessKey"):
        full = [{"type": f"Their{number}", **theirs} for number in range(32)]
        obj = await world.get(kind, "photos") or {}
        await world.cluster.update_status({**obj, "status": {**obj["status"], "conditions": full}})
    await world.apply("Bucket", "photos", {"apiAccess": "Revoked"})
    await world.until_condition("Bucket", "photos", "True", "ApiAccessRevoked", "Revoked")
    await world.until_ready("AccessKey", "photos")
