"""The lifelong lock on a data folder: one opener, and a second is told who that is."""

import fcntl
import os
import time
from datetime import UTC, datetime
from typing import Final

import msgspec

from cooper_gateway.processes.errors import GatewayStartError, StoreLocked

FILE_NAME: Final = "LOCK"
#: Children of a supervisor that was killed keep the lock until they are gone, which takes them a second.
_ORPHANS_SECONDS: Final = 3.0
_PAUSE_SECONDS: Final = 0.05


class Holder(msgspec.Struct, frozen=True):
    """Who holds a data folder."""

    pid: int
    since: str  # ISO 8601
    command: str

    def __str__(self) -> str:
        return f"process {self.pid} ({self.command}) since {self.since}"


class StoreLock:
    """Held until `release`. Children inherit it, so that it outlives a killed supervisor as long as they do."""

    def __init__(self, data_dir: str, command: str) -> None:
        """Take the lock. Raises StoreLocked, or GatewayStartError when the folder cannot be written."""
        path = f"{data_dir}/{FILE_NAME}"
        try:
            os.makedirs(data_dir, mode=0o700, exist_ok=True)
            self._handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        except OSError as error:
            raise GatewayStartError(f"the data folder {data_dir} cannot be used: {error.strerror}") from None
        try:
            self._acquire(data_dir)
            holder = Holder(os.getpid(), datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"), command)
            os.ftruncate(self._handle, 0)
            os.pwrite(self._handle, msgspec.json.encode(holder) + b"\n", 0)
        except OSError as error:
            os.close(self._handle)
            raise GatewayStartError(f"the data folder {data_dir} cannot be locked: {error.strerror}") from None
        except StoreLocked:
            os.close(self._handle)
            raise

    def fileno(self) -> int:
        """The descriptor that carries the lock."""
        return self._handle

    def release(self) -> None:
        """Let go."""
        os.close(self._handle)

    def _acquire(self, data_dir: str) -> None:
        deadline = time.monotonic() + _ORPHANS_SECONDS
        while True:
            try:
                fcntl.flock(self._handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return
            except BlockingIOError:
                holder = _read_holder(self._handle)
            if holder is None or _lives(holder.pid) or time.monotonic() > deadline:
                who = "another process" if holder is None else str(holder)
                raise StoreLocked(
                    f"the data folder {data_dir} is in use by {who}. Stop that first, or use another data folder"
                )
            time.sleep(_PAUSE_SECONDS)


def holder_of(data_dir: str) -> Holder | None:
    """Who holds a data folder now, for one who only looks; None when nobody does. Raises OSError."""
    try:
        handle = os.open(f"{data_dir}/{FILE_NAME}", os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return _read_holder(handle) or Holder(0, "", "starting")
    else:
        return None
    finally:
        os.close(handle)


def _read_holder(handle: int) -> Holder | None:
    try:
        return msgspec.json.decode(os.pread(handle, 65536, 0), type=Holder)
    except msgspec.MsgspecError:
        return None  # the holder is about to write it


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
