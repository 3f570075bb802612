"""How programs are called in lines for another terminal."""

import os
import sys
from pathlib import Path

import pytest

from cooper_cli.places import program


def test_one_of_an_active_virtual_environment_is_called_by_its_path(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    beside = Path(sys.executable).parent
    assert sys.prefix != sys.base_prefix, "the tests run in a virtual environment"
    monkeypatch.setenv("PATH", f"{beside}:{os.environ['PATH']}")
    monkeypatch.chdir(tmp_path)
    assert program("cooper") == str(beside / "cooper")
    monkeypatch.chdir(beside.parent.parent)
    assert program("cooper") == f"{beside.parent.name}/{beside.name}/cooper"


def test_one_that_lies_elsewhere_is_called_by_its_name():
    assert program("no-such-program") == "no-such-program"
