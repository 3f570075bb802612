"""What a worker sees to now and then: uploads that nobody goes on with."""

import asyncio
import logging
import time
from collections.abc import Callable
from typing import Final

from cooper_gateway.access.directory import Directory
from cooper_gateway.access.freshness import RecordsNotFresh, fresh_region
from cooper_gateway.storage.port import Store, StoreError

log = logging.getLogger(__name__)

_SECONDS: Final = 600.0
_FIRST_LOOK: Final = 60.0
#: For so long requests have been served before anything is dropped, at most.
_GRACE: Final = 3600.0


async def expire_uploads(
    store: Store,
    records: Callable[[], Directory],
    clock: Callable[[], float] = time.time,
    seconds: float = _SECONDS,
) -> None:
    """Drop idle uploads each so many seconds, more often where they are to go sooner than that, until it is cancelled.
    How long one may be idle is the Region's `limits.idleUploads`."""
    pause = _FIRST_LOOK
    served_since: float | None = None
    while True:
        await asyncio.sleep(pause)
        pause, now = seconds, clock()
        try:
            region = fresh_region(records(), now)
        except RecordsNotFresh:
            served_since = None
            continue
        except Exception:  # the worker goes on, and says so each time
            log.exception("idle uploads: the records could not be read; tried again in %.0f s", pause)
            served_since = None
            continue
        # Who could not go on with an upload because nothing was served has had no time to.
        served_since = now if served_since is None else served_since
        pause = min(seconds, region.idle_uploads)
        if now - served_since < min(region.idle_uploads, _GRACE):
            continue
        try:
            dropped = await store.expire_uploads(int((now - region.idle_uploads) * 1000))
        except StoreError as error:
            log.warning("idle uploads could not be dropped: %s; tried again in %.0f s", error, pause)
            continue
        except Exception:  # a damaged upload, say: the worker goes on, and says so each time
            log.exception("idle uploads could not be dropped; tried again in %.0f s", pause)
            continue
        if dropped:
            log.info("dropped %d uploads that nothing was added to for %.0f s", dropped, region.idle_uploads)
