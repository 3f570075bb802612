"""What only the embedded store has: files, keys on disk, a committer that comes and goes."""

import asyncio
import hashlib
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import lmdb
import pytest

from cooper_gateway.crypto.keyring import Keyring, KeyringError
from cooper_gateway.storage import multipart, segments, wire
from cooper_gateway.storage.committer import Committer
from cooper_gateway.storage.embedded import EmbeddedStore
from cooper_gateway.storage.index import open_readonly
from cooper_gateway.storage.layout import Layout, StoreUnusable, file_system_type
from cooper_gateway.storage.port import (
    Attributes,
    BucketRef,
    Conditions,
    Damaged,
    Guard,
    NoSuchName,
    ObjectInfo,
    Overloaded,
    PartInfo,
    StoreFailed,
    StoreFull,
    UploadInfo,
)
from support.store_process import CommitterProcess, config_in

GUARD = Guard("AKIATEST", "s3:PutObject")
ALWAYS = Conditions()
LARGE = 200_000  # bytes: a file


@pytest.fixture
def bucket() -> BucketRef:
    return BucketRef(os.urandom(16), "photos")


async def put(store: EmbeddedStore, bucket: BucketRef, name: bytes, data: bytes, etag: str = "e") -> ObjectInfo:
    writer = store.writer(bucket, None)
    await writer.write(data)
    segment = await writer.finish()
    return await store.put(bucket, name, segment, etag, Attributes({}, {"mark": "MARK-META"}), None, ALWAYS, GUARD)


async def get(store: EmbeddedStore, bucket: BucketRef, name: bytes) -> bytes:
    opened = await store.open(bucket, name)
    try:
        return b"".join([piece async for piece in opened.read(0, opened.info.size)])
    finally:
        opened.close()


def files(committer: CommitterProcess) -> list[Path]:
    return [path for path in Path(committer.config.data_dir, "segments").rglob("*") if path.is_file()]


async def eventually(what: str, check: Callable[[], bool], seconds: float = 8) -> None:
    deadline = time.monotonic() + seconds
    while not check():
        assert time.monotonic() < deadline, f"{what} did not come"
        await asyncio.sleep(0.02)


async def test_no_plaintext_reaches_the_disk(
    store: EmbeddedStore, bucket: BucketRef, committer: CommitterProcess
) -> None:
    small, large = b"MARK-SMALL" * 10, b"MARK-LARGE" * 20_000
    await put(store, bucket, b"small", small, etag="MARK-ETAG")
    await put(store, bucket, b"large", large)
    upload_id = await store.create_upload(bucket, UploadInfo(b"up", 1, Attributes({}, {"a": "MARK-META"})), GUARD)
    for number, data in ((1, small), (2, large)):
        writer = store.writer(bucket, None)
        await writer.write(data)
        await store.put_part(bucket, b"up", upload_id, number, await writer.finish(), "MARK-ETAG", None, GUARD)
    stored = [path for path in Path(committer.config.data_dir).rglob("*") if path.is_file()]
    assert len(stored) >= 6
    assert sum(path.stat().st_size for path in stored) > 2 * len(large)
    for path in stored:
        assert b"MARK-" not in path.read_bytes(), path


async def test_what_is_no_more_is_removed_from_the_disk(
    store: EmbeddedStore, bucket: BucketRef, committer: CommitterProcess
) -> None:
    for name in (b"overwritten", b"deleted", b"kept"):
        await put(store, bucket, name, os.urandom(LARGE))
    writer = store.writer(bucket, None)
    await writer.write(os.urandom(LARGE * 5))
    aborted = store.writer(bucket, None)
    await aborted.write(os.urandom(LARGE * 5))
    await aborted.finish()
    assert len(files(committer)) == 5
    writer.abort()
    aborted.abort()
    await put(store, bucket, b"overwritten", b"small")
    await store.delete(bucket, [b"deleted"], GUARD)
    await eventually("the removal", lambda: len(files(committer)) == 1)
    assert len(await get(store, bucket, b"kept")) == LARGE


