"""When to ask what a bucket holds: seldom, spread over time, and never on the way to Ready."""

import zlib


class UsageSchedule:
    """Each bucket once in `interval` seconds; the first time at its own point within that, so that all differ."""

    def __init__(self, interval: float) -> None:
        self._interval = interval
        self._next: dict[str, float] = {}

    def due(self, uid: str, now: float) -> bool:
        """Whether to ask now (Unix seconds). Saying yes sets the next time."""
        at = self._next.get(uid)
        if at is None:
            self._next[uid] = now + self._interval * (zlib.crc32(uid.encode()) % 1000 + 1) / 1000
            return False
        if at > now:
            return False
        self._next[uid] = now + self._interval
        return True

    def next(self, uid: str) -> float | None:
        """When the bucket is asked about next, in Unix seconds; None when it is not to be."""
        return self._next.get(uid)

    def forget(self, uid: str) -> None:
        """The bucket is gone."""
        self._next.pop(uid, None)
