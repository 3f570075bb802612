"""The folder that holds a backup: one at a time writes into it, and nothing outside is touched, whatever is in it."""

import errno
import os
import re
import shutil
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from cooper_gateway.storage.layout import try_lock

LOCK: Final = "lock"
_ID: Final = re.compile(r"[0-9a-f]{16}")
_WAIT: Final = "wait until it ends, or name another folder"
#: Told by file systems that have no locks: there whoever makes backups sees to it.
_NO_LOCKS: Final = frozenset({errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP})


class BackupFailed(Exception):
    """Nothing came of it: the reason. A backup that was there before is as good as it was."""


@contextmanager
def locked(folder: Path) -> Generator[None]:
    """Nobody else makes a backup into the folder meanwhile. Raises BackupFailed, OSError."""
    # A file of its own: over NFS a folder cannot be locked.
    descriptor = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    with _held(descriptor, f"another backup is being made into {folder}"):
        yield


@contextmanager
def alone(folder: Path, otherwise: str) -> Generator[None]:
    """Have a folder to oneself that is not kept. Raises BackupFailed with the text given, OSError."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    with _held(descriptor, otherwise):
        yield


@contextmanager
def _held(descriptor: int, otherwise: str) -> Generator[None]:
    """The lock of an open file, which is closed afterwards. Raises BackupFailed, OSError."""
    try:
        if not _taken(descriptor):
            raise BackupFailed(f"{otherwise}: {_WAIT}")
        yield
    finally:
        os.close(descriptor)


def _taken(descriptor: int) -> bool:
    try:
        return try_lock(descriptor)
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise
        return True


def is_own(name: str) -> bool:
    """Whether a folder of segments, or of a snapshot, may be called so."""
    return _ID.fullmatch(name) is not None


def own_in(folder: Path) -> list[Path]:
    """What lies in a folder and is called as what a backup puts there. What else somebody put there is left alone."""
    return [path for path in folder.iterdir() if is_own(path.name)]


def make(folder: Path) -> None:
    """Make a folder of the backup's own, unless it is there. Raises BackupFailed, OSError."""
    folder.mkdir(mode=0o700, exist_ok=True)
    if folder.is_symlink():  # what it leads to would be written to, and cleared
        raise BackupFailed(f"{folder} is a symbolic link, which no backup has: name another folder")


def remove(path: Path) -> None:
    """Remove what does not belong to the backup any more, and nothing that it leads to. Raises OSError."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink()
