"""Copies of files, at a pace, with the digest of what was read."""

import hashlib
import os
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from cooper_gateway.storage.verification.pace import Pace

_PIECE: Final = 1 << 20  # bytes read at once


def copy(source: int, target: Path, pace: Pace) -> tuple[str, int]:
    """Copy an open file to a new one, which is synced; returns digest and size. Raises OSError."""
    digest, size = hashlib.sha256(), 0
    descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb", buffering=0) as writing:
        while piece := os.pread(source, _PIECE, size):
            digest.update(piece)
            view = memoryview(piece)
            with _named(target):
                while view:
                    view = view[writing.write(view) :]
            size += len(piece)
            pace.spend(len(piece))
        with _named(target):
            os.fsync(writing.fileno())
    return digest.hexdigest(), size


@contextmanager
def _named(path: Path) -> Generator[None]:
    """Calls on an open file fail without its name."""
    try:
        yield
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from error


def digest_of(source: int, pace: Pace) -> tuple[str, int]:
    """Digest and size of an open file. Raises OSError."""
    digest, size = hashlib.sha256(), 0
    while piece := os.pread(source, _PIECE, size):
        digest.update(piece)
        size += len(piece)
        pace.spend(len(piece))
    return digest.hexdigest(), size


def folders_of(top: Path) -> Iterator[Path]:
    """A folder and all below it, those before it."""
    for folder, _, _ in os.walk(top, topdown=False):
        yield Path(folder)
