"""Apply: carry out a plan's steps in order, stop at the one that must wait, and write status last, if it differs."""

import logging
from collections import defaultdict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Final, cast

import msgspec

from cooper_crds.conditions import Condition
from cooper_crds.delivery import SealedKey
from cooper_crds.meta import DELETION, DELETION_FINAL
from cooper_crds.records import KeyRecord
from cooper_crds.rotation import WorkloadName
from cooper_crds.sealing import seal
from cooper_crds.stored import StoredRecord, Workload
from cooper_operator.cluster.port import Cluster, Invalid, NotAllowed, NotFound, Object, Ref
from cooper_operator.gateways.port import BucketNotEmpty, Gateways, GatewayUnavailable, Purged
from cooper_operator.plan import steps as do
from cooper_operator.plan.delivery import content_mark
from cooper_operator.plan.plan import Plan, Status
from cooper_operator.plan.reasons import (
    ADOPTED,
    DELETION_CALLED_OFF,
    KEY_REISSUED,
    KEY_ROTATED,
    REASONS,
    ROLLING_OUT,
    ROLLOUT_REFUSED,
    SECRET_REWRITTEN,
    Reason,
)
from cooper_operator.plan.snapshot import FINALIZER, Blocked
from cooper_operator.reconcile.patience import Incomplete, Patience
from cooper_operator.reconcile.reading import ref_of, section
from cooper_operator.reconcile.records_index import RecordsIndex

log = logging.getLogger(__name__)

#: Restarts that are refused and of which it is known what was told.
_MOST_REFUSED: Final = 10_000
#: Steps whose refusal by the cluster is for the user to know: he named what is written.
_MAY_BE_REFUSED: Final = (do.CreateAccessKey, do.UpdateAccessKey, do.DeliverCredentials)


@dataclass(slots=True)
class Work:
    """One carrying out: the resource as it is by now, and what was made on the way."""

    obj: Object | None
    touched: list[Ref] = field(default_factory=list[Ref])  # resources that it made or changed
    records: dict[str, StoredRecord] = field(default_factory=dict[str, StoredRecord])  # as they are by now
    workloads: dict[WorkloadName, Workload] = field(default_factory=dict[WorkloadName, Workload])  # the same
    sealed: SealedKey | None = None
    # Secrets of keys issued here, by key id.
    secrets: dict[str, str] = field(default_factory=dict[str, str], repr=False)

    @property
    def resource(self) -> Object:
        """The resource, which is there while there are steps."""
        if self.obj is None:
            raise NotFound("the resource is gone")
        return self.obj

    def with_secret(self, key: KeyRecord) -> KeyRecord:
        """The key with the secret that was made for it here."""
        return msgspec.structs.replace(key, secret_key=self.secrets.get(key.access_key_id, key.secret_key))


