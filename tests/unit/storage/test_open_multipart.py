"""An object of many parts costs its readers a few descriptors, and stays readable whatever is done to it meanwhile."""

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import msgspec
import pytest

from cooper_gateway.storage import multipart
from cooper_gateway.storage.embedded import EmbeddedStore
from cooper_gateway.storage.port import (
    Attributes,
    BucketRef,
    Conditions,
    Damaged,
    Guard,
    NoSuchName,
    OpenObject,
    Overloaded,
    StoreFailed,
    UploadInfo,
)
from support.store_process import CommitterProcess, config_in

GUARD = Guard("AKIATEST", "s3:PutObject")
BUCKET = BucketRef(b"a test's bucket.", "photos")
NAME = b"holiday.mp4"
PART = 300_000  # bytes: a file, and more than one batch of frames
PARTS = 20
DATA = b"".join(bytes([number]) * PART for number in range(PARTS))


@pytest.fixture
def committer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[CommitterProcess]:
    monkeypatch.setattr(multipart, "MIN_PART_SIZE", 1)
    process = CommitterProcess(config_in(tmp_path))
    yield process
    process.kill()


@pytest.fixture
async def store(committer: CommitterProcess) -> AsyncIterator[EmbeddedStore]:
    embedded = EmbeddedStore(committer.config, committer.keyring, asyncio.get_running_loop(), most_files=4)
    await upload(embedded)
    yield embedded
    await embedded.close()


async def upload(store: EmbeddedStore) -> None:
    upload_id = await store.create_upload(BUCKET, UploadInfo(NAME, 1, Attributes()), GUARD)
    for number in range(1, PARTS + 1):
        writer = store.writer(BUCKET, None)
        await writer.write(DATA[(number - 1) * PART : number * PART])
        await store.put_part(BUCKET, NAME, upload_id, number, await writer.finish(), f"{number}", None, GUARD)
    parts = [(number, f"{number}") for number in range(1, PARTS + 1)]
    await store.complete_upload(BUCKET, NAME, upload_id, parts, "e-20", None, Conditions(), GUARD)


async def rest(reading: AsyncIterator[bytes]) -> bytes:
    return b"".join([piece async for piece in reading])


async def whole(opened: OpenObject) -> bytes:
    return await rest(opened.read(0, opened.info.size))


def files(committer: CommitterProcess) -> list[Path]:
    return [path for path in Path(committer.config.data_dir, "segments").rglob("*") if path.is_file()]


def held(committer: CommitterProcess) -> int:
    """Segment files that this process has open."""
    folder = f"{committer.config.data_dir}/segments/"
    links = (os.readlink(f"/proc/self/fd/{name}") for name in os.listdir("/proc/self/fd") if _is_there(name))
    return sum(link.startswith(folder) and link.count("/") == folder.count("/") + 1 for link in links)


def _is_there(name: str) -> bool:
    return os.path.lexists(f"/proc/self/fd/{name}")


async def none_is_left(committer: CommitterProcess, seconds: float = 8) -> None:
    deadline = time.monotonic() + seconds
    while files(committer):
        assert time.monotonic() < deadline, "the files of an object that is gone were not removed"
        await asyncio.sleep(0.05)


async def test_one_file_is_open_at_a_time(store: EmbeddedStore, committer: CommitterProcess) -> None:
    opened = await store.open(BUCKET, NAME)
    most, got = held(committer), bytearray()
    async for piece in opened.read(0, len(DATA)):
        most = max(most, held(committer))
        got += piece
    assert bytes(got) == DATA
    assert most == 1
    assert await rest(opened.read(7 * PART - 9, 7 * PART + 9)) == bytes([6]) * 9 + bytes([7]) * 9
    opened.close()
    assert held(committer) == 0


