"""A gateway of real processes: what starts, what dies, what comes back, and what is said about it."""

import http.client
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import boto3
import msgspec
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from cooper_crds.actions import DEFAULT_ACTIONS
from cooper_crds.records import Grant, KeyRecord
from cooper_gateway.config import GatewayConfig
from cooper_gateway.crypto.keyring import Keyring
from cooper_gateway.processes.errors import GatewayStartError, PortInUse, StoreLocked
from cooper_gateway.processes.keeper import Keeper
from cooper_gateway.processes.supervisor import Supervisor
from support.process_tree import children_of, own_memory
from support.records_fixtures import SECRET, bucket, key, region, write_record


class Home:
    """A gateway's folders, with a KEK, a region, a bucket and a key that may use it."""

    def __init__(self, path: Path, name: str) -> None:
        self.path = path
        run_dir = Path("/dev/shm") / f"cooper-test-{os.getpid()}-{name}"
        self.config = GatewayConfig(
            region="local",
            data_dir=str(path / "data"),
            run_dir=str(run_dir),
            records_dir=str(path / "records"),
            kek_file=str(path / "kek"),
            port=0,
            metrics_port=0,
            map_size=1 << 30,
            table_size=16 << 20,
        )
        self.records = path / "records"
        self.records.mkdir()
        self.box = Keyring.load_or_create(self.config.kek_file, True)
        for record in (region(), bucket(), self.key()):
            write_record(self.records, record, self.box)

    def key(self, serial: int = 1, **changes: object) -> KeyRecord:
        grant = Grant("photos", bucket().data_id, DEFAULT_ACTIONS)
        return key(serial, grants=(grant,), **changes)

    @contextmanager
    def running(self, **changes: Any) -> Iterator[Supervisor]:
        supervisor = Supervisor(msgspec.structs.replace(self.config, **changes), "cooper test")
        supervisor.start()
        try:
            yield supervisor
        finally:
            supervisor.stop()


def client(port: int, serial: int = 1) -> Any:
    return boto3.client(
        "s3",
        endpoint_url=f"http://127.0.0.1:{port}",
        aws_access_key_id=key(serial).access_key_id,
        aws_secret_access_key=SECRET,
        region_name="eu-local-1",
        config=Config(retries={"total_max_attempts": 1}, s3={"addressing_style": "path"}),
    )


def page(supervisor: Supervisor, path: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{supervisor.metrics_port}{path}", timeout=5) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def eventually(what: str, check: Callable[[], Any], seconds: float = 15.0) -> Any:
    deadline = time.monotonic() + seconds
    while not (value := check()):
        assert time.monotonic() < deadline, f"{what}: not within {seconds:.0f} s"
        time.sleep(0.02)
    return value


def code_of(call: Callable[[], object]) -> str:
    try:
        call()
    except ClientError as error:
        return str(error.response.get("Error", {}).get("Code"))
    except Exception as error:
        return type(error).__name__
    return "ok"


def lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    home = Home(tmp_path, "own")
    yield home
    shutil.rmtree(home.config.run_dir, ignore_errors=True)  # a killed supervisor leaves it


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Home, Supervisor]]:
    home = Home(tmp_path_factory.mktemp("shared"), "shared")
    with home.running() as supervisor:
        yield home, supervisor


Shared = tuple[Home, Supervisor]


