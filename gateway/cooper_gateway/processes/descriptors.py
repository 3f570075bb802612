"""File descriptors of a worker: as many as it may have, shared out so that nothing can use up what others need.

A process without descriptors accepts no connection: whoever opened the last one, a stranger perhaps, locks out all.
"""

import resource
from dataclasses import dataclass
from typing import Final

#: More than this many are of no use to one worker.
_ENOUGH: Final = 1 << 16
#: For logs, the index, directories, the committer's socket, and what is open for a moment only.
_RESERVE: Final = 128


@dataclass(frozen=True, slots=True)
class Shares:
    """Most connections, each of which may be writing a file, and most files that are open for reading."""

    connections: int
    reading: int


def raise_limit() -> int:
    """Raise this process's soft limit towards its hard one; returns what it may have."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _ENOUGH if hard == resource.RLIM_INFINITY else min(hard, _ENOUGH)
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return wanted
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    return wanted


def share(limit: int) -> Shares:
    """Shares of `limit` descriptors that together, with an upload on every connection, stay below it."""
    eighth = max(limit - _RESERVE, 64) // 8
    return Shares(connections=3 * eighth, reading=2 * eighth)
