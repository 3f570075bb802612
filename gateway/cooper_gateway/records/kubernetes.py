"""Records from Secrets: list them all, watch what happens after, and have it proven every two seconds.

    list --complete--> follow --the watch broke, or lags--> list ...
     |  ^
     +--+ failed: again after a pause

A watch that ends by itself is resumed where it was. After any other end the records are listed anew: nothing says
that what answers then is the same cluster at a later time, and not one that was restored from a backup.
"""

import asyncio
import logging
import random
import time
from collections.abc import Callable
from contextlib import aclosing
from typing import Final

from cooper_crds.kubernetes import REVISION_OBJECT
from cooper_gateway.records.kubernetes_api import ApiFailed, Forbidden
from cooper_gateway.records.kubernetes_progress import LAG_SECONDS, Progress
from cooper_gateway.records.kubernetes_requests import RecordsApi
from cooper_gateway.records.kubernetes_secrets import Found, SecretRecords, records_on
from cooper_gateway.records.source import MAX_SKEW_SECONDS, Intake, Reading

#: How often the revision object is read.
REVISION_SECONDS: Final = 2.0
#: Pauses after a failure double from the first to the last: an API that is back is found within the last.
_FIRST_PAUSE_SECONDS: Final = 0.1
_LAST_PAUSE_SECONDS: Final = 1.0
#: The same where lists succeed and following them does not: each of them may be large.
_LAST_RELIST_PAUSE_SECONDS: Final = 15.0
#: Having followed for so long, the next failure is a new one.
_HEALTHY_SECONDS: Final = 10.0
#: A watch that ended sooner than this did not end by itself.
_SHORTEST_WATCH_SECONDS: Final = 1.0


class Telling:
    """What the source counts and shows beside the records themselves; names as in the metrics."""

    def __init__(self, gauges: dict[str, float], counts: dict[str, int]) -> None:
        self._gauges = gauges
        self._counts = counts
        for name in ("records_relists", "records_watch_restarts"):
            counts.setdefault(name, 0)

    def count(self, name: str) -> None:
        """One more."""
        self._counts[name] += 1

    def reachable(self, yes: bool) -> None:
        """Whether the last request got what it asked for."""
        self._gauges["records_api_reachable"] = int(yes)

    def clock(self, skew: float) -> None:
        """How far the API server's clock is ahead of this one, in seconds."""
        self._gauges["records_clock_skew_seconds"] = skew


class KubernetesSource:
    """Follows one namespace's records for ever. `clock` gives Unix seconds."""

    def __init__(
        self,
        api: RecordsApi,
        records: SecretRecords,
        intake: Intake,
        telling: Telling,
        log: logging.Logger,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._api = api
        self._records = records
        self._intake = intake
        self._telling = telling
        self._log = log
        self._clock = clock
        self._progress = Progress()
        self._skewed = False

    async def follow(self) -> None:
        """List and watch until cancelled. What goes wrong is told and tried again."""
        pauses = _Pauses()
        while True:
            try:
                await self._list()
            except ApiFailed as error:
                self._failed(error)
                await pauses.wait(_LAST_PAUSE_SECONDS)
                continue
            began = time.monotonic()
            why = await self._stay_up_to_date()
            if time.monotonic() - began > _HEALTHY_SECONDS:
                pauses.reset()
            # A missing right stays missing until somebody reads of it.
            self._log.log(logging.ERROR if isinstance(why, Forbidden) else logging.INFO, "listing anew: %s", why)
            await pauses.wait(_LAST_RELIST_PAUSE_SECONDS)

    async def _list(self) -> None:
        """Take in all records as they are now. Raises ApiFailed."""
        began, found, token = self._clock(), dict[str, Found](), ""
        while True:
            page = await self._api.list_page(token)
            found.update(records_on(page))
            token = page.metadata.continue_
            if not token:
                break
        if not found and await self._api.namespace_is_missing():
            raise ApiFailed(f"there is no namespace {self._api.namespace}: create it, or name another one")
        self._telling.reachable(True)
        self._telling.count("records_relists")
        foreign = self._progress.listed(page.metadata.resource_version)
        if foreign is not None:
            self._log.error(
                "the ConfigMap %s speaks of version %d, which this cluster has not reached: it is of another cluster, "
                "and is ignored; delete it, and restart the operator",
                REVISION_OBJECT,
                foreign,
            )
        self._take(self._records.listed(found, began))
        self._log.info("%d records are listed and in use after %.2f s", self._records.usable, self._clock() - began)

    async def _stay_up_to_date(self) -> ApiFailed | str:
        """Follow what happens after a list, until that is not possible any more. Returns why."""
        tasks = [asyncio.create_task(self._watch()), asyncio.create_task(self._prove())]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            return done.pop().result()
        except ApiFailed as error:
            return error
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _watch(self) -> str:
        """Take in every event. Raises ApiFailed."""
        while True:
            began = time.monotonic()
            async with aclosing(self._api.watch(self._progress.seen)) as batches:
                async for events in batches:
                    reading, version = self._records.happened(events)
                    reading.verified_at = self._progress.saw(version)
                    self._take(reading)
            if time.monotonic() - began < _SHORTEST_WATCH_SECONDS:
                return "the watch ended as soon as it began"
            self._telling.count("records_watch_restarts")

    async def _prove(self) -> str:
        """Read the revision object again and again, until the watch lags behind what it says."""
        while True:
            began = time.monotonic()
            await self._read_revision()
            if self._progress.behind:
                await asyncio.sleep(LAG_SECONDS)
                if self._progress.behind:
                    return "the watch lags behind what was written"
            await asyncio.sleep(max(0.0, began + REVISION_SECONDS - time.monotonic()))

    async def _read_revision(self) -> None:
        began = self._clock()
        try:
            revision = await self._api.revision()
        except ApiFailed as error:
            self._failed(error)
            return
        self._telling.reachable(True)
        if revision.date is not None:
            # The header is cut to the second, and was written at some time while the request was under way.
            self._tell_skew(revision.date + 0.5 - (began + self._clock()) / 2)
        proven = self._progress.read(revision.last_write, began)
        if proven is not None:
            self._take(Reading(verified_at=proven))

    def _tell_skew(self, skew: float) -> None:
        self._telling.clock(skew)
        skewed = abs(skew) > MAX_SKEW_SECONDS
        if skewed and not self._skewed:
            self._log.error("the Kubernetes API's clock is %+.0f s from this machine's: set the wrong one right", skew)
        elif self._skewed and not skewed:
            self._log.info("the clocks of this machine and the Kubernetes API agree again")
        self._skewed = skewed

    def _take(self, reading: Reading) -> None:
        if not self._intake.take(reading):
            raise ApiFailed("the records could not be taken in")

    def _failed(self, error: ApiFailed) -> None:
        self._telling.reachable(False)
        self._intake.failed(str(error))


class _Pauses:
    """How long to wait before the next attempt: doubling, with jitter so that gateways do not come all at once."""

    def __init__(self) -> None:
        self._last = 0.0

    def reset(self) -> None:
        self._last = 0.0

    async def wait(self, longest: float) -> None:
        self._last = min(max(2 * self._last, _FIRST_PAUSE_SECONDS), longest)
        await asyncio.sleep(self._last * random.uniform(0.5, 1.0))
