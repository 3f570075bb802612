"""Request ids: unique within a worker's life, unrelated between workers, cheap."""

import secrets
from typing import Final

_MASK: Final = (1 << 64) - 1
#: Odd, so that the sequence visits every 64-bit number before it repeats; large, so that neighbours look unlike.
_STEP: Final = 0x9E3779B97F4A7C15


class RequestIds:
    """Calls return 16 upper-case hex digits."""

    __slots__ = ("_last",)

    def __init__(self) -> None:
        self._last = secrets.randbits(64)

    def __call__(self) -> str:
        """The next id."""
        self._last = (self._last + _STEP) & _MASK
        return f"{self._last:016X}"
