"""kill -9 of the committer and of workers amid writes: what was acknowledged is there, and nothing else is."""

import asyncio
import hashlib
import os
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from cooper_gateway.storage.embedded import EmbeddedStore
from cooper_gateway.storage.port import (
    Attributes,
    BucketRef,
    Conditions,
    Guard,
    Overloaded,
    StoreFailed,
    UploadInfo,
)
from support.store_process import CommitterProcess, config_in
from support.verifying import assert_sound

GUARD = Guard("AKIATEST", "s3:PutObject")
ALWAYS = Conditions()
BUCKET = BucketRef(b"crash test bucke", "crash")
SIZES = (0, 100, 32_768, 32_769, 300_000, 900_000)


@pytest.fixture
def committer(tmp_path: Path) -> Iterator[CommitterProcess]:
    process = CommitterProcess(config_in(tmp_path))
    yield process
    process.kill()


def content(name: bytes, version: int) -> bytes:
    seed = hashlib.sha256(b"%b %d" % (name, version)).digest()
    size = SIZES[seed[0] % len(SIZES)]
    return (seed * (size // 32 + 1))[:size]


async def put(store: EmbeddedStore, name: bytes, version: int) -> None:
    writer = store.writer(BUCKET, None)
    await writer.write(content(name, version))
    segment = await writer.finish()
    await store.put(BUCKET, name, segment, f"{version}", Attributes(), None, ALWAYS, GUARD)


async def get(store: EmbeddedStore, name: bytes) -> tuple[str, bytes]:
    opened = await store.open(BUCKET, name)
    try:
        return opened.info.etag, b"".join([piece async for piece in opened.read(0, opened.info.size)])
    finally:
        opened.close()


class Writer:
    """Puts, overwrites and deletes one name again and again, and knows what may be there."""

    def __init__(self, name: bytes) -> None:
        self.name = name
        self.sure: int | None = None  # version acknowledged last; None: deleted
        self.unsure: list[int | None] = []  # outcomes that nobody knows
        self.acknowledged = 0

    async def run(self, store: EmbeddedStore, stop: asyncio.Event) -> None:
        version = 0
        while not stop.is_set():
            version += 1
            wanted = None if version % 5 == 0 else version
            try:
                if wanted is None:
                    await store.delete(BUCKET, [self.name], GUARD)
                else:
                    await put(store, self.name, version)
            except StoreFailed:
                self.unsure.append(wanted)
                continue
            except Overloaded:
                continue
            self.sure, self.unsure = wanted, []
            self.acknowledged += 1

    async def check(self, store: EmbeddedStore, there: set[bytes]) -> None:
        possible = {self.sure, *self.unsure}
        if self.name not in there:
            assert None in possible, f"{self.name!r} was acknowledged and is gone"
            return
        etag, data = await get(store, self.name)
        assert int(etag) in possible, f"{self.name!r} is version {etag}, not one of {possible}"
        assert data == content(self.name, int(etag))


def on_disk(committer: CommitterProcess) -> set[str]:
    folder = Path(committer.config.data_dir, "segments")
    return {f"{path.parent.name}/{path.name}" for path in folder.rglob("*") if path.is_file()}


def referred(committer: CommitterProcess) -> set[str]:
    """Files that the index refers to. In a process of its own: this one may have the environment open."""
    script = (
        "import lmdb, sys; e = lmdb.open(sys.argv[1], max_dbs=16, readonly=True, map_size=1 << 30)\n"
        "f = e.open_db(b'files', create=False)\n"
        "with e.begin() as t:\n for k, _ in t.cursor(f): print(k[:8].hex() + '/' + k[8:].hex())"
    )
    argv = [sys.executable, "-c", script, committer.config.data_dir + "/index"]
    return set(subprocess.run(argv, capture_output=True, text=True, check=True, timeout=30).stdout.split())


async def test_the_committer_is_killed_again_and_again(committer: CommitterProcess) -> None:
    store = EmbeddedStore(committer.config, committer.keyring, asyncio.get_running_loop())
    writers = [Writer(b"name %d" % number) for number in range(24)]
    chance = random.Random(1)
    for _ in range(6):
        stop = asyncio.Event()
        running = [asyncio.ensure_future(writer.run(store, stop)) for writer in writers]
        await asyncio.sleep(chance.uniform(0.05, 0.4))
        committer.kill()
        await asyncio.to_thread(committer.start)
        await asyncio.sleep(0.1)
        stop.set()
        await asyncio.gather(*running)
        listing = await store.list_objects(BUCKET, b"", b"", b"", 1000)
        there = {entry.name for entry in listing.entries}
        for writer in writers:
            await writer.check(store, there)
        usage = await store.usage(BUCKET)
        assert (usage.objects, usage.size) == (len(there), sum(entry.size for entry in listing.entries))
    assert sum(writer.acknowledged for writer in writers) > 100
    await store.close()
    committer.stop()
    committer.start()  # with this worker gone, its files are looked at
    deadline = time.monotonic() + 10
    while on_disk(committer) != referred(committer):
        assert time.monotonic() < deadline, "garbage of the crashes was not collected, or files are missing"
        await asyncio.sleep(0.1)
    await asyncio.to_thread(assert_sound, committer.config)


async def test_the_committer_is_killed_amid_a_purge(committer: CommitterProcess) -> None:
    """It goes on where it was, what is counted is what is there, and another bucket is as it was."""
    store = EmbeddedStore(committer.config, committer.keyring, asyncio.get_running_loop())
    gone, chance = BucketRef(b"purged amid kill", "gone"), random.Random(1)
    await put(store, b"kept", 1)
    for first in range(0, 12_000, 400):
        await asyncio.gather(*(_put_small(store, gone, number) for number in range(first, first + 400)))
    for number in range(50):
        await _put_small(store, gone, 100_000 + number, 40_000)
    kills = 0
    while await _purged_once(store, gone):
        if kills < 8 and chance.random() < 0.3:
            amid = asyncio.ensure_future(_purged_once(store, gone))
            await asyncio.sleep(chance.uniform(0, 0.02))
            committer.kill()
            await amid
            await asyncio.to_thread(committer.start)
            kills += 1
            await _counts_are_right(store, gone)
    assert kills > 3
    assert (await store.usage(gone)).objects == 0
    await store.destroy_bucket(gone)
    assert (await get(store, b"kept"))[1] == content(b"kept", 1)
    await store.close()
    committer.stop()
    committer.start()
    deadline = time.monotonic() + 10
    while on_disk(committer) != referred(committer) or len(on_disk(committer)) > 1:
        assert time.monotonic() < deadline, "files of the purged bucket are left, or others are missing"
        await asyncio.sleep(0.1)


async def _put_small(store: EmbeddedStore, bucket: BucketRef, number: int, size: int = 1) -> None:
    writer = store.writer(bucket, size)
    await writer.write(b"x" * size)
    await store.put(bucket, b"%06d" % number, await writer.finish(), "e", Attributes(), None, ALWAYS, GUARD)


async def _purged_once(store: EmbeddedStore, bucket: BucketRef) -> bool:
    """True when there may be more."""
    try:
        return await store.purge_bucket(bucket)
    except StoreFailed:
        return True


async def _counts_are_right(store: EmbeddedStore, bucket: BucketRef) -> None:
    await store.reopen_bucket(bucket)
    usage, seen, after = await store.usage(bucket), list[int](), b""
    while True:
        page = await store.list_objects(bucket, b"", b"", after, 1000)
        seen += [entry.size for entry in page.entries]
        if page.resume is None:
            break
        after = page.resume
    assert (usage.objects, usage.size) == (len(seen), sum(seen))


def worker_main() -> None:
    """A worker that uploads large objects for ever, telling each acknowledged name on its standard output."""
    from cooper_gateway.config import GatewayConfig
    from cooper_gateway.crypto.keyring import Keyring

    config = msgspec.json.decode(sys.argv[1], type=GatewayConfig)

    async def main() -> None:
        store = EmbeddedStore(config, Keyring.load(config.kek_file), asyncio.get_running_loop())

        async def one(number: int) -> None:
            for turn in range(10_000):
                name = b"%s %d %d" % (sys.argv[2].encode(), number, turn)
                await put(store, name, turn)
                print(name.decode(), flush=True)

        async def multipart() -> None:
            upload_id = await store.create_upload(BUCKET, UploadInfo(b"never completed", 1, Attributes()), GUARD)
            for number in range(1, 10_000):
                writer = store.writer(BUCKET, None)
                await writer.write(b"p" * 100_000)
                await store.put_part(
                    BUCKET, b"never completed", upload_id, number, await writer.finish(), "e", None, GUARD
                )

        await asyncio.gather(multipart(), *(one(number) for number in range(16)))

    asyncio.run(main())


async def test_a_worker_is_killed_and_its_garbage_collected(committer: CommitterProcess) -> None:
    acknowledged: set[bytes] = set()
    for turn in range(3):
        argv = [sys.executable, __file__, msgspec.json.encode(committer.config).decode(), f"worker{turn}"]
        env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
        worker = subprocess.Popen(argv, stdout=subprocess.PIPE, env=env)
        assert worker.stdout is not None
        first = await asyncio.to_thread(worker.stdout.readline)
        assert first, "the worker wrote nothing"
        await asyncio.sleep(0.5)
        worker.kill()
        told, _ = worker.communicate(timeout=10)
        lines = (first + told).split(b"\n")[:-1]  # the last one may be cut
        acknowledged |= set(lines)
    deadline = time.monotonic() + 10
    while on_disk(committer) != referred(committer):
        assert time.monotonic() < deadline, "garbage of the workers was not collected, or files are missing"
        await asyncio.sleep(0.1)
    store = EmbeddedStore(committer.config, committer.keyring, asyncio.get_running_loop())
    there: set[bytes] = set()
    after = b""
    while True:
        listing = await store.list_objects(BUCKET, b"", b"", after, 1000)
        there |= {entry.name for entry in listing.entries}
        if listing.resume is None:
            break
        after = listing.resume
    assert acknowledged <= there
    for name in there:
        etag, data = await get(store, name)
        assert data == content(name, int(etag))
    usage = await store.usage(BUCKET)
    assert usage.objects == len(there)
    await store.close()


def test_a_signal_that_interrupts_no_sleep_stops_it(committer: CommitterProcess) -> None:
    """As one does that comes just before the loop sleeps: its handler would run at the next request."""
    committer.kill()
    script = (
        "import os, sys, threading, time; from support.store_process import *\n"
        "c = msgspec.json.decode(sys.argv[1], type=GatewayConfig)\n"
        "store = Committer(c, Keyring.load(c.kek_file), refuse_revoked)\n"
        "store.stop_on(signal.SIGTERM)\n"
        "ask = lambda: (time.sleep(0.5), signal.pthread_kill(threading.get_ident(), signal.SIGTERM), time.sleep(60))\n"
        "store.run(threading.Thread(target=ask, daemon=True).start)\n"
    )
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    argv = [sys.executable, "-c", script, msgspec.json.encode(committer.config).decode()]
    assert subprocess.run(argv, timeout=20, env=env, check=False).returncode == 0


def test_every_sync_that_is_promised_is_made(committer: CommitterProcess) -> None:
    """A committed index is never opened without its durability: no flag that gives it up is set."""
    committer.stop()
    script = (
        "import sys; from support.store_process import *\nc = msgspec.json.decode(sys.argv[1], type=GatewayConfig)\n"
        "print(Committer(c, Keyring.load(c.kek_file), refuse_revoked)._index.env.flags())"
    )
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    argv = [sys.executable, "-c", script, msgspec.json.encode(committer.config).decode()]
    flags = subprocess.run(argv, capture_output=True, text=True, check=True, timeout=30, env=env).stdout
    for flag in ("'sync': True", "'metasync': True", "'writemap': False", "'map_async': False", "'meminit': True"):
        assert flag in flags


if __name__ == "__main__":
    worker_main()
