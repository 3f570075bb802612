"""`cooper store verify` beside a `cooper up` that is written to, and on a folder that nobody has open."""

import json
import os
import pty
import random
import signal
import subprocess
import threading
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import BotoCoreError

from clients.aws import clean_env
from cooper_cli.places import Places
from cooper_cli.rate_option import Rate
from cooper_cli.store_verify import Report
from cooper_gateway.storage.verification.findings import Damage, Plan, Progress
from support.filled_store import flip
from support.rig import COOPER, REGION, Rig, bucket, eventually

LARGE = random.Random(3).randbytes(400_000)
PART = random.Random(4).randbytes(5 << 20)


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    rig = Rig(tmp_path_factory.mktemp("verify"))
    rig.apply("all.yaml", REGION, bucket("photos"), bucket("busy"))
    with rig:
        s3 = rig.client("photos")
        s3.put_object(Bucket="photos", Key="small.txt", Body=b"small")
        s3.put_object(Bucket="photos", Key="folder/large.bin", Body=LARGE)
        upload(s3, "photos", "parts.bin", complete=True)
        upload(s3, "photos", "begun.bin", complete=False)
        yield rig


def upload(s3: Any, name: str, key: str, *, complete: bool) -> None:
    upload_id = s3.create_multipart_upload(Bucket=name, Key=key)["UploadId"]
    parts = []
    for number, body in enumerate((PART, b"the end"), 1):
        etag = s3.upload_part(Bucket=name, Key=key, UploadId=upload_id, PartNumber=number, Body=body)["ETag"]
        parts.append({"ETag": etag, "PartNumber": number})
    if complete:
        s3.complete_multipart_upload(Bucket=name, Key=key, UploadId=upload_id, MultipartUpload={"Parts": parts})


def verify(data: Path, *options: str) -> "subprocess.CompletedProcess[str]":
    command = [*COOPER, "store", "verify", "--data", str(data), *options]
    return subprocess.run(command, capture_output=True, text=True, env=clean_env(), timeout=240)


def values(data: Path, *options: str) -> tuple[int, dict[str, Any]]:
    done = verify(data, "--output", "json", *options)
    assert done.returncode in (0, 1), done.stderr
    return done.returncode, json.loads(done.stdout)


class Load:
    """Everything that writes, again and again, on a few names."""

    def __init__(self, rig: Rig) -> None:
        self._rig = rig
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._run, args=(number,)) for number in range(4)]
        self.rounds = 0

    def __enter__(self) -> "Load":
        for thread in self._threads:
            thread.start()
        eventually("some load", lambda: self.rounds > 4, seconds=60)
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _run(self, number: int) -> None:
        s3 = self._rig.client("busy")
        while not self._stop.is_set():
            key = f"key-{number % 2}"
            s3.put_object(Bucket="busy", Key=key, Body=LARGE[: random.choice([0, 10, 40_000, 400_000])])
            s3.copy_object(
                Bucket="busy", Key=f"copy-{number}", CopySource={"Bucket": "busy", "Key": f"own-{number}"}
            ) if self.rounds > 8 else s3.put_object(Bucket="busy", Key=f"own-{number}", Body=LARGE)
            s3.delete_objects(Bucket="busy", Delete={"Objects": [{"Key": key}, {"Key": f"copy-{number}"}]})
            if number == 0:
                upload(s3, "busy", "parts", complete=self.rounds % 2 == 0)
            self.rounds += 1


def test_a_store_that_is_written_to_is_found_sound_again_and_again(rig: Rig) -> None:
    with Load(rig) as load:
        before = load.rounds
        for _ in range(4):
            status, found = values(rig.data, "--rate", "0")
            assert (status, found["sound"], found["damage"], found["notes"]) == (0, True, [], []), found
        assert load.rounds > before + 4
    assert found["format"] == "2"
    assert found["buckets"] == 2
    assert found["bytes"] > 2 * len(PART)


def test_it_reads_no_faster_than_it_is_told(rig: Rig) -> None:
    began = time.monotonic()
    _, found = values(rig.data, "photos", "--rate", "4MiB")
    assert time.monotonic() - began > (found["bytes"] >> 20) / 4 - 1


def test_it_says_so_to_people_and_one_bucket_will_do(rig: Rig) -> None:
    done = verify(rig.data, "photos")
    assert done.returncode == 0
    assert "in 1 bucket read back: all is as it was written" in done.stdout
    assert "reading 4 objects and uploads" in done.stderr


def test_a_terminal_gets_a_bar(rig: Rig) -> None:
    master, slave = pty.openpty()
    command = [*COOPER, "store", "verify", "--data", str(rig.data), "--rate", "0"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=slave, env=clean_env(TERM="xterm"))
    os.close(slave)
    shown = b""
    while b"100%" not in shown:
        shown += os.read(master, 65536)
    assert process.stdout is not None
    assert b"all is as it was written" in process.stdout.read()
    assert process.wait(60) == 0
    os.close(master)
    assert b"verifying" in shown


