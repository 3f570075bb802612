"""The run folder: what lives as long as the gateway does (records table, sockets, metrics), on tmpfs, private."""

import fcntl
import os
import shutil
import stat
from pathlib import Path
from typing import Final

from cooper_gateway.processes.errors import GatewayStartError

#: Says that a folder is a run folder, whose content may be removed.
_MARKER: Final = "cooper-run"
#: struct sockaddr_un: a socket's path has at most 107 bytes.
_LONGEST_SOCKET_PATH: Final = 107


class RunDir:
    """An empty, private folder under a lock. What a dead predecessor left is removed."""

    def __init__(self, path: str, longest_name: str) -> None:
        """Make it. `longest_name` is the longest name of a socket in it. Raises GatewayStartError."""
        self._path = path
        if len(os.fsencode(f"{path}/{longest_name}")) > _LONGEST_SOCKET_PATH:
            raise GatewayStartError(f"the run folder {path} has too long a path for a socket: use a shorter one")
        try:
            Path(path).parent.mkdir(parents=True, exist_ok=True)
            if not os.path.lexists(path):
                os.mkdir(path, 0o700)
                (Path(path) / _MARKER).touch(0o600)
            self._handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except OSError as error:
            raise GatewayStartError(f"the run folder {path} cannot be made: {error.strerror}") from None
        try:
            self._take()
        except BaseException:
            os.close(self._handle)
            raise

    def remove(self) -> None:
        """Remove the folder and all that is in it."""
        shutil.rmtree(self._path, ignore_errors=True)
        os.close(self._handle)

    def _take(self) -> None:
        path = Path(self._path)
        status = os.fstat(self._handle)
        if status.st_uid != os.geteuid():
            raise GatewayStartError(f"the run folder {path} belongs to another user: use another one")
        try:
            fcntl.flock(self._handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise GatewayStartError(f"the run folder {path} is in use by another gateway: use another one") from None
        left = os.listdir(self._handle)
        if left and _MARKER not in left:
            raise GatewayStartError(f"the run folder {path} holds files that are not a gateway's: use an empty one")
        os.fchmod(self._handle, 0o700)
        for name in left:
            if stat.S_ISDIR((path / name).lstat().st_mode):
                shutil.rmtree(path / name)
            else:
                (path / name).unlink()
        (path / _MARKER).touch(0o600)
