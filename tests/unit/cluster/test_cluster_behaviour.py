"""What every adapter of the port must do. Nothing here knows which adapter it runs on."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from cooper_crds.records import BucketRecord, KeyRecord, Owner, RecordError, RegionRecord
from cooper_operator.cluster.port import AlreadyExists, Conflict, Invalid, NotFound, Ref
from unit.cluster.cluster_harness import CREDENTIALS, FILES, KEY_ID, Harness, access_key, bucket, eventually, region

BUCKET = Ref("Bucket", "default", "photos")
KEY = Ref("AccessKey", "default", "photos")
FINALIZER = "cooper.dev/gateway"


def with_metadata(obj: Any, **metadata: Any) -> dict[str, Any]:
    return {**obj, "metadata": {**obj["metadata"], **metadata}}


def key_record(serial: int = 1, **fields: Any) -> KeyRecord:
    owner = Owner("default", "photos", "uid-1")
    return KeyRecord("AKIAAAAAAAAAAAAAAAAA", "secret-of-the-key", owner, serial, **fields)


async def test_created_object_gets_identity_and_first_generation(harness: Harness) -> None:
    made = await harness.cluster.create(bucket(visibility="Public"))
    metadata = made["metadata"]
    assert metadata["uid"]
    assert metadata["resourceVersion"]
    assert metadata["generation"] == 1
    assert metadata["creationTimestamp"].endswith("Z")
    assert made["spec"]["visibility"] == "Public"
    live = await harness.cluster.get(BUCKET)
    assert live == made


async def test_absent_object_is_none(harness: Harness) -> None:
    assert await harness.cluster.get(BUCKET) is None


async def test_writer_cannot_choose_what_the_server_decides(harness: Harness) -> None:
    chosen = {"uid": "mine", "generation": 7, "deletionTimestamp": "2030-01-01T00:00:00Z", "resourceVersion": ""}
    made = await harness.cluster.create(with_metadata(bucket(), **chosen) | {"status": {"bucketName": "photos"}})
    assert made["metadata"]["uid"] != "mine"
    assert made["metadata"]["generation"] == 1
    assert "deletionTimestamp" not in made["metadata"]
    assert "status" not in made


async def test_create_is_create_only(harness: Harness) -> None:
    await harness.cluster.create(bucket())
    with pytest.raises(AlreadyExists):
        await harness.cluster.create(bucket())


async def test_what_is_declared_is_there_and_create_only(harness: Harness) -> None:
    made = await harness.cluster.declare(bucket())
    assert (made["metadata"]["name"], made["metadata"]["generation"]) == ("photos", 1)
    assert (await harness.cluster.get(BUCKET) or {})["metadata"]["uid"] == made["metadata"]["uid"]
    with pytest.raises(AlreadyExists):
        await harness.cluster.declare(bucket())


@pytest.mark.parametrize(
    ("manifest", "said"),
    [
        (bucket(visibility="Secret"), "visibility"),
        (bucket(colour="red"), "colour"),
        (bucket(name="Not_A_Name"), "name"),
        (region(tag="no spaces"), "tag"),
    ],
)
async def test_invalid_object_is_refused_with_the_fields_path(
    harness: Harness, manifest: dict[str, Any], said: str
) -> None:
    with pytest.raises(Invalid, match=said):
        await harness.cluster.create(manifest)


async def test_list_has_all_of_a_kind_and_no_other(harness: Harness) -> None:
    for name in ("b", "a"):
        await harness.cluster.create(bucket(name=f"photos-{name}"))
    await harness.cluster.create(access_key())
    await harness.cluster.create(region())
    names = {obj["metadata"]["name"] for obj in await harness.cluster.list_kind("Bucket")}
    assert names == {"photos-a", "photos-b"}
    (only,) = await harness.cluster.list_kind("Region")
    assert only["metadata"].get("namespace", "") == ""


async def test_generation_moves_only_with_the_spec(harness: Harness) -> None:
    made = await harness.cluster.create(bucket())
    labelled = await harness.cluster.update(with_metadata(made, labels={"team": "a"}))
    assert labelled["metadata"]["generation"] == 1
    assert labelled["metadata"]["labels"] == {"team": "a"}
    stated = await harness.cluster.update_status({**labelled, "status": {"bucketName": "photos"}})
    assert stated["metadata"]["generation"] == 1
    changed = await harness.cluster.update({**stated, "spec": {"visibility": "Public"}})
    assert changed["metadata"]["generation"] == 2
    versions = {each["metadata"]["resourceVersion"] for each in (made, labelled, stated, changed)}
    assert len(versions) == 4


async def test_update_without_a_change_changes_nothing(harness: Harness) -> None:
    made = await harness.cluster.create(bucket())
    same = await harness.cluster.update(made)
    assert same["metadata"]["resourceVersion"] == made["metadata"]["resourceVersion"]


async def test_status_and_spec_are_written_apart(harness: Harness) -> None:
    made = await harness.cluster.create(bucket())
    stated = await harness.cluster.update_status(
        {**with_metadata(made, labels={"no": "way"}), "spec": {"visibility": "Public"}, "status": {"bucketName": "p1x"}}
    )
    assert stated["spec"].get("visibility", "Private") == "Private"
    assert "labels" not in stated["metadata"]
    updated = await harness.cluster.update({**stated, "status": {"bucketName": "other"}})
    assert updated["status"]["bucketName"] == "p1x"


@pytest.mark.parametrize("method", ["update", "update_status"])
async def test_write_on_a_stale_version_conflicts(harness: Harness, method: str) -> None:
    made = await harness.cluster.create(bucket())
    await harness.cluster.update({**made, "spec": {"visibility": "Public"}})
    with pytest.raises(Conflict):
        await getattr(harness.cluster, method)({**made, "status": {"bucketName": "photos"}})
    live = await harness.cluster.get(BUCKET)
    assert live
    assert live["spec"]["visibility"] == "Public"


@pytest.mark.parametrize("method", ["update", "update_status"])
async def test_write_to_an_absent_object_is_not_found(harness: Harness, method: str) -> None:
    made = await harness.cluster.create(bucket())
    await harness.cluster.delete(BUCKET, made["metadata"]["uid"])
    with pytest.raises(NotFound):
        await getattr(harness.cluster, method)(made)


@pytest.mark.parametrize("method", ["update", "update_status"])
async def test_write_to_an_object_made_anew_conflicts(harness: Harness, method: str) -> None:
    made = await harness.cluster.create(bucket())
    await harness.cluster.delete(BUCKET, made["metadata"]["uid"])
    await harness.cluster.create(bucket())
    with pytest.raises(Conflict):
        await getattr(harness.cluster, method)(made)


async def test_update_needs_a_version(harness: Harness) -> None:
    made = await harness.cluster.create(bucket())
    with pytest.raises(Invalid):
        await harness.cluster.update(with_metadata(made, resourceVersion=""))


async def test_immutable_field_cannot_change(harness: Harness) -> None:
    made = await harness.cluster.create(access_key(region="local"))
    with pytest.raises(Invalid, match=r"spec\.region"):
        await harness.cluster.update({**made, "spec": {**made["spec"], "region": "other"}})


async def test_returned_objects_are_copies(harness: Harness) -> None:
    made: Any = await harness.cluster.create(bucket())
    made["spec"]["visibility"] = "Public"
    live = await harness.cluster.get(BUCKET)
    assert live
    assert live["spec"].get("visibility", "Private") == "Private"


async def test_delete_without_finalizers_removes_at_once(harness: Harness) -> None:
    made = await harness.cluster.create(bucket())
    await harness.cluster.delete(BUCKET, made["metadata"]["uid"])
    assert await harness.cluster.get(BUCKET) is None
    with pytest.raises(NotFound):
        await harness.cluster.delete(BUCKET, made["metadata"]["uid"])


async def test_delete_of_another_uid_conflicts(harness: Harness) -> None:
    await harness.cluster.create(bucket())
    with pytest.raises(Conflict):
        await harness.cluster.delete(BUCKET, "another-uid")
    assert await harness.cluster.get(BUCKET) is not None


async def test_finalizer_holds_deletion_until_taken_off(harness: Harness) -> None:
    made = await harness.cluster.create(with_metadata(bucket(), finalizers=[FINALIZER]))
    await harness.cluster.delete(BUCKET, made["metadata"]["uid"])
    live = await harness.cluster.get(BUCKET)
    assert live
    stamp = live["metadata"]["deletionTimestamp"]
    assert live["metadata"]["finalizers"] == [FINALIZER]
    await harness.cluster.delete(BUCKET, made["metadata"]["uid"])
    again = await harness.cluster.get(BUCKET)
    assert again
    assert again["metadata"]["deletionTimestamp"] == stamp
    with pytest.raises(Invalid):
        await harness.cluster.update(with_metadata(again, finalizers=[FINALIZER, "example.com/late"]))
    await harness.cluster.update(with_metadata(again, finalizers=[]))
    assert await harness.cluster.get(BUCKET) is None


async def test_deletion_cannot_be_undone(harness: Harness) -> None:
    made = await harness.cluster.create(with_metadata(bucket(), finalizers=[FINALIZER]))
    await harness.cluster.delete(BUCKET, made["metadata"]["uid"])
    live = await harness.cluster.get(BUCKET)
    assert live
    metadata = {key: value for key, value in live["metadata"].items() if key != "deletionTimestamp"}
    updated = await harness.cluster.update({**live, "metadata": {**metadata, "labels": {"a": "b"}}})
    assert updated["metadata"]["deletionTimestamp"]


async def test_what_an_owner_owned_goes_with_it(harness: Harness) -> None:
    owner = await harness.cluster.create(bucket())
    key = await harness.cluster.create(access_key(owner=owner))
    await harness.cluster.create(access_key(name="other"))
    await harness.cluster.create_credentials("default", "photos", CREDENTIALS, key, KEY_ID)
    await harness.cluster.delete(BUCKET, owner["metadata"]["uid"])

    async def collected() -> bool:
        found = [await harness.cluster.get(KEY), await harness.cluster.get_credentials("default", "photos")]
        return found == [None, None]

    await eventually(collected)
    assert await harness.cluster.get(Ref("AccessKey", "default", "other")) is not None


async def test_owned_object_with_finalizer_waits_for_it(harness: Harness) -> None:
    owner = await harness.cluster.create(bucket())
    await harness.cluster.create(with_metadata(access_key(owner=owner), finalizers=[FINALIZER]))
    await harness.cluster.delete(BUCKET, owner["metadata"]["uid"])

    async def marked() -> bool:
        key = await harness.cluster.get(KEY)
        return key is not None and "deletionTimestamp" in key["metadata"]

    await eventually(marked)
    key = await harness.cluster.get(KEY)
    assert key
    await harness.cluster.update(with_metadata(key, finalizers=[]))
    assert await harness.cluster.get(KEY) is None


async def test_credentials_are_ours_and_have_the_data(harness: Harness) -> None:
    key = await harness.cluster.create(access_key())
    await harness.cluster.create_credentials("default", "photos", CREDENTIALS, key, KEY_ID)
    found = await harness.cluster.get_credentials("default", "photos")
    assert found
    assert dict(found.data) == CREDENTIALS
    assert found.owner_uid == key["metadata"]["uid"]
    assert CREDENTIALS["SECRET_KEY"] not in repr(found)
    assert await harness.cluster.get_credentials("default", "absent") is None


async def test_credentials_tell_the_key_whatever_else_they_say(harness: Harness) -> None:
    key = await harness.cluster.create(access_key())
    await harness.cluster.create_credentials("default", "photos", {"MY_ID": "x"}, key, KEY_ID)
    found = await harness.cluster.get_credentials("default", "photos")
    assert found
    assert found.access_key_id == KEY_ID
    await harness.set_credentials("default", "photos", {"MY_ID": "edited"})
    edited = await harness.cluster.get_credentials("default", "photos")
    assert edited
    assert (edited.access_key_id, dict(edited.data)) == (KEY_ID, {"MY_ID": "edited"})
    await harness.cluster.update_credentials(edited, {"MY_ID": "y"}, key, "AKIABBBBBBBBBBBBBBBB")
    (rotated,) = await harness.cluster.list_credentials("default", key["metadata"]["uid"])
    assert (rotated.access_key_id, dict(rotated.data)) == ("AKIABBBBBBBBBBBBBBBB", {"MY_ID": "y"})
    await harness.set_credentials("default", "theirs", {"THEIRS": "1"})
    foreign = await harness.cluster.get_credentials("default", "theirs")
    assert foreign
    assert foreign.access_key_id is None


async def test_credentials_have_values_of_several_lines(harness: Harness) -> None:
    key = await harness.cluster.create(access_key())
    both = {**CREDENTIALS, **FILES}
    for data in (both, {"credentials": "[other]\n", **CREDENTIALS}, CREDENTIALS, both, FILES):
        current = await harness.cluster.get_credentials("default", "photos")
        if current is None:
            await harness.cluster.create_credentials("default", "photos", data, key, KEY_ID)
        else:
            await harness.cluster.update_credentials(current, data, key, KEY_ID)
            with pytest.raises(Conflict):
                await harness.cluster.update_credentials(current, CREDENTIALS, key, KEY_ID)
        found = await harness.cluster.get_credentials("default", "photos")
        assert found
        assert dict(found.data) == data
        assert await harness.cluster.list_credentials("default", key["metadata"]["uid"]) == [found]
    await harness.cluster.delete_credentials(found)
    assert await harness.cluster.get_credentials("default", "photos") is None
    await harness.cluster.create_credentials("default", "photos", CREDENTIALS, key, KEY_ID)
    again = await harness.cluster.get_credentials("default", "photos")
    assert again
    assert dict(again.data) == CREDENTIALS


async def test_values_in_a_config_map_are_read_and_written_as_all_others(harness: Harness) -> None:
    key = await harness.cluster.create(access_key())
    place = {"BUCKET_HOST": "s3.example.com", "BUCKET_SUBREGION": ""}
    both: dict[str, str] = {**CREDENTIALS, **place}
    moved = {**both, "BUCKET_HOST": "s3.example.org"}
    await harness.cluster.create_credentials("default", "photos", both, key, KEY_ID, place.keys())
    for data in (both, moved, CREDENTIALS, both):
        current = await harness.cluster.get_credentials("default", "photos")
        assert current
        beside = place.keys() & data.keys()
        await harness.cluster.update_credentials(current, data, key, KEY_ID, beside)
        if data != current.data:
            with pytest.raises(Conflict):
                await harness.cluster.update_credentials(current, both, key, KEY_ID, place.keys())
        found = await harness.cluster.get_credentials("default", "photos")
        assert found
        assert (dict(found.data), found.intact, found.access_key_id) == (data, True, KEY_ID)
        assert await harness.cluster.list_credentials("default", key["metadata"]["uid"]) == [found]
    await harness.cluster.delete_credentials(found)
    assert await harness.cluster.get_credentials("default", "photos") is None
    await harness.cluster.create_credentials("default", "photos", CREDENTIALS, key, KEY_ID)
    again = await harness.cluster.get_credentials("default", "photos")
    assert again
    assert dict(again.data) == CREDENTIALS


async def test_credentials_are_create_only(harness: Harness) -> None:
    key = await harness.cluster.create(access_key())
    await harness.set_credentials("default", "photos", {"THEIRS": "1"})
    with pytest.raises(AlreadyExists):
        await harness.cluster.create_credentials("default", "photos", CREDENTIALS, key, KEY_ID)
    found = await harness.cluster.get_credentials("default", "photos")
    assert found
    assert dict(found.data) == {"THEIRS": "1"}
    assert found.owner_uid is None


async def test_foreign_credentials_are_neither_updated_nor_deleted(harness: Harness) -> None:
    key = await harness.cluster.create(access_key())
    await harness.set_credentials("default", "photos", {"THEIRS": "1"})
    foreign = await harness.cluster.get_credentials("default", "photos")
    assert foreign
    with pytest.raises(Conflict):
        await harness.cluster.update_credentials(foreign, CREDENTIALS, key, KEY_ID)
    with pytest.raises(Conflict):
        await harness.cluster.delete_credentials(foreign)
    await harness.cluster.delete(KEY, key["metadata"]["uid"])
    assert await harness.cluster.get_credentials("default", "photos") == foreign


async def test_credentials_are_found_by_their_owner_whatever_their_names(harness: Harness) -> None:
    key = await harness.cluster.create(access_key())
    other = await harness.cluster.create(access_key(name="other"))
    for name in ("photos", "app"):
        await harness.cluster.create_credentials("default", name, CREDENTIALS, key, KEY_ID)
    await harness.cluster.create_credentials("default", "other", CREDENTIALS, other, KEY_ID)
    await harness.set_credentials("default", "theirs", {"THEIRS": "1"})
    uid = key["metadata"]["uid"]
    found = await harness.cluster.list_credentials("default", uid)
    assert sorted((each.name, each.owner_uid) for each in found) == [("app", uid), ("photos", uid)]
    assert await harness.cluster.list_credentials("elsewhere", uid) == []
    for each in found:
        await harness.cluster.delete_credentials(each)
    assert await harness.cluster.list_credentials("default", uid) == []


async def test_credentials_update_conflicts_when_they_changed(harness: Harness) -> None:
    key = await harness.cluster.create(access_key())
    await harness.cluster.create_credentials("default", "photos", CREDENTIALS, key, KEY_ID)
    stale = await harness.cluster.get_credentials("default", "photos")
    assert stale
    await harness.cluster.update_credentials(stale, {**CREDENTIALS, "REGION": "us-east-1"}, key, KEY_ID)
    with pytest.raises(Conflict):
        await harness.cluster.update_credentials(stale, CREDENTIALS, key, KEY_ID)
    with pytest.raises(Conflict):
        await harness.cluster.delete_credentials(stale)
    live = await harness.cluster.get_credentials("default", "photos")
    assert live
    assert live.data["REGION"] == "us-east-1"
    await harness.cluster.delete_credentials(live)
    assert await harness.cluster.get_credentials("default", "photos") is None


async def test_credentials_of_another_owner_are_not_updated(harness: Harness) -> None:
    key = await harness.cluster.create(access_key())
    other = await harness.cluster.create(access_key(name="other"))
    await harness.cluster.create_credentials("default", "photos", CREDENTIALS, key, KEY_ID)
    current = await harness.cluster.get_credentials("default", "photos")
    assert current
    with pytest.raises(Conflict):
        await harness.cluster.update_credentials(current, CREDENTIALS, other, KEY_ID)


async def test_edited_credentials_are_still_ours_and_can_be_put_back(harness: Harness) -> None:
    key = await harness.cluster.create(access_key())
    await harness.cluster.create_credentials("default", "photos", CREDENTIALS, key, KEY_ID)
    await harness.set_credentials("default", "photos", {"ACCESS_KEY": "edited"})
    edited = await harness.cluster.get_credentials("default", "photos")
    assert edited
    assert dict(edited.data) == {"ACCESS_KEY": "edited"}
    assert edited.owner_uid == key["metadata"]["uid"]
    await harness.cluster.update_credentials(edited, CREDENTIALS, key, KEY_ID)
    back = await harness.cluster.get_credentials("default", "photos")
    assert back
    assert dict(back.data) == CREDENTIALS


async def test_records_are_kept_as_they_are(harness: Harness) -> None:
    records = {
        "key-a": key_record(not_after=12.5),
        "bucket-photos": BucketRecord("photos", "data", Owner("default", "photos", "uid-2")),
        "region-local": RegionRecord("local", "us-east-1"),
    }
    for name, record in records.items():
        await harness.cluster.create_record(name, record)
    listed = await harness.cluster.list_records()
    assert {each.name: each.record for each in listed} == records
    one = await harness.cluster.get_record("key-a")
    assert one
    assert one.record == records["key-a"]
    assert await harness.cluster.get_record("key-b") is None


async def test_records_are_create_only(harness: Harness) -> None:
    await harness.cluster.create_record("key-a", key_record())
    with pytest.raises(AlreadyExists):
        await harness.cluster.create_record("key-a", key_record(2))
    found = await harness.cluster.get_record("key-a")
    assert found
    assert found.record == key_record()


async def test_record_writes_on_a_stale_version_conflict(harness: Harness) -> None:
    stale = await harness.cluster.create_record("key-a", key_record())
    fresh = await harness.cluster.update_record(stale, key_record(state="Revoked"))
    assert fresh.version != stale.version
    with pytest.raises(Conflict):
        await harness.cluster.update_record(stale, key_record(2))
    with pytest.raises(Conflict):
        await harness.cluster.delete_record(stale)
    found = await harness.cluster.get_record("key-a")
    assert found == fresh
    await harness.cluster.delete_record(fresh)
    assert await harness.cluster.get_record("key-a") is None
    await harness.cluster.delete_record(fresh)
    with pytest.raises(NotFound):
        await harness.cluster.update_record(fresh, key_record())


async def test_rewritten_record_has_another_version_even_with_the_same_content(harness: Harness) -> None:
    first = await harness.cluster.create_record("key-a", key_record())
    await harness.cluster.delete_record(first)
    await harness.cluster.create_record("key-a", key_record())
    with pytest.raises(Conflict):
        await harness.cluster.update_record(first, key_record(2))


async def test_damaged_record_fails_alone_and_keeps_its_name(harness: Harness) -> None:
    await harness.cluster.create_record("key-a", key_record())
    await harness.cluster.create_record("key-b", key_record(2))
    await harness.damage_record("key-a")
    with pytest.raises(RecordError):
        await harness.cluster.get_record("key-a")
    listed: Any = await harness.cluster.list_records()
    assert [each.name for each in listed] == ["key-b"]
    assert [each.name for each in listed.damaged] == ["key-a"]
    with pytest.raises(AlreadyExists):
        await harness.cluster.create_record("key-a", key_record())


async def test_damaged_record_is_replaced_and_only_a_damaged_one(harness: Harness) -> None:
    with pytest.raises(NotFound):
        await harness.cluster.replace_damaged_record("key-a", key_record())
    await harness.cluster.create_record("key-a", key_record())
    with pytest.raises(Conflict):
        await harness.cluster.replace_damaged_record("key-a", key_record(2))
    await harness.damage_record("key-a")
    assert await harness.cluster.replace_damaged_record("key-a", key_record(3))
    stored = await harness.cluster.get_record("key-a")
    assert stored is not None
    assert stored.record == key_record(3)
    listed = await harness.cluster.list_records()
    assert ([each.name for each in listed], listed.damaged) == (["key-a"], ())
    await harness.cluster.update_record(stored, key_record(4))


async def collect(refs: AsyncIterator[Ref], until: set[Ref]) -> set[Ref]:
    seen: set[Ref] = set()
    async with asyncio.timeout(5):
        while not until <= seen:
            seen.add(await anext(refs))
    return seen


async def test_watch_begins_with_all_there_are_and_goes_on_with_changes(harness: Harness) -> None:
    made = await harness.cluster.create(bucket())
    await harness.cluster.create(region())
    refs = harness.cluster.watch()
    await collect(refs, {BUCKET, Ref("Region", "", "local")})
    await harness.cluster.create(access_key())
    await collect(refs, {KEY})
    await harness.cluster.update_status({**made, "status": {"bucketName": "photos"}})
    await collect(refs, {BUCKET})
    await harness.cluster.delete(BUCKET, made["metadata"]["uid"])
    await collect(refs, {BUCKET})


async def test_watch_tells_owners_of_changed_records_and_credentials(harness: Harness) -> None:
    key = await harness.cluster.create(access_key())
    await harness.cluster.create(bucket())
    refs = harness.cluster.watch()
    await collect(refs, {KEY, BUCKET})
    await harness.cluster.create_record("key-a", key_record())
    await collect(refs, {KEY})
    owner = Owner("default", "photos", "uid-2")
    await harness.cluster.create_record("bucket-photos", BucketRecord("photos", "data", owner))
    await collect(refs, {BUCKET})
    await harness.cluster.create_credentials("default", "secret", CREDENTIALS, key, KEY_ID)
    await collect(refs, {KEY})
    await harness.set_credentials("default", "secret", {"ACCESS_KEY": "edited"})
    await collect(refs, {KEY})
    await harness.remove_credentials("default", "secret")
    await collect(refs, {KEY})


async def test_watch_tells_who_waits_when_a_foreign_secret_goes(harness: Harness) -> None:
    await harness.cluster.create(access_key())
    await harness.set_credentials("default", "secret", {"password": "mine"})
    refs = harness.cluster.watch()
    await collect(refs, {KEY})
    await harness.cluster.follow_foreign_credentials(KEY, "secret")
    await harness.remove_credentials("default", "secret")
    await collect(refs, {KEY})


async def test_people_apply_edit_and_remove(harness: Harness) -> None:
    await harness.apply(bucket())
    made = await harness.cluster.get(BUCKET)
    assert made
    await harness.apply(bucket(visibility="Public"))
    edited = await harness.cluster.get(BUCKET)
    assert edited
    assert edited["metadata"]["uid"] == made["metadata"]["uid"]
    assert edited["metadata"]["generation"] == 2
    await harness.cluster.update(with_metadata(edited, finalizers=[FINALIZER]))
    await harness.remove(BUCKET)
    marked = await harness.cluster.get(BUCKET)
    assert marked
    assert "deletionTimestamp" in marked["metadata"]
    await harness.cluster.update(with_metadata(marked, finalizers=[]))
    assert await harness.cluster.get(BUCKET) is None


async def test_apply_keeps_what_the_operator_set(harness: Harness) -> None:
    await harness.apply(bucket())
    made = await harness.cluster.get(BUCKET)
    assert made
    changed = await harness.cluster.update(with_metadata(made, finalizers=[FINALIZER], annotations={"a": "b"}))
    await harness.cluster.update_status({**changed, "status": {"bucketName": "photos"}})
    await harness.apply(bucket(visibility="Public"))
    live = await harness.cluster.get(BUCKET)
    assert live
    assert live["metadata"]["finalizers"] == [FINALIZER]
    assert live["metadata"]["annotations"]["a"] == "b"
    assert live["status"]["bucketName"] == "photos"


async def test_events_are_accepted_again_and_again(harness: Harness) -> None:
    made = await harness.cluster.create(bucket())
    for _ in range(3):
        await harness.cluster.emit(made, "Warning", "NameTaken", "the name photos is taken")
    events: Any = harness.cluster
    if hasattr(events, "events"):  # the Kubernetes adapter's are read through the API
        (event,) = events.events(BUCKET)
        assert (event.type, event.reason, event.count) == ("Warning", "NameTaken", 3)
