"""Bucket keys are wrapped by another key-encryption key: whenever that is cut short each is readable, and in the end
nothing is left that the old one opens."""

import asyncio
import errno
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NoReturn

import pytest

from cooper_gateway import shredding
from cooper_gateway.crypto import key_file
from cooper_gateway.crypto.key_file import KeyFile
from cooper_gateway.crypto.keyring import Keyring, KeyringError
from cooper_gateway.processes.rotation import DAMAGED, RewrapFailed, needs, rewrap
from cooper_gateway.shredding import OLD, SyncFailed
from cooper_gateway.storage.backup import Backup
from cooper_gateway.storage.backup_manifest import BackupUnusable
from cooper_gateway.storage.bucket_keys import BucketKeys
from cooper_gateway.storage.committer import CommitFailed, Committer
from cooper_gateway.storage.embedded import EmbeddedStore
from cooper_gateway.storage.index import open_writable
from cooper_gateway.storage.layout import Layout
from cooper_gateway.storage.lease import Lease
from cooper_gateway.storage.port import BucketRef, StoreFailed
from cooper_gateway.storage.restoring import restore
from cooper_gateway.storage.wire import Destroy, EnsureBucket, Reply, Rewrap
from support.disk_crashes import Crash, CrashAfter
from support.filled_store import BODIES, BUCKET, OTHER, filled, put
from support.store_process import CommitterProcess, config_in, refuse_revoked
from support.verifying import assert_sound

IDS = [bytes([number]) * 16 for number in range(5)]


class Keys:
    """Five bucket keys, wrapped by a key that is not the newest any more."""

    def __init__(self, folder: Path) -> None:
        self.layout = Layout(str(folder / "data"))
        self.layout.create()
        self.path = folder / "kek"
        self.old = Keyring.of(key_file.create(self.path))
        made = BucketKeys(self.layout, self.old)
        for data_id in IDS:
            made.create(data_id)
            made.publish(data_id)
        self.records = {data_id: made.get(data_id).seal_record(b"sound", b"") for data_id in IDS}
        self.old_wraps = [self.layout.bucket_key(data_id).read_bytes() for data_id in IDS]
        self.blocks = folder / "blocks"
        self.blocks.mkdir()
        for data_id in IDS:
            os.link(self.layout.bucket_key(data_id), self.blocks / data_id.hex())
        key_file.change(self.path, KeyFile.added)
        self.both = Keyring.load(str(self.path))
        self.new = self.both.only(self.both.fingerprint.__eq__)

    def fresh(self, keyring: Keyring | None = None) -> BucketKeys:
        """As a process that starts has them."""
        return BucketKeys(self.layout, keyring or self.both)

    def open_with(self, keyring: Keyring) -> bool:
        keys = self.fresh(keyring)
        return all(keys.get(data_id).open_record(self.records[data_id], b"") == b"sound" for data_id in IDS)

    def left(self) -> list[str]:
        """What is in the folder of keys beside keys."""
        return [name for name in os.listdir(self.layout.bucket_keys) if not name.endswith(".key")]

    def assert_done(self) -> None:
        assert self.open_with(self.new)
        assert self.left() == []
        on_disk = [path.read_bytes() for path in (*self.blocks.iterdir(), *self.layout.bucket_keys.iterdir())]
        for wrap in self.old_wraps:
            assert not any(wrap[-100:-50] in content or wrap[50:100] in content for content in on_disk)


@pytest.fixture
def keys(tmp_path: Path) -> Keys:
    return Keys(tmp_path)


def all_of(keys: BucketKeys, at_once: int = 2) -> list[int | None]:
    return list(iter(lambda: keys.rewrap(at_once), None))


def test_some_at_a_time_until_a_look_at_all_finds_none(keys: Keys) -> None:
    assert all_of(keys.fresh()) == [3, 1, 0]
    keys.assert_done()
    assert keys.fresh().rewrap(2) is None
    with pytest.raises(Exception, match="wrapped by key-encryption key"):
        keys.open_with(keys.old)


