"""The key-encryption key is rotated while clients write, and processes are killed: each object stays readable, in the
end with the new key alone, and with the old one nothing is.

`make soak` has more kills, from a new seed; SOAK_SEED chooses one.
"""

import asyncio
import json
import os
import random
import shutil
import signal
import subprocess
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from clients.aws import clean_env
from cooper_cli.places import Places
from cooper_gateway.config import GatewayConfig
from cooper_gateway.crypto import key_file
from cooper_gateway.crypto.keyring import Keyring
from cooper_gateway.processes.lock import StoreLock
from cooper_gateway.shredding import OLD
from cooper_gateway.storage.embedded import EmbeddedStore
from cooper_gateway.storage.layout import Layout
from cooper_gateway.storage.port import BucketRef, StoreFailed
from support.filled_store import put
from support.kill_load import BUCKET, Killed, all_checked
from support.raw_s3 import RawS3
from support.rig import COOPER, REGION, Rig, bucket, eventually
from support.s3_link import Cut
from support.store_process import CommitterProcess
from support.verifying import assert_sound

CLIENTS = 6
BUCKETS = 150


def keys(*arguments: object, ok: bool = True) -> str:
    """Run a command of `cooper keys`; returns what it says."""
    command = [*COOPER, "keys", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, env=clean_env(), timeout=120)
    assert (done.returncode == 0) is ok, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done.stdout + done.stderr


def status(*arguments: object) -> dict[str, dict[str, Any]]:
    """Each key, by its fingerprint."""
    return {each["key"]: each for each in json.loads(keys("status", "--output=json", *arguments))["keys"]}


async def loaded(rig: Rig, clients: list[Killed], key: RawS3, during: Any) -> None:
    """Do something in a thread while clients write; then all that was acknowledged is there."""
    stop = asyncio.Event()
    load = [asyncio.ensure_future(client.run(stop)) for client in clients]
    try:
        await asyncio.to_thread(during)
    finally:
        stop.set()
        await asyncio.gather(*load)
    for attempt in range(100):
        try:
            await all_checked(clients, key)
            break
        except (Cut, OSError, AssertionError):  # a process is just starting
            if attempt == 99:
                raise
            await asyncio.sleep(0.1)


