"""One backup or restore at a time into a folder: of two, each would take the files of the other for remains."""

import fcntl
import os
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

NAME: Final = "LOCK"


class UnderWay(Exception):
    """Somebody else does the same with the folder."""


@contextmanager
def alone(folder: Path, otherwise: str) -> Generator[None]:
    """Have the folder to oneself until the end, whatever ends it. Raises UnderWay with the text given, OSError."""
    handle = os.open(folder / NAME, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UnderWay(f"{otherwise}: wait until it ends, or name another folder") from None
        except OSError as error:
            raise OSError(error.errno, f"cannot be locked: {error.strerror}", str(folder / NAME)) from None
        yield
    finally:
        os.close(handle)
