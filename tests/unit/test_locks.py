"""What the image is made with is part of what the tests run with: same versions, same hashes."""

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def pins(name: str) -> dict[str, str]:
    """By its name: a requirement with version, condition and hashes."""
    entries = re.split(r"\n(?=\S)", (ROOT / name).read_text().strip())
    return {entry.partition("==")[0]: entry for entry in entries}


def names(requirements: list[str]) -> set[str]:
    return {re.split(r"[^A-Za-z0-9_.-]", each)[0].lower() for each in requirements}


@pytest.mark.parametrize("name", ["requirements-run.lock", "requirements-build.lock"])
def test_a_lock_of_the_image_is_part_of_the_lock_of_the_tests(name: str) -> None:
    found = pins(name)
    assert found
    assert found.items() <= pins("requirements.lock").items()
    assert [each for each, entry in found.items() if not re.search(r"--hash=sha256:[0-9a-f]{64}", entry)] == []


def test_the_run_time_lock_has_what_cooper_requires_and_no_tools_of_development() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    found = pins("requirements-run.lock").keys()
    required = names(project["dependencies"])
    assert required <= found
    assert found & (names(project["optional-dependencies"]["dev"]) - required) == set()


def test_the_build_lock_has_what_builds_at_its_version() -> None:
    required = tomllib.loads((ROOT / "pyproject.toml").read_text())["build-system"]["requires"]
    assert required == (ROOT / "requirements-build.in").read_text().split()
    for each in required:
        assert f"{each} " in pins("requirements-build.lock")[each.partition("==")[0]]


@pytest.mark.parametrize("name", ["requirements.lock", "requirements-run.lock", "requirements-build.lock"])
def test_locks_name_no_registry(name: str) -> None:
    assert "://" not in (ROOT / name).read_text()
