"""How fast the machine itself is meanwhile: other guests of its host slow it down, which no figure of its own tells."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

_PAUSE = 2.0  # seconds between two samples
_STEPS = 100_000


class Pace:
    """The processor's time that the same small work takes, again and again."""

    def __init__(self) -> None:
        self._samples: list[float] = []

    @asynccontextmanager
    async def sampled(self) -> AsyncIterator[None]:
        """Take samples beside what is measured: at a hundredth of one processor."""
        task = asyncio.create_task(self._sample())
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    @property
    def taken(self) -> int:
        """How many samples there are by now."""
        return len(self._samples)

    def since(self, first: int) -> float:
        """The pace from a sample on: 1 is as fast as this machine was at any time of the run."""
        found = self._samples[first:]
        return min(self._samples) * len(found) / sum(found) if found else float("nan")

    async def _sample(self) -> None:
        while True:
            self._samples.append(await asyncio.to_thread(_work))
            await asyncio.sleep(_PAUSE)


def _work() -> float:
    """Seconds of this thread's time."""
    began, value, texts = time.thread_time(), 0, {}
    for step in range(_STEPS):
        value = (value * 31 + step) & 0xFFFF
        texts[step % 1000] = str(value)
    return time.thread_time() - began
