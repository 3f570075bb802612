"""A disk that fails: calls of the committer fail, one at a time, or write less than they say (strace injects that), an
ext4 turns read-only, the clock jumps. What was acknowledged stays, what fails is told, and no failed sync is repeated.

`make soak` has many more faults, from a new seed, which is printed.
"""

import asyncio
import contextlib
import json
import os
import random
import re
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from cooper_gateway.storage import entries, multipart, segments
from cooper_gateway.storage.port import NO_CONDITIONS, Attributes, Segment, StoreError
from support import power_workload, store_checker, store_process
from support.acknowledged import Knowledge
from support.power_workload import Delta, World
from support.raw_s3 import RawS3
from support.rig import REGION, Rig, bucket, eventually
from support.strace import program

LONG = 60  # faults that are drawn, besides those of the table
SIZE = 6
ROUNDS = 8  # of such a life at most, until the fault is met

#: File below the store's folder, call, what becomes of it, the n-th time, and whether the committer has to end.
FAULTS = (
    ("index/data.mdb", "fdatasync", "error=EIO", 25, True),
    ("index/data.mdb", "pwrite64", "error=EIO", 60, True),
    ("index/data.mdb", "pwrite64", "error=EIO", 61, True),
    ("index/data.mdb", "writev", "error=EIO", 12, True),
    ("index/data.mdb", "writev", "retval=100", 12, True),
    ("index/data.mdb", "pwrite64", "retval=100", 60, True),
    ("index/data.mdb", "writev", "error=ENOSPC", 12, False),
    ("segments", "fsync", "error=EIO", 2, True),
    ("bucket-keys", "fsync", "error=EIO", 2, True),
)
DRAWN_CALLS = ("fsync", "fdatasync", "pwrite64", "writev", "unlink", "rmdir", "link", "fallocate")
DRAWN_ERRORS = ("EIO", "ENOSPC", "EROFS", "EDQUOT", "ENOMEM")


@pytest.fixture(scope="module")
def strace() -> str:
    return program()


@pytest.fixture(autouse=True)
def limits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(multipart, "MIN_PART_SIZE", 1)
    monkeypatch.setattr(segments, "_FILES", power_workload._FILES_OF_A_DIRECTORY)


class Remembers:
    """What was acknowledged."""

    def __init__(self) -> None:
        self.knowledge = Knowledge()
        self.buckets: set[str] = set()

    def tell(self, what: str, lane: str, delta: Delta | None = None) -> None:
        self.knowledge.take(json.dumps([what, lane, delta]))
        self.buckets |= {place.split("/")[1] for place in delta or () if place[0] in "oub"}


async def keep(world: World, ends: list[int]) -> None:
    """Start the committer again whenever it ends, as the supervisor does."""
    while True:
        if (status := world.committer.process.poll()) is not None:
            ends.append(status)
            await asyncio.to_thread(world.committer.start)
        await asyncio.sleep(0.02)


async def lived(folder: Path, seed: int, under: list[str], log: Path | None = None) -> list[int]:
    """A life with that, until the log tells of a fault; in the end everything is as it was acknowledged. Returns how
    committers ended."""
    told, ends = Remembers(), list[int]()
    try:
        world = World(folder, told, seed, under)
    except AssertionError:  # the fault came while it started
        ends.append(1)
        world = World(folder, told, seed)
    keeper = asyncio.ensure_future(keep(world, ends))
    lanes = power_workload.lanes_of(world)
    try:
        async with asyncio.timeout(300):
            for _ in range(1 if log is None else ROUNDS):
                await asyncio.gather(*(power_workload.act(lane, SIZE) for lane in lanes))
                await asyncio.sleep(0.3)  # a committer that has nothing to do may be at its end
                if log is not None and was_met(log):
                    break
    finally:
        keeper.cancel()
        await world.store.close()
        world.committer.kill()
    config = world.committer.config
    keyring, rows = store_checker.open_and_recover(config)
    store_checker.check_tables(config, keyring)
    buckets = [power_workload.bucket_named(name) for name in sorted(told.buckets)]
    seen = await store_checker.contents(config, keyring, buckets, rows)
    assert told.knowledge.wrong(seen) is None
    return ends


