"""A bucket's key is there once its bucket is, and gone once that is said; a commit that may have failed is not gone on
from.
"""

import errno
import os
from pathlib import Path
from typing import Any, cast

import lmdb
import pytest

from cooper_gateway.crypto.keyring import Keyring
from cooper_gateway.storage import bucket_keys
from cooper_gateway.storage import committer as committer_module
from cooper_gateway.storage.bucket_keys import BucketKeys
from cooper_gateway.storage.committer import CommitFailed, Committer
from cooper_gateway.storage.layout import Layout
from cooper_gateway.storage.sync import SyncFailed
from cooper_gateway.storage.wire import Destroy, EnsureBucket
from support.disk_crashes import Crash, CrashAfter
from support.filled_store import BUCKET, OTHER, filled
from support.store_process import CommitterProcess, config_in, refuse_revoked
from support.verifying import assert_sound

DATA_ID = bytes(range(16))


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    layout = Layout(str(tmp_path / "data"))
    layout.create()
    return layout


@pytest.fixture
def keys(layout: Layout) -> BucketKeys:
    return BucketKeys(layout, Keyring(os.urandom(32)))


def names(layout: Layout) -> list[str]:
    return sorted(os.listdir(layout.bucket_keys))


class FailingSync:
    """Syncs of the folder of keys, of which some fail."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, failing: int) -> None:
        self.failing = failing
        self.done = 0
        monkeypatch.setattr(bucket_keys, "sync_directory", self._sync)

    def _sync(self, path: Path) -> None:
        if self.failing:
            self.failing -= 1
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        self.done += 1


def test_a_key_whose_removal_could_not_be_synced_is_never_said_to_be_gone_without_a_sync(
    layout: Layout, keys: BucketKeys, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys.create(DATA_ID)
    keys.publish(DATA_ID)
    sync = FailingSync(monkeypatch, failing=1)
    with pytest.raises(SyncFailed):
        keys.shred(DATA_ID)
    assert names(layout) == []
    keys.shred(DATA_ID)  # by the process that comes after
    assert sync.done == 1


def test_a_key_that_could_not_be_overwritten_stays_and_is_not_asked_for_again(
    layout: Layout, keys: BucketKeys, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys.create(DATA_ID)
    keys.publish(DATA_ID)
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", _fail)
        with pytest.raises(SyncFailed):
            keys.shred(DATA_ID)
    assert names(layout) == [f"{DATA_ID.hex()}.key"]


def _fail(_: object) -> None:
    raise OSError(errno.EIO, os.strerror(errno.EIO))


def test_the_committer_ends_when_a_key_may_be_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = config_in(tmp_path)
    committer = Committer(config, Keyring.load_or_create(config.kek_file, True), refuse_revoked)
    committer._commit([EnsureBucket(1, DATA_ID)])
    FailingSync(monkeypatch, failing=1)
    with pytest.raises(CommitFailed):
        committer._commit([Destroy(2, DATA_ID)])


@pytest.mark.parametrize("steps", range(4))
def test_a_key_of_a_bucket_that_was_never_committed_is_no_garbage(
    layout: Layout, keys: BucketKeys, steps: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        crash = CrashAfter(patch, steps)
        try:
            keys.create(DATA_ID)
        except Crash:
            pass
    assert crash.crashed == (steps < 3), "there are three steps: made, synced, its name synced"
    keys.settle_drafts(lambda data_id: False)
    assert names(layout) == []


def test_a_key_is_made_anew_for_a_commit_that_failed_and_is_the_same(layout: Layout, keys: BucketKeys) -> None:
    keys.create(DATA_ID)
    draft = layout.bucket_key_draft(DATA_ID).read_bytes()
    keys.create(DATA_ID)
    keys.publish(DATA_ID)
    keys.publish(DATA_ID)
    assert layout.bucket_key(DATA_ID).read_bytes() == draft
    keys.create(DATA_ID)
    assert names(layout) == [f"{DATA_ID.hex()}.key"]


def test_a_committer_that_is_killed_between_its_commit_and_the_keys_name_gives_it_that(tmp_path: Path) -> None:
    process = filled(CommitterProcess(config_in(tmp_path)))
    layout = Layout(process.config.data_dir)
    layout.bucket_key(BUCKET.data_id).rename(layout.bucket_key_draft(BUCKET.data_id))
    BucketKeys(layout, process.keyring).create(DATA_ID[::-1])  # and one before its commit
    layout.bucket_key_draft(OTHER.data_id).write_bytes(b"left by a commit that failed once")
    process.start()
    process.stop()
    assert names(layout) == sorted(f"{each.data_id.hex()}.key" for each in (BUCKET, OTHER))
    assert_sound(process.config)


def test_a_bucket_that_is_made_and_destroyed_by_one_commit_leaves_no_key(tmp_path: Path) -> None:
    config = config_in(tmp_path)
    committer = Committer(config, Keyring.load_or_create(config.kek_file, True), refuse_revoked)
    replies = committer._commit([EnsureBucket(1, DATA_ID), EnsureBucket(2, DATA_ID), Destroy(3, DATA_ID)])
    assert [reply.error for reply in replies] == ["", "", ""]
    assert names(Layout(config.data_dir)) == []


class _Transaction:
    def __init__(self, error: lmdb.Error) -> None:
        self._error = error

    def commit(self) -> None:
        raise self._error


def test_an_input_output_error_of_a_commit_is_never_taken_for_a_full_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """However little room there is: it may be a sync that failed."""
    full = os.statvfs_result((4096, 4096, 1000, 0, 0, 0, 0, 0, 0, 255))
    monkeypatch.setattr(os, "statvfs", lambda path: full)
    with pytest.raises(CommitFailed):
        committer_module._commit(cast(Any, _Transaction(lmdb.Error("mdb_txn_commit: Input/output error"))))


@pytest.mark.parametrize("error", [lmdb.MapFullError("full"), lmdb.DiskError("No space left on device")])
def test_a_commit_for_which_there_is_no_room_fails_alone(error: lmdb.Error) -> None:
    with pytest.raises(type(error)):
        committer_module._commit(cast(Any, _Transaction(error)))