async def test_an_upload_leaves_only_the_parts_that_were_named(
    store: EmbeddedStore, bucket: BucketRef, committer: CommitterProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(multipart, "MIN_PART_SIZE", 1)
    many = 1500  # parts: the request and the manifest travel in a memory file
    upload_id = await store.create_upload(bucket, UploadInfo(b"up", 1, Attributes()), GUARD)

    async def part(number: int, data: bytes) -> None:
        writer = store.writer(bucket, None)
        await writer.write(data)
        segment = await writer.finish()
        await store.put_part(bucket, b"up", upload_id, number, segment, f"{number:0200}", None, GUARD)

    for start in range(1, many + 1, 500):
        await asyncio.gather(*(part(number, b"%d," % number) for number in range(start, start + 500)))
    await part(many + 1, os.urandom(LARGE))
    await part(many + 2, b"z" * LARGE)
    chosen = [(number, f"{number:0200}") for number in [*range(1, many + 1), many + 2]]
    info = await store.complete_upload(bucket, b"up", upload_id, chosen, "e", None, ALWAYS, GUARD)
    expected = b"".join(b"%d," % number for number in range(1, many + 1)) + b"z" * LARGE
    assert info.size == len(expected)
    assert await get(store, bucket, b"up") == expected
    await eventually("the unnamed part's removal", lambda: len(files(committer)) == 1)
    await store.delete(bucket, [b"up"], GUARD)
    await eventually("the last file's removal", lambda: not files(committer))


async def test_a_part_that_is_replaced_amid_the_completion(
    store: EmbeddedStore, bucket: BucketRef, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The bytes that the completion found are gone by its commit: it looks again."""
    upload_id = await store.create_upload(bucket, UploadInfo(b"up", 1, Attributes()), GUARD)

    async def part() -> None:
        writer = store.writer(bucket, None)
        await writer.write(b"p" * LARGE)
        await store.put_part(bucket, b"up", upload_id, 1, await writer.finish(), "e", None, GUARD)

    await part()
    ask, asked = store._client.ask, list[object]()

    async def replaced_before(request: wire.Request) -> str:
        if isinstance(request, wire.Complete):
            asked.append(request)
            if len(asked) == 1:
                await part()
        return await ask(request)

    monkeypatch.setattr(store._client, "ask", replaced_before)
    await store.complete_upload(bucket, b"up", upload_id, [(1, "e")], "e", None, ALWAYS, GUARD)
    assert len(asked) == 2
    assert await get(store, bucket, b"up") == b"p" * LARGE


async def test_full_directories_are_given_up_settled_and_removed_when_empty(
    store: EmbeddedStore, bucket: BucketRef, committer: CommitterProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(segments, "_FILES", 4)
    names = [b"n%d" % number for number in range(10)]
    for name in names:
        await put(store, bucket, name, os.urandom(LARGE))
    folder = Path(committer.config.data_dir, "segments")
    assert len(os.listdir(folder)) == 3
    await asyncio.sleep(0.2)
    await store.delete(bucket, names, GUARD)
    await eventually("the removal", lambda: not files(committer))

    async def settled() -> int:
        await put(store, bucket, b"small", b"x")  # empty directories go with the next commit
        return len(os.listdir(folder))

    deadline = time.monotonic() + 5
    while await settled() != 1:
        assert time.monotonic() < deadline


async def test_the_committer_may_be_killed_and_come_back(
    store: EmbeddedStore, bucket: BucketRef, committer: CommitterProcess
) -> None:
    await put(store, bucket, b"before", os.urandom(LARGE))
    committer.kill()
    assert len(await get(store, bucket, b"before")) == LARGE  # reads go on
    waiting = asyncio.ensure_future(put(store, bucket, b"during", b"x"))
    await asyncio.sleep(0.1)
    await asyncio.to_thread(committer.start)
    await waiting
    assert await get(store, bucket, b"during") == b"x"


async def test_requests_in_flight_fail_when_the_committer_is_killed(
    store: EmbeddedStore, bucket: BucketRef, committer: CommitterProcess
) -> None:
    await put(store, bucket, b"first", b"x")
    os.kill(committer.process.pid, 19)  # stopped: nothing is answered
    waiting = [asyncio.ensure_future(put(store, bucket, b"n%d" % number, b"x")) for number in range(1100)]
    await asyncio.sleep(0.3)
    refused = [task for task in waiting if task.done()]
    assert len(refused) == 1100 - 1024
    assert all(isinstance(task.exception(), Overloaded) for task in refused)
    committer.kill()
    outcomes = await asyncio.gather(*waiting, return_exceptions=True)
    assert sum(isinstance(outcome, StoreFailed) for outcome in outcomes) == 1024


async def test_a_full_disk_fails_what_does_not_fit_and_nothing_else(tmp_path: Path, bucket: BucketRef) -> None:
    config = config_in(tmp_path, map_size=1 << 20)
    committer = CommitterProcess(config)
    store = EmbeddedStore(config, committer.keyring, asyncio.get_running_loop())
    try:
        kept: list[bytes] = []
        outcomes: list[ObjectInfo | BaseException] = []
        for number in range(60):
            name = b"n%02d" % number
            outcomes += await asyncio.gather(put(store, bucket, name, name * 10_000), return_exceptions=True)
            if isinstance(outcomes[-1], ObjectInfo):
                kept.append(name)
        failed = [outcome for outcome in outcomes if isinstance(outcome, BaseException)]
        assert failed
        assert {type(outcome) for outcome in failed} == {StoreFull}
        usage = await store.usage(bucket)
        assert (usage.objects, usage.size) == (len(kept), 30_000 * len(kept))
        for name in kept:
            assert await get(store, bucket, name) == name * 10_000
        await store.delete(bucket, kept, GUARD)
        await put(store, bucket, b"again", b"x" * 30_000)
        assert await get(store, bucket, b"again") == b"x" * 30_000
    finally:
        await store.close()
        committer.stop()


async def test_the_index_may_hit_the_limit_of_its_file(tmp_path: Path, bucket: BucketRef) -> None:
    committer = CommitterProcess(config_in(tmp_path), limit_file_size=1 << 20)
    store = EmbeddedStore(committer.config, committer.keyring, asyncio.get_running_loop())
    try:
        puts = (put(store, bucket, b"n%02d" % number, os.urandom(30_000)) for number in range(60))
        outcomes = await asyncio.gather(*puts, return_exceptions=True)
        failed = [outcome for outcome in outcomes if isinstance(outcome, BaseException)]
        assert 0 < len(failed) < 60
        assert {type(outcome) for outcome in failed} == {StoreFull}
        assert (await store.usage(bucket)).objects == 60 - len(failed)
        assert committer.process.poll() is None
    finally:
        await store.close()
        committer.stop()


@pytest.mark.parametrize(
    "damage",
    [
        lambda path: path.write_bytes(path.read_bytes()[:-1]),
        lambda path: path.write_bytes(path.read_bytes()[:70_000] + b"!" + path.read_bytes()[70_001:]),
        lambda path: path.write_bytes(b""),
        lambda path: path.unlink(),
    ],
    ids=["truncated", "changed", "emptied", "missing"],
)
async def test_damage_is_named_and_never_served(
    store: EmbeddedStore, bucket: BucketRef, committer: CommitterProcess, damage: Callable[[Path], object]
) -> None:
    await put(store, bucket, b"holiday.jpg", os.urandom(LARGE))
    (path,) = files(committer)
    damage(path)
    with pytest.raises(Damaged, match=r"holiday\.jpg.*photos"):
        await get(store, bucket, b"holiday.jpg")
    assert store.peek(bucket, b"holiday.jpg") is not None


@pytest.mark.parametrize("there", [0, 1, 2, 99])
async def test_what_is_not_in_memory_is_read_by_a_thread_from_there_on(
    store: EmbeddedStore, bucket: BucketRef, monkeypatch: pytest.MonkeyPatch, there: int
) -> None:
    """`there`: how many reads that do not wait are answered before one is not."""
    data = os.urandom(26 * 65536 + 1000)
    await put(store, bucket, b"name", data)
    read, left = os.preadv, 0

    def preadv(descriptor: int, buffers: tuple[memoryview, ...], offset: int, flags: int) -> int:
        nonlocal left
        if flags:
            left -= 1
            if left < 0:
                raise BlockingIOError
        return read(descriptor, buffers, offset, flags)

    monkeypatch.setattr(os, "preadv", preadv)
    for first in range(0, 27, 2):
        for start, end in ((first * 65536, len(data)), (first * 65536 + 5, min((first + 9) * 65536, len(data)))):
            left = there + 1  # one of them reads the header
            opened = await store.open(bucket, b"name")
            found = b"".join([piece async for piece in opened.read(start, end)])
            opened.close()
            assert found == data[start:end]


async def test_a_destroyed_bucket_has_no_key_and_no_files(
    store: EmbeddedStore, bucket: BucketRef, committer: CommitterProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    upload_id = await store.create_upload(bucket, UploadInfo(b"up", 1, Attributes()), GUARD)
    writer = store.writer(bucket, None)
    await writer.write(os.urandom(LARGE))
    await store.put_part(bucket, b"up", upload_id, 1, await writer.finish(), "e", None, GUARD)
    keys = Path(committer.config.data_dir, "bucket-keys")
    assert len(os.listdir(keys)) == 1
    await store.close_bucket(bucket, None, b"")
    await store.destroy_bucket(bucket)
    assert os.listdir(keys) == []
    await eventually("the files' removal", lambda: not files(committer))


async def test_a_purged_bucket_has_no_files_and_nothing_in_the_index(
    store: EmbeddedStore, bucket: BucketRef, committer: CommitterProcess
) -> None:
    await put(store, bucket, b"large", os.urandom(LARGE))
    await put(store, bucket, b"small", b"x")
    upload_id, parts = await store.create_upload(bucket, UploadInfo(b"up", 1, Attributes()), GUARD), list[PartInfo]()
    for number in (1, 2):
        writer = store.writer(bucket, None)
        await writer.write(os.urandom(multipart.MIN_PART_SIZE))
        parts.append(
            await store.put_part(bucket, b"up", upload_id, number, await writer.finish(), f"e{number}", None, GUARD)
        )
    named = [(each.number, each.etag) for each in parts]
    await store.complete_upload(bucket, b"up", upload_id, named, "e-2", None, ALWAYS, GUARD)
    assert len(files(committer)) == 3
    assert not await store.purge_bucket(bucket)
    await store.destroy_bucket(bucket)
    await eventually("the files' removal", lambda: not files(committer))
    await store.close()
    committer.stop()
    index = open_readonly(Layout(committer.config.data_dir), committer.config.map_size)
    assert index is not None
    with index.read() as txn:
        tables = {"names": index.names, "bodies": index.bodies, "files": index.files, "parts": index.parts}
        assert {name: txn.stat(table)["entries"] for name, table in tables.items()} == dict.fromkeys(tables, 0)


async def test_a_lost_bucket_key_is_never_replaced(
    store: EmbeddedStore, bucket: BucketRef, committer: CommitterProcess
) -> None:
    await put(store, bucket, b"name", b"x")
    (key,) = Path(committer.config.data_dir, "bucket-keys").iterdir()
    key.unlink()
    await store.close()
    committer.stop()
    committer.start()
    fresh = EmbeddedStore(committer.config, committer.keyring, asyncio.get_running_loop())
    with pytest.raises(StoreFailed, match="lost"):
        await put(fresh, bucket, b"other", b"y")
    with pytest.raises(StoreFailed, match="bucket key"):
        fresh.peek(bucket, b"name")
    assert not key.exists()
    await fresh.close()


async def test_it_survives_a_restart(store: EmbeddedStore, bucket: BucketRef, committer: CommitterProcess) -> None:
    data = os.urandom(LARGE)
    await put(store, bucket, b"large", data, hashlib.md5(data).hexdigest())
    await store.close()
    committer.stop()
    committer.start()
    fresh = EmbeddedStore(committer.config, Keyring.load(committer.config.kek_file), asyncio.get_running_loop())
    assert await get(fresh, bucket, b"large") == data
    with pytest.raises(NoSuchName):
        await fresh.open(bucket, b"other")
    await fresh.close()


def test_another_key_is_refused_and_both_are_named(committer: CommitterProcess) -> None:
    committer.stop()
    Path(committer.config.kek_file).unlink()
    other = Keyring.load_or_create(committer.config.kek_file, store_is_empty=True)
    with pytest.raises(KeyringError) as error:
        Committer(committer.config, other, lambda *_: None)
    assert other.fingerprint in str(error.value)
    assert committer.keyring.fingerprint in str(error.value)


def test_a_store_has_one_opener(committer: CommitterProcess) -> None:
    script = (
        "import sys; from support.store_process import *; import cooper_gateway.storage.committer as c\n"
        "c._LOCK_WAIT = 0.2\n"
        "c.Committer(msgspec.json.decode(sys.argv[1], type=GatewayConfig), Keyring.load(sys.argv[2]), refuse_revoked)"
    )
    argv = [sys.executable, "-c", script, committer_json(committer), committer.config.kek_file]
    paths = os.pathsep.join(sys.path)
    second = subprocess.run(argv, capture_output=True, text=True, timeout=30, env={**os.environ, "PYTHONPATH": paths})
    assert second.returncode != 0
    assert "is in use by another process" in second.stderr


def committer_json(committer: CommitterProcess) -> str:
    import msgspec

    return msgspec.json.encode(committer.config).decode()


async def test_a_worker_without_a_committer_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cooper_gateway.storage.embedded._INDEX_WAIT", 0.1)
    config = config_in(tmp_path)
    keyring = Keyring.load_or_create(config.kek_file, store_is_empty=True)
    with pytest.raises(StoreUnusable, match="no committer runs"):
        EmbeddedStore(config, keyring, asyncio.get_running_loop())


async def test_results_of_completions_are_forgotten_after_a_day(
    store: EmbeddedStore, bucket: BucketRef, committer: CommitterProcess
) -> None:
    async def complete(name: bytes) -> None:
        upload_id = await store.create_upload(bucket, UploadInfo(name, 1, Attributes()), GUARD)
        writer = store.writer(bucket, None)
        await writer.write(b"x")
        await store.put_part(bucket, name, upload_id, 1, await writer.finish(), "e", None, GUARD)
        await store.complete_upload(bucket, name, upload_id, [(1, "e")], "e-1", None, ALWAYS, GUARD)

    await complete(b"first")
    await store.close()
    committer.stop()
    env = lmdb.open(committer.config.data_dir + "/index", max_dbs=16, map_size=1 << 30)
    expiries = env.open_db(b"expiries")
    with env.begin(write=True) as txn:
        with txn.cursor(expiries) as cursor:
            assert cursor.first()
            key = bytes(cursor.key())
        assert int.from_bytes(key[:8], "big") / 1000 - time.time() == pytest.approx(86400, abs=60)
        txn.delete(key, db=expiries)
        txn.put(bytes(8) + key[8:], b"", db=expiries)
    env.close()
    committer.start()
    store.__init__(committer.config, committer.keyring, asyncio.get_running_loop())
    await complete(b"second")
    await store.close()
    committer.stop()
    env = lmdb.open(committer.config.data_dir + "/index", max_dbs=16, map_size=1 << 30)
    with env.begin() as txn:
        assert txn.stat(env.open_db(b"completed", txn))["entries"] == 1
        assert txn.stat(env.open_db(b"expiries", txn))["entries"] == 1
    env.close()
    committer.start()
    store.__init__(committer.config, committer.keyring, asyncio.get_running_loop())


def test_a_socket_path_that_the_kernel_does_not_take_is_named(tmp_path: Path) -> None:
    run = tmp_path / ("r" * 100)
    run.mkdir()
    config = config_in(tmp_path, run_dir=str(run))
    keyring = Keyring.load_or_create(config.kek_file, store_is_empty=True)
    with pytest.raises(StoreUnusable, match="too long"):
        Committer(config, keyring, lambda *_: None).run()


async def test_memory_does_not_grow_with_the_object(store: EmbeddedStore, bucket: BucketRef) -> None:
    def resident() -> int:
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    async def move(name: bytes, chunks: int) -> int:
        chunk = os.urandom(256 * 1024)
        writer = store.writer(bucket, None)
        for _ in range(chunks):
            await writer.write(chunk)
        await store.put(bucket, name, await writer.finish(), "e", Attributes(), None, ALWAYS, GUARD)
        opened = await store.open(bucket, name)
        size = sum([len(piece) async for piece in opened.read(0, opened.info.size)])
        opened.close()
        return size

    await move(b"warm", 16)
    before = resident()
    assert await move(b"large", 800) == 200 << 20
    assert resident() - before < 16 << 20


MOUNTS = r"""
22 1 254:1 / / rw,relatime - ext4 /dev/vda rw
36 22 0:30 / /mnt/with\040space rw - nfs4 server:/x rw
37 22 0:31 / /mnt rw - xfs /dev/vdb rw
38 37 0:32 / /mnt/a rw shared:1 - fuse.sshfs host: rw
""".strip()


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/data", "ext4"),
        ("/mnt/data", "xfs"),
        ("/mnt/a", "fuse.sshfs"),
        ("/mnt/a/b/c", "fuse.sshfs"),
        ("/mnt/ab", "xfs"),
        ("/mnt/with space/data", "nfs4"),
    ],
)
def test_the_file_system_is_the_one_of_the_longest_mount_point(path: str, kind: str) -> None:
    assert file_system_type(MOUNTS, path) == kind


async def test_readers_leave_descriptors_to_others(committer: CommitterProcess, bucket: BucketRef) -> None:
    store = EmbeddedStore(committer.config, committer.keyring, asyncio.get_running_loop(), most_files=2)
    await put(store, bucket, b"large", b"x" * LARGE)
    await put(store, bucket, b"small", b"x")
    held = [await store.open(bucket, b"large") for _ in range(2)]
    with pytest.raises(Overloaded):
        await store.open(bucket, b"large")
    assert await get(store, bucket, b"small") == b"x", "what lies inline costs no descriptor"
    held[0].close()
    held[0].close()
    held.append(await store.open(bucket, b"large"))
    with pytest.raises(Overloaded):
        await store.open(bucket, b"large")
    for opened in held:
        opened.close()
    await store.delete(bucket, [b"large"], GUARD)
    for _ in range(3):
        with pytest.raises(NoSuchName):
            await store.open(bucket, b"large")
    await put(store, bucket, b"large", b"y" * LARGE)
    assert await get(store, bucket, b"large") == b"y" * LARGE
    await store.close()
