"""Damaged records: told when they are found, replaced at the next look where it is known what they said.

Between the two looks somebody may put the record back. What is replaced is kept, so that nothing is ever lost.
"""

import logging
from collections.abc import Callable

import msgspec

from cooper_crds.access_key import AccessKey
from cooper_crds.bucket import Bucket
from cooper_crds.bucket_grant import BucketGrant
from cooper_crds.manifest import ManifestError
from cooper_crds.records import KeyRecord
from cooper_crds.region import Region
from cooper_operator.cluster.port import Cluster, Conflict, NotFound, Object, Ref
from cooper_operator.cluster.record_listing import DamagedRecord, RecordListing
from cooper_operator.plan.damage import Rebuilt, rebuild
from cooper_operator.plan.reasons import RECORD_REBUILT, RECORD_UNREADABLE, SWEEP_HALTED, Reason
from cooper_operator.plan.sweep import too_many
from cooper_operator.reconcile.reading import read_any, ref_of
from cooper_operator.reconcile.records_index import RecordsIndex

log = logging.getLogger(__name__)


class Mender:
    """`new_secret` makes the secret of a tombstone: one that nobody holds. `clock` gives Unix seconds."""

    def __init__(
        self,
        cluster: Cluster,
        index: RecordsIndex,
        new_secret: Callable[[], str],
        clock: Callable[[], float],
        wake: Callable[[Ref], None],
    ) -> None:
        self._cluster = cluster
        self._index = index
        self._new_secret = new_secret
        self._clock = clock
        self._wake = wake
        self._seen: frozenset[DamagedRecord] = frozenset()

    async def mend(self, records: RecordListing) -> None:
        """Look at what is damaged in a complete listing. Raises what the cluster's port raises."""
        before, self._seen = self._seen, frozenset(records.damaged)
        if not records.damaged:
            return
        halted = too_many(len(records.damaged), len(records) + len(records.damaged))
        if halted:
            if before != self._seen:
                await self._tell_halted(len(records.damaged))
            return
        objects = [obj for kind in ("Region", "Bucket", "AccessKey") for obj in await self._cluster.list_kind(kind)]
        resources = {ref_of(obj): found for obj in objects if (found := _readable(obj)) is not None}
        by_ref = {ref_of(obj): obj for obj in objects}
        for damaged in records.damaged:
            rebuilt = rebuild(damaged.name, list(resources.values()), self._clock())
            owner = None if rebuilt is None else by_ref[_ref(rebuilt)]
            if damaged not in before:
                await self._tell(damaged, owner)
            elif rebuilt is not None and owner is not None and damaged.replaceable:
                await self._replace(damaged, rebuilt, owner)

    async def _replace(self, damaged: DamagedRecord, rebuilt: Rebuilt, owner: Object) -> None:
        record = rebuilt.record
        if isinstance(record, KeyRecord):
            record = msgspec.structs.replace(record, secret_key=self._new_secret())
        try:
            kept = await self._cluster.replace_damaged_record(damaged.name, record)
        except (Conflict, NotFound):
            log.info("record %s changed while it was to be replaced: left to the next look", damaged.name)
            return
        self._index.wrote(damaged.name, record)
        self._wake(ref_of(owner))
        what = "its key was replaced by a new one" if isinstance(record, KeyRecord) else "it was made anew"
        await self._emit(
            [owner], RECORD_REBUILT, f"record {damaged.name} was damaged: {what}; the damaged one is kept as {kept}"
        )

    async def _tell(self, damaged: DamagedRecord, owner: Object | None) -> None:
        text = f"record {damaged.name} cannot be read: {damaged.reason}"
        if owner is not None and damaged.replaceable:
            text += ". It is replaced by itself unless it is put back before"
        about = [owner] if owner is not None else await self._cluster.list_kind("Region")
        await self._emit(about, RECORD_UNREADABLE, text)

    async def _tell_halted(self, count: int) -> None:
        text = f"{count} records cannot be read; none of them was replaced"
        await self._emit(await self._cluster.list_kind("Region"), SWEEP_HALTED, text)

    async def _emit(self, about: list[Object], reason: Reason, text: str) -> None:
        message = f"{text}. {reason.advice}"
        log.warning("%s: %s", reason.name, message)
        for obj in about:
            await self._cluster.emit(obj, reason.severity, reason.name, message)


def _readable(obj: Object) -> Region | Bucket | AccessKey | None:
    """A resource, or None when it cannot be read: nothing is rebuilt from it then."""
    try:
        found = read_any(obj)
    except ManifestError:
        return None
    return None if isinstance(found, BucketGrant) else found


def _ref(rebuilt: Rebuilt) -> Ref:
    owner = rebuilt.owner
    return Ref(owner.kind, owner.metadata.namespace, owner.metadata.name)
