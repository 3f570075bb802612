"""The operator: composes queue, reconciler, sweep and polls over the two ports, and runs them until it is stopped."""

import asyncio
import logging
import secrets
import string
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final, TypeVar

from cooper_crds.records import RecordError
from cooper_operator.cluster.port import Cluster, ClusterError, Kind, Ref
from cooper_operator.cluster.recollection import Nothing, Recollection
from cooper_operator.gateways.port import Gateways
from cooper_operator.gateways.system_key import SystemKey
from cooper_operator.reconcile.apply import Applier
from cooper_operator.reconcile.damage import Mender
from cooper_operator.reconcile.intents import Intents
from cooper_operator.reconcile.left_behind import LeftBehind
from cooper_operator.reconcile.observe import Observer
from cooper_operator.reconcile.queue import Outcome, Queue
from cooper_operator.reconcile.reading import is_settled, ref_of
from cooper_operator.reconcile.reconciler import Reconciler
from cooper_operator.reconcile.records_index import RecordsIndex
from cooper_operator.reconcile.relations import Relations
from cooper_operator.reconcile.sweep import Sweeper
from cooper_operator.reconcile.system_key import issue_system_key, kept_key
from cooper_operator.reconcile.telemetry import Telemetry
from cooper_operator.reconcile.usage import UsageSchedule
from cooper_operator.reconcile.wishes import Wishes

log = logging.getLogger(__name__)

_T = TypeVar("_T")
_KINDS: Final[tuple[Kind, ...]] = ("Region", "Bucket", "BucketGrant", "AccessKey")
_ALPHABET: Final = string.ascii_letters + string.digits
_SECRET_LENGTH: Final = 40
_FIRST_PAUSE: Final = 0.1
_LONGEST_PAUSE: Final = 10.0


def random_secret() -> str:
    """A secret key: 40 characters, 238 bits."""
    number, letters = secrets.randbelow(len(_ALPHABET) ** _SECRET_LENGTH), list[str]()
    for _ in range(_SECRET_LENGTH):
        number, at = divmod(number, len(_ALPHABET))
        letters.append(_ALPHABET[at])
    return "".join(letters)


@dataclass(frozen=True, slots=True)
class Intervals:
    """How often things are looked at that tell nothing by themselves, in seconds."""

    intents: float = 1.0
    returns: float = 1.0  # of gateways that were silent
    deletions: float = 0.5  # of resources that were not held until their keys were revoked
    usage: float = 300.0
    sweep: float = 180.0
    resync: float = 600.0


