"""`kill -9` of any process of the gateway in the middle of 32 parallel uploads: nothing acknowledged is lost."""

import hashlib
import os
import random
import signal
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from support.rig import REGION, Rig, bucket, eventually, s3_client

KIB, MIB = 1 << 10, 1 << 20
ROLES = ("committer", "worker", "watcher", "up")


class Ledger:
    """What clients sent and what was acknowledged."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.tried: dict[str, list[str]] = {}  # name -> digests of every body ever sent, oldest first
        self.acknowledged: dict[str, int] = {}  # name -> index of the newest acknowledged body

    def begin(self, name: str, body: bytes) -> int:
        with self.lock:
            bodies = self.tried.setdefault(name, [])
            bodies.append(hashlib.sha256(body).hexdigest())
            return len(bodies) - 1

    def acknowledge(self, name: str, number: int) -> None:
        with self.lock:
            self.acknowledged[name] = number


def _upload(s3: Any, lane: int, ledger: Ledger, stop: threading.Event, seed: int) -> None:
    """One client: overwrites its own few names, one request at a time, until told to stop."""
    dice = random.Random(seed * 1000 + lane)
    while not stop.is_set():
        name = f"lane-{lane}/{dice.randrange(4)}"
        body = os.urandom(dice.choice([10, 4 * KIB, 40 * KIB, 300 * KIB]))
        number = ledger.begin(name, body)
        try:
            s3.put_object(Bucket="crash", Key=name, Body=body)
        except Exception:
            time.sleep(0.05)  # killed under us: the outcome is unknown, the next round tries again
        else:
            ledger.acknowledge(name, number)


def _check(rig: Rig, env: dict[str, str], ledger: Ledger) -> None:
    """Everything acknowledged is there, whole; whatever is there was once sent, and not before the acknowledged one."""
    s3 = s3_client(env, retries={"max_attempts": 5})
    listed: dict[str, int] = {}
    for page in s3.get_paginator("list_objects_v2").paginate(Bucket="crash"):
        listed |= {item["Key"]: item["Size"] for item in page.get("Contents", [])}
    assert set(ledger.acknowledged) <= set(listed)
    for name, size in listed.items():
        body = s3.get_object(Bucket="crash", Key=name)["Body"].read()
        assert len(body) == size
        digest = hashlib.sha256(body).hexdigest()
        assert digest in ledger.tried[name][ledger.acknowledged.get(name, 0) :], f"{name} is not what was written last"


def test_kill_any_process_amid_32_uploads(tmp_path: Path, pytestconfig: pytest.Config) -> None:
    rounds, seed = (50, time.time_ns()) if pytestconfig.getoption("--soak") else (8, 1)
    print(f"seed {seed}")
    dice = random.Random(seed)
    rig = Rig(tmp_path)
    rig.apply("all.yaml", REGION, bucket("crash"))
    rig.start()
    ledger = Ledger()
    try:
        env = rig.env("crash")
        for turn in range(rounds):
            _one_crash(rig, env, ledger, ROLES[turn % 4] if turn < 4 else dice.choice(ROLES), seed + turn, dice)
        _no_garbage(rig, env)
    finally:
        rig.stop()


def _one_crash(rig: Rig, env: dict[str, str], ledger: Ledger, role: str, seed: int, dice: random.Random) -> None:
    stop = threading.Event()
    s3 = s3_client(env, connect_timeout=2, read_timeout=10, max_pool_connections=32)
    lanes = [threading.Thread(target=_upload, args=(s3, lane, ledger, stop, seed)) for lane in range(32)]
    for lane in lanes:
        lane.start()
    time.sleep(dice.uniform(0.3, 0.8))
    if role == "up":
        everybody = [pid for pids in rig.processes().values() for pid in pids]
        rig.kill()
        eventually("the children gone", lambda: not any(os.path.exists(f"/proc/{pid}") for pid in everybody), 5)
        rig.start()
    else:
        os.kill(dice.choice(rig.processes()[role]), signal.SIGKILL)
    time.sleep(0.3)
    stop.set()
    for lane in lanes:
        lane.join()
    eventually("the gateway serving again", lambda: _serves(env))
    assert ledger.acknowledged
    _check(rig, env, ledger)


def _serves(env: dict[str, str]) -> bool:
    try:
        s3_client(env, connect_timeout=2, read_timeout=10).put_object(Bucket="crash", Key="lane-probe", Body=b"")
        s3_client(env).delete_object(Bucket="crash", Key="lane-probe")
    except Exception:
        return False
    return True


def _no_garbage(rig: Rig, env: dict[str, str]) -> None:
    """Once every object is deleted, no segment file stays behind."""
    s3: Any = s3_client(env)
    for page in s3.get_paginator("list_objects_v2").paginate(Bucket="crash"):
        for item in page.get("Contents", []):
            s3.delete_object(Bucket="crash", Key=item["Key"])
    files = lambda: [p for p in (rig.data / "segments").rglob("*") if p.is_file()]  # noqa: E731
    eventually("the garbage collected", lambda: not files(), 15, pause=0.2)
