"""Copies of a store: of one instant, whole or refused, and what is copied stays until it is."""

import asyncio
import errno
import json
import os
import re
import resource
import shutil
import subprocess
import sys
import time
import tracemalloc
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from pathlib import Path
from typing import NoReturn

import msgspec
import pytest
from click.testing import CliRunner

from cooper_cli.store_backup import verify_backup
from cooper_gateway.storage import backup_manifest
from cooper_gateway.storage.backup import Backup
from cooper_gateway.storage.backup_folder import LOCK, BackupFailed, alone, locked
from cooper_gateway.storage.backup_manifest import BackupUnusable, Manifest
from cooper_gateway.storage.embedded import EmbeddedStore
from cooper_gateway.storage.layout import Layout
from cooper_gateway.storage.lease import Lease, LeaseLost
from cooper_gateway.storage.port import Attributes, BucketRef, Conditions, Guard, NoSuchName
from cooper_gateway.storage.restoring import damaged_files, restore
from cooper_gateway.storage.verification.pace import Pace
from support.disk_crashes import Crash, CrashAfter
from support.filled_store import BODIES, filled
from support.filled_store import LARGE as LARGE_BODY
from support.store_process import CommitterProcess, config_in
from support.verifying import OpenedIndex, assert_sound

GUARD = Guard("AKIATEST", "s3:PutObject")
LARGE = 200_000  # bytes: a file


@pytest.fixture
def committer(tmp_path: Path) -> Iterator[CommitterProcess]:
    process = CommitterProcess(config_in(tmp_path))
    yield process
    process.kill()


@pytest.fixture
async def store(committer: CommitterProcess) -> AsyncIterator[EmbeddedStore]:
    embedded = EmbeddedStore(committer.config, committer.keyring, asyncio.get_running_loop())
    yield embedded
    await embedded.close()


@pytest.fixture
def bucket() -> BucketRef:
    return BucketRef(os.urandom(16), "photos")


async def put(store: EmbeddedStore, bucket: BucketRef, name: bytes, data: bytes) -> None:
    writer = store.writer(bucket, None)
    await writer.write(data)
    await store.put(bucket, name, await writer.finish(), "e", Attributes({}, {"m": "x"}), None, Conditions(), GUARD)


async def get(store: EmbeddedStore, bucket: BucketRef, name: bytes) -> bytes:
    opened = await store.open(bucket, name)
    try:
        return b"".join([piece async for piece in opened.read(0, opened.info.size)])
    finally:
        opened.close()


def files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


