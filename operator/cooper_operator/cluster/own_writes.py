"""Tells the echo of our own writes from what others did: a watch shows both alike.

What a reconcile wrote itself it has taken into account. Without this each of its writes would make another one, which
reads everything only to find that there is nothing to do.
"""

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Final

#: Seconds in which watches show what was there before a write. After that an older version is news: a server whose
#: state was restored from a backup shows such.
_LATE: Final = 30.0


@dataclass(slots=True)
class _UnderWay:
    """Writes of one object that are not answered yet, and what its watch has shown meanwhile: version, and telling."""

    writes: int = 0
    shown: list[tuple[str | None, Callable[[], None]]] = field(
        default_factory=list[tuple[str | None, Callable[[], None]]]
    )


class OwnWrites:
    """The version of each object's latest write that its watch has not shown yet. Objects are named by their path.

    Each write was made at a version that the writer had read, so that he knew all there was before. `clock` is
    monotonic.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._writes: dict[str, tuple[int, float]] = {}
        self._under_way: dict[str, _UnderWay] = {}

    async def write(self, path: str, request: Awaitable[dict[str, Any]]) -> dict[str, Any]:
        """Have the object at `path` written, and return the API server's answer. A watch may show it before that."""
        under_way = self._under_way.setdefault(path, _UnderWay())
        under_way.writes += 1
        try:
            written = await request
            self._writes[path] = int(written["metadata"]["resourceVersion"]), self._clock()
            return written
        finally:
            under_way.writes -= 1
            if not under_way.writes:
                del self._under_way[path]
                for version, tell in under_way.shown:
                    self.tell_unless_echo(path, version, tell)

    def tell_unless_echo(self, path: str, version: str | None, tell: Callable[[], None]) -> None:
        """A watch has shown an object at a version (None: to be gone): call `tell` unless that is nothing but our
        latest write, or what was there before it. While a write is under way that is known after it."""
        if path in self._under_way:
            self._under_way[path].shown.append((version, tell))
        elif not self._is_echo(path, version):
            tell()

    def _is_echo(self, path: str, version: str | None) -> bool:
        if version is None:
            self._writes.pop(path, None)
            return False
        written, at = self._writes.get(path, (0, 0.0))
        if int(version) < written:
            return self._clock() - at < _LATE
        if int(version) > written:
            return False
        del self._writes[path]
        return True