@pytest.mark.parametrize("steps", range(26))
def test_one_that_is_cut_short_leaves_each_key_readable_and_the_next_start_tidies_up(
    keys: Keys, monkeypatch: pytest.MonkeyPatch, steps: int
) -> None:
    with monkeypatch.context() as patch:
        crash = CrashAfter(patch, steps)
        try:
            keys.fresh().rewrap(3)
        except Crash:
            pass
    assert crash.crashed == (steps < 20), "of each made, linked, filled, renamed, overwritten, unlinked; and two syncs"
    assert keys.open_with(keys.both)
    keys.fresh().settle_drafts(lambda _: True)
    assert keys.left() == []
    assert keys.open_with(keys.both)
    all_of(keys.fresh())
    keys.assert_done()


@pytest.mark.parametrize("steps", range(0, 20, 3))
def test_a_start_that_is_cut_short_leaves_each_key_readable(
    keys: Keys, monkeypatch: pytest.MonkeyPatch, steps: int
) -> None:
    for first in (5, 9, 11, 14, 17):
        for number, act in ((first, lambda: keys.fresh().rewrap(3)), (steps % 7, keys_settled(keys))):
            with monkeypatch.context() as patch:
                CrashAfter(patch, number)
                try:
                    act()
                except Crash:
                    pass
            assert keys.open_with(keys.both)
    keys.fresh().settle_drafts(lambda _: True)
    all_of(keys.fresh())
    keys.assert_done()


def keys_settled(keys: Keys) -> Callable[[], None]:
    return lambda: keys.fresh().settle_drafts(lambda _: True)


def test_a_bucket_that_is_destroyed_after_a_rewrap_was_cut_short_leaves_nothing(
    keys: Keys, monkeypatch: pytest.MonkeyPatch
) -> None:
    for steps in (6, 9, 12, 14):  # drafts and second names are there, of old and new
        with monkeypatch.context() as patch:
            CrashAfter(patch, steps)
            with pytest.raises(Crash):
                keys.fresh().rewrap(3)
        for number, path in enumerate(sorted(keys.layout.bucket_keys.iterdir())):
            os.link(path, keys.blocks / f"{steps} {number}")
        plain = [keys.fresh().get(data_id) for data_id in IDS]
        assert len(plain) == 5
        if steps == 14:
            for data_id in IDS:
                keys.fresh().shred(data_id)
        else:
            keys.fresh().settle_drafts(lambda _: True)
    assert os.listdir(keys.layout.bucket_keys) == []
    for path in keys.blocks.iterdir():
        assert keys.both.wrapped_by(path.read_bytes()) is None, path


@pytest.mark.parametrize("failing", [1, 2])
def test_a_sync_that_fails_is_never_asked_again_and_nothing_is_overwritten_after_it(
    keys: Keys, monkeypatch: pytest.MonkeyPatch, failing: int
) -> None:
    synced: list[Path] = []
    overwritten: list[bytes] = []

    def sync(folder: Path) -> None:
        synced.append(folder)
        if len(synced) == failing:
            raise OSError(errno.EIO, os.strerror(errno.EIO))

    with monkeypatch.context() as patch:
        patch.setattr(shredding, "sync_directory", sync)
        patch.setattr(os, "pwrite", lambda _, data, __: overwritten.append(data))
        with pytest.raises(SyncFailed):
            keys.fresh().rewrap(3)
    assert (len(synced), overwritten) == (failing, [])
    assert keys.open_with(keys.both)
    keys.fresh().settle_drafts(lambda _: True)
    all_of(keys.fresh())
    keys.assert_done()


def test_an_old_wrap_that_could_not_be_overwritten_ends_the_process_and_keeps_its_name(
    keys: Keys, monkeypatch: pytest.MonkeyPatch
) -> None:
    fsync, of_old = os.fsync, list[str]()

    def failing(descriptor: int) -> None:
        path = os.readlink(f"/proc/self/fd/{descriptor}")
        if path.endswith(OLD):
            of_old.append(path)
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        fsync(descriptor)

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", failing)
        with pytest.raises(SyncFailed, match="overwritten"):
            keys.fresh().rewrap(1)
    assert len(of_old) == 1
    assert os.path.exists(of_old[0])
    assert keys.open_with(keys.both)
    all_of(keys.fresh(), 5)
    keys.fresh().settle_drafts(lambda _: True)
    keys.assert_done()


