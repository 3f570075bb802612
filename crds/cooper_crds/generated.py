"""Files that are made from code: written, or held against what they should be. For the programs that make them."""

import difflib
import sys
from pathlib import Path


def difference(path: Path, wanted: str, whence: str = "generated") -> str:
    """How a file differs from what it should be, as a diff; empty when it does not. One that is missing is empty."""
    found = path.read_text() if path.exists() else ""
    return "".join(difflib.unified_diff(found.splitlines(True), wanted.splitlines(True), str(path), whence))


def settle(path: Path, wanted: str, *, check: bool) -> int:
    """Write the file; with `check` write nothing and say what differs. Returns the program's exit status."""
    if not check:
        path.write_text(wanted)
        return 0
    diff = difference(path, wanted)
    sys.stdout.write(diff + (f"{path} is stale: run `make generate`.\n" if diff else ""))
    return 1 if diff else 0
