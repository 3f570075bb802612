"""Running the steps: each with its log in a file, its time on the terminal, and the log's end when it fails."""

import subprocess
import sys
import time
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from support.artefacts import root

LOGS: Final = root() / "kind-logs"
_TAIL: Final = 4000  # characters


class StepFailed(Exception):
    """A step failed; the message says which, and how its log ends."""


@contextmanager
def step(name: str) -> Generator[None]:
    """Say what is being done, and how long it took."""
    began = time.monotonic()
    print(f"kind: {name} …", file=sys.stderr, flush=True)
    yield
    print(f"kind: {name}: {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)


def run(
    log: str, command: Sequence[str | Path], *, cwd: Path | None = None, env: Mapping[str, str] | None = None
) -> None:
    """Run a command with its output in the log of that name. Raises StepFailed."""
    LOGS.mkdir(parents=True, exist_ok=True)
    path = LOGS / f"{log}.log"
    with path.open("ab") as out:
        code = subprocess.run(command, cwd=cwd, env=env, stdin=subprocess.DEVNULL, stdout=out, stderr=out).returncode
    if code:
        what = " ".join(str(word) for word in command)
        raise StepFailed(f"{what}: exit status {code}; the log {path} ends:\n{path.read_text()[-_TAIL:]}")


def output(command: Sequence[str | Path], *, cwd: Path | None = None) -> str:
    """What a command prints. Raises StepFailed with what it says of its failure."""
    done = subprocess.run(command, cwd=cwd, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    if done.returncode:
        what = " ".join(str(word) for word in command)
        raise StepFailed(f"{what}: exit status {done.returncode}: {done.stderr[-_TAIL:]}")
    return done.stdout