def test_who_interrupts_it_leaves_nothing_running(rig: Rig) -> None:
    command = [*COOPER, "store", "verify", "--data", str(rig.data), "--rate", "1k"]
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=clean_env(),
        # Who runs the tests in the background ignores it, and so would all that they start.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    eventually("the process that reads", lambda: _verifiers(rig.data), seconds=60)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 2  # and not that of damage
    assert said.splitlines()[-1].startswith(b"Error: interrupted")
    eventually("its end", lambda: not _verifiers(rig.data), seconds=60)
    assert rig.client("photos").get_object(Bucket="photos", Key="small.txt")["Body"].read() == b"small"


def _verifiers(data: Path) -> list[int]:
    """Processes that have this very store open to verify it."""
    found: list[int] = []
    for path in Path("/proc").glob("[0-9]*"):
        try:
            if b"cooper store verify" in (path / "cmdline").read_bytes() and str(data) in (path / "maps").read_text():
                found.append(int(path.name))
        except OSError:
            continue
    return found


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (["--rate", "quickly"], "is no rate"),
        (["no-such-bucket"], "there is no record of a bucket no-such-bucket: name it by the id of its data"),
        (["photoz"], "there is no record of a bucket photoz: did you mean photos?"),
        (["--kek", "/nonexistent/kek.json"], "is missing: name its file with --kek"),
    ],
)
def test_what_cannot_be_done_says_why_and_is_no_damage(rig: Rig, options: list[str], reason: str) -> None:
    done = verify(rig.data, *options)
    assert done.returncode == 2
    assert reason in done.stderr


def test_where_no_store_is_none_is_made(tmp_path: Path) -> None:
    done = verify(tmp_path / "nothing")
    assert done.returncode == 2
    assert "holds no store" in done.stderr
    assert not (tmp_path / "nothing").exists()


def test_a_store_of_another_user_or_container_is_not_touched(rig: Rig) -> None:
    """The committer's socket is not there for who runs elsewhere. Workers that have a connection keep it."""
    there = Places(rig.data).run / "committer.sock"
    elsewhere = there.with_name("elsewhere")
    there.rename(elsewhere)
    try:
        done = verify(rig.data)
    finally:
        elsewhere.rename(there)
    assert done.returncode == 2
    assert "cannot be reached from here" in done.stderr


def test_damage_is_named_beside_the_gateway_and_without_it(rig: Rig) -> None:
    """The last test of this module: the store is damaged from here on."""
    s3 = rig.client("photos")
    before = set(files(rig.data))
    s3.put_object(Bucket="photos", Key="spoilt \x1b[31m.bin", Body=LARGE)
    (spoilt,) = set(files(rig.data)) - before
    before = set(files(rig.data))
    s3.put_object(Bucket="photos", Key="lost.bin", Body=LARGE)
    (lost,) = set(files(rig.data)) - before
    flip(spoilt, 100_000)
    lost.unlink()
    with pytest.raises(BotoCoreError):  # its first bytes do not verify, and the answer's head is out
        s3.get_object(Bucket="photos", Key="spoilt \x1b[31m.bin")["Body"].read()
    eventually("the error in the metric", lambda: _errors(rig, "GetObject") > 0)
    expected = {("FileDamaged", "photos", "spoilt \x1b[31m.bin"), ("FileMissing", "photos", "lost.bin")}
    for running in (True, False):
        if not running:
            assert rig.stop() == 0
        status, found = values(rig.data, "--rate", "0")
        assert status == 1
        assert {(each["kind"], each["bucket"], each["key"]) for each in found["damage"]} == expected
        assert all(each["advice"] for each in found["damage"])
        done = verify(rig.data, "photos", "--rate", "0")
        assert done.returncode == 1
        assert 'FileMissing: bucket photos, key "lost.bin": segments/' in done.stdout
        assert "\x1b" not in done.stdout
        assert "FileDamaged: a file with its bytes does not verify: bring it back from a backup" in done.stdout
        assert "2 found damaged or missing" in done.stdout
    secret = json.loads((rig.data / "kek.json").read_text())["key"]
    assert secret not in done.stdout + done.stderr + json.dumps(found)


def _errors(rig: Rig, operation: str) -> float:
    """How many requests are told to have met what only the gateway can be blamed for."""
    with urllib.request.urlopen(f"http://127.0.0.1:{rig.metrics_port}/metrics", timeout=10) as answer:
        lines = answer.read().decode().splitlines()
    counted = f'cooper_request_errors_total{{code="InternalError",operation="{operation}"}} '
    return sum(float(line.removeprefix(counted)) for line in lines if line.startswith(counted))


def files(data: Path) -> list[Path]:
    return sorted(path for path in (data / "segments").rglob("*") if path.is_file())


def test_rates_are_read_as_people_write_them() -> None:
    read = [Rate().convert(text, None, None) for text in ("50MiB", "50Mi", "1.5k", "0", "10MiB/s")]
    assert read == [50 << 20, 50 << 20, 1500, 0, 10 << 20]


def test_a_report_tells_buckets_without_a_record_by_their_data() -> None:
    report = Report({})
    report.take(Plan(["ab" * 16], 3, 100, "2"))
    report.take(Progress(3, 100))
    report.take(Damage("BodyMissing", "why", "ab" * 16, b"\xff\n", "cd"))
    assert f'bucket {"ab" * 16}, key "\\xff\\n", upload cd: why' in report.text()
    assert report.values()["damage"][0]["bucket"] is None
