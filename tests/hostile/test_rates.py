"""A key that asks too much of a real gateway of several workers: it gets what it may, and nobody else gets less."""

import json
import os
import re
import signal
import socket
import threading
import time
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from cooper_crds.quantities import parse_quantity
from support.raw_s3 import RawS3
from support.rig import Rig, access_key, bucket, error_code, eventually, s3_client

WORKERS = 3


def region(**limits: Any) -> str:
    spec = {"tag": "local", "default": True, "limits": limits}
    return json.dumps(
        {"apiVersion": "cooper.dev/v1alpha1", "kind": "Region", "metadata": {"name": "local"}, "spec": spec}
    )


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    rig = Rig(tmp_path_factory.mktemp("rates"), "--workers", str(WORKERS))
    rig.apply("region.yaml", region())
    rig.apply("buckets.yaml", bucket("mine"), bucket("theirs"), bucket("site", visibility="Public"))
    with rig:
        for name in ("mine", "theirs", "site"):
            rig.client(name).put_object(Bucket=name, Key="a", Body=name.encode())
        yield rig


def key(rig: Rig, name: str) -> RawS3:
    env = rig.env(name)
    return RawS3(rig.port, env["ACCESS_KEY"], env["SECRET_KEY"])


def limit(rig: Rig, **limits: Any) -> None:
    """Have every worker go by these limits, soon after the record has them."""
    rig.apply("region.yaml", region(**limits))
    names = {"requestsPerSecond": "requests", "bytesPerSecond": "bytes"}
    wanted = {names[each]: parse_quantity(str(value)) for each, value in limits.items()}
    record = rig.data / "state" / "records" / "region-local.json"

    def told() -> bool:
        rates = json.loads(record.read_text()).get("rates") or {}
        return {name: value for name, value in rates.items() if value is not None} == wanted

    eventually("the record", told)
    time.sleep(2)


class Asker(threading.Thread):
    """Asks on one connection, one request after the other, until told to stop."""

    def __init__(self, key: RawS3, request: bytes) -> None:
        super().__init__(daemon=True)
        self.answers: list[tuple[float, int, bytes]] = []  # when, status, which worker
        self._request = request
        self._connection = key.connect()
        self._stopped = threading.Event()

    def run(self) -> None:
        while not self._stopped.is_set():
            self._connection.sendall(self._request)
            head = b""
            while b"\r\n\r\n" not in head:
                head += self._received()
            head, _, body = head.partition(b"\r\n\r\n")
            length = int(re.search(rb"(?i)content-length: (\d+)", head)[1])  # type: ignore[index]
            while len(body) < length:
                body += self._received()
            worker = re.search(rb"x-amz-id-2: (\S+)", head)
            assert worker is not None
            self.answers.append((time.monotonic(), int(head[9:12]), worker[1]))

    def _received(self) -> bytes:
        received = self._connection.recv(65536)
        assert received, "the gateway closed the connection"
        return received

    def stop(self) -> None:
        self._stopped.set()
        self.join(20)
        self._connection.close()


def asked(key: RawS3, connections: int, seconds: float, path: str = "/mine/a") -> tuple[list[Asker], float]:
    """Askers that have asked for so long, and how long that was."""
    request = key.request("GET", path, close=False)
    askers = [Asker(key, request) for _ in range(connections)]
    began = time.monotonic()
    for each in askers:
        each.start()
    time.sleep(seconds)
    for each in askers:
        each.stop()
    return askers, time.monotonic() - began


@pytest.mark.parametrize("connections", [1, 12])
def test_requests_are_held_to_the_rate_over_all_workers(rig: Rig, connections: int) -> None:
    rate = 20
    limit(rig, requestsPerSecond=rate)
    askers, took = asked(key(rig, "mine"), connections, 5)
    answers = [each for asker in askers for each in asker.answers]
    statuses = Counter(status for _, status, _ in answers)
    served = statuses[200]
    print(f"\n{connections} connections: {served} served in {took:.1f} s, {dict(statuses)}")
    assert set(statuses) == {200, 503}
    assert served <= rate * (took + 1) * 1.05 + connections
    assert served >= rate * 5 * 0.8
    if connections > 1:
        assert len({worker for _, _, worker in answers}) > 1
    # Each connection was used on and on, refused or not.
    assert all(len(asker.answers) > 1 for asker in askers)