@pytest.mark.parametrize("call", ["write", "link", "rename"])
def test_a_full_disk_is_told_and_leaves_each_key_as_it_was(
    keys: Keys, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    def full(*_: object) -> NoReturn:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(*((shredding, "_fill", full) if call == "write" else (os, call, full)))
        with pytest.raises(OSError, match="No space"):
            keys.fresh().rewrap(3)
    assert keys.left() == []
    assert keys.open_with(keys.old)
    all_of(keys.fresh())
    keys.assert_done()


def test_an_old_wrap_that_could_not_be_opened_to_be_overwritten_is_overwritten_by_the_last_step(
    keys: Keys, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.open

    def out_of_files(path: str | Path, flags: int, *mode: int) -> int:
        if str(path).endswith(OLD):
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
        return real(path, flags, *mode)

    running = keys.fresh()
    with monkeypatch.context() as patch:
        patch.setattr(os, "open", out_of_files)
        with pytest.raises(OSError, match="Too many open files"):
            running.rewrap(5)
    assert keys.left()
    assert running.rewrap(5) is None
    keys.assert_done()


def test_a_key_that_cannot_be_unwrapped_is_named_and_nothing_is_said_to_be_done(keys: Keys) -> None:
    path = keys.layout.bucket_key(IDS[2])
    content = path.read_bytes()
    path.write_bytes(content.replace(content[-20:-10], b"0123456789"))
    with pytest.raises(StoreFailed, match=rf"{path.name} cannot be used: sealed value does not verify"):
        all_of(keys.fresh())
    path.write_bytes(content)
    all_of(keys.fresh())
    keys.assert_done()


def test_a_reader_that_meets_a_wrap_while_it_is_overwritten_reads_the_new_one(
    keys: Keys, monkeypatch: pytest.MonkeyPatch
) -> None:
    reader, read = keys.fresh(), Path.read_bytes

    def late(path: Path) -> bytes:
        with path.open("rb") as file:
            monkeypatch.setattr(Path, "read_bytes", read)
            all_of(keys.fresh(), 5)
            return file.read()

    monkeypatch.setattr(Path, "read_bytes", late)
    assert reader.get(IDS[0]).open_record(keys.records[IDS[0]], b"") == b"sound"


# With a committer.


@pytest.fixture
def committer_here(tmp_path: Path) -> Iterator[tuple[Committer, Path]]:
    config = config_in(tmp_path)
    made = Committer(config, Keyring.load_or_create(config.kek_file, True), refuse_revoked)
    yield made, Path(config.kek_file)
    made._index.env.close()
    made._housekeeping.close()


def asked(committer: Committer, kek: str, last: bool = False) -> Reply:
    (reply,) = committer._commit([Rewrap(1, b"", kek, last)])
    return reply


def noted(committer: Committer) -> list[str]:
    with committer._index.read() as txn:
        return committer._index.keks(txn).split()


def test_what_is_stored_needs_a_key_from_before_its_first_wrap_until_after_the_last_one(
    committer_here: tuple[Committer, Path],
) -> None:
    committer, path = committer_here
    assert committer._commit([EnsureBucket(number, data_id) for number, data_id in enumerate(IDS)])
    (old,) = noted(committer)
    new, _ = key_file.change(path, KeyFile.added).fingerprints
    assert asked(committer, old).error == "StoreFailed"  # it has taken up the new one
    wraps = committer._keys._wrapped_by_others
    assert (asked(committer, new).detail, noted(committer), len(wraps())) == ("more", [new, old], 5)
    assert (asked(committer, new).detail, noted(committer), len(wraps())) == ("more 0", [new, old], 0)
    assert (asked(committer, new).detail, noted(committer)) == ("", [new, old])
    assert (asked(committer, new, last=True).detail, noted(committer)) == ("", [new])
    assert (asked(committer, new, last=True).detail, noted(committer)) == ("", [new])


def test_a_bucket_that_is_made_while_a_key_is_new_notes_that_it_needs_it(
    committer_here: tuple[Committer, Path],
) -> None:
    committer, path = committer_here
    committer._commit([EnsureBucket(1, IDS[0])])
    (old,) = noted(committer)
    new, _ = key_file.change(path, KeyFile.added).fingerprints
    replies = committer._commit([EnsureBucket(1, IDS[1]), Rewrap(2, b"", new, True)])
    assert [reply.detail for reply in replies] == ["", "more"], "what was noted just now is not durable yet"
    assert noted(committer) == [new, old]
    while asked(committer, new, last=True).detail:
        pass
    assert noted(committer) == [new]
    replies = committer._commit([EnsureBucket(1, IDS[2]), Rewrap(2, b"", new, True)])
    assert [reply.detail for reply in replies] == ["", "more 0"], "also where no other is left"


def test_nothing_is_rewrapped_before_it_is_durable_that_the_key_is_needed(
    committer_here: tuple[Committer, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where what noted it comes in the same transaction, which then fails."""
    committer, path = committer_here
    committer._commit([EnsureBucket(1, IDS[0])])
    new, _ = key_file.change(path, KeyFile.added).fingerprints

    def fails(_: object) -> NoReturn:
        raise Crash

    monkeypatch.setattr("cooper_gateway.storage.committer._commit", fails)
    with pytest.raises(Crash):
        committer._commit([EnsureBucket(1, IDS[1]), Rewrap(2, b"", new)])
    wrapped = committer._layout.bucket_key(IDS[0]).read_bytes()
    assert Keyring.load(str(path)).wrapped_by(wrapped) in noted(committer)


@pytest.mark.parametrize("content", [b'{"format":1,"kek":"\xff\xff","wrapped":"00"}', bytes(200), b""])
def test_a_damaged_bucket_key_is_named_once_the_others_are_done(keys: Keys, content: bytes) -> None:
    """Nobody knows which key it needs: one that a backup has of it may need the old one."""
    path = keys.layout.bucket_key(IDS[2])
    path.write_bytes(content)
    with pytest.raises(StoreFailed, match=path.name):
        keys.fresh().rewrap(16)
    by = {keys.both.wrapped_by(keys.layout.bucket_key(each).read_bytes()) for each in IDS if each != IDS[2]}
    assert by == {keys.both.fingerprint}
    open_writable(keys.layout, 1 << 20, keys.both).env.close()
    assert needs(keys.layout, None, "", keys.both)[DAMAGED].bucket_keys == 1
    assert path.read_bytes() == content


def test_a_draft_that_a_failed_commit_left_is_not_used_once_another_key_is_the_newest(
    committer_here: tuple[Committer, Path],
) -> None:
    committer, path = committer_here
    committer._keys.create(IDS[0])
    new, _ = key_file.change(path, KeyFile.added).fingerprints
    committer._commit([EnsureBucket(1, IDS[0])])
    content = committer._layout.bucket_key(IDS[0]).read_bytes()
    assert committer._keys._sealer.wrapped_by(content) == new


def test_a_failed_sync_ends_the_committer(
    committer_here: tuple[Committer, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    committer, path = committer_here
    committer._commit([EnsureBucket(1, IDS[0])])
    new, _ = key_file.change(path, KeyFile.added).fingerprints
    asked(committer, new)

    def failing(_: Path) -> NoReturn:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(shredding, "sync_directory", failing)
    with pytest.raises(CommitFailed):
        asked(committer, new)


def test_a_bucket_that_is_destroyed_between_two_steps_is_passed_over(committer_here: tuple[Committer, Path]) -> None:
    committer, path = committer_here
    committer._commit([EnsureBucket(number, bytes([number]) * 16) for number in range(40)])
    new, _ = key_file.change(path, KeyFile.added).fingerprints
    asked(committer, new)
    assert asked(committer, new).detail == "more 24"
    committer._commit([Destroy(number, bytes([number]) * 16) for number in range(40)])
    while asked(committer, new, last=True).detail:
        pass
    assert noted(committer) == [new]
    assert os.listdir(committer._layout.bucket_keys) == []


def rotated(committer: CommitterProcess) -> tuple[str, str]:
    """The newest key and the one before, once all is wrapped by the newest."""
    new, old = key_file.change(Path(committer.config.kek_file), KeyFile.added).fingerprints
    assert list(rewrap(committer.config.committer_path, new, last=True))
    return new, old


async def test_a_worker_reads_on_with_a_key_that_it_did_not_know(
    store: EmbeddedStore, committer: CommitterProcess
) -> None:
    await put(store, BUCKET, b"before", b"body")
    store._keys._known.clear()
    new, _ = await asyncio.to_thread(rotated, committer)
    await put(store, OTHER, b"after", b"body")
    for bucket, name in ((BUCKET, b"before"), (OTHER, b"after")):
        opened = await store.open(bucket, name)
        opened.close()
    assert committer.keyring.fingerprint == new


async def test_beside_a_backup_it_is_refused_and_says_so(store: EmbeddedStore, committer: CommitterProcess) -> None:
    await put(store, BUCKET, b"name", b"body")
    lease = Lease(committer.config.committer_path)
    with pytest.raises(RewrapFailed, match="a backup is being made"):
        await asyncio.to_thread(rotated, committer)
    lease.check()
    lease.close()


def test_a_gateway_that_does_not_know_the_key_says_that_it_has_to_be_started_again(committer: CommitterProcess) -> None:
    with pytest.raises(RewrapFailed, match=rf"knows is {committer.keyring.fingerprint}, and not 0123: start it again"):
        list(rewrap(committer.config.committer_path, "0123"))


def test_afterwards_the_new_key_alone_opens_everything_and_the_old_one_nothing(tmp_path: Path) -> None:
    committer = filled(CommitterProcess(config_in(tmp_path)))
    path = Path(committer.config.kek_file)
    before = tmp_path / "before"
    shutil.copy(path, before)
    Backup(Layout(committer.config.data_dir), 1 << 30, tmp_path / "old", lambda: None).run()
    committer.start()
    new, old = rotated(committer)
    committer.stop()
    Backup(Layout(committer.config.data_dir), 1 << 30, tmp_path / "new", lambda: None).run()
    key_file.change(path, lambda file: file.without(old))
    assert_sound(committer.config)
    assert len(BODIES) > 1

    with pytest.raises(KeyringError, match=f"was made with key-encryption key {new}, but the key file holds {old}"):
        Committer(committer.config, Keyring.load(str(before)), refuse_revoked)
    with pytest.raises(
        BackupUnusable, match=rf"belongs to key-encryption key {old}, but the key file holds {new}: bring"
    ):
        restore(tmp_path / "old", tmp_path / "restored", keks=Keyring.load(str(path)).fingerprints)
    restore(tmp_path / "old", tmp_path / "restored")
    config = config_in(tmp_path / "x", data_dir=str(tmp_path / "restored"))
    with pytest.raises(KeyringError, match=f"a copy of it from before {old} was removed"):
        Committer(config, Keyring.load(str(path)), refuse_revoked)
    with pytest.raises(BackupUnusable, match=rf"belongs to key-encryption key {new}, but the key file holds {old}"):
        restore(tmp_path / "new", tmp_path / "again", keks=[old])


def test_a_backup_in_the_midst_of_it_names_both_keys(tmp_path: Path) -> None:
    committer = filled(CommitterProcess(config_in(tmp_path)))
    new, old = key_file.change(Path(committer.config.kek_file), KeyFile.added).fingerprints
    committer.start()
    committer.stop()
    Backup(Layout(committer.config.data_dir), 1 << 30, tmp_path / "backup", lambda: None).run()
    head = restore(tmp_path / "backup", tmp_path / "restored", keks=[old, new])
    assert head.kek == f"{new} {old}"
    with pytest.raises(BackupUnusable, match=f"belongs to key-encryption key {old}, "):
        restore(tmp_path / "backup", tmp_path / "again", keks=[new])


async def test_a_destroyed_bucket_is_in_no_file_whatever_key_opens(
    store: EmbeddedStore, committer: CommitterProcess, tmp_path: Path
) -> None:
    doomed = BucketRef(os.urandom(16), "doomed")
    await put(store, doomed, b"name", b"body")
    layout = Layout(committer.config.data_dir)
    os.link(layout.bucket_key(doomed.data_id), tmp_path / "blocks of the old wrap")
    new, old = await asyncio.to_thread(rotated, committer)
    os.link(layout.bucket_key(doomed.data_id), tmp_path / "blocks of the new wrap")
    while await store.purge_bucket(doomed):
        pass
    await store.destroy_bucket(doomed)
    for path in tmp_path.rglob("*"):
        if path.is_file() and path.name != "kek":
            assert not any(f'"kek":"{each}"'.encode() in path.read_bytes() for each in (new, old)), path
