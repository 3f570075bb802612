"""`kill -9` of any process of the gateway, again and again, under load. After each all that was acknowledged is there
and whole, nothing else is, listings and counts are right, and no garbage stays.

`make soak` has 300 kills from a new seed, `make test` a few; KILLS and SOAK_SEED choose others.
"""

import asyncio
import os
import random
import signal
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

import pytest

from cooper_gateway.config import GatewayConfig
from cooper_gateway.crypto.keyring import Keyring
from support.kill_load import BUCKET, Killed, all_checked, drop_uploads
from support.raw_s3 import RawS3
from support.rig import REGION, Rig, bucket, eventually
from support.s3_link import Cut, Link
from support.store_checker import Unsound, check_tables

ROLES = ("committer", "worker", "up", "watcher")
WEIGHTS = (4, 4, 2, 1)
CLIENTS = 12
PATIENCE = 60.0  # seconds until the gateway serves again and its garbage is gone, on a slow machine

_T = TypeVar("_T")


async def in_time(what: str, attempt: Callable[[], Awaitable[_T]]) -> _T:
    """What it returns once it does not fail for being too early; in the end the failure itself."""
    until = time.monotonic() + PATIENCE
    while True:
        try:
            async with asyncio.timeout(PATIENCE):
                return await attempt()
        except (Cut, OSError, AssertionError, Unsound) as error:
            if time.monotonic() > until:
                raise AssertionError(f"{what} did not come in {PATIENCE:.0f} s: {error}") from error
            await asyncio.sleep(0.05)


async def kill(rig: Rig, role: str, dice: random.Random) -> None:
    if role == "up":
        everybody = [pid for pids in rig.processes().values() for pid in pids]
        await asyncio.to_thread(rig.kill)
        gone = lambda: not any(os.path.exists(f"/proc/{pid}") for pid in everybody)  # noqa: E731
        await asyncio.to_thread(eventually, "the children gone", gone, PATIENCE)
        await asyncio.to_thread(rig.start)
    else:
        found = await in_time(f"a {role}", lambda: _running(rig, role))
        os.kill(dice.choice(found), signal.SIGKILL)


async def _running(rig: Rig, role: str) -> list[int]:
    """Processes of that role, which may just be started again."""
    found = rig.processes().get(role, [])
    assert found
    return found


async def sound(rig: Rig, key: RawS3, clients: list[Killed]) -> None:
    """Serving again, with everything as it may be; then without garbage."""
    link = Link(key)

    async def probe() -> None:
        for method, body in (("PUT", b"probe"), ("DELETE", None)):
            reply = await link.ask(method, f"/{BUCKET}/probe", body=body)
            assert reply.status in (200, 204), reply.body[:300]

    config = GatewayConfig("local", str(rig.data), "", "", str(rig.data / "kek.json"))

    async def tidy() -> None:
        await probe()  # rows of garbage that is gone go with the next commit
        check_tables(config, Keyring.load(config.kek_file), running=True)

    await in_time("the gateway", probe)
    try:
        await all_checked(clients, key)
    except (Cut, OSError):  # a worker that is not there yet had the connection
        await in_time("all that was acknowledged", lambda: all_checked(clients, key))
    await drop_uploads(key)
    await in_time("a store without garbage", tidy)
    link.close()


async def live(rig: Rig, kills: int, seed: int) -> tuple[list[Killed], Counter[str]]:
    dice, done = random.Random(seed), Counter[str]()
    await asyncio.to_thread(eventually, "credentials", rig.credentials_file(BUCKET).exists, PATIENCE)
    env = rig.env(BUCKET)
    key = RawS3(rig.port, env["ACCESS_KEY"], env["SECRET_KEY"])
    clients = [Killed(number, key, seed) for number in range(CLIENTS)]
    for turn in range(kills):
        role = ROLES[turn] if turn < len(ROLES) else dice.choices(ROLES, WEIGHTS)[0]
        stop = asyncio.Event()
        load = [asyncio.ensure_future(client.run(stop)) for client in clients]
        await asyncio.sleep(dice.uniform(0.1, 0.6))
        await kill(rig, role, dice)
        await asyncio.sleep(dice.uniform(0, 0.3))
        stop.set()
        await asyncio.gather(*load)
        done[role] += 1
        try:
            await sound(rig, key, clients)
        except AssertionError as error:
            raise AssertionError(f"seed {seed}, kill {turn}, of a {role}: {error}") from error
        for client in clients:
            client.close()
    return clients, done


def test_whichever_process_is_killed_nothing_acknowledged_is_lost(tmp_path: Path, pytestconfig: pytest.Config) -> None:
    soak = pytestconfig.getoption("--soak")
    kills = int(os.environ.get("KILLS", 300 if soak else 6))
    seed = int(os.environ.get("SOAK_SEED", time.time_ns() if soak else 1))
    print(f"seed {seed}")
    rig = Rig(tmp_path)
    rig.apply("all.yaml", REGION, bucket(BUCKET))
    began = time.monotonic()
    with rig:
        clients, done = asyncio.run(live(rig, kills, seed))
    acknowledged, unknown = (sum(getattr(client, name) for client in clients) for name in ("acknowledged", "unknown"))
    seconds = time.monotonic() - began
    print(f"{dict(done)} killed, {acknowledged} writes acknowledged, {unknown} never answered, in {seconds:.0f} s")
    assert done.total() == kills
    assert acknowledged > 10 * kills
    assert unknown, "the kills met no write"
