"""What all connections of one worker share."""

import asyncio
import time
from collections.abc import Callable, Coroutine
from typing import Any, Protocol

from cooper_gateway.http.limits import DEFAULT_LIMITS, HttpLimits
from cooper_gateway.http.pipeline import Pipeline
from cooper_gateway.http.plain import PlainReads
from cooper_gateway.http.rendering import common_block
from cooper_gateway.http.request_ids import RequestIds


class Connection(Protocol):
    """A connection, as its worker sees it."""

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
        *,
        secure: bool = False,
    ) -> None:
        self.pipeline = pipeline
        self.limits = limits
        self.secure = secure  # over TLS
        #: Says which worker answered; the operator counts on seeing every one of them.
        self.host_id = f"worker-{index}-of-{count}"
        self.request_ids = RequestIds()
        self.connections: set[Connection] = set()
        self._stalled: dict[Connection, float] = {}  # whose client does not take what is written, by when it began
        self.loop = asyncio.get_running_loop()
        self.tasks: set[asyncio.Task[None]] = set()
        self.stopping = False
        self.crowded = False  # connections run short, as of the last tick
        self._emptied: asyncio.Event | None = None
        self._clock = clock
        self.now = self.loop.time()  # as of the last tick
        self.common = common_block(clock(), self.host_id)
        self.common_bytes = self.common.encode()
        self.plain_reads = PlainReads(pipeline, self.request_ids)

    def stalls(self, connection: Connection) -> None:
        """The connection's client does not take what is written for it. Nobody needs a key to be one of many such."""
        self._stalled[connection] = self.loop.time()
        if len(self._stalled) > self.limits.most_stalled:
            self._cut_longest_stalled()

    def moves(self, connection: Connection) -> None:
        """It does again, or the connection is cut."""
        self._stalled.pop(connection, None)

    def discard(self, connection: Connection) -> None:
        """A connection is gone."""
        self.moves(connection)
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
        self.common_bytes = self.common.encode()
        self.crowded = 4 * len(self.connections) > 3 * self.limits.connections
        for connection in list(self.connections):
            connection.tick(self.now)
        before = self.now - self.limits.crowded_seconds
        while len(self._stalled) > self.limits.stalled and next(iter(self._stalled.values())) < before:
            self._cut_longest_stalled()

    def _cut_longest_stalled(self) -> None:
        longest = next(iter(self._stalled))
        self.moves(longest)
        longest.abort()