async def test_readers_of_many_parts_share_what_may_be_open(store: EmbeddedStore) -> None:
    first, second = await store.open(BUCKET, NAME), await store.open(BUCKET, NAME)
    with pytest.raises(Overloaded):
        await store.open(BUCKET, NAME)
    first.close()
    third = await store.open(BUCKET, NAME)
    assert await whole(second) == await whole(third) == DATA
    second.close()
    third.close()


@pytest.mark.parametrize("restart", [False, True], ids=["deleted", "deleted, and the committer restarted"])
async def test_what_is_being_read_stays_until_its_last_reader_is_done(
    store: EmbeddedStore, committer: CommitterProcess, restart: bool
) -> None:
    first, second = await store.open(BUCKET, NAME), await store.open(BUCKET, NAME)
    reading = first.read(0, len(DATA))
    got = await anext(reading)
    await store.delete(BUCKET, [NAME], GUARD)
    if restart:
        committer.kill()
        await asyncio.to_thread(committer.start)
    await asyncio.sleep(0.3)
    with pytest.raises(NoSuchName):
        await store.open(BUCKET, NAME)
    assert got + await rest(reading) == DATA
    first.close()
    assert await whole(second) == DATA
    assert len(files(committer)) == PARTS
    second.close()
    await none_is_left(committer)


async def test_other_files_do_not_wait_for_a_reader(store: EmbeddedStore, committer: CommitterProcess) -> None:
    writer = store.writer(BUCKET, None)
    await writer.write(DATA[:PART])
    await store.put(BUCKET, b"other", await writer.finish(), "e", Attributes(), None, Conditions(), GUARD)
    opened = await store.open(BUCKET, NAME)
    await store.delete(BUCKET, [NAME, b"other"], GUARD)
    deadline = time.monotonic() + 8
    while len(files(committer)) != PARTS:
        assert time.monotonic() < deadline
        await asyncio.sleep(0.05)
    opened.close()


READER = """
import asyncio, msgspec, sys
from cooper_gateway.config import GatewayConfig
from cooper_gateway.crypto.keyring import Keyring
from cooper_gateway.storage.embedded import EmbeddedStore
from cooper_gateway.storage.port import BucketRef

async def main():
    config = msgspec.json.decode(sys.argv[1], type=GatewayConfig)
    store = EmbeddedStore(config, Keyring.load(config.kek_file), asyncio.get_running_loop())
    opened = await store.open(BucketRef(sys.argv[2].encode(), "photos"), sys.argv[3].encode())
    print("open", flush=True)
    await asyncio.sleep(60)

asyncio.run(main())
"""


async def test_a_worker_that_is_killed_holds_nothing(store: EmbeddedStore, committer: CommitterProcess) -> None:
    config = committer.config
    argv = [sys.executable, "-c", READER, msgspec.json.encode(config).decode(), BUCKET.data_id.decode(), NAME.decode()]
    reader = subprocess.Popen(argv, stdout=subprocess.PIPE, env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)})
    assert reader.stdout is not None
    assert await asyncio.to_thread(reader.stdout.readline) == b"open\n"
    await store.delete(BUCKET, [NAME], GUARD)
    await asyncio.sleep(0.3)
    assert len(files(committer)) == PARTS
    reader.kill()
    reader.communicate()
    await none_is_left(committer)


async def test_readers_see_old_or_new_while_it_is_overwritten(store: EmbeddedStore) -> None:
    async def read() -> bytes:
        opened = await store.open(BUCKET, NAME)
        try:
            return await whole(opened)
        finally:
            opened.close()

    for _ in range(5):
        overwriting = asyncio.ensure_future(upload(store))
        while not overwriting.done():
            assert await read() == DATA
        await overwriting


async def test_a_part_that_is_lost_is_named(store: EmbeddedStore, committer: CommitterProcess) -> None:
    for path in files(committer):
        path.unlink()
    opened = await store.open(BUCKET, NAME)
    with pytest.raises(Damaged, match=r"holiday\.mp4.*photos"):
        await whole(opened)
    opened.close()
    with pytest.raises(StoreFailed, match="closed"):
        await whole(opened)
