"""Room for the index, taken from the disk before it is needed, with a reserve that only deletions may use.

```
0            used                              size - reserve            size
│  pages     │ free for every commit            │ the reserve             │   the file's blocks are allocated up to here
```
LMDB writes changed pages anew, so a deletion needs room, too. Its map's size is what limits a commit, after it has
reused all pages that are free; and since the blocks are the file's own, nothing else on the disk can take them.
"""

import os
import resource
from collections.abc import Generator
from contextlib import contextmanager
from typing import Final

import lmdb

from cooper_gateway.storage.layout import NO_ROOM, Layout, StoreUnusable

_RESERVE: Final = 16 << 20  # bytes: more than deleting 1,000 objects needs, if each touches pages of its own
_SHARE: Final = 8  # of little room, the reserve is one part in so many


def map_with_reserve(map_size: int) -> int:
    """Bytes of address space that readers need for an index of `map_size` and the reserve of its writer."""
    return map_size + min(_RESERVE, map_size // _SHARE)


class Room:
    """Grows the index of the one process that writes it. To be used while no transaction is open."""

    def __init__(self, layout: Layout, env: lmdb.Environment, map_size: int) -> None:
        """`map_size` is how large the index may ever be, in bytes, the reserve not counted. Raises StoreUnusable."""
        self._path = layout.index / "data.mdb"
        self._env = env
        self._most = map_size
        self._reserve = _page_wise(min(_RESERVE, min(map_size, _capacity(layout)) // _SHARE))
        self._size = 0  # bytes that the file has, and keeps
        try:
            self.grow()
        except OSError as error:
            raise StoreUnusable(f"the index {layout.index} cannot be given room: {error.strerror}") from error
        self._limit()

    def grow(self) -> bool:
        """Take more room from the disk. False when there is none, or the index is as large as it may be.

        Raises OSError for any other reason.
        """
        used = self._used()
        if self._size >= self._most + self._reserve:
            return False
        begin = max(self._size, used + self._reserve)
        for step in (max(self._reserve, used // 8), self._reserve, 0):
            size = min(_page_wise(begin + step), self._most + self._reserve)
            if size > self._size and self._allocate(size):
                self._limit()
                return True
        return False

    @contextmanager
    def opened(self) -> Generator[None]:
        """Within it a commit may use the reserve."""
        self._env.set_mapsize(max(self._size, self._used() + self._reserve))
        try:
            yield
        finally:
            self._limit()

    def _limit(self) -> None:
        # LMDB takes at least what is used.
        self._env.set_mapsize(max(min(self._size - self._reserve, self._most), self._used()))

    def _used(self) -> int:
        return (self._env.info()["last_pgno"] + 1) * self._env.stat()["psize"]

    def _allocate(self, size: int) -> bool:
        descriptor = os.open(self._path, os.O_RDWR | os.O_CLOEXEC)
        try:
            os.posix_fallocate(descriptor, 0, size)
        except OSError as error:
            if error.errno in NO_ROOM:
                return False
            raise
        finally:
            os.close(descriptor)
        self._size = size
        return True


def _capacity(layout: Layout) -> int:
    """The most bytes that a file of the index could have."""
    disk = os.statvfs(layout.index)
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)[0]
    whole = disk.f_blocks * disk.f_frsize
    return whole if limit == resource.RLIM_INFINITY else min(whole, limit)


def _page_wise(size: int) -> int:
    return size - size % resource.getpagesize()
