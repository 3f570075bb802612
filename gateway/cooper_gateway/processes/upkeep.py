"""What a worker sees to now and then: uploads that nobody goes on with."""

import asyncio
import logging
import time
from collections.abc import Callable
from typing import Final

from cooper_gateway.access.directory import Directory
from cooper_gateway.storage.port import Store, StoreError

log = logging.getLogger(__name__)

_SECONDS: Final = 600.0


async def expire_uploads(
    store: Store,
    records: Callable[[], Directory],
    clock: Callable[[], float] = time.time,
    seconds: float = _SECONDS,
) -> None:
    """Drop idle uploads each so many seconds, by the Region's `limits.idleUploads`, until it is cancelled."""
    while True:
        await asyncio.sleep(seconds)
        try:
            region = records().region()
            if region is None:
                continue
            dropped = await store.expire_uploads(int((clock() - region.idle_uploads) * 1000))
        except StoreError as error:
            log.warning("idle uploads could not be dropped: %s; tried again in %.0f s", error, seconds)
            continue
        except Exception:  # a damaged upload, say: the worker goes on, and says so each time
            log.exception("idle uploads could not be dropped; tried again in %.0f s", seconds)
            continue
        if dropped:
            log.info("dropped %d uploads that nothing was added to for %.0f s", dropped, region.idle_uploads)