async def eventually(what: str, check: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not check():
        assert time.monotonic() < deadline, f"{what} did not come"
        await asyncio.sleep(0.02)


def back_up_here(committer: CommitterProcess, target: Path) -> int:
    """Returns how many bytes were copied. The store must not be open in this process."""
    config = committer.config
    return Backup(Layout(config.data_dir), config.map_size, target, lambda: None).run().copied


_PROGRAM = """
import sys
from pathlib import Path
from cooper_gateway.storage.backup import Backup
from cooper_gateway.storage.layout import Layout
print(Backup(Layout(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3]), lambda: None).run().copied)
"""


async def back_up(committer: CommitterProcess, target: Path) -> int:
    """The same by a process of its own."""
    config = committer.config
    argv = [sys.executable, "-c", _PROGRAM, config.data_dir, str(config.map_size), str(target)]
    process = await asyncio.create_subprocess_exec(*argv, stdout=subprocess.PIPE)
    out, _ = await process.communicate()
    assert process.returncode == 0
    return int(out)


async def contents(committer: CommitterProcess, data_dir: Path, bucket: BucketRef) -> dict[bytes, bytes]:
    """What a committer serves from a data folder."""
    config = msgspec.structs.replace(config_in(data_dir), data_dir=str(data_dir), kek_file=committer.config.kek_file)
    other = CommitterProcess(config)
    opened = EmbeddedStore(other.config, committer.keyring, asyncio.get_running_loop())
    try:
        page = await opened.list_objects(bucket, b"", b"", b"", 1000)
        return {entry.name: await get(opened, bucket, entry.name) for entry in page.entries}
    finally:
        await opened.close()
        other.kill()


async def test_what_is_deleted_meanwhile_is_in_the_backup_and_goes_after_it(
    store: EmbeddedStore, bucket: BucketRef, committer: CommitterProcess, tmp_path: Path
) -> None:
    large, small = os.urandom(LARGE), b"a few bytes"
    await put(store, bucket, b"large", large)
    await put(store, bucket, b"small", small)
    layout = Layout(committer.config.data_dir)
    lease = Lease(committer.config.committer_path)
    before = files(layout.segments)
    await store.delete(bucket, [b"large"], GUARD)
    with pytest.raises(NoSuchName):
        await get(store, bucket, b"large")
    await asyncio.sleep(0.3)
    assert files(layout.segments) == before, "held back"
    await put(store, bucket, b"large", large)
    await back_up(committer, tmp_path / "backup")
    lease.check()
    lease.close()
    await eventually("the removal", lambda: len(files(layout.segments)) == 1)
    restore(tmp_path / "backup", tmp_path / "restored", keks=committer.keyring.fingerprints)
    assert await contents(committer, tmp_path / "restored", bucket) == {b"large": large, b"small": small}


async def test_a_bucket_that_is_destroyed_meanwhile_keeps_its_key_until_the_lease_ends(
    store: EmbeddedStore, bucket: BucketRef, committer: CommitterProcess
) -> None:
    await put(store, bucket, b"small", b"x")
    key = Layout(committer.config.data_dir).bucket_key(bucket.data_id)
    lease = Lease(committer.config.committer_path)
    while await store.purge_bucket(bucket):
        pass
    await store.destroy_bucket(bucket)
    assert key.exists()
    lease.close()
    await eventually("the shredding", lambda: not key.exists())


async def test_a_bucket_that_was_closed_before_it_was_written_to_has_no_key_to_copy(
    store: EmbeddedStore, bucket: BucketRef, committer: CommitterProcess, tmp_path: Path
) -> None:
    unused = BucketRef(os.urandom(16), "unused")
    await put(store, bucket, b"small", b"x")
    await store.close_bucket(unused, None, b"")
    assert not Layout(committer.config.data_dir).bucket_key(unused.data_id).exists()
    await back_up(committer, tmp_path / "backup")
    restore(tmp_path / "backup", tmp_path / "restored")
    assert await contents(committer, tmp_path / "restored", bucket) == {b"small": b"x"}


async def test_a_lease_ends_with_the_committer_and_what_it_held_goes_at_the_next_start(
    store: EmbeddedStore, bucket: BucketRef, committer: CommitterProcess
) -> None:
    await put(store, bucket, b"large", os.urandom(LARGE))
    lease = Lease(committer.config.committer_path)
    lease.check()
    await store.delete(bucket, [b"large"], GUARD)
    committer.kill()
    with pytest.raises(LeaseLost, match="ended"):
        lease.check()
    committer.start()
    await eventually("the removal", lambda: not files(Layout(committer.config.data_dir).segments))


async def test_a_second_backup_copies_what_is_new_and_drops_what_is_gone(
    store: EmbeddedStore, bucket: BucketRef, committer: CommitterProcess, tmp_path: Path
) -> None:
    target, body = tmp_path / "backup", os.urandom(4 * LARGE)
    await put(store, bucket, b"stays", body)
    await put(store, bucket, b"goes", os.urandom(LARGE))
    first = await back_up(committer, target)
    await store.delete(bucket, [b"goes"], GUARD)
    await put(store, bucket, b"comes", b"x" * LARGE)
    second = await back_up(committer, target)
    assert first - second > 2 * LARGE
    assert len(files(target / "segments")) == 2 and len(list((target / "snapshots").iterdir())) == 1
    restore(target, tmp_path / "restored")
    assert await contents(committer, tmp_path / "restored", bucket) == {b"stays": body, b"comes": b"x" * LARGE}
    written = [*target.rglob("*"), *(tmp_path / "restored").rglob("*")]
    assert not [path for path in written if path.stat().st_mode & 0o077]


async def test_a_backup_that_is_cut_short_at_any_step_is_none_and_spoils_none(
    store: EmbeddedStore,
    bucket: BucketRef,
    committer: CommitterProcess,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    await put(store, bucket, b"large", os.urandom(LARGE))
    whole = tmp_path / "whole"
    await back_up(committer, whole)
    await put(store, bucket, b"more", os.urandom(LARGE))
    await store.close()  # it is open once in a process
    steps, crashed = 0, True
    while crashed:
        for target, before in ((tmp_path / f"none-{steps}", False), (tmp_path / f"old-{steps}", True)):
            if before:
                shutil.copytree(whole, target)
            with monkeypatch.context() as patch:
                crash = CrashAfter(patch, steps)
                try:
                    back_up_here(committer, target)
                except Crash:
                    pass
            crashed = crash.crashed
            out = tmp_path / f"out-{before}-{steps}"
            if before or (target / "manifest").exists():
                restore(target, out)
                names = set(await contents(committer, out, bucket)) if steps % 8 == 0 else {b"large"}
                assert b"large" in names
            else:
                with pytest.raises(BackupUnusable, match="no complete backup"):
                    restore(target, out)
            back_up_here(committer, target)
            restore(target, tmp_path / f"again-{before}-{steps}")
        steps += 1
    assert steps > 10


@pytest.mark.parametrize("damage", ["flip", "cut", "remove", "link"])
async def test_a_damaged_backup_is_refused_and_nothing_is_made(
    store: EmbeddedStore, bucket: BucketRef, committer: CommitterProcess, tmp_path: Path, damage: str
) -> None:
    await put(store, bucket, b"large", os.urandom(LARGE))
    target, out = tmp_path / "backup", tmp_path / "restored"
    await back_up(committer, target)
    for path in (each for each in files(target) if each.name != LOCK):
        content = path.read_bytes()
        path.unlink()
        if damage == "flip":
            path.write_bytes(bytes([content[0] ^ 1]) + content[1:])
        elif damage == "cut":
            path.write_bytes(content[:-1])
        elif damage == "link":
            (tmp_path / "elsewhere").write_bytes(content)
            path.symlink_to(tmp_path / "elsewhere")
        if damage != "link" or path.name != "manifest":
            with pytest.raises(BackupUnusable):
                restore(target, out)
            assert not list(tmp_path.glob("*restor*"))
            looked = CliRunner().invoke(verify_backup, [str(target)])
            assert looked.exit_code == (2 if path.name == "manifest" else 1)
            assert str(path) in looked.output or path.name == "manifest"
        path.unlink(missing_ok=True)
        path.write_bytes(content)
    looked = CliRunner().invoke(verify_backup, [str(target)])
    assert (looked.exit_code, looked.output.strip()) == (0, f"Every file in {target} is as it was written.")
    restore(target, out)


async def test_damaged_files_are_copied_anew_once_they_are_removed(
    store: EmbeddedStore, bucket: BucketRef, committer: CommitterProcess, tmp_path: Path
) -> None:
    for name in (b"one", b"two", b"sound"):
        await put(store, bucket, name, os.urandom(LARGE))
    target = tmp_path / "backup"
    await back_up(committer, target)
    rotten = files(target / "segments")[:2]
    for path in rotten:
        content = path.read_bytes()
        path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    assert [path for path, _ in damaged_files(target)] == rotten
    for path in rotten:
        path.unlink()
    await back_up(committer, target)
    assert list(damaged_files(target)) == []


async def test_a_backup_that_another_one_replaces_while_it_is_read_is_not_called_damaged(
    store: EmbeddedStore, bucket: BucketRef, committer: CommitterProcess, tmp_path: Path
) -> None:
    await put(store, bucket, b"large", os.urandom(LARGE))
    target, again = tmp_path / "backup", False
    await back_up(committer, target)
    await store.close()  # it is open once in a process

    def meanwhile(done: int, of: int) -> None:
        nonlocal again
        if not again:
            again = True
            back_up_here(committer, target)

    with pytest.raises(BackupUnusable, match="another backup was made"):
        list(damaged_files(target, progress=meanwhile))


@pytest.mark.parametrize("instead", ["pipe", "folder", "endless"])
async def test_what_is_no_file_of_a_backup_is_refused_at_once(
    store: EmbeddedStore, bucket: BucketRef, committer: CommitterProcess, tmp_path: Path, instead: str
) -> None:
    await put(store, bucket, b"large", os.urandom(LARGE))
    await back_up(committer, tmp_path / "backup")
    (path,) = files(tmp_path / "backup" / "segments")
    if instead == "endless":
        os.truncate(path, 1 << 40)  # sparse: it takes no room where it is
    else:
        path.unlink()
        (os.mkfifo if instead == "pipe" else os.mkdir)(path)
    with pytest.raises(BackupUnusable, match="is damaged"):
        restore(tmp_path / "backup", tmp_path / "restored")
    assert not list(tmp_path.glob("*restor*"))


async def test_a_restore_that_finds_no_room_takes_none(
    store: EmbeddedStore,
    bucket: BucketRef,
    committer: CommitterProcess,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    await put(store, bucket, b"large", os.urandom(LARGE))
    await back_up(committer, tmp_path / "backup")

    def full(*_: object) -> NoReturn:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Pace, "spend", full)
    with pytest.raises(OSError, match="No space left"):
        restore(tmp_path / "backup", tmp_path / "restored")
    assert not list(tmp_path.glob("*restor*"))


async def test_nothing_is_restored_over_anything(
    store: EmbeddedStore, bucket: BucketRef, committer: CommitterProcess, tmp_path: Path
) -> None:
    await put(store, bucket, b"small", b"x")
    await back_up(committer, tmp_path / "backup")
    with pytest.raises(BackupFailed, match="not empty"):
        restore(tmp_path / "backup", Path(committer.config.data_dir))
    with pytest.raises(BackupUnusable, match="but the key file holds 0123"):
        restore(tmp_path / "backup", tmp_path / "new", keks=["0123"])
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "thesis.txt").write_text("mine")
    with pytest.raises(BackupFailed, match="other things"):
        back_up_here(committer, tmp_path / "other")


async def test_two_backups_into_a_folder_at_a_time_are_refused(
    store: EmbeddedStore, bucket: BucketRef, committer: CommitterProcess, tmp_path: Path
) -> None:
    """The later one's end took away what the other one's manifest named, or had its own put there half written."""
    await put(store, bucket, b"large", os.urandom(LARGE))
    await store.close()  # it is open once in a process
    layout, map_size, target = Layout(committer.config.data_dir), committer.config.map_size, tmp_path / "backup"

    def meanwhile() -> None:
        with pytest.raises(BackupFailed, match=r"another backup is being made into .*: wait until it ends"):
            back_up_here(committer, target)

    Backup(layout, map_size, target, meanwhile).run()
    restore(target, tmp_path / "restored")
    assert back_up_here(committer, target)


async def test_what_a_failed_backup_left_goes_before_the_next_one_begins(
    store: EmbeddedStore, bucket: BucketRef, committer: CommitterProcess, tmp_path: Path
) -> None:
    """Else a disk that is full would be fuller with each attempt; and a key that is destroyed would stay in it."""
    await put(store, bucket, b"large", os.urandom(LARGE))
    await store.close()
    layout, map_size, target = Layout(committer.config.data_dir), committer.config.map_size, tmp_path / "backup"
    back_up_here(committer, target)
    (good,) = os.listdir(target / "snapshots")

    def full() -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    for _ in range(3):
        with pytest.raises(OSError, match="No space left"):
            Backup(layout, map_size, target, full).run()
        assert len(os.listdir(target / "snapshots")) == 2
        assert (target / "snapshots" / good / "index" / "data.mdb").exists()
    restore(target, tmp_path / "restored")


@pytest.mark.parametrize(
    "place", ["segments", "snapshots", "segments/{0}", "segments/" + "ab" * 8, "snapshots/" + "ab" * 8, "lock"]
)
async def test_nothing_is_written_or_removed_where_a_link_leads(
    store: EmbeddedStore, bucket: BucketRef, committer: CommitterProcess, tmp_path: Path, place: str
) -> None:
    await put(store, bucket, b"large", os.urandom(LARGE))
    await store.close()
    (directory,) = os.listdir(Layout(committer.config.data_dir).segments)
    target, others = tmp_path / "backup", tmp_path / "others"
    others.mkdir()
    (others / "thesis.txt").write_text("mine")
    link = target / place.format(directory)
    link.parent.mkdir(parents=True)
    link.symlink_to(others)
    try:
        back_up_here(committer, target)
        assert not link.is_symlink()
    except (BackupFailed, OSError) as error:
        assert "symbolic link" in str(error)
    assert os.listdir(others) == ["thesis.txt"]


def write_manifest(folder: Path, paths: Iterable[str], format_: int = 1) -> None:
    writer = backup_manifest.Writer(folder)
    writer.begin(backup_manifest.Head("00" * 8, "00" * 16, "2", "00" * 8, 0, format=format_))
    for path in paths:
        writer.add(backup_manifest.Entry(path, 3, "ab" * 32))
    writer.finish()


@pytest.mark.parametrize("path", ["../outside", "/etc/passwd", "segments/../../x", "snapshots/00/index/data.mdb"])
def test_a_manifest_that_leads_out_of_the_folder_is_refused(tmp_path: Path, path: str) -> None:
    write_manifest(tmp_path, [path])
    with pytest.raises(BackupUnusable, match="names a file that no backup has"):
        Manifest(tmp_path)


def test_a_manifest_of_a_later_format_is_refused(tmp_path: Path) -> None:
    write_manifest(tmp_path, [], format_=2)
    with pytest.raises(BackupUnusable, match="has format 2"):
        Manifest(tmp_path)


def test_a_manifest_lies_in_memory_nowhere_as_a_whole(tmp_path: Path) -> None:
    files = 40_000
    tracemalloc.start()
    try:
        write_manifest(tmp_path, (f"segments/{number >> 12:016x}/{number:032x}" for number in range(files)))
        manifest = Manifest(tmp_path)
        assert sum(each.size for each in manifest.entries()) == 3 * manifest.files == 3 * files
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert (tmp_path / "manifest").stat().st_size > 4 << 20
    assert peak < 1 << 20


@pytest.mark.parametrize("cut", [1, 2, 60, 4000])
def test_a_manifest_that_was_cut_off_is_refused(tmp_path: Path, cut: int) -> None:
    write_manifest(tmp_path, [f"segments/{0:016x}/{number:032x}" for number in range(100)])
    path = tmp_path / "manifest"
    whole = path.read_bytes()
    path.write_bytes(whole[:-cut])
    with pytest.raises(BackupUnusable, match="is damaged"):
        Manifest(tmp_path)
    path.write_bytes(whole + b"\n")
    with pytest.raises(BackupUnusable, match="is damaged"):
        Manifest(tmp_path)


@pytest.mark.parametrize(
    "line",
    [
        b'{"snapshot":"\xff"}\n',
        b'{"format":"\xc3("}\n',
        b'{"a":' + b"[" * 60_000 + b"\n",
        b'{"format":1e999}\n',
        b"\0\n",
    ],
)
@pytest.mark.parametrize("first", [True, False])
def test_a_manifest_of_any_bytes_is_refused(tmp_path: Path, line: bytes, first: bool) -> None:
    write_manifest(tmp_path, [f"segments/{0:016x}/{number:032x}" for number in range(3)])
    path = tmp_path / "manifest"
    lines = path.read_bytes().splitlines(keepends=True)
    lines[0 if first else 2] = line
    path.write_bytes(b"".join(lines))
    with pytest.raises(BackupUnusable):
        Manifest(tmp_path)


def test_no_byte_of_a_manifest_leads_astray(tmp_path: Path) -> None:
    write_manifest(tmp_path, [f"segments/{0:016x}/{0:032x}"])
    path = tmp_path / "manifest"
    whole = path.read_bytes()
    for at in range(len(whole)):
        for bit in range(8):
            path.write_bytes(whole[:at] + bytes([whole[at] ^ 1 << bit]) + whole[at + 1 :])
            with pytest.raises(BackupUnusable):
                Manifest(tmp_path)


def test_no_byte_that_can_be_read_and_no_key_is_in_a_backup(tmp_path: Path) -> None:
    config = config_in(tmp_path)
    process = filled(CommitterProcess(config))
    try:
        Backup(Layout(config.data_dir), config.map_size, tmp_path / "backup", lambda: None).run()
    finally:
        process.kill()
    key = json.loads(Path(config.kek_file).read_text())["key"]
    secrets = [LARGE_BODY[:64], LARGE_BODY[-64:], BODIES[b"small"], key.encode(), bytes.fromhex(key)]
    for path in files(tmp_path / "backup"):
        content = path.read_bytes()
        assert not [secret for secret in secrets if secret in content], path


async def test_a_store_of_the_former_format_is_restored_as_one_of_this(
    store: EmbeddedStore, bucket: BucketRef, committer: CommitterProcess, tmp_path: Path
) -> None:
    await put(store, bucket, b"large", b"x" * LARGE)
    await store.close()
    committer.stop()
    index = OpenedIndex(committer.config)
    with index as txn:
        txn.put(b"format", b"1", db=index.tables["meta"])
        row = msgspec.msgpack.decode(txn.get(bucket.data_id, db=index.tables["buckets"]))
        txn.put(bucket.data_id, msgspec.msgpack.encode(row[:-1]), db=index.tables["buckets"])
    back_up_here(committer, tmp_path / "backup")
    assert restore(tmp_path / "backup", tmp_path / "restored").store_format == "1"
    assert await contents(committer, tmp_path / "restored", bucket) == {b"large": b"x" * LARGE}
    assert_sound(msgspec.structs.replace(committer.config, data_dir=str(tmp_path / "restored")))


@pytest.mark.parametrize("folder", ["snapshots", "segments"])
async def test_what_somebody_else_keeps_in_folders_of_such_names_is_left_alone(
    committer: CommitterProcess, store: EmbeddedStore, bucket: BucketRef, tmp_path: Path, folder: str
) -> None:
    await put(store, bucket, b"a", b"a" * LARGE)
    await store.close()
    target = tmp_path / "backup"
    own = target / folder / "my-vm-2026-01-01"
    own.mkdir(parents=True)
    (own / "disk.img").write_bytes(b"all of it")
    with pytest.raises(BackupFailed, match=f"holds other things .{folder}/my-vm"):
        back_up_here(committer, target)
    assert [path.name for path in files(target)] == ["disk.img"]

    again = tmp_path / "again"
    back_up_here(committer, again)
    shutil.move(own, again / folder)
    back_up_here(committer, again)
    assert (again / folder / own.name / "disk.img").read_bytes() == b"all of it"


async def test_of_two_into_one_folder_at_a_time_the_second_is_refused(
    committer: CommitterProcess, store: EmbeddedStore, bucket: BucketRef, tmp_path: Path
) -> None:
    await put(store, bucket, b"a", b"a" * LARGE)
    await store.close()
    target = tmp_path / "backup"
    back_up_here(committer, target)
    before = {path: path.read_bytes() for path in files(target)}
    with locked(target), pytest.raises(BackupFailed, match=f"another backup is being made into {target}"):
        back_up_here(committer, target)
    assert {path: path.read_bytes() for path in files(target)} == before
    assert back_up_here(committer, target) > 0

    draft = tmp_path / ".restored.restoring"
    draft.mkdir()
    (draft / "segments").mkdir()
    with alone(draft, "another"), pytest.raises(BackupFailed, match="another backup is being restored"):
        restore(target, tmp_path / "restored")
    restore(target, tmp_path / "restored")
    assert not draft.exists()


async def test_a_restore_that_is_interrupted_leaves_nothing(
    committer: CommitterProcess, store: EmbeddedStore, bucket: BucketRef, tmp_path: Path
) -> None:
    await put(store, bucket, b"a", b"a" * LARGE)
    await store.close()
    back_up_here(committer, tmp_path / "backup")

    def interrupt(done: int, of: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        restore(tmp_path / "backup", tmp_path / "restored", progress=interrupt)
    assert not list(tmp_path.glob("*restor*"))


@pytest.mark.parametrize(
    ("most", "expected"), [(8192, "the index could not be copied"), (150_000, "too large.*/segments/")]
)
async def test_what_cannot_be_written_is_named(
    committer: CommitterProcess, store: EmbeddedStore, bucket: BucketRef, tmp_path: Path, most: int, expected: str
) -> None:
    await put(store, bucket, b"a", b"a" * LARGE)
    await store.close()
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (most, before[1]))
    try:
        with pytest.raises((BackupFailed, OSError)) as caught:
            back_up_here(committer, tmp_path / "backup")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert re.search(expected, str(caught.value))
    back_up_here(committer, tmp_path / "backup")
    restore(tmp_path / "backup", tmp_path / "restored")
