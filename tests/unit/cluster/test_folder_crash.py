"""A crash before any step that touches the disk: the next start goes on, and nothing that counts is lost or doubled."""

import os
from collections.abc import Iterator
from typing import Any

import pytest

from cooper_crds.records import KeyRecord, Owner
from cooper_operator.cluster.port import AlreadyExists, Ref
from support.disk_crashes import Crash, CrashAfter
from unit.cluster.cluster_harness import CREDENTIALS, FILES, KEY_ID, FolderHarness, access_key, bucket

BUCKET = Ref("Bucket", "default", "photos")
KEY = Ref("AccessKey", "default", "photos")
FINALIZER = "cooper.dev/gateway"
RECORD = KeyRecord("AKIAAAAAAAAAAAAAAAAA", "secret", Owner("default", "photos", "u"), 1)


async def life(folder: FolderHarness) -> None:
    """What an operator does for a bucket, until somebody deletes it over S3."""
    cluster = folder.cluster
    owner: Any = await cluster.get(BUCKET)
    if owner is None:
        return
    if not owner["metadata"].get("finalizers"):
        owner["metadata"]["finalizers"] = [FINALIZER]
        owner = await cluster.update(owner)
    if await cluster.get(KEY) is None:
        await cluster.create(access_key(owner=owner))
    key: Any = await cluster.get(KEY)
    if await cluster.get_record("key-a") is None:
        await cluster.create_record("key-a", RECORD)
    if await cluster.get_credentials("default", "photos") is None:
        await cluster.create_credentials("default", "photos", {**CREDENTIALS, **FILES}, key, KEY_ID)
    current: Any = await cluster.get_credentials("default", "photos")
    assert current.owner_uid == key["metadata"]["uid"], "a file of ours is never taken for foreign"
    # One file goes, one stays, one is written anew.
    wanted = {"REGION": "x", "rclone.conf": FILES["rclone.conf"]}
    if current.data != wanted:
        await cluster.update_credentials(current, wanted, key, KEY_ID)
    await cluster.update_status({**owner, "status": {"bucketName": "photos"}})
    await cluster.delete(BUCKET, owner["metadata"]["uid"])
    owner = await cluster.get(BUCKET)
    owner["metadata"]["finalizers"] = []
    await cluster.update(owner)


@pytest.fixture
def crashes(monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    with monkeypatch.context() as patch:
        yield patch


async def test_crash_at_every_step_is_recovered_from(folder: FolderHarness, tmp_path_factory: Any) -> None:
    steps = 0
    while True:
        harness = FolderHarness(tmp_path_factory.mktemp("crash"))
        harness.write("a.yaml", bucket())
        with pytest.MonkeyPatch.context() as patch:
            crash = CrashAfter(patch, steps)
            try:
                await life(harness)
            except Crash:
                pass
        await check_recovery(harness)
        await harness.cluster.close()
        if not crash.crashed:
            break
        steps += 1
    assert steps > 60, "the crashes hit every step of many"


async def check_recovery(harness: FolderHarness) -> None:
    """Start again, go on to the end, and look at what is there."""
    await harness.reopen()
    uids = {obj["metadata"]["uid"] for kind in ("Bucket", "AccessKey") for obj in await harness.cluster.list_kind(kind)}
    record = await harness.cluster.get_record("key-a")
    assert record is None or record.record == RECORD
    await life(harness)
    harness.settle(60)
    assert await harness.cluster.list_kind("Bucket") == []
    assert await harness.cluster.list_kind("AccessKey") == []
    assert await harness.cluster.get_credentials("default", "photos") is None
    assert len(uids) <= 2
    assert "deleted over S3" in str(harness.cluster.problems[0]), "the deletion is not forgotten"
    left = [path for path in harness.state.parent.rglob("*") if path.name.endswith(".cooper-tmp")]
    left += [path for path in harness.credentials.rglob("*") if path.is_file()]
    assert left == []


async def test_a_file_is_ours_after_an_edit_too_though_a_crash_came_right_after_it_was_written(
    folder: FolderHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = await folder.cluster.create(access_key())
    link = os.link
    with monkeypatch.context() as patch:

        def crash(*args: Any, **kwargs: Any) -> None:
            raise Crash

        def last(*args: Any, **kwargs: Any) -> None:
            link(*args, **kwargs)
            patch.setattr(os, "rename", crash)

        patch.setattr(os, "link", last)
        with pytest.raises(Crash):
            await folder.cluster.create_credentials("default", "photos", CREDENTIALS, key, KEY_ID)
    await folder.reopen()
    assert await folder.cluster.get_credentials("default", "photos")
    await folder.set_credentials("default", "photos", {"ACCESS_KEY": "edited"})
    found = await folder.cluster.get_credentials("default", "photos")
    assert found
    assert (found.owner_uid, found.access_key_id) == (key["metadata"]["uid"], KEY_ID)
    await folder.cluster.delete_credentials(found)
    assert await folder.cluster.get_credentials("default", "photos") is None


async def test_crash_between_the_note_and_a_foreign_file_takes_nothing_over(
    folder: FolderHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = await folder.cluster.create(access_key())
    with monkeypatch.context() as patch:

        def crash(*args: Any, **kwargs: Any) -> None:
            raise Crash

        patch.setattr(os, "link", crash)
        with pytest.raises(Crash):
            await folder.cluster.create_credentials("default", "photos", CREDENTIALS, key, KEY_ID)
    await folder.reopen()
    file = folder.credentials / "default" / "photos.env"
    uid = key["metadata"]["uid"]
    file.write_text(f"# Cooper credentials of AccessKey default/photos uid {uid}; edits are put back\nTHEIRS=1\n")
    found = await folder.cluster.get_credentials("default", "photos")
    assert found
    assert found.owner_uid is None
    with pytest.raises(AlreadyExists):
        await folder.cluster.create_credentials("default", "photos", CREDENTIALS, key, KEY_ID)
    assert "THEIRS" in file.read_text()


async def test_full_disk_changes_nothing_in_memory_either(
    folder: FolderHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = await folder.cluster.create(bucket())
    with monkeypatch.context() as patch:

        def full(*args: Any) -> None:
            raise OSError(28, "No space left on device")

        patch.setattr(os, "fsync", full)
        for write in (
            folder.cluster.create(bucket("other")),
            folder.cluster.update({**made, "spec": {"visibility": "Public"}}),
            folder.cluster.create_record("key-a", RECORD),
        ):
            with pytest.raises(Exception, match="No space left"):
                await write
    assert await folder.cluster.get(BUCKET) == made
    assert await folder.cluster.get(Ref("Bucket", "default", "other")) is None
    await folder.reopen()
    assert await folder.cluster.get(BUCKET) == made
    assert await folder.cluster.get_record("key-a") is None
