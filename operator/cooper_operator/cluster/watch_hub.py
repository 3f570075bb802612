"""Tells watchers which resources may have changed. A reference that waits already is not queued twice."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterable

from cooper_operator.cluster.port import Ref


class _Watcher:
    def __init__(self, initial: Iterable[Ref]) -> None:
        self.pending: dict[Ref, None] = dict.fromkeys(initial)
        self.wake = asyncio.Event()

    def add(self, ref: Ref) -> None:
        self.pending[ref] = None
        self.wake.set()

    async def next(self) -> Ref:
        while not self.pending:
            self.wake.clear()
            await self.wake.wait()
        ref = next(iter(self.pending))
        del self.pending[ref]
        return ref


class WatchHub:
    """Fans references out to any number of watchers. Use within one event loop."""

    def __init__(self) -> None:
        self._watchers: set[_Watcher] = set()

    def notify(self, ref: Ref) -> None:
        """Tell every watcher."""
        for watcher in self._watchers:
            watcher.add(ref)

    async def watch(self, initial: Callable[[], Iterable[Ref]]) -> AsyncGenerator[Ref]:
        """Yield `initial()` and then every change; nothing that changes in between is missed."""
        watcher = _Watcher(initial())
        self._watchers.add(watcher)
        try:
            while True:
                yield await watcher.next()
        finally:
            self._watchers.discard(watcher)
