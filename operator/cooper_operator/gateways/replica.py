"""One gateway replica: a connection to each of its workers, so that a question can be put to every one of them.

The workers of a replica share a port; the kernel gives each new connection to one of them. Every response says which
(`x-amz-id-2: worker-<index>-of-<count>`), so connections are opened until all have been met, and then kept.
"""

import asyncio
import re
from collections.abc import Awaitable, Callable, Iterable
from typing import Final

from cooper_operator.gateways.connection import Connection, ConnectionBroken, Response, TlsFailed, authority
from cooper_operator.gateways.tls import Tls

#: A question that is put to a worker, to be answered within so many seconds. Raises ConnectionBroken.
Ask = Callable[[Connection, float], Awaitable[Response]]

_WORKER: Final = re.compile(r"worker-(\d+)-of-(\d+)")
#: With n workers and even chances, 12 n + 20 connections miss one of them less than once in 100,000 times.
_TRIES_PER_WORKER: Final = 12
_EXTRA_TRIES: Final = 20
#: Connections opened at a time while workers are being met.
_PARALLEL: Final = 4
#: Seconds for one connection and its first answer, and for meeting all workers: one that restarts is met next time.
HELLO_TIMEOUT: Final = 0.5
_MEET_TIMEOUT: Final = 1.0


class Replica:
    """Connections to the workers of one replica at `host`:`port`."""

    def __init__(self, host: str, port: int, tls: Tls | None = None) -> None:
        self.address = authority(host, port)
        self.tls = tls
        self.trouble = ""  # why no connection could be made, where somebody was there
        self._host = host
        self._port = port
        self._workers: dict[int, Connection] = {}
        self._spare: list[Connection] = []  # for questions that take their time, as many as were asked at once
        self._count = 0
        self._meeting = asyncio.Lock()

    @property
    def count(self) -> int:
        """How many workers it has; 0 until one has answered."""
        return self._count

    def close(self) -> None:
        """Drop all connections."""
        for connection in (*self._workers.values(), *self._spare):
            connection.close()
        self._workers.clear()
        self._spare.clear()

    async def meet(self, hello: Ask) -> None:
        """Have a usable connection to as many workers as can be met; `hello` is any cheap request."""
        for index, connection in list(self._workers.items()):
            if not connection.usable:
                self._drop(index, connection)
        if self._complete():
            return
        try:
            async with asyncio.timeout(_MEET_TIMEOUT), self._meeting:
                tries = 0
                while not self._complete() and tries < _EXTRA_TRIES + _TRIES_PER_WORKER * self._count:
                    found = await asyncio.gather(*(self._meet_one(hello) for _ in range(_PARALLEL)))
                    if not any(found):
                        return  # nobody is there at all: the caller comes back later
                    tries += _PARALLEL
        except TimeoutError:
            return

    @property
    def met(self) -> tuple[int, ...]:
        """The workers that there is a connection to."""
        return tuple(self._workers)

    async def ask(self, workers: Iterable[int], ask: Ask, timeout: float) -> dict[int, Response | None]:
        """Put a question to workers that were met; None for one that does not answer in time or is gone."""
        asked = list(workers)
        answers = await asyncio.gather(*(self._ask(index, ask, timeout) for index in asked))
        return dict(zip(asked, answers, strict=True))

    async def ask_any(self, ask: Ask, timeout: float) -> Response | None:
        """Put a question to one worker; None when none can be reached. Never asks twice: it may have been done.

        On a connection of its own: what is asked so may take its time, and a probe that waits behind it proves nothing.
        """
        try:
            connection = await self._spare_one()
        except ConnectionBroken as error:
            self.trouble = str(error) if isinstance(error, TlsFailed) else ""
            return None
        try:
            response = await ask(connection, timeout)
        except ConnectionBroken:
            connection.close()
            return None
        except BaseException:
            connection.close()
            raise
        self._spare.append(connection)
        return None if _identity(response) is None else response

    async def _spare_one(self) -> Connection:
        """A connection that nobody waits on. Raises ConnectionBroken."""
        while self._spare:
            connection = self._spare.pop()
            if connection.usable:
                return connection
            connection.close()
        return await Connection.open(self._host, self._port, HELLO_TIMEOUT, self.tls)

    def _complete(self) -> bool:
        return 0 < self._count == sum(connection.usable for connection in self._workers.values())

    async def _ask(self, index: int, ask: Ask, timeout: float) -> Response | None:
        connection = self._workers.get(index)
        if connection is None:
            return None
        try:
            response = await ask(connection, timeout)
        except ConnectionBroken:
            self._drop(index, connection)
            return None
        if _identity(response) != (index, self._count):
            # The replica was restarted behind this address with another number of workers: meet them anew.
            self.close()
            self._count = 0
            return None
        return response

    async def _meet_one(self, hello: Ask) -> bool:
        """Open one connection and learn whose it is; keep it when that worker had none."""
        try:
            connection = await Connection.open(self._host, self._port, HELLO_TIMEOUT, self.tls)
        except ConnectionBroken as error:
            self.trouble = str(error) if isinstance(error, TlsFailed) else ""
            return False
        self.trouble = ""
        identity = None
        try:
            identity = _identity(await hello(connection, HELLO_TIMEOUT))
        except ConnectionBroken:
            return False
        finally:  # also when the time for meeting all of them is over
            if identity is None:
                connection.close()
        if identity is not None:
            self._keep(identity, connection)
        return identity is not None

    def _keep(self, identity: tuple[int, int], connection: Connection) -> None:
        index, count = identity
        if count != self._count:
            self.close()
            self._count = count
        held = self._workers.get(index)
        if held is not None and held.usable:
            connection.close()
            return
        self._workers[index] = connection

    def _drop(self, index: int, connection: Connection) -> None:
        connection.close()
        if self._workers.get(index) is connection:
            del self._workers[index]


def _identity(response: Response) -> tuple[int, int] | None:
    """Which worker, and of how many, as the response says; None when it is no gateway's."""
    found = _WORKER.match(response.headers.get("x-amz-id-2", ""))
    if found is None:
        return None
    index, count = int(found[1]), int(found[2])
    return (index, count) if index <= count <= 4096 else None
