"""A port whose answers can be held back, or lost: what happens then happens in every run."""

import asyncio
from typing import Any

from cooper_operator.cluster.port import Unavailable


class Gate:
    """Holds one answer back, the first that comes, until it is opened."""

    def __init__(self) -> None:
        self.reached = asyncio.Event()
        self._opened = asyncio.Event()

    def open(self) -> None:
        """Let the answer through."""
        self._opened.set()

    async def passed(self) -> None:
        """Wait for that."""
        if not self.reached.is_set():
            self.reached.set()
            await self._opened.wait()


class Gated:
    """A port as it is, but for the calls that are held, and those whose answer is lost."""

    def __init__(self, port: Any) -> None:
        self._port = port
        self._gates: dict[tuple[Any, ...], Gate] = {}
        self._lost: dict[str, asyncio.Event] = {}

    def hold(self, name: str, *args: Any) -> Gate:
        """Hold the answer to the next call with these arguments."""
        gate = self._gates[name, *args] = Gate()
        return gate

    def lose(self, name: str) -> asyncio.Event:
        """Carry the next call out and answer that nothing is known of it. It is set then."""
        lost = self._lost[name] = asyncio.Event()
        return lost

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._port, name)
        if name not in self._lost and all(name != held for held, *_ in self._gates):
            return method

        async def call(*args: Any) -> Any:
            answer = await method(*args)
            if (gate := self._gates.get((name, *args))) is not None:
                await gate.passed()
            if (lost := self._lost.pop(name, None)) is not None:
                lost.set()
                raise Unavailable("no answer came in time")
            return answer

        return call