class Applier:
    """Carries steps out through the ports. `new_secret` makes a key's secret."""

    def __init__(
        self, cluster: Cluster, gateways: Gateways, index: RecordsIndex, new_secret: Callable[[], str]
    ) -> None:
        self._cluster = cluster
        self._gateways = gateways
        self._index = index
        self._new_secret = new_secret
        self._patience: defaultdict[str, Patience] = defaultdict(Patience)  # by Region
        self._refused: dict[tuple[str, WorkloadName], str] = {}  # what was told last of a restart, by the owner's UID
        self._table: dict[type, Callable[[Any, Work], Awaitable[None]]] = {
            do.AddFinalizer: self._add_finalizer,
            do.RemoveFinalizer: self._remove_finalizer,
            do.MakeDeletionFinal: self._make_deletion_final,
            do.EndRecall: self._end_recall,
            do.CreateRecord: self._create_record,
            do.IssueKey: self._issue_key,
            do.UpdateRecord: self._update_record,
            do.AdoptBucket: self._adopt_bucket,
            do.DeleteRecord: self._delete_record,
            do.ProveSettings: self._prove_settings,
            do.ProveWorks: self._prove_works,
            do.ProveDenied: self._prove_denied,
            do.ProveApiAccess: self._prove_api_access,
            do.DeliverCredentials: self._deliver_credentials,
            do.SealCredentials: self._seal_credentials,
            do.DeleteCredentials: self._delete_credentials,
            do.MarkWorkload: self._mark_workload,
            do.RollWorkload: self._roll_workload,
            do.CreateAccessKey: self._create_access_key,
            do.UpdateAccessKey: self._update_access_key,
            do.DeleteAccessKey: self._delete_access_key,
            do.CloseBucket: self._close_bucket,
            do.ReopenBucket: self._reopen_bucket,
            do.PurgeBucket: self._purge_bucket,
            do.DestroyBucket: self._destroy_bucket,
        }

    async def apply(self, work: Work, plan: Plan[Any]) -> Blocked | None:
        """Carry the plan out. None: all is done, status too. Raises what the cluster's port raises."""
        for step in plan.steps:
            blocked = await self._step(step, work)
            if blocked is not None:
                return blocked
        if plan.status is not None and work.obj is not None:
            await self._write_status(work, _with_what_was_made(plan.status, plan.proven, work))
        return None

    async def _step(self, step: do.Step, work: Work) -> Blocked | None:
        try:
            await self._table[type(step)](step, work)
        except Incomplete as incomplete:
            return Blocked(type(step), incomplete.why, incomplete.detail, proven=incomplete.proven)
        except GatewayUnavailable as error:
            return Blocked(type(step), "unavailable", str(error))
        except _Purging as so_far:
            found = so_far.found
            return Blocked(type(step), "purging", objects=found.objects, objects_before=found.objects_before)
        except BucketNotEmpty:
            objects = await self._count(cast(do.CloseBucket, step))
            return Blocked(type(step), "not-empty", objects=objects)
        except (Invalid, NotAllowed) as error:
            if type(step) not in _MAY_BE_REFUSED:
                raise
            return Blocked(type(step), "refused", str(error))
        return None

    # The resource itself

    async def _add_finalizer(self, step: do.AddFinalizer, work: Work) -> None:
        work.obj = await self._cluster.update(_with_finalizers(work.resource, add=True))

    async def _remove_finalizer(self, step: do.RemoveFinalizer, work: Work) -> None:
        await self._cluster.update(_with_finalizers(work.resource, add=False))
        work.obj = None

    async def _make_deletion_final(self, step: do.MakeDeletionFinal, work: Work) -> None:
        # A write at the version that was decided on: it fails when the deletion was called off meanwhile.
        work.obj = await self._cluster.update(_with_deletion(work.resource, DELETION_FINAL))

    async def _end_recall(self, step: do.EndRecall, work: Work) -> None:
        work.obj = await self._cluster.update(_with_deletion(work.resource, None))
        await self._emit(work.obj, DELETION_CALLED_OFF, "the deletion was called off")

    async def _write_status(self, work: Work, status: Status) -> None:
        before = section(work.resource, "status")
        after = status.model_dump(by_alias=True, exclude_none=True)
        if after == before:
            return
        work.obj = await self._cluster.update_status({**work.resource, "status": after})
        await self._tell(work.obj, before.get("conditions", []), status.conditions)

    async def _tell(self, about: Object, before: list[dict[str, Any]], after: list[Condition]) -> None:
        """One event for each reason that is new and tells something: a state that lasts is told once.

        What is well is told as a whole, by Ready, and a revocation as soon as it holds everywhere.
        """
        known = {(each["type"], each["status"], each["reason"]) for each in before}
        told: set[str] = set()
        for each in after:
            reason = REASONS.get(each.reason)
            if (each.type, each.status, each.reason) in known or each.reason in told or reason is None:
                continue
            revoked = each.type == "Revoked" and each.status == "True"
            if each.type == "Ready" or revoked or reason.severity == "Warning":
                told.add(each.reason)
                await self._cluster.emit(about, reason.severity, each.reason, each.message)

    async def _emit(self, about: Object, reason: Reason, text: str) -> None:
        log.info("%s: %s: %s", ref_of(about), reason.name, text)
        await self._cluster.emit(about, reason.severity, reason.name, f"{text}. {reason.advice}")

    # Records

    async def _create_record(self, step: do.CreateRecord, work: Work) -> None:
        work.records[step.name] = await self._cluster.create_record(step.name, step.record)
        self._index.wrote(step.name, step.record)

    async def _issue_key(self, step: do.IssueKey, work: Work) -> None:
        key = msgspec.structs.replace(step.record, secret_key=self._new_secret())
        work.records[step.name] = await self._cluster.create_record(step.name, key)
        work.secrets[key.access_key_id] = key.secret_key
        self._index.wrote(step.name, key)
        if key.replaces:
            text = f"a new key {key.access_key_id} was issued, to take the place of {key.replaces}"
            await self._emit(work.resource, KEY_ROTATED, text)
        elif key.serial:
            await self._emit(work.resource, KEY_REISSUED, f"a new key {key.access_key_id} was issued")

    async def _update_record(self, step: do.UpdateRecord, work: Work) -> None:
        current = _current(step.current, work)
        work.records[current.name] = await self._cluster.update_record(current, step.record)
        self._index.wrote(current.name, step.record)

    async def _adopt_bucket(self, step: do.AdoptBucket, work: Work) -> None:
        await self._update_record(do.UpdateRecord(step.current, step.record), work)
        text = f"the bucket {step.record.name} was taken over, with what it holds"
        await self._emit(work.resource, ADOPTED, text)

    async def _delete_record(self, step: do.DeleteRecord, work: Work) -> None:
        await self._cluster.delete_record(_current(step.current, work))
        self._index.removed(step.current.name)

    # Probes

    async def _prove_settings(self, step: do.ProveSettings, work: Work) -> None:
        await self._patience[step.region.name].until_complete(lambda: self._gateways.prove_settings(step.region))

    async def _prove_works(self, step: do.ProveWorks, work: Work) -> None:
        key, buckets = work.with_secret(step.key), list(step.buckets)
        await self._patience[step.region.name].until_complete(
            lambda: self._gateways.prove_works(step.region, key, buckets)
        )

    async def _prove_denied(self, step: do.ProveDenied, work: Work) -> None:
        await self._patience[step.region.name].until_complete(
            lambda: self._gateways.prove_denied(step.region, step.key)
        )

    async def _prove_api_access(self, step: do.ProveApiAccess, work: Work) -> None:
        denied = step.bucket.api_access == "Revoked"
        ask = self._gateways.prove_bucket_denied if denied else self._gateways.prove_bucket_allowed
        await self._patience[step.region.name].until_complete(lambda: ask(step.region, step.bucket, step.key))

    # Credentials

    async def _deliver_credentials(self, step: do.DeliverCredentials, work: Work) -> None:
        key = work.with_secret(step.key)
        data, owner, beside = step.content.data(key.secret_key), work.resource, step.content.in_config_map
        if step.current is None:
            namespace = cast(str, owner["metadata"]["namespace"])
            await self._cluster.create_credentials(namespace, step.name, data, owner, key.access_key_id, beside)
        else:
            await self._cluster.update_credentials(step.current, data, owner, key.access_key_id, beside)
        if step.rewrites:
            await self._emit(work.resource, SECRET_REWRITTEN, f"{step.rewrites}; it was written again")

    async def _seal_credentials(self, step: do.SealCredentials, work: Work) -> None:
        key = work.with_secret(step.key)
        work.sealed = SealedKey(
            access_key_id=key.access_key_id,
            recipient=step.recipient,
            content=content_mark(step.content),
            sealed=seal(step.recipient, key.access_key_id, step.content.data(key.secret_key)),
        )

    async def _delete_credentials(self, step: do.DeleteCredentials, work: Work) -> None:
        await self._cluster.delete_credentials(step.current)

    # Workloads

    async def _mark_workload(self, step: do.MarkWorkload, work: Work) -> None:
        await self._annotate_workload(step, work, roll=False)

    async def _roll_workload(self, step: do.RollWorkload, work: Work) -> None:
        if await self._annotate_workload(step, work, roll=True):
            text = f"{step.workload.name} is restarted: what the Secret holds has changed"
            await self._emit(work.resource, ROLLING_OUT, text)

    async def _annotate_workload(self, step: do.MarkWorkload | do.RollWorkload, work: Work, *, roll: bool) -> bool:
        """Whether it could be done. What may not be done is told, and tried again later: the rest goes on."""
        known = work.workloads.get(step.workload.name, step.workload)
        namespace: str = work.resource["metadata"]["namespace"]
        try:
            done = await self._cluster.annotate_workload(namespace, known, step.annotation, step.value, roll=roll)
        except (Invalid, NotAllowed) as error:
            await self._tell_refused(work.resource, step.workload.name, str(error))
            return False
        self._refused.pop((work.resource["metadata"]["uid"], step.workload.name), None)
        work.workloads[step.workload.name] = done
        return True

    async def _tell_refused(self, owner: Object, workload: WorkloadName, why: str) -> None:
        """Once, and again when it is refused for another reason: it is tried again for as long as it is asked for."""
        place = (owner["metadata"]["uid"], workload)
        if self._refused.get(place) == why:
            return
        if len(self._refused) >= _MOST_REFUSED:
            self._refused.clear()
        self._refused[place] = why
        await self._emit(owner, ROLLOUT_REFUSED, f"{workload}: {why}")

    # A Bucket's AccessKey

    async def _create_access_key(self, step: do.CreateAccessKey, work: Work) -> None:
        work.touched.append(ref_of(await self._cluster.create(step.manifest)))

    async def _update_access_key(self, step: do.UpdateAccessKey, work: Work) -> None:
        ref = self._access_key_ref(step.name, work)
        found = await self._cluster.get(ref)
        if found is None or found["metadata"]["uid"] != step.uid:
            raise NotFound(f"{ref} is gone")
        spec = {**found["spec"], **step.spec}
        spec = {name: value for name, value in spec.items() if value is not None}
        metadata: dict[str, Any] = {**found["metadata"], "resourceVersion": step.version}
        if step.annotations:
            metadata["annotations"] = {**section(metadata, "annotations"), **step.annotations}
        await self._cluster.update({**found, "metadata": metadata, "spec": spec})
        work.touched.append(ref)

    async def _delete_access_key(self, step: do.DeleteAccessKey, work: Work) -> None:
        ref = self._access_key_ref(step.name, work)
        await self._cluster.delete(ref, step.uid)
        work.touched.append(ref)

    def _access_key_ref(self, name: str, work: Work) -> Ref:
        return Ref("AccessKey", work.resource["metadata"]["namespace"], name)

    # A Bucket's data

    async def _close_bucket(self, step: do.CloseBucket, work: Work) -> None:
        await self._gateways.close_bucket(step.region, step.bucket, with_content=step.with_content)

    async def _reopen_bucket(self, step: do.ReopenBucket, work: Work) -> None:
        await self._gateways.reopen_bucket(step.region, step.bucket)

    async def _purge_bucket(self, step: do.PurgeBucket, work: Work) -> None:
        found = await self._gateways.purge_bucket(step.region, step.bucket)
        if not found.complete:
            raise _Purging(found)

    async def _destroy_bucket(self, step: do.DestroyBucket, work: Work) -> None:
        await self._gateways.destroy_bucket(step.region, step.bucket)

    async def _count(self, step: do.CloseBucket) -> int | None:
        try:
            return (await self._gateways.usage(step.region, step.bucket)).objects
        except GatewayUnavailable:
            return None


