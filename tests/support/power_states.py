"""States that power loss may leave of a recorded life, each made real, opened, and looked at by who knows what was
acknowledged."""

import asyncio
import contextlib
import json
import os
import pickle
import random
import re
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from multiprocessing import get_context
from pathlib import Path
from typing import Final

from cooper_gateway.config import GatewayConfig
from cooper_gateway.crypto import key_file
from cooper_gateway.crypto.keyring import Keyring
from cooper_gateway.records.mirror import Mirror, MirrorDamaged
from support import disk_recorder, power_workload, store_checker
from support.acknowledged import DAMAGED, Knowledge
from support.power_loss import Change, Digests, Disk, Mark, Replay, Step, Write, variants
from support.store_checker import Seen

_SINGLES: Final = 3  # of each point, steps that alone are missing, or alone are there
_MIXTURES: Final = 3
_WALKS: Final = 1000  # along a life, at most
_POINTS: Final = 60  # that each of them stops at
_FAILURES: Final = 3  # that a run tells before it ends
_TRIES: Final = 8  # of a life, until its log is clear: nine of ten are, about

ROOT: Final = Path(__file__).parents[2]


@dataclass(slots=True)
class Life:
    """A recorded life."""

    steps: list[Step]
    folders: set[int]
    kept: int = 0  # steps before this are no point to stop at


@dataclass(slots=True)
class Outcome:
    """What came of looking at states."""

    states: int = 0  # states at points of a life that were judged
    distinct: set[bytes] = field(default_factory=set[bytes])
    failures: list[str] = field(default_factory=list[str])

    def add(self, other: "Outcome") -> None:
        self.states += other.states
        self.distinct |= other.distinct
        self.failures += other.failures


def recorded(strace: str, seed: int, size: int, timeout: float = 300, program: str = "support.power_workload") -> Life:
    """Have a life lived by a program, and record it. Raises NotRecordable, or CalledProcessError.

    One in which a process was killed within a call is lived again: killed before that call, or after it, is as good.
    """
    for _ in range(_TRIES - 1):
        with contextlib.suppress(disk_recorder.Unclear):
            return _recorded(strace, seed, size, timeout, program)
    return _recorded(strace, seed, size, timeout, program)


def _recorded(strace: str, seed: int, size: int, timeout: float, program: str) -> Life:
    with tempfile.TemporaryDirectory(dir=memory()) as home:
        folder, marks, trace = Path(home, "root"), Path(home, "marks"), Path(home, "trace")
        folder.mkdir()
        paths = os.pathsep.join(str(ROOT / part) for part in ("gateway", "crds", "tests"))
        command = [sys.executable, "-m", program, str(folder), str(marks), str(seed), str(size)]
        env = {**os.environ, "PYTHONPATH": paths, "PYTHONDONTWRITEBYTECODE": "1"}
        disk_recorder.record(strace, command, trace, env, timeout)
        log = disk_recorder.read(trace, folder, marks)
    return Life(log.steps, log.folders)


def memory() -> str | None:
    """A folder in memory, where there is one: syncs cost nothing there."""
    return "/dev/shm" if os.access("/dev/shm", os.W_OK) else None


class Looker:
    """Makes states real, one after the other, and sees what is in each."""

    def __init__(self, life: Life) -> None:
        self._home = Path(tempfile.mkdtemp(prefix="cooper-power-", dir=memory()))
        self.run = Path(tempfile.mkdtemp(prefix="cooper-run-", dir=memory()))
        self._digests = Digests()
        self._known: dict[bytes, Seen | str] = {}
        self._loop = asyncio.new_event_loop()
        self._buckets = [power_workload.bucket_named(name) for name in sorted(_bucket_names(life.steps))]
        self._wraps = _wraps(life.steps)
        self._keks = _keks(life.steps)
        self.distinct: set[bytes] = set()

    def close(self) -> None:
        self._loop.close()
        shutil.rmtree(self._home)
        shutil.rmtree(self.run)

    def wrong(self, point: int, disk: Disk, knowledge: Knowledge) -> str | None:
        """What of this state, of that point of the life, is not right."""
        small = {node: content for node, content in disk.files.items() if len(content) < 1024}
        destroyed = {power_workload.bucket_named(bucket).data_id for bucket in knowledge.destroyed}
        named = {node for _, node in disk.paths()}
        for wrap in self._wraps:
            if wrap.data_id in destroyed and any(wrap.content in content for content in small.values()):
                return f"the key of {wrap.data_id.hex()}, which was destroyed, is still on the disk"
            if wrap.renamed and wrap.since <= point and wrap.node not in named and small.get(wrap.node) == wrap.content:
                return f"the key of {wrap.data_id.hex()} is in a file without a name: nobody would overwrite it"
        for fingerprint in knowledge.removed:
            forms = (f'"kek":"{fingerprint}"'.encode(), self._keks[fingerprint].hex().encode())
            if any(form in content for form in forms for content in small.values()):
                return f"the key-encryption key {fingerprint}, which was removed, is or wraps something on the disk"
        digest = self._digests.of(disk)
        self.distinct.add(digest)
        seen = self._known.get(digest)
        if seen is None:
            seen = self._known[digest] = self._seen(disk)
        return seen if isinstance(seen, str) else knowledge.wrong(seen)

    def _seen(self, disk: Disk) -> Seen | str:
        folder = self._home / "root"
        disk.write_to(folder)
        try:
            return self._loop.run_until_complete(self.contents(folder))
        except Exception as error:
            return f"{type(error).__name__}: {error}"
        finally:
            store_checker.removed(folder)

    async def contents(self, folder: Path) -> Seen:
        """What is there. May raise anything where it is not as it has to be."""
        (folder / "keys").mkdir(exist_ok=True)
        config = GatewayConfig(
            "local",
            str(folder / "some/place/data"),
            str(self.run),
            "",
            str(folder / "keys/kek"),
            map_size=power_workload.MAP_SIZE,
        )
        keyring, rows = store_checker.open_and_recover(config)
        store_checker.check_tables(config, keyring)
        seen = await store_checker.contents(config, keyring, self._buckets, rows)
        keys = len(keyring.fingerprints)
        return seen | _mirror(folder, keyring) | ({"k/": keys} if keys > 1 else {})


