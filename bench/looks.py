"""Looking again and again until something holds."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

from e2e.system.s3 import S3

_PAUSE: Final = 0.005  # seconds between looks
_PATIENCE: Final = 120.0


async def until(holds: Callable[[], Awaitable[bool]]) -> None:
    """Wait until it holds. Raises TimeoutError."""
    async with asyncio.timeout(_PATIENCE):
        while not await holds():
            await asyncio.sleep(_PAUSE)


async def refused(s3: S3) -> bool:
    """Whether the key is refused."""
    return not await s3.accepted()