class Operator:
    """Brings what the cluster holds to what its resources say, until `stop`.

    `default_endpoint` is delivered for Regions that name no internal one. `system_key` is told the operator's own key,
    which `keep_key` keeps: nobody who used it before may still be at work.
    `recollection` is what first looks are taken at.
    """

    def __init__(
        self,
        cluster: Cluster,
        gateways: Gateways,
        *,
        system_key: SystemKey | None = None,
        keep_key: bool = False,
        recollection: Recollection | None = None,
        telemetry: Telemetry | None = None,
        clock: Callable[[], float] = time.time,
        default_endpoint: str = "",
        intervals: Intervals | None = None,
        concurrency: int = 16,
        new_secret: Callable[[], str] = random_secret,
    ) -> None:
        self._cluster = cluster
        self._gateways = gateways
        self._system_key = system_key or SystemKey()
        self._keep_key = keep_key
        self._intervals = intervals or Intervals()
        self._new_secret = new_secret
        self._index = RecordsIndex(self._wake)
        usage = UsageSchedule(self._intervals.usage)
        self._seen = recollection or Nothing()
        self._telemetry = telemetry or Telemetry()
        observer = Observer(cluster, gateways, self._index, usage, clock, default_endpoint, self._seen)
        applier = Applier(cluster, gateways, self._index, new_secret)
        self._relations = Relations()
        left_behind = LeftBehind(cluster, self._seen)
        self._reconciler = Reconciler(
            cluster, self._seen, observer, applier, self._relations, usage, left_behind, clock, self._wake
        )
        wishes = Wishes(cluster, gateways, clock, self._wake, self._seen, self._telemetry)
        self._intents = Intents(cluster, gateways, clock, self._wake, wishes, self._telemetry, default_endpoint)
        mender = Mender(cluster, self._index, new_secret, clock, self._wake)
        self._sweeper = Sweeper(cluster, gateways, self._index, mender, left_behind, clock, self._wake, self._seen)
        self._concurrency = concurrency
        self._queue: Queue | None = None
        self._main: asyncio.Task[None] | None = None

    async def run(self) -> None:
        """Work until `stop` is called or the task is cancelled."""
        self._main = asyncio.create_task(self._run())
        try:
            await self._main
        except asyncio.CancelledError:
            if not self._main.cancelled():
                await self.stop()
                raise

    async def stop(self) -> None:
        """End all work and wait for it; `run` returns then. What was half done is finished at the next start."""
        if self._main is not None:
            self._main.cancel()
            await asyncio.gather(self._main, return_exceptions=True)

    def hurry(self) -> None:
        """Look at once at all that waits for gateways or the cluster: they may be there now. And at Regions, which say
        how theirs stand."""
        if self._queue is not None:
            self._queue.hurry()
            for name in sorted(self._index.regions):
                self._queue.add(Ref("Region", "", name))

    @property
    def idle(self) -> bool:
        """Whether everything that was seen has been dealt with, as far as it can be now."""
        return self._queue is not None and self._queue.idle

    async def _run(self) -> None:
        records = await self._insist("reading records", self._cluster.list_records)
        self._index.fill([(each.name, each.record) for each in records])
        kept = kept_key(records) if self._keep_key else None
        self._system_key.use(
            kept
            or await self._insist("writing the system key", lambda: issue_system_key(self._cluster, self._new_secret))
        )
        self._queue = queue = Queue(self._reconcile, concurrency=self._concurrency)
        self._telemetry.follow_queue(lambda: queue.depth, lambda: queue.age)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._watch())
                group.create_task(_every(self._intervals.intents, self._intents.poll))
                group.create_task(_every(self._intervals.returns, self._greet))
                group.create_task(_every(self._intervals.deletions, self._sweeper.stop_deleted))
                group.create_task(_every(self._intervals.sweep, self._sweeper.sweep))
                group.create_task(_every(self._intervals.resync, self._resync, at_once=False))
        finally:
            await self._queue.stop()
            self._telemetry.forget()

    async def _reconcile(self, ref: Ref) -> Outcome:
        began = time.monotonic()
        outcome = await self._reconciler.reconcile(ref)
        self._telemetry.reconciled(ref, retry=outcome.retry, seconds=time.monotonic() - began)
        self._telemetry.saw(ref, self._seen.resource(ref))
        return outcome

    async def _greet(self) -> None:
        """Nobody else tells that a gateway that hung goes on."""
        if await self._gateways.returned():
            self.hurry()

    def _wake(self, ref: Ref, *, first: bool = False) -> None:
        if self._queue is not None:
            self._queue.add(ref, first=first)

    def _wake_seen(self, ref: Ref) -> None:
        """What was never looked at and says that all is well comes last: others wait for something."""
        obj = self._seen.resource(ref)
        self._telemetry.saw(ref, obj)
        routine = ref.kind != "Region" and not self._relations.knows(ref) and is_settled(obj)
        if self._queue is not None:
            self._queue.add(ref, routine=routine)

    async def _watch(self) -> None:
        pause = _FIRST_PAUSE
        while True:
            try:
                async for ref in self._cluster.watch():
                    pause = _FIRST_PAUSE
                    self._wake_seen(ref)
            except ClusterError as error:
                log.warning("the watch broke and is begun anew: %s", error)
            await asyncio.sleep(pause)
            pause = min(pause * 2, _LONGEST_PAUSE)

    async def _resync(self) -> None:
        """Look at everything again, behind all that is new."""
        for kind in _KINDS:
            try:
                objects = await self._cluster.list_kind(kind)
            except ClusterError as error:
                log.warning("the resync of %s was left out: %s", kind, error)
                continue
            for obj in objects:
                if self._queue is not None:
                    self._queue.add(ref_of(obj), routine=True)

    async def _insist(self, what: str, action: Callable[[], Awaitable[_T]]) -> _T:
        """Repeat until the cluster can be reached: nothing is done before."""
        pause = _FIRST_PAUSE
        while True:
            try:
                return await action()
            except (ClusterError, RecordError) as error:
                log.warning("%s failed, it is tried again: %s", what, error)
            await asyncio.sleep(pause)
            pause = min(pause * 2, _LONGEST_PAUSE)


async def _every(interval: float, action: Callable[[], Awaitable[object]], *, at_once: bool = True) -> None:
    """Do something again and again. A failure that nobody expected is logged and does not end it."""
    if not at_once:
        await asyncio.sleep(interval)
    while True:
        try:
            await action()
        except Exception:
            log.exception("a periodic task failed; it is done again later")
        await asyncio.sleep(interval)
