"""When the records' source was last read completely, kept over restarts in one small file.

The records table dies with the boot; without this a gateway that is restarted again and again would never find its
records too old.
"""

import os
import struct
import time
from typing import Final

_TIME: Final = struct.Struct(">d")  # Unix seconds
#: The file says at most this much less than the truth.
WRITE_EVERY_SECONDS: Final = 10.0
#: A stamp further in the future than this was made by a clock that has been set back: it proves nothing.
_CLOCK_TOLERANCE_SECONDS: Final = 60.0


class LastVerified:
    """The file. Losing it only makes the records look older than they are."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._written = 0.0

    def read(self, now: float) -> float:
        """The last stamp in Unix seconds; 0 when there is none that can be trusted."""
        try:
            with open(self._path, "rb") as file:
                data = file.read(_TIME.size + 1)
        except OSError:
            return 0.0
        if len(data) != _TIME.size:
            return 0.0
        stamp: float = _TIME.unpack(data)[0]
        return stamp if 0 < stamp <= now + _CLOCK_TOLERANCE_SECONDS else 0.0

    def write(self, stamp: float) -> None:
        """Keep the stamp, unless one was kept a moment ago. Raises OSError."""
        if time.monotonic() - self._written < WRITE_EVERY_SECONDS and self._written:
            return
        draft = self._path + ".new"
        with open(draft, "wb", opener=_private) as file:
            file.write(_TIME.pack(stamp))
        # Not synced: after a crash of the machine an older stamp is on the safe side.
        os.replace(draft, self._path)
        self._written = time.monotonic()


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)
