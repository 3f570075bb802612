"""Whether the other side still moves: one check for slow senders and slow readers."""


class Progress:
    """Remembers when at least some bytes had last been moved. A byte now and then is not progress."""

    __slots__ = ("_mark", "_since")

    def __init__(self, now: float) -> None:
        self._mark = 0
        self._since = now

    def reset(self, moved: int, now: float) -> None:
        """Begin anew: until now the delay was not the other side's. `moved` is the total of bytes, `now` in seconds."""
        self._mark = moved
        self._since = now

    def stalled(self, moved: int, now: float, least: int, seconds: float) -> bool:
        """Whether less than `least` bytes were moved for more than `seconds`."""
        if moved - self._mark >= least:
            self.reset(moved, now)
        return now - self._since > seconds
