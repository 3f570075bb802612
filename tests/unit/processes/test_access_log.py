"""The access log: what a line tells and what it does not, that lines stay whole, that nobody waits for its reader."""

import json
import os
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from cooper_gateway.http.finished import Finished
from cooper_gateway.processes.access_log import AccessLog
from cooper_gateway.protocol.messages import Request

NOW = 1_800_000_000.25
HEADERS = {"authorization": "AWS4-HMAC-SHA256 Signature=abc", "user-agent": "aws-cli/2", "x-amz-meta-a": "private"}


def finished(status: int = 200, error: str = "", **fields: Any) -> Finished:
    request = Request("GET", b"/photos/cat", b"X-Amz-Signature=abc", dict(HEADERS), "photos", b"cat", **fields)
    return Finished(request, "ABC", status, error, 0.0125, 3, 4096, "10.0.0.1")


def written(folder: Path, *those: Finished | None, **options: Any) -> list[dict[str, Any]]:
    path = folder / "log"
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    log = AccessLog(descriptor, clock=lambda: NOW, **options)
    for each in those:
        if each is not None:
            log.note(each)
    log.close()
    os.close(descriptor)
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_a_line_tells_who_did_what(tmp_path: Path) -> None:
    (line,) = written(tmp_path, finished(operation="GetObject", claimed_signer="AKIA1", signer="AKIA1"))
    assert line == {
        "time": "2027-01-15T08:00:00.250Z",
        "requestId": "ABC",
        "status": 200,
        "method": "GET",
        "operation": "GetObject",
        "bucket": "photos",
        "key": "cat",
        "accessKeyId": "AKIA1",
        "address": "10.0.0.1",
        "userAgent": "aws-cli/2",
        "received": 3,
        "sent": 4096,
        "milliseconds": 12.5,
    }


def test_who_only_says_that_he_is_somebody_is_told_as_that(tmp_path: Path) -> None:
    (line,) = written(tmp_path, finished(403, "SignatureDoesNotMatch", claimed_signer="AKIA1"))
    assert line["claimedAccessKeyId"] == "AKIA1"
    assert "accessKeyId" not in line
    assert line["error"] == "SignatureDoesNotMatch"


def test_what_never_became_a_request(tmp_path: Path) -> None:
    (line,) = written(tmp_path, Finished(None, "ABC", 400, "InvalidRequest", 0.0, 0, 9, "10.0.0.1"))
    assert (line["address"], line["status"], line.get("operation", "-")) == ("10.0.0.1", 400, "-")


def test_refusals_are_always_told_and_others_by_chance(tmp_path: Path) -> None:
    chances = iter([0.05, 0.5, 0.15])
    lines = written(
        tmp_path,
        *[finished(200)] * 3,
        *[finished(status, "AccessDenied") for status in (403, 404, 500)],
        share=0.1,
        chance=lambda: next(chances),
    )
    assert [line["status"] for line in lines] == [200, 403, 404, 500]


@pytest.mark.parametrize("name", [b"\x01" * 1024, "\u00e4".encode() * 512, b'a"\n{}' * 200])
def test_lines_are_never_longer_than_what_a_pipe_takes_at_once(tmp_path: Path, name: bytes) -> None:
    request = Request("GET", b"/", b"", {"user-agent": "\x07" * 4000}, "photos", name)
    written(tmp_path, Finished(request, "ABC", 200, "", 0.0, 0, 0, "10.0.0.1"))
    (line,) = (tmp_path / "log").read_bytes().splitlines(keepends=True)
    assert len(line) <= 4096
    assert json.loads(line)["bucket"] == "photos"


def test_lines_of_several_workers_do_not_mix() -> None:
    reading, writing = os.pipe()
    logs = [AccessLog(writing) for _ in range(4)]
    seen = bytearray()

    def read() -> None:
        while piece := os.read(reading, 65536):
            seen.extend(piece)

    reader = threading.Thread(target=read)
    reader.start()
    for number in range(2_000):
        logs[number % 4].note(finished(signer=f"AKIA{number}"))
    for log in logs:
        log.close(10)
    os.close(writing)
    reader.join(10)
    os.close(reading)
    lines = [json.loads(line) for line in seen.splitlines()]
    assert {line["accessKeyId"] for line in lines} == {f"AKIA{number}" for number in range(2_000)}


def test_who_reads_nothing_holds_up_nobody() -> None:
    reading, writing = os.pipe()
    log = AccessLog(writing)
    began = time.monotonic()
    for _ in range(15_000):
        log.note(finished())
    assert time.monotonic() - began < 5
    assert log.dropped > 3_000
    os.close(reading)  # the thread that writes ends by it
    log.close()
    os.close(writing)


def test_a_log_that_cannot_be_written_harms_nothing(tmp_path: Path) -> None:
    with open("/dev/full", "wb", buffering=0) as full:
        log = AccessLog(full.fileno())
        log.note(finished())
        log.close()
    assert log.dropped == 1