def test_a_refusal_says_when_and_others_are_served(rig: Rig) -> None:
    limit(rig, requestsPerSecond=1)
    mine, theirs, stranger = key(rig, "mine"), key(rig, "theirs"), RawS3(rig.port)
    eventually("a refusal", lambda: mine.ask("GET", "/mine/a").code == "SlowDown")
    refused = mine.ask("PUT", "/mine/refused", {"expect": "100-continue", "content-length": "5"})
    assert (refused.status, refused.code) == (503, "SlowDown")
    assert b"100 Continue" not in refused.raw
    assert b"\r\nRetry-After: 1\r\n" in refused.raw
    assert b"1 requests a second" in refused.body
    assert theirs.ask("GET", "/theirs/a").body == b"theirs"
    time.sleep(1.1)
    for _ in range(9):
        assert stranger.ask("GET", "/public/site/a").body == b"site"
        wrong = RawS3(rig.port, theirs.key_id, "wrong")
        assert wrong.ask("GET", "/theirs/a").code == "SignatureDoesNotMatch"
    # Who does not know its secret has spent nothing of it, and what was refused is not there.
    assert theirs.ask("GET", "/theirs/a").status == 200
    limit(rig)
    assert mine.ask("GET", "/mine/refused").code == "NoSuchKey"
    assert {mine.ask("GET", "/mine/a").status for _ in range(30)} == {200}


def test_bytes_are_held_to_the_rate_both_ways(rig: Rig) -> None:
    rate, size = 1 << 20, 256 << 10
    limit(rig)
    mine = key(rig, "mine")
    assert mine.ask("PUT", "/mine/piece", body=bytes(size)).status == 200
    limit(rig, bytesPerSecond="1Mi")
    askers, took = asked(mine, 6, 6, "/mine/piece")
    moved = sum(size for asker in askers for _, status, _ in asker.answers if status == 200)
    print(f"\n{moved / took / rate:.2f} of the rate was sent in {took:.1f} s")
    # One second's worth at first, and what all connections may have begun at the same moment.
    assert moved <= rate * (took + 1) + 7 * size
    assert moved >= rate * 6 * 0.75

    # An upload of ten seconds' worth is taken whole, and then it is waited for.
    limit(rig, bytesPerSecond="1001Ki")
    rate = 1001 << 10
    assert mine.ask("PUT", "/mine/large", body=bytes(10 * rate)).status == 200
    refused = mine.ask("GET", "/mine/a")
    assert refused.code == "SlowDown"
    found = re.search(rb"\r\nRetry-After: (\d+)\r\n", refused.raw)
    assert found is not None and 4 <= int(found[1]) <= 10
    refused = mine.ask("PUT", "/mine/more", {"expect": "100-continue", "content-length": "5"})
    assert (refused.code, b"100 Continue" in refused.raw) == ("SlowDown", False)
    # Another limit begins anew, at once.
    limit(rig, bytesPerSecond="100Mi")
    assert mine.ask("GET", "/mine/large").body == bytes(10 * rate)


def test_what_a_client_does_not_take_is_given_back(rig: Rig) -> None:
    limit(rig)
    mine, size = key(rig, "mine"), 24 << 20
    assert mine.ask("PUT", "/mine/film", body=bytes(size)).status == 200
    limit(rig, bytesPerSecond="4Mi")
    with mine.connect(receive_buffer=4096) as connection:
        connection.sendall(mine.request("GET", "/mine/film"))
        assert connection.recv(4096)
        assert mine.ask("GET", "/mine/a").code == "SlowDown"  # for two seconds' worth of it
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    began = time.monotonic()
    eventually("the rest", lambda: mine.ask("GET", "/mine/a").status == 200, pause=0.05)
    assert time.monotonic() - began < 4  # six seconds' worth, of which little was sent