def with_fault(strace: str, log: Path, call: str, fault: str, at: int, path: Path | None) -> list[str]:
    only = ["-P", str(path)] if path is not None else []
    options = ["-D", "-f", "-y", "-q", "-o", str(log), *only]
    return [strace, *options, "-e", f"trace={call}", "-e", f"inject={call}:{fault}:when={at}", "-e", "signal=none"]


def was_met(log: Path) -> bool:
    return "(INJECTED)" in log.read_text(errors="replace")


def asked_again(log: Path) -> list[str]:
    """Files that were synced once more by the process in which that had failed."""
    failed: set[tuple[str, str]] = set()
    again: list[str] = []
    for line in log.read_text(errors="replace").splitlines():
        if found := re.match(r"(\d+) +f(?:data)?sync\(\d+<([^>]*)>", line):
            if found.groups() in failed:
                again.append(found[2])
            if "(INJECTED)" in line:
                failed.add((found[1], found[2]))
    return again


@pytest.mark.parametrize("fault", FAULTS, ids=[" ".join(map(str, fault[:4])) for fault in FAULTS])
async def test_a_call_fails(strace: str, tmp_path: Path, fault: tuple[str, str, str, int, bool]) -> None:
    file, call, what, at, must_end = fault
    (tmp_path / "root").mkdir()
    path = tmp_path / "root/some/place/data" / file
    log = tmp_path / "trace"
    ends = await lived(tmp_path / "root", 1, with_fault(strace, log, call, what, at, path), log)
    assert was_met(log), "the fault was never met"
    assert bool(ends) == must_end
    assert 0 not in ends
    assert asked_again(log) == []


@pytest.mark.soak
async def test_any_call_fails(strace: str, tmp_path: Path) -> None:
    seed = time.time_ns()
    print(f"seed {seed}")
    chance, met, ended = random.Random(seed), 0, 0
    for number in range(LONG):
        call, error, at = chance.choice(DRAWN_CALLS), chance.choice(DRAWN_ERRORS), chance.randrange(14, 60)
        folder, log = tmp_path / f"{number}", tmp_path / f"{number}.trace"
        folder.mkdir()
        try:
            ends = await lived(folder, seed + number, with_fault(strace, log, call, f"error={error}", at, None), log)
        except BaseException as failure:
            raise AssertionError(f"seed {seed}: fault {number}, {call} {error} the {at}th time: {failure}") from failure
        met += was_met(log)
        ended += bool(ends)
    print(f"{LONG} faults drawn, {met} met, after {ended} of them the committer ended")


