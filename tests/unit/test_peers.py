"""What the bench against peers makes of what it measured, and that it names its peers' versions in one way."""

import json
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from bench.peers import pins, table
from bench.peers.__main__ import rotated
from bench.peers.generator import Measured, Request, WrongAnswers, parse
from bench.peers.loads import QUICK, Bodies, Maker, mixed, ranges
from bench.peers.servers import Keys, Program
from bench.peers.table import Sample

ONE = Measured(
    requests=1000,
    errors=0,
    first_error="",
    reconnects=0,
    seconds=2,
    received=4096,
    sent=10,
    p50=0.001,
    p99=0.002,
    first_byte_p99=0.0015,
    cpu=0.1,
)


def sample(requests: int) -> Sample:
    return Sample(replace(ONE, requests=requests), cpu=requests / 10_000, memory=3 * 2**20)


def test_reads_what_the_generator_prints() -> None:
    assert parse(json.dumps(asdict(ONE))) == ONE
    assert ONE.rate == 500


def test_a_wrong_answer_ends_the_run() -> None:
    with pytest.raises(WrongAnswers, match="2 of 1002 answers were wrong: status 503"):
        parse(json.dumps(asdict(replace(ONE, errors=2, first_error="status 503"))))


def test_no_answer_is_no_figure() -> None:
    with pytest.raises(WrongAnswers):
        parse(json.dumps(asdict(replace(ONE, requests=0))))


def test_ratios_are_of_rounds_that_lie_beside_each_other() -> None:
    found = table.ratio([sample(100), sample(400), sample(900)], [sample(100), sample(100), sample(300)])
    assert (found.median, found.least, found.most) == (3, 1, 4)
    assert str(found) == "3.00 (1.00 to 4.00)"


def test_lines_are_of_what_both_served() -> None:
    taken = {"get-4k": {"cooper": [sample(500)], "peer": [sample(200)]}, "put-4k": {"cooper": [sample(500)]}}
    assert table.lines(taken, "cooper", "peer") == ["get-4k 2.50"]


def test_a_row_has_all_figures() -> None:
    taken = {"get-4k": {"cooper": [sample(500)], "peer": [sample(200)]}}
    ours, theirs = table.rows(taken, "cooper")
    assert ours == ["get-4k", "cooper", "250.0", "1.00", "2.00", "1.50", "0.100", "3", ""]
    assert theirs[-1] == "2.50 (2.50 to 2.50)"
    assert len(theirs) == len(table.HEADERS)


def test_each_server_is_the_first_at_times() -> None:
    servers = [Program(name, Path(), lambda home, port: [], None) for name in "abc"]
    assert [[each.name for each in rotated(servers, turn)] for turn in range(3)] == [
        list("abc"),
        list("bca"),
        list("cab"),
    ]


def test_pins_are_those_of_the_modules() -> None:
    assert pins.required("versitygw", "github.com/versity/versitygw") == pins.VERSITYGW
    assert pins.required("minio", "github.com/minio/minio") == pins.MINIO
    with pytest.raises(LookupError):
        pins.required("minio", "github.com/minio/other")


def maker(tmp_path: Path, keys: Keys | None) -> Maker:
    return Maker(Program("peer", tmp_path, lambda home, port: [], keys), Bodies(tmp_path, large=2**20))


def test_requests_are_signed_with_the_digest_of_the_body(tmp_path: Path) -> None:
    made = maker(tmp_path, Keys("access", "secret", "here"))
    request = made.put("a", "small")
    assert request.head.startswith("PUT /bench/a HTTP/1.1\r\n")
    assert "Credential=access/" in request.head
    assert made.bodies.sha256["small"] in request.head
    assert "Content-Length: 4096\r\n" in request.head
    assert request.etag == made.bodies.md5["small"]


def test_nothing_is_signed_for_a_server_of_files(tmp_path: Path) -> None:
    made = maker(tmp_path, None)
    assert "Authorization" not in made.get("a", "small").head


def test_each_server_is_asked_for_the_same(tmp_path: Path) -> None:
    one, other = maker(tmp_path, None), maker(tmp_path, Keys("access", "secret", "here"))
    for load in (mixed, ranges):
        assert [what(each) for each in load(one)] == [what(each) for each in load(other)]
    assert len({each.name for each in QUICK}) == len(QUICK)


def what(request: Request) -> tuple[str, int]:
    return request.head.partition("\r\n")[0], request.from_
