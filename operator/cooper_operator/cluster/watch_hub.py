"""Tells watchers which resources may have changed. A reference that waits already is not queued twice."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Generator, Iterable
from contextlib import contextmanager

from cooper_operator.cluster.port import Ref


class Watcher:
    """What one watcher is yet to look at."""

    def __init__(self, initial: Iterable[Ref]) -> None:
        self._pending: dict[Ref, None] = dict.fromkeys(initial)
        self._wake = asyncio.Event()

    def add(self, ref: Ref) -> None:
        """Have it looked at."""
        self._pending[ref] = None
        self._wake.set()

    async def next(self) -> Ref:
        """What waits longest; waits until there is something."""
        while not self._pending:
            self._wake.clear()
            await self._wake.wait()
        ref = next(iter(self._pending))
        del self._pending[ref]
        return ref


class WatchHub:
    """Fans references out to any number of watchers. Use within one event loop."""

    def __init__(self) -> None:
        self._watchers: set[Watcher] = set()

    def notify(self, ref: Ref) -> None:
        """Tell every watcher."""
        for watcher in self._watchers:
            watcher.add(ref)

    @contextmanager
    def watching(self, initial: Iterable[Ref] = ()) -> Generator[Watcher]:
        """A watcher that is told every change from now on."""
        watcher = Watcher(initial)
        self._watchers.add(watcher)
        try:
            yield watcher
        finally:
            self._watchers.discard(watcher)

    async def watch(self, initial: Callable[[], Iterable[Ref]]) -> AsyncGenerator[Ref]:
        """Yield `initial()` and then every change; nothing that changes in between is missed."""
        with self.watching(initial()) as watcher:
            while True:
                yield await watcher.next()