def test_on_a_laptop_while_clients_write_and_processes_die(tmp_path: Path, pytestconfig: pytest.Config) -> None:
    soak = pytestconfig.getoption("--soak")
    seed = int(os.environ.get("SOAK_SEED", time.time_ns() if soak else 1))
    print(f"seed {seed}")
    dice = random.Random(seed)
    rig = Rig(tmp_path)
    rig.apply("all.yaml", REGION, bucket(BUCKET), bucket("other"))
    where = f"--data={rig.data}"
    kek, before = rig.data / "kek.json", tmp_path / "before.json"

    def rewrapped(kills: int) -> None:
        for turn in range(kills):
            command = subprocess.Popen([*COOPER, "keys", "rewrap", where], stderr=subprocess.DEVNULL, env=clean_env())
            time.sleep(dice.uniform(0.2, 1.2))
            victims = [command.pid] if turn % 2 else rig.processes().get("committer", [])
            for pid in victims:
                os.kill(pid, signal.SIGKILL)
            command.wait(60)
        keys("rewrap", where)

    def served(starts: int) -> bool:
        return rig.log.read_text().count("Ctrl-C stops it") == starts

    async def live() -> None:
        env = rig.env(BUCKET)
        key = RawS3(rig.port, env["ACCESS_KEY"], env["SECRET_KEY"])
        clients = [Killed(number, key, seed) for number in range(CLIENTS)]
        for starts in range(2, 7 if soak else 3):
            (old,) = status(where)
            shutil.copy(kek, before)
            await loaded(rig, clients, key, partial(keys, "add", where))
            assert all(each["store"] for each in status(where).values()), "both are needed from now on"
            told = await asyncio.to_thread(keys, "rewrap", where, ok=False)
            assert f"secrets still need {old}. Start the gateway, or `cooper up`, again" in told
            assert await asyncio.to_thread(keys, "remove", old, where, ok=False)
            await asyncio.to_thread(rig.stop)
            await asyncio.to_thread(rig.start)
            await asyncio.to_thread(eventually, "the workers", partial(served, starts))
            for client in clients:
                client.close()
            await loaded(rig, clients, key, lambda: rewrapped(10 if soak else 4))
            found = status(where)
            assert found[old]["removable"], found
            await loaded(rig, clients, key, partial(keys, "remove", old, where))
            assert old not in status(where)
        for client in clients:
            client.close()
        await asyncio.to_thread(rig.stop)
        await asyncio.to_thread(rig.start)
        assert rig.env(BUCKET) == env, "the records were sealed anew, and no key was made anew"
        await loaded(rig, clients, key, lambda: None)
        print(f"{sum(client.acknowledged for client in clients)} writes acknowledged")

    with rig:
        rig.env(BUCKET)
        rig.client(BUCKET).put_object(Bucket=BUCKET, Key="probe", Body=b"")
        asyncio.run(live())
    assert_sound(GatewayConfig("local", str(rig.data), str(tmp_path), "", str(kek)))
    new, old = Keyring.load(str(kek)).fingerprint, Keyring.load(str(before)).fingerprint
    for path in rig.data.rglob("*"):
        if path.is_file() and path.stat().st_size < 4096 and path != kek:
            assert f'"kek":"{old}"' not in path.read_text(errors="replace"), path
    kept = kek.read_bytes()
    shutil.copy(before, kek)
    rig.process = subprocess.Popen(
        [*COOPER, "up", str(rig.resources), where, f"--port={rig.port}", f"--metrics-port={rig.metrics_port}"],
        stderr=subprocess.PIPE,
        env=clean_env(),
    )
    said = rig.process.communicate(timeout=60)[1].decode()
    assert f"the store was made with key-encryption key {new}, but the key file holds {old}" in said
    kek.write_bytes(kept)
    with rig:
        assert rig.client(BUCKET).get_object(Bucket=BUCKET, Key="probe")["ContentLength"] == 0


