"""One reconcile: observe, plan, apply; again while something came in between. Then who depends on it is woken."""

import dataclasses
import logging
from collections.abc import Callable, Mapping
from operator import attrgetter
from typing import Any, Final, Protocol

from cooper_crds.conditions import Condition, set_condition
from cooper_crds.fields import timestamp
from cooper_crds.manifest import ManifestError, Resource
from cooper_crds.records import RecordError
from cooper_operator.cluster.port import (
    AlreadyExists,
    Cluster,
    ClusterError,
    Conflict,
    NamespaceGone,
    NotFound,
    Object,
    Ref,
    Unavailable,
)
from cooper_operator.cluster.recollection import Recollection
from cooper_operator.plan.access_key import plan_access_key
from cooper_operator.plan.annotations import with_annotations
from cooper_operator.plan.bucket import plan_bucket
from cooper_operator.plan.bucket_grant import plan_bucket_grant
from cooper_operator.plan.plan import Plan
from cooper_operator.plan.reasons import INVALID_RESOURCE, RECORD_UNREADABLE, Reason
from cooper_operator.plan.region import plan_region
from cooper_operator.plan.snapshot import (
    AccessKeySnapshot,
    Blocked,
    BucketGrantSnapshot,
    BucketSnapshot,
    RegionSnapshot,
    Snapshot,
)
from cooper_operator.reconcile.apply import Applier, Work
from cooper_operator.reconcile.left_behind import LeftBehind
from cooper_operator.reconcile.look import Look
from cooper_operator.reconcile.observe import Observer
from cooper_operator.reconcile.observed import Observed
from cooper_operator.reconcile.queue import Outcome
from cooper_operator.reconcile.reading import RelatedUnreadable, section
from cooper_operator.reconcile.relations import Relations, facts_of
from cooper_operator.reconcile.usage import UsageSchedule

log = logging.getLogger(__name__)

#: Longest wait, in seconds, until it is looked again whether there is a namespace.
_LOOKS_WITHOUT_NAMESPACE: Final = 60.0
#: Looks within one reconcile, at most. Conflicts beyond that are left to the back-off.
ROUNDS: Final = 6


class Wake(Protocol):
    """Has a resource looked at. `first`: before all else of its namespace."""

    def __call__(self, ref: Ref, *, first: bool = False) -> None:
        """Have it looked at."""
        ...


