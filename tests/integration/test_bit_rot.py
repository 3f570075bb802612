"""A bit is flipped somewhere in a store: nothing wrong is served, and `store verify` tells of it where it matters."""

import contextlib
import hashlib
import os
import random
import re
import select
import subprocess
import sys
import urllib.request
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from clients.aws import clean_env
from cooper_gateway.storage.port import BucketRef
from support.filled_store import BEGUN, BODIES, BUCKET, MULTI, OTHER, files_of, filled, flip
from support.rig import COOPER, REGION, Rig, bucket, eventually
from support.rot_reader import Sight
from support.store_process import CommitterProcess, config_in
from support.verifying import assert_sound, damage_in

SEED = 20261127
MORE = 60  # small objects of the first bucket, beside one of everything
PATIENCE = 120.0
NAMES = [*BODIES, b"multi", *(b"more/%04d" % number for number in range(MORE))]


def held(of: BucketRef, name: bytes) -> bytes | None:
    if name.startswith(b"more/"):
        return b"body of %d" % int(name[5:]) * 20 if of == BUCKET else None
    return b"".join(MULTI) if name == b"multi" else BODIES[name]


class Reader:
    """The program that looks; started again whenever what it read ended it."""

    def __init__(self, committer: CommitterProcess) -> None:
        self._committer = committer
        self._process: subprocess.Popen[bytes] | None = None
        self.crashes: Counter[int] = Counter()

    def look(self) -> Sight | None:
        """None: it was ended by what it read."""
        process = self._process = self._process or self._start()
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(" ".join(name.hex() for name in NAMES).encode() + b"\n")
        process.stdin.flush()
        ready, _, _ = select.select([process.stdout], [], [], PATIENCE)
        assert ready, "a reader of the damaged store hangs"
        line = process.stdout.readline()
        if line:
            return msgspec.json.decode(line, type=Sight)
        self.close()
        assert process.returncode < 0, process.returncode
        self.crashes[-process.returncode] += 1
        return None

    def _start(self) -> "subprocess.Popen[bytes]":
        root = Path(__file__).parents[2]
        paths = os.pathsep.join(str(root / part) for part in ("gateway", "crds", "tests"))
        config = msgspec.json.encode(self._committer.config).decode()
        buckets = f"{BUCKET.data_id.hex()},{OTHER.data_id.hex()}"
        argv = [sys.executable, "-m", "support.rot_reader", config, buckets]
        return subprocess.Popen(
            argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env={**os.environ, "PYTHONPATH": paths}
        )

    def close(self) -> None:
        if self._process is not None:
            for pipe in (self._process.stdin, self._process.stdout):
                assert pipe is not None
                pipe.close()
            self._process.wait(30)
            self._process = None


def wrong(sight: Sight) -> bool:
    """Whether something is not served as it was written. Fails where what is served is wrong."""
    affected = not sight.opened
    for of in (BUCKET, OTHER) if sight.opened else ():
        where = of.data_id.hex()
        there: list[tuple[str, int]] = []
        for name in NAMES:
            body, seen = held(of, name), sight.objects[f"{where}/{name.hex()}"]
            if body is not None:
                there.append((name.hex(), len(body)))
            assert not seen.startswith(("other error", "two answers")), seen
            if seen.startswith("error: "):
                affected |= body is not None or "NoSuchName" not in seen
            else:
                assert body is not None
                assert seen == hashlib.sha256(body).hexdigest(), f"{name!r} was served with other bytes"
        listing = sight.listings[where]
        if isinstance(listing, str):
            assert not listing.startswith("other error"), listing
            affected = True
        else:
            assert set(listing) <= set(there), "a listing tells of what is not there"
            affected |= listing != sorted(there)
        for each in (sight.uploads[where], sight.usage[where]):
            assert not (isinstance(each, str) and each.startswith("other error")), each
        affected |= sight.uploads[where] != [len(part) for part in BEGUN]
        affected |= sight.usage[where] != [len(there), sum(size for _, size in there), 1]
    return affected


@pytest.fixture(scope="module")
def committer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CommitterProcess]:
    process = CommitterProcess(config_in(tmp_path_factory.mktemp("rot")))
    filled(process, MORE)
    assert_sound(process.config)
    yield process


@pytest.fixture
def reader(committer: CommitterProcess) -> Iterator[Reader]:
    reader = Reader(committer)
    yield reader
    reader.close()