async def test_the_clock_jumps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By years, at any time, of workers and of the committer: nothing is lost, and nothing taken for something else."""
    (tmp_path / "root").mkdir()
    clock, chance = time.time_ns, random.Random(1)

    def jumping() -> int:
        return clock() + chance.choice((-1, 0, 0, 1)) * chance.randrange(10 * 365 * 86_400) * 10**9

    monkeypatch.setattr(entries.time, "time_ns", jumping)
    jumps = tmp_path / "site" / "sitecustomize.py"
    jumps.parent.mkdir()
    jumps.write_text(
        "import random, time\n"
        "clock, chance = time.time_ns, random.Random(2)\n"
        "time.time_ns = lambda: clock() + chance.choice((-1, 0, 0, 1)) * chance.randrange(3650 * 86400) * 10**9\n"
        "time.time = lambda: time.time_ns() / 10**9\n"
    )
    under = ["env", f"PYTHONPATH={jumps.parent}:{store_process._PATHS}"]
    assert await lived(tmp_path / "root", 3, under) == []


@pytest.fixture
def ext4(tmp_path: Path) -> Iterator[Path]:
    """A file system that can be had to fail. Where there are no loop devices its tests are skipped; in CI they fail."""
    image, folder = tmp_path / "image", tmp_path / "disk"
    folder.mkdir()
    with image.open("wb") as file:
        file.truncate(128 << 20)
    try:
        subprocess.run(["mkfs.ext4", "-q", "-F", str(image)], check=True)
        mount(image, folder)
    except (OSError, subprocess.CalledProcessError):
        if os.environ.get("CI"):
            raise
        pytest.skip("no ext4 can be made and mounted here")
    yield folder
    if folder.is_mount():
        subprocess.run(["umount", str(folder)], check=True)


def mount(image: Path, folder: Path) -> None:
    subprocess.run(["mount", "-o", "loop,errors=remount-ro", str(image), str(folder)], check=True)


def break_down(folder: Path) -> None:
    """Have the file system find an error: it turns read-only."""
    lines = [line.split() for line in Path("/proc/mounts").read_text().splitlines()]
    device = next(line[0] for line in lines if line[1] == str(folder))
    Path("/sys/fs/ext4", Path(device).name, "trigger_fs_error").write_text("1")


async def test_a_file_system_turns_read_only(ext4: Path, tmp_path: Path) -> None:
    """What was acknowledged is read all the while, writes fail, and once it is mounted anew everything is there."""
    told = Remembers()
    world = World(ext4, told, 5)
    config = world.committer.config
    lanes = power_workload.lanes_of(world)
    await asyncio.gather(*(power_workload.act(lane, SIZE) for lane in lanes))
    await lanes[0].put(power_workload.BUCKETS[0], "small", 10)
    await lanes[0].put(power_workload.BUCKETS[0], "large", 70_000)
    break_down(ext4)
    for size in (10, 70_000):
        with pytest.raises(StoreError):
            async with asyncio.timeout(60):
                async with world.segment(power_workload.BUCKETS[0], bytes(size)) as segment:
                    await _put(world, segment)
        for name in (b"small", b"large"):
            opened = await world.store.open(power_workload.BUCKETS[0], name)
            assert len(b"".join([piece async for piece in opened.read(0, opened.info.size)])) == opened.info.size
            opened.close()
    await world.store.close()
    world.committer.kill()
    subprocess.run(["umount", str(ext4)], check=True)
    subprocess.run(["e2fsck", "-p", str(tmp_path / "image")], check=False, capture_output=True)
    mount(tmp_path / "image", ext4)
    keyring, rows = store_checker.open_and_recover(config)
    store_checker.check_tables(config, keyring)
    buckets = [power_workload.bucket_named(name) for name in sorted(told.buckets)]
    assert told.knowledge.wrong(await store_checker.contents(config, keyring, buckets, rows)) is None


async def _put(world: World, segment: Segment) -> None:
    await world.store.put(
        power_workload.BUCKETS[0],
        b"refused",
        segment,
        "e",
        Attributes(),
        None,
        NO_CONDITIONS,
        power_workload.GUARD,
    )


def test_s3_clients_are_told_of_a_disk_that_turned_read_only(ext4: Path, tmp_path: Path) -> None:
    """Each write gets an S3 error, at once or when it would be acknowledged, and what is there is served."""
    rig = Rig(tmp_path)
    rig.data = ext4 / "data"
    rig.apply("all.yaml", REGION, bucket("sick"))
    with rig:
        eventually("credentials", rig.credentials_file("sick").exists, 60)
        env = rig.env("sick")
        key = RawS3(rig.port, env["ACCESS_KEY"], env["SECRET_KEY"], timeout=60)
        bodies = {"small": b"x" * 100, "large": b"y" * 100_000}
        for name, body in bodies.items():
            assert key.ask("PUT", f"/sick/{name}", body=body).status == 200
        break_down(ext4)
        for _ in range(3):
            for name, body in bodies.items():
                answer = key.ask("PUT", f"/sick/{name}", body=b"other" + body)
                assert answer.status in (500, 503, 507) and answer.code, answer.raw[:500]
                found = key.ask("GET", f"/sick/{name}")
                assert (found.status, found.body) == (200, body)
        with contextlib.suppress(subprocess.TimeoutExpired):
            rig.stop()
    subprocess.run(["umount", str(ext4)], check=True)
    subprocess.run(["e2fsck", "-p", str(tmp_path / "image")], check=False, capture_output=True)
    mount(tmp_path / "image", ext4)
    with rig:
        for name, body in bodies.items():
            served = eventually("the gateway", lambda name=name: _served(key, f"/sick/{name}"), 60)
            assert served == body
        assert key.ask("PUT", "/sick/small", body=b"again").status == 200


def _served(key: RawS3, target: str) -> bytes | None:
    found = key.ask("GET", target)
    return found.body if found.status == 200 else None
