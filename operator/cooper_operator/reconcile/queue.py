"""The work queue: one worker at a time for each resource, no resource twice, back-off with jitter, bounded concurrency,
namespaces in turn.

idle ──add──> waiting ──a worker is free──> running ──done──> idle, or sleeping until a time that was asked for
                 ^                            │ add
                 └────────── done ────────── dirty
"""

import asyncio
import logging
import random
import time
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from cooper_operator.cluster.port import Ref
from cooper_operator.reconcile.line import Line

log = logging.getLogger(__name__)

#: Seconds before the first retry; doubled at each further one.
FIRST_RETRY: Final = 0.1
LONGEST_RETRY: Final = 30.0


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a reconcile ended: `retry` with back-off (at most `retry_cap` seconds), look again `after` seconds, or both.

    Neither: a change will wake it.
    """

    retry: bool = False
    retry_cap: float = LONGEST_RETRY
    after: float | None = None


Reconcile = Callable[[Ref], Awaitable[Outcome]]


@dataclass(slots=True)
class _Item:
    """One resource. `waiting` and `running` can both hold: it changed while it was worked on."""

    waiting: bool = False
    routine: bool = False  # while it waits
    first: bool = False  # the same
    running: bool = False
    failures: int = 0
    timer: asyncio.TimerHandle | None = None


class Queue:
    """Runs `reconcile` for what is added. An exception out of it is logged and retried like any failure."""

    def __init__(
        self, reconcile: Reconcile, *, concurrency: int = 16, jitter: Callable[[], float] = random.random
    ) -> None:
        self._reconcile = reconcile
        self._concurrency = concurrency
        self._jitter = jitter
        self._items: dict[Ref, _Item] = {}
        self._urgent = Line()
        self._routine: deque[Ref] = deque()
        self._passed_over = 0  # places of what has got a better one since
        self._since: dict[Ref, float] = {}  # of what waits and is not routine, when it began to: the oldest first
        self._workers: set[asyncio.Task[None]] = set()
        self._running = 0
        self._stopped = False

    def add(self, ref: Ref, *, routine: bool = False, first: bool = False) -> None:
        """Have a resource looked at as soon as a worker is free. `routine`: after all that is not. `first`: before all
        else of its namespace.

        What waits and is added again so that it goes before others gets the better place.
        """
        if self._stopped:
            return
        item = self._items.setdefault(ref, _Item())
        if item.timer is not None:
            item.timer.cancel()
            item.timer = None
        if item.waiting and (routine or not (item.routine or (first and not item.first))):
            return
        if not routine and (item.routine or not item.waiting):
            self._since[ref] = time.monotonic()
        self._passed_over += item.waiting and not item.running
        item.waiting, item.routine, item.first = True, routine and not item.running, first
        if not item.running:
            self._take_place(ref, item)
            self._start_workers()

    def hurry(self) -> None:
        """Have everything that failed looked at now, as if for the first time: what it waits for may be there, or soon.

        What is being worked on may have looked too early: it is looked at again.
        """
        for ref, item in list(self._items.items()):
            if item.failures:
                item.failures = 0
                self.add(ref)

    @property
    def depth(self) -> int:
        """How many resources wait for a worker."""
        return len(self._urgent) + len(self._routine) - self._passed_over

    @property
    def age(self) -> float:
        """For how many seconds the one has waited that has waited longest; routine looks are not counted."""
        return time.monotonic() - next(iter(self._since.values())) if self._since else 0.0

    @property
    def idle(self) -> bool:
        """Whether nothing waits and nothing is worked on (something may sleep until later)."""
        return self._running == 0 and self.depth == 0

    async def stop(self) -> None:
        """Cancel everything and wait until it has ended."""
        self._stopped = True
        for item in self._items.values():
            if item.timer is not None:
                item.timer.cancel()
        workers = list(self._workers)
        for worker in workers:
            worker.cancel()
        await asyncio.gather(*workers, return_exceptions=True)

    def _take_place(self, ref: Ref, item: _Item) -> None:
        if item.first:
            self._urgent.put_first(ref)
        else:
            (self._routine if item.routine else self._urgent).append(ref)

    def _start_workers(self) -> None:
        while self._running < self._concurrency and (ref := self._next()) is not None:
            item = self._items[ref]
            item.waiting, item.running, item.first = False, True, False
            self._since.pop(ref, None)
            self._running += 1
            worker = asyncio.create_task(self._work(ref, item))
            self._workers.add(worker)
            worker.add_done_callback(self._workers.discard)

    def _next(self) -> Ref | None:
        while self._urgent or self._routine:
            routine = not self._urgent
            ref = self._routine.popleft() if routine else self._urgent.popleft()
            item = self._items.get(ref)
            if item is not None and item.waiting and not item.running and item.routine == routine:
                return ref
            self._passed_over -= 1
        return None

    async def _work(self, ref: Ref, item: _Item) -> None:
        try:
            outcome = await self._reconcile(ref)
        except Exception:
            log.exception("reconciling %s failed", ref)
            outcome = Outcome(retry=True)
        finally:
            self._running -= 1
            item.running = False
        if self._stopped:
            return
        item.failures = item.failures + 1 if outcome.retry else 0
        if item.waiting:
            self._take_place(ref, item)
        else:
            self._sleep(ref, item, outcome)
        self._start_workers()

    def _sleep(self, ref: Ref, item: _Item, outcome: Outcome) -> None:
        delays = [] if outcome.after is None else [max(outcome.after, 0.0)]
        if outcome.retry:
            delays.append(self._back_off(item.failures, outcome.retry_cap))
        if delays:
            item.timer = asyncio.get_running_loop().call_later(min(delays), self._wake, ref, item)
        else:
            del self._items[ref]

    def _wake(self, ref: Ref, item: _Item) -> None:
        item.timer = None
        self.add(ref)

    def _back_off(self, failures: int, cap: float) -> float:
        """Between half and the whole of the doubled delay, so that what failed together does not return together."""
        delay = min(FIRST_RETRY * 2 ** min(failures - 1, 20), cap)
        return delay * (0.5 + self._jitter() / 2)
