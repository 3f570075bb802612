"""How far a watch has come, and what that proves. Decides only; versions are resourceVersions, compared as integers.

A watch that says nothing proves nothing. The operator keeps the version of its last write in the revision object; once
the watch has shown that version, the records are known as they were when the reading of that object began:

    read (began, last write) --> behind --the watch shows it--> proven as of `began`
                                   |
                                   +--not within LAG_SECONDS--> the records have to be listed anew
"""

from typing import Final, NamedTuple

#: How long an event may take to arrive after the revision object spoke of its write.
LAG_SECONDS: Final = 1.5


class _Awaited(NamedTuple):
    version: int
    began: float


class Progress:
    """The state of one source. Times are Unix seconds, given by the caller."""

    def __init__(self) -> None:
        self.seen = 0
        self._awaited: _Awaited | None = None
        self._last_write = 0  # the highest that was read
        self._disowned = 0  # a last write that this cluster has never reached

    @property
    def behind(self) -> bool:
        """Whether the watch has yet to show a write that the revision object speaks of."""
        return self._awaited is not None

    def listed(self, version: int) -> int | None:
        """A complete list shows this version. Returns a last write that cannot be of this cluster, if there is one.

        A list that was asked for after the revision object was read is at least as new as every write that object can
        speak of. One that is not: the object was brought here from elsewhere, by a restored backup say.
        """
        self.seen, self._awaited = version, None
        if self._last_write <= version:
            return None
        self._disowned, self._last_write = self._last_write, 0
        return self._disowned

    def saw(self, version: int) -> float | None:
        """The watch has shown this version. Returns as of when the records are proven by that, if they are."""
        self.seen = max(self.seen, version)
        if self._awaited is None or self.seen < self._awaited.version:
            return None
        began, self._awaited = self._awaited.began, None
        return began

    def read(self, last_write: int | None, began: float) -> float | None:
        """The revision object was read; None: there is none. Returns as of when the records are proven, if they are.

        Once read, a last write is not forgotten when the object vanishes.
        """
        if last_write is not None and last_write != self._disowned:
            self._last_write = max(self._last_write, last_write)
        if self.seen >= self._last_write:
            self._awaited = None
            return began
        if self._awaited is None:
            self._awaited = _Awaited(self._last_write, began)
        return None
