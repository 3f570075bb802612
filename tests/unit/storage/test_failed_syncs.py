"""A sync or commit that failed is not repeated: whoever asks again might be told that all is well."""

import errno
import os
from pathlib import Path
from typing import Any, NoReturn

import lmdb
import pytest

from cooper_gateway.crypto.keyring import Keyring
from cooper_gateway.storage import bucket_keys, segments
from cooper_gateway.storage.bucket_keys import BucketKeys
from cooper_gateway.storage.embedded import EmbeddedStore
from cooper_gateway.storage.housekeeping import Housekeeping
from cooper_gateway.storage.index import Index, open_writable
from cooper_gateway.storage.layout import Layout, StoreUnusable, try_lock
from cooper_gateway.storage.pins import Pins
from cooper_gateway.storage.port import Attributes, BucketRef, Conditions, Guard, StoreFailed, StoreFull
from cooper_gateway.storage.room import Room
from cooper_gateway.storage.sync import SyncFailed

KEYRING = Keyring(b"k" * 32)
DATA = b"sixteen bytes id"
BUCKET = BucketRef(DATA, "bucket")
GUARD = Guard("AKIATEST", "s3:PutObject")


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    made = Layout(str(tmp_path / "data"))
    made.create()
    return made


def failing(*_: object) -> NoReturn:
    raise OSError(errno.EIO, "Input/output error")


def test_a_bucket_key_whose_name_may_not_be_durable_ends_the_commit(
    layout: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bucket_keys, "sync_directory", failing)
    with pytest.raises(SyncFailed):
        BucketKeys(layout, KEYRING).create(DATA)


class FailingAtCommit:
    """An environment none of whose write transactions can be committed."""

    def __init__(self, env: lmdb.Environment, error: lmdb.Error) -> None:
        self._env = env
        self._error = error

    def __getattr__(self, name: str) -> Any:
        return getattr(self._env, name)

    def begin(self, write: bool = False, **options: Any) -> Any:
        if write:
            raise self._error
        return self._env.begin(**options)


@pytest.mark.parametrize(
    ("error", "ends"),
    [
        (lmdb.Error("mdb_txn_commit: Input/output error"), True),
        (lmdb.MapFullError("full"), False),
        (lmdb.DiskError("full"), False),
    ],
)
def test_a_sweep_that_cannot_be_committed_ends_the_committer(layout: Layout, error: lmdb.Error, ends: bool) -> None:
    index: Index = open_writable(layout, 1 << 24, KEYRING)
    env, room = index.env, Room(layout, index.env, 1 << 24)
    keeping = Housekeeping(layout, index, BucketKeys(layout, KEYRING), room, Pins(str(layout.root)))
    (layout.segments / ("00" * 8)).mkdir()
    keeping.look_for_orphans()
    keeping.when_quiet()  # takes its lock
    index.env = FailingAtCommit(env, error)  # type: ignore[assignment]
    try:
        if ends:
            with pytest.raises(SyncFailed, match="sweep"):
                keeping.when_quiet()
        else:
            keeping.when_quiet()
        descriptor = os.open(layout.segments / ("00" * 8), os.O_RDONLY)
        assert try_lock(descriptor)
        os.close(descriptor)
    finally:
        keeping.close()
        env.close()


def test_an_index_is_there_whole_or_not_at_all(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    """And what a crash left of a draft is taken away."""
    monkeypatch.setattr(Path, "rename", failing)
    with pytest.raises(StoreUnusable, match="cannot be made"):
        open_writable(layout, 1 << 24, KEYRING)
    assert not (layout.index / "data.mdb").exists()
    (layout.index / "data.mdb.new").write_bytes(b"torn")
    monkeypatch.undo()
    open_writable(layout, 1 << 24, KEYRING).env.close()
    assert sorted(os.listdir(layout.index)) == ["data.mdb", "lock.mdb"]


async def put(store: EmbeddedStore, name: bytes, data: bytes) -> None:
    writer = store.writer(BUCKET, len(data))
    try:
        await writer.write(data)
        await store.put(BUCKET, name, await writer.finish(), "e", Attributes(), None, Conditions(), GUARD)
    finally:
        writer.abort()


async def read(store: EmbeddedStore, name: bytes) -> bytes:
    opened = await store.open(BUCKET, name)
    try:
        return b"".join([piece async for piece in opened.read(0, opened.info.size)])
    finally:
        opened.close()


async def test_a_segment_that_is_written_bit_by_bit_is_whole(
    store: EmbeddedStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    pwrite = os.pwrite
    monkeypatch.setattr(segments.os, "pwrite", lambda file, data, at: pwrite(file, data[:5000], at))
    data = os.urandom(200_000)
    await put(store, b"large", data)
    assert await read(store, b"large") == data


@pytest.mark.parametrize("call", ["pwrite", "fdatasync"])
@pytest.mark.parametrize(("number", "told"), [(errno.EIO, StoreFailed), (errno.ENOSPC, StoreFull)])
async def test_a_segment_that_cannot_be_made_durable_is_no_object(
    store: EmbeddedStore, monkeypatch: pytest.MonkeyPatch, call: str, number: int, told: type[Exception]
) -> None:
    await put(store, b"large", b"before" * 10_000)

    def fails(*_: object) -> NoReturn:
        raise OSError(number, os.strerror(number))

    with monkeypatch.context() as patch:
        patch.setattr(segments.os, call, fails)
        with pytest.raises(told):
            await put(store, b"large", b"after" * 10_000)
    assert await read(store, b"large") == b"before" * 10_000
    await put(store, b"large", b"again" * 10_000)
    assert await read(store, b"large") == b"again" * 10_000
