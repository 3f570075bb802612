"""A port whose answers can be held back: what happens between an answer and its arrival happens in every run."""

import asyncio
from typing import Any


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
    """A port as it is, but for the calls that are held."""

    def __init__(self, port: Any) -> None:
        self._port = port
        self._gates: dict[tuple[Any, ...], Gate] = {}

    def hold(self, name: str, *args: Any) -> Gate:
        """Hold the answer to the next call with these arguments."""
        gate = self._gates[name, *args] = Gate()
        return gate

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._port, name)
        if all(name != held for held, *_ in self._gates):
            return method

        async def call(*args: Any) -> Any:
            answer = await method(*args)
            if (gate := self._gates.get((name, *args))) is not None:
                await gate.passed()
            return answer

        return call