def test_with_many_buckets_and_a_kill_at_any_instant(tmp_path: Path, pytestconfig: pytest.Config) -> None:
    """Of the committer, or of the command; meanwhile buckets are made, and destroyed."""
    soak = pytestconfig.getoption("--soak")
    seed = int(os.environ.get("SOAK_SEED", time.time_ns() if soak else 1))
    print(f"seed {seed}")
    dice, places = random.Random(seed), Places(tmp_path / "data")
    places.run.mkdir(mode=0o700)
    config = GatewayConfig("local", str(places.data), str(places.run), "", str(places.kek), map_size=1 << 30)
    key_file.create(places.kek)
    places.records.mkdir(parents=True)
    committer = CommitterProcess(config)
    lock = StoreLock(str(places.data), "a gateway of a test")
    layout, where = Layout(str(places.data)), f"--data={places.data}"
    alive = {BucketRef(os.urandom(16), f"{number}"): b"%d" % number for number in range(BUCKETS)}
    destroyed: list[BucketRef] = []

    @asynccontextmanager
    async def opened() -> AsyncIterator[EmbeddedStore]:
        store = EmbeddedStore(config, Keyring.load(config.kek_file), asyncio.get_running_loop())
        try:
            yield store
        finally:
            await store.close()

    async def fill() -> None:
        async with opened() as store:
            await asyncio.gather(*(put(store, each, b"name", data) for each, data in alive.items()))

    async def change(store: EmbeddedStore, stop: asyncio.Event) -> None:
        """Make buckets and destroy some of those, whatever happens to the committer."""
        made: list[BucketRef] = []
        while not stop.is_set():
            try:
                new = BucketRef(os.urandom(16), "made")
                await put(store, new, b"name", b"made")
                made.append(new)
                if len(made) > 10:
                    gone = made.pop(dice.randrange(10))
                    await store.purge_bucket(gone)
                    await store.destroy_bucket(gone)
                    destroyed.append(gone)
            except StoreFailed:
                pass  # nobody knows
            await asyncio.sleep(0.01)
        alive.update((each, b"made") for each in made)

    async def read(store: EmbeddedStore) -> None:
        store._keys._known.clear()
        for each, data in alive.items():
            found = await store.open(each, b"name")
            assert b"".join([piece async for piece in found.read(0, found.info.size)]) == data
            found.close()

    async def read_all() -> None:
        async with opened() as store:
            await read(store)

    async def rewrapped(kills: int) -> int:
        """Each time by another key; returns how often a kill came in the midst."""
        async with opened() as store:
            return await killed(store, kills)

    async def killed(store: EmbeddedStore, kills: int) -> int:
        stop, cut = asyncio.Event(), 0
        changing = asyncio.ensure_future(change(store, stop))
        for turn in range(kills):
            await asyncio.to_thread(keys, "add", where)
            command = await asyncio.create_subprocess_exec(
                *COOPER, "keys", "rewrap", where, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL, env=clean_env()
            )
            while command.returncode is None and not any(name.endswith(OLD) for name in os.listdir(layout.bucket_keys)):
                await asyncio.sleep(0.001)
            await asyncio.sleep(dice.uniform(0, 0.02))
            if turn % 2:
                committer.kill()
                await asyncio.to_thread(committer.start)
            elif command.returncode is None:
                command.kill()
            await command.wait()
            cut += len(wrapped_by()) > 1
            assert command.returncode != 0 or len(wrapped_by()) == 1
            await read(store)
        await asyncio.to_thread(keys, "rewrap", where)
        stop.set()
        await changing
        return cut

    def wrapped_by() -> set[str]:
        contents = [path.read_bytes() for path in layout.bucket_keys.glob("*.key")]
        return {json.loads(content)["kek"] for content in contents if content.startswith(b"{")}

    try:
        asyncio.run(fill())
        cut = asyncio.run(rewrapped(40 if soak else 4))
        print(f"cut short {cut} times, {len(destroyed)} buckets destroyed")
        assert cut, "no kill came in the midst"
        for old in Keyring.load(config.kek_file).fingerprints[1:]:
            keys("remove", old, where)
        asyncio.run(read_all())
        (left,) = status(where).values()
        assert left["newest"] and left["bucketKeys"] >= len(alive)
        committer.stop()
        lock.release()
        assert_sound(config)
        names = os.listdir(layout.bucket_keys)
        assert all(name.endswith(".key") for name in names)
        assert not {f"{each.data_id.hex()}.key" for each in destroyed} & set(names)
        newest = Keyring.load(config.kek_file).fingerprint
        assert all(f'"kek":"{newest}"' in (layout.bucket_keys / name).read_text() for name in names)
        keys("add", where)  # once more, with no gateway
        assert "wraps all" in keys("rewrap", where)
        keys("remove", newest, where)
        assert_sound(config)
    finally:
        committer.kill()
        shutil.rmtree(places.run, ignore_errors=True)


def test_what_cannot_be_done_is_told(tmp_path: Path) -> None:
    data = tmp_path / "data"
    where = f"--data={data}"
    assert "holds no store" in keys("status", where, ok=False)
    assert "is not there: name it with --kek" in keys("add", where, ok=False)
    rig = Rig(tmp_path)
    rig.apply("all.yaml", REGION, bucket("photos"))
    with rig:
        rig.client("photos").put_object(Bucket="photos", Key="name", Body=b"")
    (key,) = status(where)
    assert f"{key} is the newest key" in keys("remove", key, where, ok=False)
    assert "there is no key 0123: there are" in keys("remove", "0123", where, ok=False)
    keys("add", where)
    assert f"key {key} is needed by 1 bucket key, " in keys("remove", key, where, ok=False)
    table = keys("status", where)
    assert "seals what is new: nothing" in table
    assert "is needed: 1 bucket key, " in table
    assert "Pending: `cooper keys rewrap`" in table
    foreign = tmp_path / "foreign.json"
    key_file.create(foreign)
    assert "Not there, and needed:" in keys("status", where, f"--kek={foreign}")
    assert "was made with key-encryption key" in keys("rewrap", where, f"--kek={foreign}", ok=False)
    keys("rewrap", where)
    keys("remove", key, where)
    with rig:
        eventually("the object", lambda: rig.client("photos").get_object(Bucket="photos", Key="name"))
