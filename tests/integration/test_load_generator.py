"""The load generator of the bench, on a real gateway and on one whose answers are wrong."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from bench.peers import build, listed
from bench.peers.bench import Bench
from bench.peers.generator import Plan, WrongAnswers, run
from bench.peers.loads import FULL, SMALL, Bodies, Maker, Under
from bench.peers.multipart import Multipart
from bench.peers.servers import Cooper
from bench.peers.table import Taken

NAMES = ["a", "b/c", "d"]


@pytest.fixture
def cooper(tmp_path: Path) -> Iterator[Cooper]:
    folder = tmp_path / "cooper"
    folder.mkdir()
    server = Cooper(folder)
    try:
        server.start()
        yield server
    finally:
        server.stop()


def test_measures_and_compares(cooper: Cooper, tmp_path: Path) -> None:
    program, bodies = build.load(), Bodies(tmp_path, large=2**20)
    make = Maker(cooper, bodies)
    stored = [make.put(name, "small") for name in NAMES] + [make.put("large", "large")]
    first = run(program, Plan(cooper.port, 2, 30, stored, bodies.paths, once=True), tmp_path)
    assert first.requests == 4
    asked = [
        *(make.get(name, "small") for name in NAMES),
        make.get("large", "large"),
        make.range("large", "large", 70_000, SMALL),
        make.head("a", "small"),
        make.list({"prefix": "b"}, {"<Key>": 1}),
        make.list({"delimiter": "%2F"}, {"<Key>": 3, "<CommonPrefixes>": 1}),
    ]
    found = run(program, Plan(cooper.port, 3, 0.5, asked, bodies.paths), tmp_path)
    assert found.requests > len(asked)
    assert found.seconds >= 0.5
    assert 0 < found.p50 <= found.p99
    assert found.first_byte_p99 <= found.p99
    wrong = {
        "body": replace(make.get("a", "small"), body="large"),
        "place": replace(make.range("large", "large", 70_000, SMALL), from_=70_001),
        "length": replace(make.head("a", "small"), size=SMALL + 1),
        "status": replace(make.get("a", "small"), status=206),
        "etag": replace(make.put("a", "small"), etag="0" * 32),
        "listing": make.list({"prefix": "b"}, {"<Key>": 2}),
    }
    for name, request in wrong.items():
        with pytest.raises(WrongAnswers):
            print(name, run(program, Plan(cooper.port, 1, 0.2, [request], bodies.paths), tmp_path))
    gone = run(program, Plan(cooper.port, 2, 30, [make.delete(name) for name in NAMES], once=True), tmp_path)
    assert gone.requests == 3


def test_each_load_is_answered_as_it_has_to_be(cooper: Cooper, tmp_path: Path) -> None:
    taken: Taken = {}
    bench = Bench(tmp_path, 0.2, taken, large=5 * 2**20)
    bench.fill(cooper)
    bench.halt(cooper)  # as those are that wait for their turn
    loads = [load for load in FULL if load.name in {"mixed", "delete", "put-64m"}]
    bench.run([cooper], [*loads, Multipart()], rounds=1)
    assert set(taken) == {"mixed", "delete", "put-64m", "multipart-1g"}
    for (sample,) in (by["cooper"] for by in taken.values()):
        assert sample.measured.requests > 0
        assert sample.memory > 0


def test_a_server_is_filled_once_and_listed(cooper: Cooper, tmp_path: Path) -> None:
    objects = 2_000
    under = Under(cooper, Bodies(tmp_path, large=1), build.load(), tmp_path, 0.2)
    listed.fill(under, objects)
    for load in listed.loads(objects):
        assert load.measure(under).requests > 0
    again = replace(under, program=Path("/none"))  # would end, were it asked for anything
    listed.fill(again, objects)
