"""The cache of slow things: keyed by content, never used half-made, made once by two who want it at a time."""

import subprocess
import sys
from pathlib import Path

import pytest

from support.artefacts import cached

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "cooper"


@pytest.fixture
def source(tmp_path: Path) -> Path:
    (tmp_path / "source").write_text("1")
    return tmp_path / "source"


def test_it_is_made_once_and_anew_when_a_source_or_the_salt_changes(source: Path) -> None:
    made: list[Path] = []
    first = cached("thing", [source], made.append)
    assert cached("thing", [source], made.append) == first
    assert made == [first]
    salted = cached("thing", [source], made.append, salt="other")
    source.write_text("2")
    changed = cached("thing", [source], made.append)
    assert len({first, salted, changed}) == len(made) == 3


def test_one_that_was_cut_short_is_made_again_from_nothing(source: Path) -> None:
    def fail(folder: Path) -> None:
        (folder / "half").touch()
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        cached("thing", [source], fail)
    folder = cached("thing", [source], lambda folder: (folder / "whole").touch())
    assert sorted(path.name for path in folder.iterdir()) == ["complete", "whole"]


def test_two_who_want_it_at_a_time_make_it_once(source: Path, tmp_path: Path) -> None:
    script = f"""
import sys, time
sys.path.insert(0, {str(ROOT / "tests")!r})
from pathlib import Path
from support.artefacts import cached
def make(folder):
    with open({str(tmp_path / "made")!r}, "a") as log:
        log.write("made ")
    time.sleep(0.3)
cached("thing", [Path({str(source)!r})], make)
"""
    both = [subprocess.Popen([sys.executable, "-c", script]) for _ in range(2)]
    assert [each.wait(20) for each in both] == [0, 0]
    assert (tmp_path / "made").read_text() == "made "
