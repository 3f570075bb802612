"""Things that are slow to make, made once and kept in the user's cache folder, outside the clone.

A folder is named after the content of what it is made from and used only when its last file, `complete`, is there: one
whose making was cut short is made again. Two who want the same one wait for each other.
"""

import fcntl
import hashlib
import os
import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path


def root() -> Path:
    """The cache folder, by the XDG base directory specification."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "cooper"


@contextmanager
def locked(name: str) -> Iterator[None]:
    """Hold the lock of that name: one holder on this machine at a time."""
    root().mkdir(parents=True, exist_ok=True)
    with (root() / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def digest(sources: Iterable[Path], salt: str = "") -> str:
    """16 characters that follow from the sources' names and content, and from `salt`."""
    found = hashlib.sha256()
    for source in sources:
        found.update(source.name.encode() + b"\0" + source.read_bytes() + b"\0")
    found.update(salt.encode())
    return found.hexdigest()[:16]


def cached(name: str, sources: Iterable[Path], make: Callable[[Path], None], salt: str = "") -> Path:
    """The folder `name-<digest>`, made by `make(folder)` unless a complete one is there.

    The digest is of the sources' names and content, and of `salt`: whatever else decides about the outcome.
    """
    folder = root() / f"{name}-{digest(sources, salt)}"
    with locked(name):
        if not (folder / "complete").exists():
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
            make(folder)
            (folder / "complete").touch()
    return folder