def test_boto3_copes_by_trying_again(rig: Rig) -> None:
    limit(rig, requestsPerSecond=10)
    s3 = s3_client(rig.env("mine"), retries={"mode": "standard", "total_max_attempts": 12})
    began = time.monotonic()
    for number in range(40):
        s3.put_object(Bucket="mine", Key=f"retried/{number}", Body=b"x")
    took = time.monotonic() - began
    print(f"\n40 puts at 10 a second took boto3 {took:.1f} s")
    assert took > 2.5
    assert s3.list_objects_v2(Bucket="mine", Prefix="retried/")["KeyCount"] == 40
    limit(rig, requestsPerSecond=1)
    once = rig.client("mine", retries={"total_max_attempts": 1})
    codes = {error_code(lambda: once.head_bucket(Bucket="mine"), otherwise="ok") for _ in range(40)}
    assert codes == {"ok", "503"}


def test_the_operator_proves_keys_that_are_over_their_limit(rig: Rig) -> None:
    """One that is in use all the time gets what it is granted, and is revoked."""
    limit(rig, requestsPerSecond=1)
    rig.apply("app.yaml", access_key("app", grants=[{"bucket": "mine"}]))
    rig.wait_condition("AccessKey", "app")
    app, before = key(rig, "app"), proven(rig, "app")
    assert before
    request = app.request("GET", "/mine/a", close=False)
    askers = [Asker(app, request) for _ in range(3)]
    for each in askers:
        each.start()
    try:
        eventually("too much", lambda: any(status == 503 for _, status, _ in askers[0].answers))
        rig.apply("app.yaml", access_key("app", grants=[{"bucket": "mine"}, {"bucket": "theirs"}]))
        # The rate is used up by others; who may not is told so nevertheless.
        eventually("the other bucket", lambda: app.ask("GET", "/theirs/a").code != "AccessDenied")
        eventually("the proof", lambda: proven(rig, "app") not in ("", before), pause=0.2)
        assert rig.condition("AccessKey", "app")["reason"] == "KeyWorks"
        rig.apply("app.yaml", access_key("app", grants=[{"bucket": "mine"}], state="Revoked"))
        rig.wait_condition("AccessKey", "app", "Revoked")
    finally:
        for each in askers:
            each.stop()
    statuses = [status for asker in askers for _, status, _ in asker.answers]
    assert set(statuses) == {200, 503, 403}


def test_a_worker_that_is_killed_forgets_nothing(rig: Rig) -> None:
    limit(rig, bytesPerSecond="100Ki")
    mine = key(rig, "mine")
    assert mine.ask("PUT", "/mine/large", body=bytes(30 * 102_400)).status == 200
    assert mine.ask("GET", "/mine/a").code == "SlowDown"
    before = rig.processes()["worker"]
    for pid in before:
        os.kill(pid, signal.SIGKILL)
    eventually("new workers", lambda: len(set(rig.processes().get("worker", [])) - set(before)) == WORKERS)
    eventually("an answer", lambda: answered(mine))
    assert mine.ask("GET", "/mine/a").code == "SlowDown"
    limit(rig)


def proven(rig: Rig, name: str) -> str:
    """Which version of its key's record every worker was seen to go by."""
    (found,) = [each for each in rig.items() if (each["kind"], each["metadata"]["name"]) == ("AccessKey", name)]
    return found["status"].get("provenRecord", "")


def answered(key: RawS3) -> bool:
    try:
        return key.ask("GET", "/mine/a").status > 0
    except OSError:
        return False


def test_nothing_went_wrong_inside(rig: Rig) -> None:
    assert "Traceback" not in rig.log.read_text()
