"""What all connections of one worker share."""

import asyncio
import time
from collections.abc import Callable, Coroutine
from typing import Any, Protocol

from cooper_gateway.http.limits import DEFAULT_LIMITS, HttpLimits
from cooper_gateway.http.pipeline import Pipeline
from cooper_gateway.http.rendering import common_block
from cooper_gateway.http.request_ids import RequestIds


class Connection(Protocol):
    """A connection, as its worker sees it."""

    @property
    def stalled_since(self) -> float | None:
        """Since when its client has not taken what is written for it, in the loop's seconds; None when it does."""
        ...

    def tick(self, now: float) -> None:
        """Once a second; `now` in the loop's seconds."""
        ...

    def close_if_idle(self) -> None:
        """Close unless a request is in progress."""
        ...

    def abort(self) -> None:
        """Cut the connection."""
        ...


class Context:
    """The pipeline, the limits, the set of connections, and the clocks that one coarse tick keeps."""

    def __init__(
        self,
        pipeline: Pipeline,
        index: int,
        count: int,
        limits: HttpLimits = DEFAULT_LIMITS,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.pipeline = pipeline
        self.limits = limits
        #: Says which worker answered; the operator counts on seeing every one of them.
        self.host_id = f"worker-{index}-of-{count}"
        self.request_ids = RequestIds()
        self.connections: set[Connection] = set()
        self.loop = asyncio.get_running_loop()
        self.tasks: set[asyncio.Task[None]] = set()
        self.stopping = False
        self.crowded = False  # connections run short, as of the last tick
        self._emptied: asyncio.Event | None = None
        self._clock = clock
        self.now = self.loop.time()  # as of the last tick
        self.common = common_block(clock(), self.host_id)

    def discard(self, connection: Connection) -> None:
        """A connection is gone."""
        self.connections.discard(connection)
        if not self.connections and self._emptied is not None:
            self._emptied.set()

    def spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """A task for one request; `stop` waits for what it cleans up."""
        task = self.loop.create_task(work)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)
        return task

    async def emptied(self) -> None:
        """Wait until no connection is left."""
        self._emptied = asyncio.Event()
        if self.connections:
            await self._emptied.wait()

    def tick(self) -> None:
        """Once a second: the Date header, and every connection's time-outs and rechecks."""
        self.now = self.loop.time()
        self.common = common_block(self._clock(), self.host_id)
        self.crowded = 4 * len(self.connections) > 3 * self.limits.connections
        for connection in list(self.connections):
            connection.tick(self.now)
        self._cut_crowd()

    def _cut_crowd(self) -> None:
        """Cut the readers that have stalled longest when there are too many: nobody needs a key to be one."""
        before = self.now - self.limits.crowded_seconds
        stalled = [
            (since, number, connection)
            for number, connection in enumerate(self.connections)
            if (since := connection.stalled_since) is not None and since < before
        ]
        excess = len(stalled) - self.limits.stalled
        for _, _, connection in sorted(stalled)[: max(excess, 0)]:
            connection.abort()
