"""Which files of a folder changed, from the kernel (inotify), gathered over a few milliseconds.

A hint only: a relist finds what events miss. Used directly, since a watcher process should cost a few megabytes.
"""

import ctypes
import os
import select
import struct
import time
from typing import Final

_CLOSE_WRITE: Final = 0x8
_MOVED_FROM: Final = 0x40
_MOVED_TO: Final = 0x80
_CREATE: Final = 0x100  # a create-only record is linked to its name: nothing is closed or moved then
_DELETE: Final = 0x200
_DELETE_SELF: Final = 0x400
_MOVE_SELF: Final = 0x800
_ATTRIB: Final = 0x4
_Q_OVERFLOW: Final = 0x4000
_IGNORED: Final = 0x8000
_ONLYDIR: Final = 0x1000000
_FILES: Final = _CLOSE_WRITE | _MOVED_FROM | _MOVED_TO | _CREATE | _DELETE | _ATTRIB
_WATCHED: Final = _FILES | _DELETE_SELF | _MOVE_SELF | _ONLYDIR
#: Events that do not name a file: the folder itself is gone, or events were lost.
_EVERYTHING: Final = _DELETE_SELF | _MOVE_SELF | _Q_OVERFLOW | _IGNORED

_HEADER: Final = struct.Struct("iIII")  # struct inotify_event: watch, mask, cookie, length of the name
_BUFFER: Final = 1 << 16

#: Changes come in bursts: wait until this long nothing more came, and no longer than the second in all.
_QUIET_SECONDS: Final = 0.003
_DEBOUNCE_SECONDS: Final = 0.015

_libc = ctypes.CDLL(None, use_errno=True)


class FolderEvents:
    """Waits for changes in one folder. Raises OSError when the kernel cannot watch it."""

    def __init__(self, path: str) -> None:
        self._handle: int = _libc.inotify_init1(os.O_CLOEXEC | os.O_NONBLOCK)
        if self._handle < 0:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), path)
        if _libc.inotify_add_watch(self._handle, os.fsencode(path), _WATCHED) < 0:
            number = ctypes.get_errno()
            os.close(self._handle)
            raise OSError(number, os.strerror(number), path)

    def wait(self, seconds: float) -> set[str] | None:
        """Wait at most so long; the names of changed files (empty: none changed), or None: anything may have changed.

        After None the folder may be another one: make a new instance.
        """
        names: set[str] = set()
        if not self._readable(seconds):
            return names
        deadline = time.monotonic() + _DEBOUNCE_SECONDS
        while True:
            if not self._drain(names):
                return None
            left = deadline - time.monotonic()
            if left <= 0 or not self._readable(min(left, _QUIET_SECONDS)):
                return names

    def close(self) -> None:
        """Stop watching."""
        os.close(self._handle)

    def _readable(self, seconds: float) -> bool:
        return bool(select.select([self._handle], [], [], seconds)[0])

    def _drain(self, names: set[str]) -> bool:
        """Add the names of pending events; False when one of them concerns everything."""
        data = os.read(self._handle, _BUFFER)
        position = 0
        while position < len(data):
            _, mask, _, length = _HEADER.unpack_from(data, position)
            if mask & _EVERYTHING:
                return False
            position += _HEADER.size + length
            names.add(os.fsdecode(data[position - length : position].rstrip(b"\0")))
        return True
