"""Leader election by a Lease, as client-go does it: of several operators one works.

acquire ──ours──► hold ──not renewed in time, or another's──► LeadershipLost
                    └────cancelled────► release

Every write is create-only or at the version that was read, so of two candidates one wins. Who leads believes so for
`renew_deadline` after the last renewal was sent, and others wait for `duration` after they saw it.
"""

import asyncio
import logging
import math
import random
import secrets
import socket
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

from cooper_crds.kubernetes import LEASE
from cooper_operator.cluster.kubernetes_api import KubernetesApi
from cooper_operator.cluster.lease import Action, Lease, Settings, Sight, decide, held_by, lease_of, released, see
from cooper_operator.cluster.port import AlreadyExists, ClusterError, Conflict, NotFound, Unavailable
from cooper_operator.cluster.problems import printable

log = logging.getLogger(__name__)

#: Seconds that a release may take at the end of the process.
_RELEASE_TIMEOUT: Final = 3.0
#: Seconds. No request is begun that has less time than this before the deadline.
_SHORTEST_REQUEST: Final = 0.01
_LONGEST_IDENTITY: Final = 200


class LeadershipLost(Exception):
    """This operator leads no longer; the message says why. Whatever it does must end."""


def identity() -> str:
    """A name for this process that no other has. It is no secret."""
    return f"{socket.gethostname()}_{secrets.token_hex(8)}"