def check(committer: CommitterProcess, reader: Reader, path: Path, position: int, bit: int) -> bool:
    """Look at the store with one bit flipped. Returns whether that mattered."""
    where = f"bit {bit} of byte {position} of {path.name} (page {position // 4096}, byte {position % 4096} of it)"
    flip(path, position, bit)
    try:
        sight = reader.look()
        if sight is None:  # what ended it is told by the process that watches over the one that verifies
            assert damage_in(committer.config), where
            return True
        affected = wrong(sight)
        if affected:
            assert sight.damage or sight.refused, f"{where} is not told of: {sight}"
        return affected or bool(sight.damage)
    except AssertionError as error:
        raise AssertionError(f"{where}: {error}") from error
    finally:
        flip(path, position, bit)


def test_a_bit_of_a_file_is_told_by_bucket_and_key(committer: CommitterProcess, reader: Reader) -> None:
    chance = random.Random(SEED)
    for path in files_of(committer):
        size = path.stat().st_size
        for position in [0, 10, size - 1, *(chance.randrange(size) for _ in range(5))]:
            flip(path, position, bit := chance.randrange(8))
            sight = reader.look()
            flip(path, position, bit)
            assert sight is not None
            wrong(sight)
            (damage,) = sight.damage
            assert damage.startswith("FileDamaged"), damage
            assert any(f" {of.data_id.hex()} b'" in damage for of in (BUCKET, OTHER)), damage
            assert any(f"b'{name}'" in damage for name in ("large", "multi", "begun")), damage
    sight = reader.look()
    assert sight is not None
    assert not wrong(sight)
    assert not sight.damage


def test_a_bit_of_a_buckets_key_is_told(committer: CommitterProcess, reader: Reader) -> None:
    chance = random.Random(SEED)
    for path in sorted(Path(committer.config.data_dir, "bucket-keys").iterdir()):
        for _ in range(8):
            check(committer, reader, path, chance.randrange(path.stat().st_size), chance.randrange(8))


def test_a_bit_of_the_index_never_leads_to_wrong_bytes_and_is_told(
    committer: CommitterProcess, reader: Reader, request: pytest.FixtureRequest
) -> None:
    soak = request.config.getoption("--soak")
    seed = random.SystemRandom().randrange(1 << 32) if soak else SEED
    chance = random.Random(seed)
    print(f"seed {seed}")
    path = Path(committer.config.data_dir, "index", "data.mdb")
    pages = last_page(path) + 1
    mattered = looked = 0
    for page in range(pages):
        # The first words of a page, its offsets, and anything.
        places = [
            chance.randrange(16),
            chance.randrange(16, 64),
            *(chance.randrange(4096) for _ in range(60 if soak else 6)),
        ]
        for place in places:
            looked += 1
            mattered += check(committer, reader, path, page * 4096 + place, chance.randrange(8))
    print(f"{looked} bits of {pages} pages, {mattered} mattered, {dict(reader.crashes)} ended their reader")
    assert mattered > looked // 10
    assert_sound(committer.config)


def last_page(path: Path) -> int:
    """The last page that the index uses."""
    with path.open("rb") as file:
        data = file.read(8192)
    return max(int.from_bytes(data[at + 16 + 120 : at + 16 + 128], sys.byteorder) for at in (0, 4096))


def test_a_worker_that_the_index_ends_is_restarted_and_told_of(tmp_path: Path) -> None:
    """A tail of the index cannot be read: the supervisor outlives whoever tries, and says so."""
    rig = Rig(tmp_path)
    rig.apply("all.yaml", REGION, bucket("photos"))
    with rig:
        s3 = rig.client("photos")
        for number in range(40):
            s3.put_object(Bucket="photos", Key=f"key-{number}", Body=b"x" * 3000)
        supervisor = rig.processes()["up"]
        os.truncate(rig.data / "index" / "data.mdb", 8 * 4096)

        def ended() -> bool:
            with contextlib.suppress(Exception):
                s3.list_objects_v2(Bucket="photos")
            return "signal SIGBUS" in rig.log.read_text()

        eventually("that it is told", ended, seconds=60)
        metrics = urllib.request.urlopen(f"http://127.0.0.1:{rig.metrics_port}/metrics").read().decode()
        restarts = re.findall(r'cooper_process_restarts_total\{role="\w+"\} ([0-9.]+)', metrics)
        assert sum(map(float, restarts)) >= 1
        assert rig.processes()["up"] == supervisor
        assert rig.process is not None
        assert rig.process.poll() is None
    command = [*COOPER, "store", "verify", "--data", str(rig.data), "--rate", "0"]
    done = subprocess.run(command, capture_output=True, text=True, env=clean_env(), timeout=120)
    assert done.returncode == 1, done.stderr
    assert "IndexUnreadable" in done.stdout
