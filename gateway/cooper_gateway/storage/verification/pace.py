"""Reading no faster than asked, so that others have the disk as well."""

import time
from collections.abc import Callable
from typing import Final

_BURST: Final = 0.25  # seconds of the rate that may be read at once
_LONGEST_SLEEP: Final = 1.0  # seconds


class Pace:
    """`rate` is in bytes a second; 0: as fast as can be."""

    def __init__(
        self,
        rate: int,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._rate = rate
        self._clock = clock
        self._sleep = sleep
        self._free_at = clock()  # when all that was read is paid for

    def spend(self, size: int) -> None:
        """Account for bytes that were read; returns when more may be."""
        if not self._rate:
            return
        now = self._clock()
        self._free_at = max(self._free_at, now) + size / self._rate
        while (ahead := self._free_at - _BURST - self._clock()) > 0:
            self._sleep(min(ahead, _LONGEST_SLEEP))