def test_a_start_that_fails_half_way_leaves_nothing_running(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    loaded: list[Keeper] = []
    load = Keeper.load

    def load_two(keeper: Keeper) -> None:
        if len(loaded) == 2:
            raise RuntimeError("can't start new thread")
        load(keeper)
        loaded.append(keeper)

    monkeypatch.setattr(Keeper, "load", load_two)
    supervisor = Supervisor(msgspec.structs.replace(home.config, workers=3), "cooper test")
    with pytest.raises(RuntimeError, match="can't start new thread"):
        supervisor.start()
    assert [keeper.pid for keeper in loaded] == [None, None]
    assert not Path(home.config.run_dir).exists()


def test_it_serves_and_says_so(shared: Shared) -> None:
    _, supervisor = shared
    s3 = client(supervisor.port)
    s3.put_object(Bucket="photos", Key="a", Body=b"hello")
    assert s3.get_object(Bucket="photos", Key="a")["Body"].read() == b"hello"
    assert supervisor.alive()
    assert page(supervisor, "/livez")[0] == 200
    assert page(supervisor, "/readyz") == (200, "ok\n")
    assert page(supervisor, "/other")[0] == 404
    eventually(
        "requests in the metrics",
        lambda: 'cooper_requests_total{operation="GetObject",status="200"}' in page(supervisor, "/metrics")[1],
    )
    eventually("its commit in the metrics", lambda: committed(supervisor)[1] >= 1)
    before = committed(supervisor)
    for number in range(8):
        s3.put_object(Bucket="photos", Key=f"counted-{number}", Body=b"x")
    eventually("more commits", lambda: committed(supervisor) == (before[0] + 8, before[1] + 8))
    metrics = page(supervisor, "/metrics")[1]
    assert "cooper_ready 1.0" in metrics
    assert "cooper_records 3.0" in metrics


def committed(supervisor: Supervisor) -> tuple[float, float]:
    """Commits, and writes in them, as the metrics tell."""
    text = page(supervisor, "/metrics")[1]
    found = dict(re.findall(r"^cooper_(commits|committed_writes)_total (\S+)$", text, re.MULTILINE))
    return float(found.get("commits", 0)), float(found.get("committed_writes", 0))


def test_both_workers_answer(shared: Shared) -> None:
    _, supervisor = shared
    seen: set[str] = set()

    def both() -> bool:
        answer = client(supervisor.port).list_objects_v2(Bucket="photos")
        seen.add(answer["ResponseMetadata"]["HTTPHeaders"]["x-amz-id-2"].split("/")[0])
        return seen == {"worker-1-of-2", "worker-2-of-2"}

    eventually("both workers", both)


def test_processes_are_named_and_give_away_nothing(shared: Shared) -> None:
    _, supervisor = shared
    names = {Path(f"/proc/{pid}/cmdline").read_bytes().rstrip(b"\0").decode() for pid in supervisor.pids().values()}
    assert names == {"cooper committer", "cooper watcher", "cooper worker 1/2", "cooper worker 2/2"}
    for pid in supervisor.pids().values():
        assert SECRET.encode() not in Path(f"/proc/{pid}/environ").read_bytes()


def test_the_run_folder_is_private_and_holds_no_secret(shared: Shared) -> None:
    home, _ = shared
    run_dir = Path(home.config.run_dir)
    assert run_dir.stat().st_mode & 0o777 == 0o700
    for path in run_dir.rglob("*"):
        if path.is_file() and path.name != "cooper-run":
            assert path.stat().st_mode & 0o077 == 0, path
            assert SECRET.encode() not in path.read_bytes()


@pytest.mark.parametrize("umask", [0o000, 0o022])
def test_all_that_it_makes_is_private_whatever_the_umask(home: Home, umask: int) -> None:
    before = os.umask(umask)
    try:
        (home.path / "data").mkdir()  # as an administrator makes it
        with home.running() as supervisor:
            s3 = client(supervisor.port)
            for size in (10, 100_000):
                s3.put_object(Bucket="photos", Key=f"{size}", Body=bytes(size))
            folders = (home.path / "data", Path(home.config.run_dir))
            modes = {path: path.stat().st_mode & 0o777 for folder in folders for path in (folder, *folder.rglob("*"))}
    finally:
        os.umask(before)
    assert sum(path.parent.parent.name == "segments" for path in modes) == 1
    assert {path: oct(mode) for path, mode in modes.items() if mode & 0o077} == {}


def test_memory_at_rest_leaves_room(shared: Shared) -> None:
    _, supervisor = shared
    assert sum(map(own_memory, supervisor.pids().values())) < 100 << 20


@pytest.mark.parametrize("name", ["committer", "watcher", "worker 1/2", "worker 2/2"])
def test_a_killed_process_comes_back_and_nothing_is_lost(shared: Shared, name: str) -> None:
    home, supervisor = shared
    s3 = client(supervisor.port)
    s3.put_object(Bucket="photos", Key=name, Body=name.encode())
    before = supervisor.pids()[name]
    os.kill(before, signal.SIGKILL)
    eventually("another process", lambda: supervisor.pids().get(name, before) != before and supervisor.alive())
    assert client(supervisor.port).get_object(Bucket="photos", Key=name)["Body"].read() == name.encode()
    eventually("writes", lambda: code_of(lambda: s3.put_object(Bucket="photos", Key="b", Body=b"1")) == "ok")
    write_record(home.records, home.key(50), home.box)
    eventually("a new key", lambda: code_of(lambda: client(supervisor.port, 50).list_buckets()) == "ok")
    (home.records / f"key-{key(50).access_key_id.lower()}.json").unlink()
    role = name.split()[0]
    assert f'cooper_process_restarts_total{{role="{role}"}} 0.0' not in page(supervisor, "/metrics")[1]


def test_a_new_key_works_and_a_revoked_one_does_not_within_a_second(shared: Shared) -> None:
    home, supervisor = shared
    assert code_of(lambda: client(supervisor.port, 2).list_buckets()) == "InvalidAccessKeyId"
    write_record(home.records, home.key(2), home.box)
    s3 = client(supervisor.port, 2)
    eventually("the new key", lambda: code_of(s3.list_buckets) == "ok", 1.0)
    write_record(home.records, home.key(2, state="Revoked"), home.box)
    eventually("the revocation", lambda: code_of(s3.list_buckets) == "KeyAccessRevoked", 1.0)
    (home.records / f"key-{key(2).access_key_id.lower()}.json").unlink()
    eventually("the removal", lambda: code_of(s3.list_buckets) == "InvalidAccessKeyId", 1.0)


def test_a_broken_record_denies_its_key_and_no_other(shared: Shared) -> None:
    home, supervisor = shared
    path = write_record(home.records, home.key(3), home.box)
    broken = client(supervisor.port, 3)
    eventually("the key", lambda: code_of(broken.list_buckets) == "ok")
    path.write_bytes(b'{"kind": "key", ')
    eventually("the denial", lambda: code_of(broken.list_buckets) == "InvalidAccessKeyId")
    assert code_of(client(supervisor.port).list_buckets) == "ok"
    eventually("the metric", lambda: "cooper_records_broken 1.0" in page(supervisor, "/metrics")[1])
    path.unlink()
    eventually("the metric", lambda: "cooper_records_broken 0.0" in page(supervisor, "/metrics")[1])


def test_a_second_opener_is_told_who_holds_the_data(shared: Shared) -> None:
    home, supervisor = shared
    with pytest.raises(StoreLocked, match=rf"in use by process {os.getpid()} \(cooper test\) since"):
        Supervisor(home.config).start()
    assert supervisor.alive()


@pytest.mark.parametrize("which", ["port", "metrics_port"])
def test_a_port_in_use_is_named_and_nothing_is_left(home: Home, which: str) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        number = other.getsockname()[1]
        with pytest.raises(PortInUse, match=f"port {number} .* in use"), home.running(**{which: number}):
            pass
    assert not Path(home.config.run_dir).exists()
    with home.running() as supervisor:
        assert supervisor.alive()


def test_another_kek_is_refused_with_the_reason_and_nothing_is_left(home: Home) -> None:
    with home.running() as supervisor:
        client(supervisor.port).put_object(Bucket="photos", Key="a", Body=b"kept")
    right = Path(home.config.kek_file).read_bytes()
    os.unlink(home.config.kek_file)
    with pytest.raises(GatewayStartError, match=r"committer cannot start: .*missing"):
        Supervisor(home.config).start()
    assert not Path(home.config.kek_file).exists()
    Keyring.load_or_create(home.config.kek_file, True)
    with pytest.raises(GatewayStartError, match=r"committer cannot start: .*made with key-encryption key"):
        Supervisor(home.config).start()
    assert not Path(home.config.run_dir).exists()
    Path(home.config.kek_file).write_bytes(right)
    with home.running() as supervisor:
        assert client(supervisor.port).get_object(Bucket="photos", Key="a")["Body"].read() == b"kept"


def test_a_process_that_cannot_come_back_is_said_and_comes_when_it_can(home: Home) -> None:
    with home.running() as supervisor:
        kek = Path(home.config.kek_file)
        client(supervisor.port).put_object(Bucket="photos", Key="a", Body=b"kept")
        kek.rename(home.path / "away")
        os.kill(supervisor.pids()["committer"], signal.SIGKILL)
        status, text = eventually(
            "the reason", lambda: found if "cannot start" in (found := page(supervisor, "/readyz"))[1] else None
        )
        assert (status, "committer cannot start: the key-encryption key" in text) == (503, True), text
        assert code_of(lambda: client(supervisor.port).get_object(Bucket="photos", Key="a")) == "ok"
        (home.path / "away").rename(kek)
        eventually("the committer", supervisor.alive)
        assert code_of(lambda: client(supervisor.port).put_object(Bucket="photos", Key="b", Body=b"1")) == "ok"


def test_without_a_region_it_is_not_ready(home: Home) -> None:
    path = home.records / "region-local.json"
    path.rename(home.path / "away")
    with home.running() as supervisor:
        assert page(supervisor, "/readyz") == (
            503,
            "there is no record of the Region local yet: requests are refused\n",
        )
        assert code_of(client(supervisor.port).list_buckets) == "ServiceUnavailable"
        (home.path / "away").rename(path)
        eventually("readiness", lambda: page(supervisor, "/readyz")[0] == 200, 1.0)


def test_records_that_cannot_be_read_are_used_until_they_are_too_old(home: Home) -> None:
    write_record(home.records, region(max_record_age=4.0), home.box)
    with home.running() as supervisor:
        s3 = client(supervisor.port)
        home.records.rename(home.path / "away")
        assert code_of(s3.list_buckets) == "ok"
        eventually("the refusal", lambda: code_of(s3.list_buckets) == "ServiceUnavailable", 8.0)
        status, text = page(supervisor, "/readyz")
        assert (status, "the records have not been read" in text) == (503, True), text
        assert page(supervisor, "/livez")[0] == 200
        (home.path / "away").rename(home.records)
        eventually("service", lambda: code_of(s3.list_buckets) == "ok", 8.0)
        eventually("readiness", lambda: page(supervisor, "/readyz")[0] == 200, 8.0)


@contextmanager
def standalone(home: Home) -> Iterator["subprocess.Popen[bytes]"]:
    """`python -m cooper_gateway.main supervisor`, serving; its log is read up to the line that says so."""
    settings = home.path / "gateway.json"
    settings.write_bytes(msgspec.json.encode(home.config))
    command = [sys.executable, "-m", "cooper_gateway.main", "supervisor", str(settings)]
    with subprocess.Popen(command, stderr=subprocess.PIPE) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if b"serving S3" in line:
                break
        try:
            yield process
        finally:
            process.kill()


def test_children_end_with_a_killed_supervisor_and_the_next_one_starts_at_once(home: Home) -> None:
    with standalone(home) as process:
        children = children_of(process.pid)
        assert len(children) == 4
        process.kill()
        process.wait()
        with home.running() as supervisor:
            assert code_of(client(supervisor.port).list_buckets) == "ok"
            assert not [pid for pid in children if lives(pid)]


def test_children_of_a_killed_supervisor_are_gone_within_two_seconds(home: Home) -> None:
    with standalone(home) as process:
        children = children_of(process.pid)
        process.kill()
        eventually("the end of all children", lambda: not [pid for pid in children if lives(pid)], 2.0)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_everything_cleanly(home: Home, number: signal.Signals) -> None:
    with standalone(home) as process:
        children = children_of(process.pid)
        process.send_signal(number)
        assert process.wait(10) == 0
        assert process.stderr is not None
        log = process.stderr.read().decode()
        assert "Traceback" not in log, log
        assert "killed" not in log, log
        assert not [pid for pid in children if lives(pid)]
        assert not Path(home.config.run_dir).exists()


@pytest.mark.parametrize(("drain", "answer"), [(10.0, 200), (0.0, None)])
def test_what_is_in_progress_at_the_end_gets_the_drain(home: Home, drain: float, answer: int | None) -> None:
    with home.running(drain=drain) as supervisor:
        target = client(supervisor.port).generate_presigned_url("put_object", {"Bucket": "photos", "Key": "late"})
        link = http.client.HTTPConnection("127.0.0.1", supervisor.port, timeout=10)
        link.putrequest("PUT", target.partition(str(supervisor.port))[2])
        link.putheader("Content-Length", "10")
        link.endheaders(b"begin")
        time.sleep(0.2)  # it is in progress
        stopping = threading.Thread(target=supervisor.stop)
        stopping.start()
        time.sleep(1.0)
        began = time.monotonic()
        assert (stopping.is_alive(), _answer(link, b"ended")) == (answer is not None, answer)
        stopping.join(15)
        assert time.monotonic() - began < 5


def _answer(link: http.client.HTTPConnection, rest: bytes) -> int | None:
    """None: the connection was cut."""
    try:
        link.send(rest)
        return link.getresponse().status
    except (OSError, http.client.HTTPException):
        return None
    finally:
        link.close()


def test_settings_that_are_not_valid_are_explained(tmp_path: Path) -> None:
    settings = tmp_path / "gateway.json"
    settings.write_bytes(b'{"region": "local"}')
    command = [sys.executable, "-m", "cooper_gateway.main", "supervisor", str(settings)]
    done = subprocess.run(command, capture_output=True, check=False)
    assert done.returncode == 2
    assert b"data_dir" in done.stderr
    assert b"Traceback" not in done.stderr


def test_a_child_without_a_supervisor_explains_itself() -> None:
    command = [sys.executable, "-m", "cooper_gateway.main", "worker"]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=False)
    assert done.returncode == 2
    assert b"started by the gateway's supervisor" in done.stderr
