"""Clients that are commands. A row is a script of bash, in an empty folder; what it stores lies below `$KEY` in `work`.

There are `$SMALL`, `$BIG` (12 MiB, in parts of 5), `$TREE` (a folder of four files) and `$UNUSUAL` (a key); `has`, for
what must be in the text that it reads; `fails`, for what has to; and `fetch`, for links.
"""

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from clients import cache
from clients.matrix.rows import Client, Outcome, Place, Ran, Row, failed

_UNUSUAL: Final = "sp ace+plus&amp=per%25cent/(ä)'~*!$@,;.txt"
_SECONDS: Final = 240  # most for one row, on a busy machine too
_PRELUDE: Final = """
has() { local text; text=$(cat); [[ $text == *"$1"* ]] || { echo "no $1 in: $text" >&2; return 1; }; }
fails() { if "$@"; then echo "it worked: $*" >&2; return 1; fi; }
fetch() { curl --noproxy '*' --silent --show-error --fail-with-body "$@"; }
"""


def run(client: Client, place: Place, prelude: str, env: Mapping[str, str], version: list[str]) -> Ran:
    """Try all rows of a client, and ask it for its version by this command."""
    of_all = {
        **env,
        "HOME": str(place.folder),
        "SMALL": str(place.small),
        "BIG": str(place.big),
        "TREE": str(place.tree),
        "UNUSUAL": _UNUSUAL,
        "PATH": f"{cache.programs()}:{os.environ['PATH']}",
    }
    outcomes: list[Outcome] = []
    for number, row in enumerate(client.rows):
        script = f"{_PRELUDE}{prelude}\n{row.do}"
        outcome = _tried(row, script, place.folder / str(number), of_all)
        if outcome.answer != row.answer:  # a busy machine: once more, elsewhere
            print(f"{client.name}, {row.what}: {outcome.told}; once more\n{outcome.output}")
            outcome = _tried(row, script, place.folder / f"{number}-again", of_all)
        outcomes.append(outcome)
    return Ran(client.name, _version(version, of_all), tuple(outcomes))


def _tried(row: Row, script: str, folder: Path, env: Mapping[str, str]) -> Outcome:
    """What comes of a row in an empty folder, below a key of that name."""
    folder.mkdir()
    try:
        return _outcome(row, script, folder, {**env, "KEY": f"{folder.parent.name}/{folder.name}"})
    except subprocess.TimeoutExpired:
        return Outcome(row.what, f"it took over {_SECONDS} s")


def _outcome(row: Row, script: str, folder: Path, env: Mapping[str, str]) -> Outcome:
    command = ["bash", "-euo", "pipefail", "-c", script]
    done = subprocess.run(command, cwd=folder, env=env, capture_output=True, timeout=_SECONDS)
    output = (done.stdout + done.stderr).decode(errors="replace")
    return failed(row, output) if done.returncode else Outcome(row.what, output=output)


def _version(command: list[str], env: Mapping[str, str]) -> str:
    """The version that a command prints: the first word that begins with a digit, after a slash, a `v` or nothing."""
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=True)
    words = (done.stdout + done.stderr).replace("/", " ").split()
    return next(word.lstrip("v") for word in words if word.lstrip("v")[:1].isdigit())
