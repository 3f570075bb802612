"""A store on a real file system that has not a byte left: what is deleted is gone, and there is room again."""

import asyncio
import contextlib
import os
import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from cooper_gateway.storage.embedded import EmbeddedStore
from cooper_gateway.storage.port import Attributes, BucketRef, Conditions, Guard, StoreFull
from support.store_process import CommitterProcess, config_in

GUARD = Guard("AKIATEST", "s3:PutObject")
BUCKET = BucketRef(b"a test's bucket.", "full")
MOST = 4000  # objects


@pytest.fixture
def disk(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Path]:
    size = getattr(request, "param", "24m")
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "cooper-test", str(tmp_path)], check=True)
    yield tmp_path
    subprocess.run(["umount", str(tmp_path)], check=True)


@pytest.fixture
def committer(disk: Path) -> Iterator[CommitterProcess]:
    process = CommitterProcess(config_in(disk))
    yield process
    process.kill()


@pytest.fixture
async def store(committer: CommitterProcess) -> AsyncIterator[EmbeddedStore]:
    embedded = EmbeddedStore(committer.config, committer.keyring, asyncio.get_running_loop())
    yield embedded
    await embedded.close()


def fill(disk: Path) -> Path:
    """Take all room that is left."""
    filler = disk / "filler"
    with filler.open("ab", buffering=0) as file, contextlib.suppress(OSError):
        while file.write(bytes(4096)):
            pass
    left = os.statvfs(disk)
    assert left.f_bavail == 0
    return filler


async def put(store: EmbeddedStore, name: bytes, size: int) -> None:
    writer = store.writer(BUCKET, None)
    try:
        await writer.write(bytes(size))
        await store.put(BUCKET, name, await writer.finish(), "e", Attributes(), None, Conditions(), GUARD)
    finally:
        writer.abort()


async def put_many(store: EmbeddedStore, sizes: tuple[int, ...]) -> list[bytes]:
    """Store until it is full; returns the names of what is there."""
    stored: list[bytes] = []
    for number in range(MOST):
        try:
            await put(store, b"%04d" % number, sizes[number % len(sizes)])
        except StoreFull:
            return stored
        stored.append(b"%04d" % number)
    raise AssertionError("the disk took everything")


async def names(store: EmbeddedStore) -> list[bytes]:
    return [entry.name for entry in (await store.list_objects(BUCKET, b"", b"", b"", MOST)).entries]


@pytest.mark.parametrize("sizes", [(20_000,), (100, 32_000), (100_000,), (3000, 300_000)])
@pytest.mark.parametrize("together", [1, 50], ids=["one by one", "many at once"])
async def test_everything_can_be_deleted_and_what_it_took_is_free(
    store: EmbeddedStore, committer: CommitterProcess, disk: Path, sizes: tuple[int, ...], together: int
) -> None:
    stored = await put_many(store, sizes)
    fill(disk)
    for start in range(0, len(stored), together):
        await store.delete(BUCKET, stored[start : start + together], GUARD)
    assert await names(store) == []
    await asyncio.sleep(1.5)  # files are unlinked after the answer
    for name in stored[: len(stored) // 2]:
        await put(store, name, sizes[0])
    assert len(await names(store)) == len(stored) // 2
    assert committer.process.poll() is None


@pytest.mark.parametrize("disk", ["128m"], indirect=True)
async def test_a_thousand_names_that_touch_much_of_the_index_go_in_one_request(
    store: EmbeddedStore, committer: CommitterProcess, disk: Path
) -> None:
    many = [b"%05d" % number + b"n" * 400 for number in range(60_000)]
    stored = 0
    await put(store, b"first", 10)
    fill(disk)
    with pytest.raises(StoreFull):
        for stored in range(0, len(many), 500):
            await asyncio.gather(*(put(store, name, 10) for name in many[stored : stored + 500]))
    assert stored > 10_000
    await store.delete(BUCKET, many[: stored : stored // 1000][:1000], GUARD)
    for name in many[1 : stored : stored // 20]:
        await store.delete(BUCKET, [name], GUARD)


async def test_a_full_disk_is_met_by_a_restart(store: EmbeddedStore, committer: CommitterProcess, disk: Path) -> None:
    stored = await put_many(store, (20_000,))
    filler = fill(disk)
    committer.kill()
    await asyncio.to_thread(committer.start)
    with pytest.raises(StoreFull):
        for number in range(100):
            await put(store, b"more %d" % number, 20_000)
    await store.delete(BUCKET, stored, GUARD)
    await put(store, b"again", 20_000)
    filler.unlink()
    assert len(await put_many(store, (20_000,))) > len(stored) // 2


async def test_a_disk_that_others_fill_leaves_room_to_delete(
    store: EmbeddedStore, committer: CommitterProcess, disk: Path
) -> None:
    for number in range(20):
        await put(store, b"%04d" % number, 1000)
    fill(disk)
    with pytest.raises(StoreFull):
        for number in range(2000):
            await put(store, b"more %d" % number, 10_000)
    stored = await names(store)
    assert len(stored) >= 20
    for name in stored:
        await store.delete(BUCKET, [name], GUARD)
    assert await names(store) == []
