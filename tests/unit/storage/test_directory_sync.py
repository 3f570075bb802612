"""What a commit may rely on is durable before it: checked with injected failures, which no kill -9 can show."""

import errno
import os
from pathlib import Path

import pytest

from cooper_gateway.crypto.keyring import Keyring
from cooper_gateway.storage import sync as sync_module
from cooper_gateway.storage.index import open_writable
from cooper_gateway.storage.layout import Layout
from cooper_gateway.storage.port import StoreFailed
from cooper_gateway.storage.sync import DirectorySync, SyncFailed

A, MISSING = b"a" * 8, b"m" * 8


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    layout = Layout(str(tmp_path))
    layout.create()
    layout.directory(A).mkdir()
    return layout


def test_a_new_store_is_durable_with_all_folders_on_the_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: set[str] = set()
    fsync = os.fsync

    def noting(descriptor: int) -> None:
        synced.add(os.readlink(f"/proc/self/fd/{descriptor}"))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", noting)
    layout = Layout(str(tmp_path / "not" / "there" / "yet"))
    layout.create()
    open_writable(layout, 1 << 20, Keyring.load_or_create(str(tmp_path / "kek"), True)).env.close()
    assert {str(layout.root), str(layout.index)} <= synced
    assert {str(path) for path in layout.root.parents if path.is_relative_to(tmp_path)} <= synced


@pytest.fixture
def parents(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Folders whose entries were synced, in order."""
    synced: list[Path] = []
    monkeypatch.setattr(sync_module, "sync_directory", synced.append)
    return synced


def test_a_new_directory_has_its_own_entry_synced_once(layout: Layout, parents: list[Path]) -> None:
    sync = DirectorySync(layout)
    sync.sync([A])
    sync.sync([A])
    assert parents == [layout.segments]
    sync.close()


def test_a_batch_that_fails_does_not_make_a_directory_pass_for_synced(layout: Layout, parents: list[Path]) -> None:
    sync = DirectorySync(layout)
    with pytest.raises(StoreFailed):
        sync.sync([A, MISSING])
    assert parents == []
    sync.sync([A])
    assert parents == [layout.segments]
    sync.close()


@pytest.mark.parametrize("number", [errno.EIO, errno.ENOSPC, errno.EDQUOT])
def test_a_sync_that_failed_is_never_asked_again(layout: Layout, number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    sync = DirectorySync(layout)
    sync.sync([A])

    def fail(_: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(SyncFailed):
        sync.sync([A])
    monkeypatch.undo()
    sync.close()


def test_a_parent_that_cannot_be_synced_ends_the_commit(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: Path) -> None:
        raise OSError(errno.ENOSPC, "no room")

    monkeypatch.setattr(sync_module, "sync_directory", fail)
    sync = DirectorySync(layout)
    with pytest.raises(SyncFailed):
        sync.sync([A])
    sync.close()
