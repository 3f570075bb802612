"""Files that hold keys: made, exchanged and removed so that what they held before can be read by nobody.

An exchange has three steps, each durable before the next: the new files are made, empty, and the old ones have a second
name; the new ones are filled and take the names; the old ones are overwritten and removed by their second names.
Whatever ends it, each name leads to a whole file, all that holds a key has a name, and `tidy` finishes.
"""

import os
import stat
from collections.abc import Generator, Iterable, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

#: Ends names of files that are to take others' places. No copy that somebody made by hand ends so: it would be
#: overwritten.
NEXT: Final = ".cooper-new"
#: Ends second names of files that are to be overwritten.
OLD: Final = ".cooper-old"


class SyncFailed(Exception):
    """fsync failed: what is on disk is unknown, and asking again would not tell."""


@contextmanager
def never_again(what: str) -> Generator[None]:
    """Linux tells an error of a sync once: whoever asked again would be told that all is well. Raises SyncFailed."""
    try:
        yield
    except OSError as error:
        raise SyncFailed(f"{what} could not be synced: {error.strerror}") from error


def sync_directory(path: Path) -> None:
    """Make a directory's entries durable. Raises OSError."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_new(path: Path, content: bytes) -> None:
    """Make a file that is not there, its bytes durable, or none. Raises FileExistsError, OSError."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        _fill(descriptor, content)
    except BaseException:
        path.unlink()
        raise


def _fill(descriptor: int, content: bytes) -> None:
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def shred(path: Path) -> None:
    """Overwrite a file, then remove its name. One that is not there is none. Raises OSError, SyncFailed."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    try:
        os.pwrite(descriptor, os.urandom(os.fstat(descriptor).st_size), 0)
        with never_again(f"that {path.name} is overwritten"):
            os.fsync(descriptor)
    finally:
        os.close(descriptor)
    path.unlink()


def exchange(folder: Path, contents: Mapping[str, bytes]) -> None:
    """Give files of a folder new contents, and overwrite the old ones. Raises SyncFailed when nobody knows what is on
    disk; else OSError: then each has its old content or its new one, and what is left to do is `tidy`'s.
    """
    tidy(folder, contents)
    try:
        for name in contents:
            os.close(os.open(folder / (name + NEXT), os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
            os.link(folder / name, folder / (name + OLD))
        with never_again("names of keys"):
            sync_directory(folder)
        for name, content in contents.items():
            _belong(folder / (name + NEXT), (folder / name).stat())
            _fill(os.open(folder / (name + NEXT), os.O_WRONLY | os.O_CLOEXEC), content)
        for name in contents:
            os.rename(folder / (name + NEXT), folder / name)
    except OSError:
        tidy(folder, contents)
        raise
    tidy(folder, contents)


def _belong(path: Path, like: os.stat_result) -> None:
    """Have a file belong to whom another one does: root may exchange what a gateway is to read."""
    now = path.stat()
    if (now.st_uid, now.st_gid) != (like.st_uid, like.st_gid):
        os.chown(path, like.st_uid, like.st_gid)
    if now.st_mode != like.st_mode:
        path.chmod(stat.S_IMODE(like.st_mode))


def tidy(folder: Path, names: Iterable[str]) -> None:
    """Overwrite and remove drafts and second names that are left of these files. Raises OSError, SyncFailed."""
    left = [(folder / name, folder / (name + end)) for name in names for end in (NEXT, OLD)]
    left = [(path, beside) for path, beside in left if os.path.lexists(beside)]
    if not left:
        return
    with never_again("new names of keys"):
        sync_directory(folder)  # before anything is overwritten: else what has the name now might lose it
    for path, beside in left:
        if _is_same(path, beside):
            beside.unlink()
        elif beside.name.endswith(NEXT) or path.exists():  # the only name of a file is none of ours
            shred(beside)


def _is_same(path: Path, beside: Path) -> bool:
    with suppress(FileNotFoundError):
        return os.path.samefile(path, beside)
    return False
