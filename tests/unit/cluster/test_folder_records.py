"""Records as files, as the gateway reads them."""

import json
import os
import stat
from pathlib import Path

import pytest

from cooper_crds.records import BucketRecord, KeyRecord, Owner, RecordError, load_file
from cooper_operator.cluster.port import AlreadyExists, Conflict, Invalid
from unit.cluster.cluster_harness import FakeBox, FolderHarness

KEY = KeyRecord("AKIAAAAAAAAAAAAAAAAA", "secret-of-the-key", Owner("default", "photos", "u"), 1)
BUCKET = BucketRecord("photos", "data", Owner("default", "photos", "u"))


def place(folder: FolderHarness, name: str = "key-a") -> Path:
    return folder.cluster.records_dir / f"{name}.json"


async def test_file_is_private_sealed_and_what_the_gateway_reads(folder: FolderHarness) -> None:
    await folder.cluster.create_record("key-a", KEY)
    file = place(folder)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert b"secret-of-the-key" not in file.read_bytes()
    assert load_file(file.read_bytes(), FakeBox()) == KEY
    assert os.listdir(file.parent) == ["key-a.json"]


async def test_no_state_holds_a_secret_in_the_clear(folder: FolderHarness) -> None:
    stored = await folder.cluster.create_record("key-a", KEY)
    await folder.cluster.update_record(stored, KEY)
    for path in folder.state.rglob("*"):
        assert path.is_dir() or b"secret-of-the-key" not in path.read_bytes()


async def test_records_survive_a_restart_with_their_version(folder: FolderHarness) -> None:
    stored = await folder.cluster.create_record("key-a", KEY)
    await folder.reopen()
    assert await folder.cluster.get_record("key-a") == stored
    assert list(await folder.cluster.list_records()) == [stored]


DAMAGE = [b"", b"{", b"\xff", b'{"kind":"key"}', b'{"kind":"other","version":1}']


@pytest.mark.parametrize("content", DAMAGE)
async def test_damaged_record_is_told_apart(folder: FolderHarness, content: bytes) -> None:
    await folder.cluster.create_record("key-a", KEY)
    await folder.cluster.create_record("bucket-photos", BUCKET)
    place(folder).write_bytes(content)
    listed = await folder.cluster.list_records()
    assert [each.name for each in listed] == ["bucket-photos"]
    assert [(each.name, bool(each.reason)) for each in listed.damaged] == [("key-a", True)]
    with pytest.raises(RecordError, match="key-a"):
        await folder.cluster.get_record("key-a")
    with pytest.raises(AlreadyExists):
        await folder.cluster.create_record("key-a", KEY)


async def test_record_sealed_with_another_key_is_damaged(folder: FolderHarness) -> None:
    await folder.cluster.create_record("key-a", KEY)
    await folder.reopen(FakeBox(b"o" * 32))
    with pytest.raises(RecordError, match="another key-encryption key"):
        await folder.cluster.get_record("key-a")


async def test_record_that_is_no_file_is_damaged_and_not_followed(folder: FolderHarness, tmp_path: Path) -> None:
    await folder.cluster.create_record("key-a", KEY)
    target = tmp_path / "target"
    place(folder).rename(target)
    place(folder).symlink_to(target)
    with pytest.raises(RecordError):
        await folder.cluster.get_record("key-a")
    assert [each.name for each in (await folder.cluster.list_records()).damaged] == ["key-a"]


@pytest.mark.parametrize("name", ["", ".", "..", "../x", "a/b", ".x", "X", "nul\0", "x" * 251, "a\n"])
async def test_names_that_could_leave_the_folder_are_refused(folder: FolderHarness, name: str) -> None:
    with pytest.raises(Invalid):
        await folder.cluster.create_record(name, BUCKET)
    assert await folder.cluster.get_record(name) is None


async def test_other_files_in_the_folder_are_no_records(folder: FolderHarness) -> None:
    await folder.cluster.create_record("key-a", KEY)
    for name in ("note.txt", ".x.json", "UPPER.json", "key-b.json.tmp"):
        (folder.cluster.records_dir / name).write_text("{}")
    listed = await folder.cluster.list_records()
    assert ([each.name for each in listed], listed.damaged) == (["key-a"], ())


async def test_repaired_record_counts_again(folder: FolderHarness) -> None:
    stored = await folder.cluster.create_record("key-a", KEY)
    good = place(folder).read_bytes()
    place(folder).write_bytes(json.dumps({}).encode())
    assert (await folder.cluster.list_records()).damaged
    place(folder).write_bytes(good)
    assert await folder.cluster.get_record("key-a") == stored


async def test_damaged_file_is_kept_beside_the_one_that_replaces_it(folder: FolderHarness) -> None:
    await folder.cluster.create_record("key-a", KEY)
    for _ in range(2):  # the same content twice is kept once
        place(folder).write_bytes(b"{")
        kept = await folder.cluster.replace_damaged_record("key-a", KEY)
    assert kept.startswith("key-a.json.damaged-")
    assert sorted(os.listdir(folder.cluster.records_dir)) == ["key-a.json", kept]
    assert (folder.cluster.records_dir / kept).read_bytes() == b"{"
    await folder.reopen()
    assert [each.name for each in await folder.cluster.list_records()] == ["key-a"]


@pytest.mark.parametrize("newer", [{"version": 2}, {"version": 2, "kind": "bucket", "unknown": 1}])
async def test_record_of_a_newer_version_is_not_replaced(folder: FolderHarness, newer: dict[str, object]) -> None:
    await folder.cluster.create_record("bucket-photos", BUCKET)
    file = place(folder, "bucket-photos")
    content = json.dumps(json.loads(file.read_bytes()) | newer)
    file.write_text(content)
    (damaged,) = (await folder.cluster.list_records()).damaged
    assert not damaged.replaceable
    with pytest.raises(Conflict):
        await folder.cluster.replace_damaged_record("bucket-photos", BUCKET)
    assert file.read_text() == content


async def test_a_bucket_record_of_before_its_date_was_kept_still_loads(folder: FolderHarness) -> None:
    await folder.cluster.create_record("bucket-photos", BUCKET)
    file = folder.state / "records" / "bucket-photos.json"
    content = json.loads(file.read_text())
    assert content.pop("created") == 0
    file.write_text(json.dumps(content))
    stored = await folder.cluster.get_record("bucket-photos")
    assert stored is not None
    assert stored.record == BUCKET