class _Purging(Exception):
    """Something is left of what a bucket held."""

    def __init__(self, found: Purged) -> None:
        super().__init__(f"{found.objects} objects are left")
        self.found = found


def _with_what_was_made(status: Status, proven: str | None, work: Work) -> Status:
    """The status with what no plan can know: the version that the proven record has got by now, where this work wrote
    it, and the key where it was sealed."""
    made: dict[str, Any] = {}
    if (written := work.records.get(proven or "")) is not None:
        made["proven_record"] = written.version
    if work.sealed is not None:
        made["once"] = work.sealed
    return status.model_copy(update=made) if made else status


def _with_finalizers(obj: Object, *, add: bool) -> Object:
    metadata = section(obj, "metadata")
    finalizers = cast(list[str], metadata.get("finalizers") or [])
    others = [each for each in finalizers if each != FINALIZER]
    return {**obj, "metadata": {**metadata, "finalizers": [*others, FINALIZER] if add else others}}


def _with_deletion(obj: Object, said: str | None) -> Object:
    """The resource with its annotation that says how its deletion stands, or without it."""
    metadata = section(obj, "metadata")
    others = {key: value for key, value in section(metadata, "annotations").items() if key != DELETION}
    return {**obj, "metadata": {**metadata, "annotations": others if said is None else others | {DELETION: said}}}


def _current(known: StoredRecord, work: Work) -> StoredRecord:
    """The record at its version by now: an earlier step may have replaced it."""
    return work.records.get(known.name, known)