class Leadership:
    """One candidate. `api` is one of its own: renewals must not wait behind the operator's other requests.

    `clock` gives seconds since the epoch, for people; `monotonic` decides. `attempted` is told of each attempt to
    read or write the Lease: why it failed, or an empty text.
    """

    def __init__(
        self,
        api: KubernetesApi,
        namespace: str,
        identity: str,
        settings: Settings | None = None,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
        *,
        attempted: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._api = api
        self._path = f"/apis/coordination.k8s.io/v1/namespaces/{namespace}/leases"
        self._about = f"Lease {namespace}/{LEASE}"
        self._identity = identity
        self._settings = settings or Settings()
        self._clock = clock
        self._monotonic = monotonic
        self._attempted = attempted
        #: Whether who led before gave the Lease up: he does nothing any more. Of anybody else that is not known.
        self.handed_over = False
        self._sight: Sight | None = None
        self._version = 0  # of the Lease when it was last there
        self._leads_until = -math.inf
        self._failure: str | None = None  # of the last attempt
        self._told: set[type[Exception]] = set()  # in this outage
        self._told_holder: str | None = None

    @property
    def is_leader(self) -> bool:
        """Whether this operator leads: false as soon as the deadline has passed, whatever it waits for."""
        return self._monotonic() < self._leads_until

    async def acquire(self) -> None:
        """Wait until this operator leads. Faults are waited for."""
        while True:
            await self._attempt(self._enter, self._settings.request_timeout)
            if self.is_leader:
                log.info("%s: this operator leads, as %s", self._about, self._identity)
                return
            await asyncio.sleep(self._pause())

    async def hold(self) -> None:
        """Renew for as long as that succeeds. Raises LeadershipLost."""
        try:
            while True:
                await asyncio.sleep(min(self._settings.retry_period, self._remaining()))
                await self._attempt(self._renew, min(self._settings.request_timeout, self._remaining()))
        except LeadershipLost:
            self._leads_until = -math.inf
            raise

    async def release(self) -> None:
        """Give the Lease up if it is ours, so that nobody has to wait for its end. Takes seconds at most; never fails.

        What leadership guarded must have ended before, and `hold` too.
        """
        led, self._leads_until = self._leads_until > -math.inf, -math.inf
        if not led and not self._is_ours():
            return  # it never was
        try:
            async with asyncio.timeout(_RELEASE_TIMEOUT):
                await self._release()
        except (ClusterError, TimeoutError) as error:
            log.warning("%s could not be released, others wait until it ends: %s", self._about, _said(error))

    def _is_ours(self) -> bool:
        """Whether the Lease was ours when it was last seen."""
        lease = self._sight.lease if self._sight is not None else None
        return lease is not None and lease.holder == self._identity

    def _pause(self) -> float:
        """Until the next attempt: the retry period with jitter, or what is left of another's time."""
        pause = self._settings.retry_period * (0.5 + random.random() / 2)
        left = self._sight.free_at - self._monotonic() if self._sight is not None else 0.0
        return min(pause, left) if left > 0 else pause

    def _remaining(self) -> float:
        remaining = self._leads_until - self._monotonic()
        if remaining < _SHORTEST_REQUEST:
            why = self._failure or "this process was halted meanwhile"
            raise LeadershipLost(f"{self._about} was not renewed for {self._settings.renew_deadline:g} s: {why}")
        return remaining

    async def _attempt(self, work: Callable[[], Awaitable[None]], seconds: float) -> None:
        """What fails is told once in an outage."""
        try:
            async with asyncio.timeout(seconds):
                await work()
        except (ClusterError, TimeoutError) as error:
            self._failed(error)
            self._attempted(f"{self._about}: {self._failure}")
            return
        self._attempted("")
        if self._told:
            log.info("%s can be read and written again", self._about)
        self._failure = None
        self._told.clear()

    def _failed(self, error: Exception) -> None:
        # That somebody else was quicker is no fault, unless it goes on.
        told = isinstance(error, AlreadyExists | Conflict) and self._failure is None
        self._failure = _said(error)
        if not told and type(error) not in self._told:
            self._told.add(type(error))
            log.warning("%s cannot be read or written, it is tried again: %s", self._about, self._failure)

    async def _enter(self) -> None:
        sight = self._saw(await self._read())
        action = decide(sight, self._identity, self._monotonic())
        if action == "wait":
            self._tell_holder(sight.lease)
        else:
            self.handed_over = False  # also when its answer is lost
            await self._write(action, sight.lease)
            self.handed_over = action == "take" and sight.lease is not None and sight.lease.given_up

    async def _renew(self) -> None:
        try:
            await self._go_on()
        except (AlreadyExists, Conflict, NotFound):
            self._saw(await self._read())
            await self._go_on()

    async def _go_on(self) -> None:
        """Renew what is ours as far as is known. One that was deleted is made anew, which only one can do."""
        lease = self._sight.lease if self._sight is not None else None
        if lease is not None and lease.holder != self._identity:
            raise LeadershipLost(f"{self._about} is no longer this operator's: {_holder(lease)}")
        await self._write("create" if lease is None else "renew", lease)

    async def _write(self, action: Action, lease: Lease | None) -> None:
        begun = self._monotonic()
        spec = held_by(lease, action, self._identity, self._settings, self._clock())
        written = await self._put(lease, spec)
        self._saw(written)
        if written.holder != self._identity:
            raise Unavailable(f"{self._about} was written, and it says now: {_holder(written)}; look at the webhooks")
        self._leads_until = begun + self._settings.renew_deadline
        self._told_holder = None

    async def _release(self) -> None:
        while (lease := await self._read()) is not None and lease.holder == self._identity:
            try:
                self._saw(await self._put(lease, released(lease, self._clock())))
            except Conflict:
                continue  # a renewal whose answer was lost
            log.info("%s: this operator leads no longer", self._about)
            return

    def _saw(self, found: Lease | None) -> Sight:
        self._sight = see(self._sight, found, self._identity, self._settings, self._monotonic())
        before, self._version = self._version, self._version if found is None else found.version
        if 0 < self._version < before and self._leads_until > -math.inf:
            # All that a leader remembers bears versions that mean something else by now, or nothing yet.
            raise LeadershipLost(f"{self._about} is older than it was: the cluster was restored from a backup")
        return self._sight

    async def _read(self) -> Lease | None:
        try:
            return self._lease(await self._api.get(f"{self._path}/{LEASE}", self._about))
        except NotFound:
            return None

    async def _put(self, lease: Lease | None, spec: Mapping[str, Any]) -> Lease:
        made = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "spec": spec}
        if lease is None:
            return self._lease(await self._api.create(self._path, self._about, {**made, "metadata": {"name": LEASE}}))
        # A PUT may make a Lease that is absent. The UID in its metadata keeps it from that.
        body = {**made, "metadata": lease.metadata}
        return self._lease(await self._api.replace(f"{self._path}/{LEASE}", self._about, body))

    def _lease(self, answer: Mapping[str, Any]) -> Lease:
        lease = lease_of(answer)
        if lease is None:
            raise Unavailable(f"{self._about}: the API server's answer is no object with a resourceVersion")
        return lease

    def _tell_holder(self, lease: Lease | None) -> None:
        holder = _holder(lease)
        if holder != self._told_holder:
            self._told_holder = holder
            log.info("%s: %s; this operator waits", self._about, holder)


def _holder(lease: Lease | None) -> str:
    if lease is None:
        return "it was deleted, and who held it may not know yet"
    if lease.holder is None:
        return "it does not tell who holds it"
    return f"{printable(lease.holder[:_LONGEST_IDENTITY])} holds it" if lease.holder else "nobody holds it"


def _said(error: Exception) -> str:
    return "the API server did not answer in time" if isinstance(error, TimeoutError) else str(error)