class Reconciler:
    """`wake` is called for every resource that is to be looked at because of what was done here."""

    def __init__(
        self,
        cluster: Cluster,
        recollection: Recollection,
        observer: Observer,
        applier: Applier,
        relations: Relations,
        usage: UsageSchedule,
        left_behind: LeftBehind,
        clock: Callable[[], float],
        wake: Wake,
    ) -> None:
        self._cluster = cluster
        self._recollection = recollection
        self._observer = observer
        self._applier = applier
        self._relations = relations
        self._usage = usage
        self._left_behind = left_behind
        self._clock = clock
        self._wake = wake

    async def reconcile(self, ref: Ref) -> Outcome:
        """Bring one resource to what it is to be, as far as that goes now."""
        try:
            return await self._rounds(ref)
        except Unavailable as error:
            log.warning("%s: the cluster is not available: %s", ref, error)
        except RelatedUnreadable as error:
            log.warning("%s waits: %s", ref, error)
        except ClusterError as error:
            log.warning("%s: the cluster refused a write: %s", ref, error)
        return Outcome(retry=True)

    async def _rounds(self, ref: Ref) -> Outcome:
        blocked: Blocked | None = None
        for number in range(ROUNDS):
            look = Look(self._cluster, self._recollection, live=number > 0)
            obj = await look.resource(ref)
            if obj is None or "deletionTimestamp" in obj["metadata"]:
                look = Look(self._cluster, self._recollection, live=True)  # what is taken away is read first
            work = Work(obj)
            try:
                observed = await self._observe(ref, obj, blocked, look)
                plan = make_plan(observed.snapshot)
                stopped = await self._applier.apply(work, plan)
                if plan.unreadable and stopped is None:
                    return await self._report(ref, work.obj, RecordError(plan.unreadable))
            except NamespaceGone as error:
                return await self._leave(ref, obj, error)
            except (Conflict, AlreadyExists, NotFound):
                blocked = None
                continue
            except (ManifestError, RecordError) as error:
                return await self._report(ref, obj, error)
            finally:
                for touched in work.touched:
                    self._wake(touched)
            if stopped is None:
                return self._settled(observed, work.obj, plan)
            blocked = stopped
        return Outcome(retry=True)

    async def _leave(self, ref: Ref, obj: Object | None, error: NamespaceGone) -> Outcome:
        """Nothing in that namespace can be written to: see whether all of it is being deleted, and come back seldom."""
        log.info("%s: %s", ref, error)
        if error.namespace == ref.namespace and obj is not None and "deletionTimestamp" not in obj["metadata"]:
            await self._left_behind.delete(ref.namespace)
        return Outcome(retry=True, retry_cap=_LOOKS_WITHOUT_NAMESPACE)

    async def _observe(self, ref: Ref, obj: Object | None, blocked: Blocked | None, look: Look) -> Observed:
        """Look, and note what was seen of others. What one of them became meanwhile has woken nobody here: there is
        another look then, after what this one says is done. Where others settle all the time nothing would be."""
        with self._relations.look() as meanwhile:
            observed = await self._observer.observe(ref, obj, blocked, look)
        self._relations.saw(ref, observed.seen)
        if self._relations.is_outdated(ref, meanwhile):
            self._wake(ref, first=any(self._is_of_rights(ref, related) for related in meanwhile))
        return observed

    def _settled(self, observed: Observed, obj: Object | None, plan: Plan[Any]) -> Outcome:
        """All steps are done: wake whoever saw something else, and say when to look again."""
        self._wake_dependents(observed.ref, obj)
        uid = "" if observed.obj is None else observed.obj["metadata"]["uid"]
        if obj is None:
            if observed.ref.kind != "Region":
                for left in self._observer.regions_left():  # it may have been the last one there
                    self._wake(left)
            self._relations.saw(observed.ref, {} if observed.ref.kind != "Region" else observed.seen)
            self._usage.forget(uid)
            return Outcome()
        now = self._clock()
        times = [at for at in (plan.requeue_at, self._usage.next(uid)) if at is not None]
        return Outcome(plan.retry, plan.retry_cap, max(0.0, min(times) - now) if times else None)

    def _wake_dependents(self, ref: Ref, obj: Object | None) -> None:
        for dependent in self._relations.settled(ref, facts_of(obj)):
            if dependent != ref:
                self._wake(dependent, first=self._is_of_rights(dependent, ref))

    def _is_of_rights(self, dependent: Ref, related: Ref) -> bool:
        """Whether a key may have a right by the BucketGrants of another namespace, one of which is another now."""
        return related.kind == "BucketGrant" and self._relations.uses(dependent, related.namespace)

    async def _report(self, ref: Ref, obj: Object | None, error: Exception) -> Outcome:
        """Say in status what cannot be read. Nothing else is changed, and only a change helps: look again seldom."""
        log.warning("%s: %s", ref, error)
        reason = RECORD_UNREADABLE if isinstance(error, RecordError) else INVALID_RESOURCE
        if obj is not None:
            written = await self._write_problem(obj, reason, str(error))
            if written is not None:  # once: of two that cannot be read, each would wake the other for ever
                self._wake_dependents(ref, written)
        return Outcome(retry=True)

    async def _write_problem(self, obj: Object, reason: Reason, text: str) -> Object | None:
        """The resource as it was written; None where it says so already, or changed."""
        status = dict(section(obj, "status"))
        try:
            before = [Condition.model_validate(each) for each in status.get("conditions", [])]
        except ValueError:
            before = []
        generation = obj["metadata"].get("generation", 0)
        message = f"{text}. {reason.advice}"
        after = set_condition(before, "Ready", "False", reason.name, message, timestamp(self._clock()), generation)
        if after == before:
            return None
        status["conditions"] = [each.model_dump(by_alias=True, exclude_none=True) for each in after]
        try:
            written = await self._cluster.update_status({**obj, "status": status})
        except (Conflict, NotFound):
            return None  # it changed: the next look says it, if it still holds
        await self._cluster.emit(written, reason.severity, reason.name, message)
        return written


@dataclasses.dataclass(frozen=True, slots=True)
class _Planner:
    """Of a kind of snapshot: which resource it is of, and who plans for it."""

    resource_of: Callable[[Any], Resource | None]
    plan: Callable[[Any], Plan[Any]]


_PLANNERS: Final[Mapping[type[Snapshot], _Planner]] = {
    RegionSnapshot: _Planner(attrgetter("region"), plan_region),
    BucketSnapshot: _Planner(attrgetter("bucket"), plan_bucket),
    BucketGrantSnapshot: _Planner(attrgetter("grant"), plan_bucket_grant),
    AccessKeySnapshot: _Planner(attrgetter("access_key"), plan_access_key),
}


def make_plan(snapshot: Snapshot | None) -> Plan[Any]:
    """The plan for a snapshot; nothing to do for a resource that is gone."""
    if snapshot is None:
        return Plan((), None)
    planner = _PLANNERS[type(snapshot)]
    plan, resource = planner.plan(snapshot), planner.resource_of(snapshot)
    if plan.status is None or resource is None:
        return plan
    return dataclasses.replace(plan, status=with_annotations(plan.status, resource, snapshot.now))
