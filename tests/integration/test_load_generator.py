"""The load generator of the bench, on a real gateway and on one whose answers are wrong."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from bench.peers import build
from bench.peers.generator import Plan, WrongAnswers, run
from bench.peers.loads import SMALL, Bodies, Maker
from bench.peers.servers import Cooper

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