def _mirror(folder: Path, keyring: Keyring) -> Seen:
    try:
        records = Mirror(str(folder / power_workload.MIRROR), keyring, "namespace").load()
    except MirrorDamaged:
        return {"m/": DAMAGED}
    if records is None:
        return {}
    (record,) = records.values()
    return {"m/": record.serial}  # type: ignore[union-attr]


def _bucket_names(steps: list[Step]) -> set[str]:
    marks = " ".join(step.text for step in steps if isinstance(step, Mark))
    return set(re.findall(r'"[ou]/([^/"]+)/', marks)) | set(re.findall(r'"b/([^/"]+)"', marks))


@dataclass(frozen=True, slots=True)
class _Wrap:
    """A file that was a bucket's key since some step."""

    since: int
    node: int
    data_id: bytes
    content: bytes
    renamed: bool  # to that: not in a backup, whose files count once it is whole


def _wraps(steps: list[Step]) -> list[_Wrap]:
    written = {step.node: step.data for step in steps if isinstance(step, Write) and step.data.startswith(b'{"format"')}
    return [
        _Wrap(number, node, bytes.fromhex(name.removesuffix(".key")), written[node], len(step.entries) > 1)
        for number, step in enumerate(steps)
        if isinstance(step, Change)
        for _, name, node in step.entries
        if name.endswith(".key") and node in written
    ]


def _keks(steps: list[Step]) -> dict[str, bytes]:
    """Key-encryption keys that were written, by their fingerprints."""
    found: dict[str, bytes] = {}
    for step in steps:
        if isinstance(step, Write) and step.data.startswith((b'{"format":1,"key"', b'{"format":2')):
            found |= {key_file.fingerprint_of(key): key for key in key_file.decode(step.data, "a step").keys}
    return found


def looked_at(
    life: Life,
    seed: int,
    budget: int,
    seconds: float = float("inf"),
    share: tuple[int, int] = (0, 1),
    looker_of: Callable[[Life], Looker] = Looker,
) -> Outcome:
    """Look at `budget` distinct states, of points that are drawn by the seed, or as many as the time allows."""
    chance, until, outcome, looker = random.Random(seed), time.monotonic() + seconds, Outcome(), looker_of(life)
    try:
        lanes = _acknowledgements(life.steps)
        renamed = [wrap.since for wrap in _wraps(life.steps) if wrap.renamed]
        for _ in range(_WALKS):  # each time other points and other states
            points = [chance.randrange(len(life.steps)) for _ in range(_POINTS // 2)]
            # As often after something was acknowledged, of each lane alike: some do little, and that matters as much.
            points += [chance.choice(lanes[chance.choice(sorted(lanes))]) for _ in range(_POINTS // 2)]
            points += [chance.choice(renamed) for _ in range(_POINTS // 6) if renamed]
            drawn = {at for at in points if at % share[1] == share[0]}
            for point, knowledge, replay in _walk(life.steps, life.folders, drawn):
                for disk in variants(replay, chance, _SINGLES, _MIXTURES):
                    outcome.states += 1
                    if (wrong := looker.wrong(point, disk, knowledge)) is not None:
                        outcome.failures.append(f"power lost after step {point} ({life.steps[point]!r:.200}): {wrong}")
                    enough = len(looker.distinct) >= budget or len(outcome.failures) >= _FAILURES
                    if enough or time.monotonic() > until:
                        return outcome
    finally:
        outcome.distinct = looker.distinct
        looker.close()
    return outcome


def _acknowledgements(steps: list[Step]) -> dict[str, list[int]]:
    """Where each lane was told that something is done."""
    found: dict[str, list[int]] = {}
    for at, step in enumerate(steps):
        if isinstance(step, Mark):
            what, lane, _ = json.loads(step.text)
            if what == "ack":
                found.setdefault(lane, []).append(at)
    return found


def _walk(steps: list[Step], folders: set[int], points: set[int]) -> Iterator[tuple[int, Knowledge, Replay]]:
    replay, knowledge = Replay(folders), Knowledge()
    for at, step in enumerate(steps):
        replay.advance(step)
        if isinstance(step, Mark):
            knowledge.take(step.text)
        if at in points:
            yield at, knowledge, replay


def looked_at_by_all(life: Life, seed: int, budget: int, processes: int) -> Outcome:
    """The same by some processes."""
    with (
        tempfile.NamedTemporaryFile(dir=memory()) as file,
        ProcessPoolExecutor(processes, get_context("spawn")) as all_,
    ):
        pickle.dump(life, file)
        file.flush()
        shares = [(number, processes) for number in range(processes)]
        work = [all_.submit(_share, file.name, seed, budget // processes + 1, share) for share in shares]
        outcome = Outcome()
        for each in work:
            outcome.add(each.result())
    return outcome


def _share(path: str, seed: int, budget: int, share: tuple[int, int]) -> Outcome:
    life: Life = pickle.loads(Path(path).read_bytes())
    return looked_at(life, seed, budget, share=share)
