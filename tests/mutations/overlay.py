"""A copy of the clone with one check taken away, and tests that are run in it."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from clients.aws import clean_env
from mutations.table import Mutation

ROOT: Final = Path(__file__).parents[2]
#: What is copied; all else is the clone's own.
_COPIED: Final = ("gateway", "crds", "tests", "conftest.py", "pyproject.toml")
#: Of pytest: https://docs.pytest.org/en/stable/reference/exit-codes.html
PASSED, FAILED = 0, 1
_SECONDS: Final = 600


def mutated(source: str, mutation: Mutation) -> str:
    """The source without the check. Raises ValueError where it is not there, or more than once."""
    for line, instead in mutation.edits:
        if source.count(line) != 1:
            raise ValueError(f"{mutation.check}: {line!r} is {source.count(line)} times in {mutation.path}")
        source = source.replace(line, instead)
    return source


def copied_to(folder: Path) -> None:
    """Make the copy."""
    for each in ROOT.iterdir():
        if each.name not in _COPIED:
            (folder / each.name).symlink_to(each)
        elif each.is_dir():
            shutil.copytree(each, folder / each.name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(each, folder)


def status(folder: Path, tests: Iterable[str]) -> tuple[int, str]:
    """Of pytest in that copy, until the first test fails; and what it printed."""
    paths = os.pathsep.join(str(folder / part) for part in ("gateway", "crds", "tests", "."))
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", "--rootdir", str(folder), *tests]
    done = subprocess.run(
        command,
        cwd=folder,
        env=clean_env(PYTHONPATH=paths, PYTHONDONTWRITEBYTECODE="1", COOPER_PURE="1"),  # it is Python's checks that go
        capture_output=True,
        text=True,
        timeout=_SECONDS,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


def apply(folder: Path, mutation: Mutation) -> None:
    """Take the check away there."""
    path = folder / mutation.path
    path.write_text(mutated(path.read_text(), mutation))
