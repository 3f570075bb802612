"""The sweep: finds records whose resource is proven absent, by a complete list and a live read, and acts.

What serves nobody any more is taken from what a watch showed to be deleted at once: somebody took its finalizer off.
"""

import asyncio
import logging
from collections.abc import Callable
from typing import Final

from cooper_crds.bucket_grant import BucketGrant
from cooper_crds.names import region_record_name
from cooper_crds.records import BucketRecord, DomainRecord, KeyRecord, RecordError, RegionRecord
from cooper_crds.stored import StoredRecord
from cooper_operator.cluster.port import Cluster, ClusterError, Conflict, Kind, NotFound, Object, Ref
from cooper_operator.cluster.recollection import Recollection
from cooper_operator.gateways.port import BucketNotEmpty, Gateways, GatewayUnavailable
from cooper_operator.plan.keys import tombstone
from cooper_operator.plan.lending import Lending
from cooper_operator.plan.reasons import SWEEP_HALTED
from cooper_operator.plan.sweep import is_kept, kept, plan_sweep, retained, suspects
from cooper_operator.reconcile.damage import Mender
from cooper_operator.reconcile.left_behind import LeftBehind
from cooper_operator.reconcile.reading import RelatedUnreadable, read_related
from cooper_operator.reconcile.records_index import RecordsIndex

log = logging.getLogger(__name__)

#: Records or resources that are looked at without a pause.
_AT_A_TIME: Final = 50
#: Kinds of the resources that records are of.
_OWNERS: Final[tuple[Kind, ...]] = ("Bucket", "AccessKey")


class Sweeper:
    """One sweep at a time. Whatever cannot be read or reached ends it: the next one starts anew.

    `clock` gives Unix seconds.
    """

    def __init__(
        self,
        cluster: Cluster,
        gateways: Gateways,
        index: RecordsIndex,
        mender: Mender,
        left_behind: LeftBehind,
        clock: Callable[[], float],
        wake: Callable[[Ref], None],
        recollection: Recollection,
    ) -> None:
        self._recollection = recollection
        self._deleted: set[str] = set()  # UIDs of resources whose records are yet to be looked at
        self._clock = clock
        self._mender = mender
        self._left_behind = left_behind
        self._cluster = cluster
        self._gateways = gateways
        self._index = index
        self._wake = wake

    async def sweep(self) -> bool:
        """Sweep once. False: it halted, or something could not be read."""
        try:
            return await self._sweep()
        except (ClusterError, RecordError, GatewayUnavailable) as error:
            log.warning("the sweep of records was ended: %s", error)
            return False

    async def stop_deleted(self) -> None:
        """Have the records of resources that were seen to be deleted serve nobody. A sweep does the rest.

        However many: each deletion was shown, so that nothing was lost. What fails is done again the next time.
        """
        self._deleted.update(uid for uid in self._recollection.take_deleted() if self._index.owned_by(uid))
        for uid in sorted(self._deleted):
            try:
                for name in sorted(self._index.owned_by(uid)):
                    await self._stop(await self._cluster.get_record(name))
                self._deleted.discard(uid)
            except RecordError:
                self._deleted.discard(uid)  # nobody is served by a record that cannot be read
            except ClusterError as error:
                log.warning("the records of a resource that was deleted are yet to be stopped: %s", error)

    async def _stop(self, found: StoredRecord | None) -> None:
        if found is None or not suspects([found], set()) or not await self._is_orphan(found):
            return
        if isinstance(found.record, BucketRecord):
            await self._retain(found, found.record)
        elif isinstance(found.record, KeyRecord):
            await self._revoke(found, found.record)
        elif isinstance(found.record, DomainRecord):
            await self._give_up(found)

    async def _sweep(self) -> bool:
        # Records first, resources after: a record that was there first has its resource in the later list.
        stored = await self._cluster.list_records()
        self._index.fill((each.name, each.record) for each in stored)
        found = [obj for kind in _OWNERS for obj in await self._cluster.list_kind(kind)]
        live: set[str] = {obj["metadata"]["uid"] for obj in found}
        lends = await self._cluster.list_kind("BucketGrant")
        await self._left_behind.find([*found, *lends])
        await self._mender.mend(stored)
        records = await self._take_back(stored, await self._lending(stored, live, lends))
        await self._wake_regions(records)
        served = [found for found in records if self._is_served(found)]
        orphans = [found for found in suspects(served, live) if await self._is_orphan(found)]
        plan = plan_sweep(orphans, len(records))
        if plan.halted:
            await self._tell_halted(len(orphans), len(records))
            return False
        regions = [found.record for found in records if isinstance(found.record, RegionRecord)]
        for found in (*plan.domains, *plan.buckets, *plan.keys):
            try:
                await self._clear(found, regions)
            except (Conflict, NotFound):
                log.info("record %s changed while it was swept: left to the next sweep", found.name)
            except GatewayUnavailable as error:
                log.info("record %s is left to the next sweep: %s", found.name, error)
        return True

    async def _clear(self, found: StoredRecord, regions: list[RegionRecord]) -> None:
        if isinstance(found.record, BucketRecord):
            await self._clear_bucket(found, found.record, regions)
        elif isinstance(found.record, KeyRecord):
            await self._remove_key(found, found.record, regions)
        elif isinstance(found.record, DomainRecord):
            await self._give_up(found)

    async def _clear_bucket(self, found: StoredRecord, bucket: BucketRecord, regions: list[RegionRecord]) -> None:
        """Have it serve nobody; then remove it if it holds nothing and was not to be retained, else keep it.

        Nobody takes over what is not kept yet, so that what is closed here is nobody else's when it is destroyed.
        """
        stored, bucket = await self._retain(found, bucket)
        if is_kept(bucket):
            return
        for region in regions:
            if region.name == bucket.region:
                await self._remove_if_empty(stored, bucket, region)

    async def _remove_if_empty(self, found: StoredRecord, bucket: BucketRecord, region: RegionRecord) -> None:
        try:
            await self._gateways.close_bucket(region, bucket)
        except BucketNotEmpty:
            await self._update(found, kept(bucket))
            log.warning("Bucket record %s has no resource any more: what it holds is retained", found.name)
            return
        await self._gateways.destroy_bucket(region, bucket)
        await self._cluster.delete_record(found)
        self._index.removed(found.name)
        log.warning("Bucket record %s had no resource any more and held nothing: it was removed", found.name)

    async def _wake_regions(self, records: list[StoredRecord]) -> None:
        """A Region that is gone is looked at again: its record goes when nothing lives there any more."""
        for found in records:
            if isinstance(found.record, RegionRecord) and found.name == region_record_name(found.record.name):
                self._wake(Ref("Region", "", found.record.name))

    def _is_served(self, found: StoredRecord) -> bool:
        """Whether the record's resource would be in a list, if it were there."""
        return isinstance(found.record, RegionRecord) or self._cluster.serves(found.record.owner.namespace)

    async def _is_orphan(self, found: StoredRecord) -> bool:
        """Whether a live read proves that the resource is not there, or is another one of that name."""
        if not isinstance(found.record, KeyRecord | BucketRecord | DomainRecord):
            return False
        kind: Kind = "AccessKey" if isinstance(found.record, KeyRecord) else "Bucket"
        owner = found.record.owner
        obj = await self._cluster.get(Ref(kind, owner.namespace, owner.name))
        return obj is None or obj["metadata"]["uid"] != owner.uid

    async def _retain(self, found: StoredRecord, bucket: BucketRecord) -> tuple[StoredRecord, BucketRecord]:
        if bucket.retained:
            return found, bucket
        log.warning("Bucket record %s has no resource any more: it serves nobody from now on", found.name)
        return await self._update(found, retained(bucket)), retained(bucket)

    async def _update(self, found: StoredRecord, record: BucketRecord) -> StoredRecord:
        stored = await self._cluster.update_record(found, record)
        self._index.wrote(found.name, record)
        return stored

    async def _give_up(self, found: StoredRecord) -> None:
        """Whoever waits for the domain gets it at its next look."""
        await self._cluster.delete_record(found)
        self._index.removed(found.name)
        log.warning("domain record %s had no resource any more: it was removed", found.name)

    async def _remove_key(self, found: StoredRecord, orphan: KeyRecord, regions: list[RegionRecord]) -> None:
        """Revoke, then remove once every worker of its Region refuses the key; else the next sweep goes on."""
        stored, key = await self._revoke(found, orphan)
        for region in [each for each in regions if each.name == key.region] or regions:
            proof = await self._gateways.prove_denied(region, key)
            if not proof.complete:
                log.info("orphaned key %s is revoked; waiting for %s", key.access_key_id, proof.waiting_for)
                return
        await self._cluster.delete_record(stored)
        self._index.removed(found.name)
        log.warning("key %s had no resource any more: its record was removed", key.access_key_id)

    async def _revoke(self, found: StoredRecord, orphan: KeyRecord) -> tuple[StoredRecord, KeyRecord]:
        key = tombstone(orphan, self._clock())
        if orphan == key:
            return found, key
        log.warning("key %s has no resource any more: it is revoked", key.access_key_id)
        return await self._cluster.update_record(found, key), key

    async def _lending(self, records: list[StoredRecord], live: set[str], lends: list[Object]) -> Lending:
        """What is lent now of the Buckets that are there."""
        found = (each.record for each in records if isinstance(each.record, BucketRecord))
        buckets = {each.data_id: each for each in found if each.owner.uid in live}
        grants, unreadable = list[BucketGrant](), set[str]()
        for number, obj in enumerate(lends):
            if number % _AT_A_TIME == 0:
                await asyncio.sleep(0)
            try:
                grant = None if "deletionTimestamp" in obj["metadata"] else read_related(obj, BucketGrant)
            except RelatedUnreadable:
                unreadable.add(obj["metadata"]["namespace"])
                continue
            if grant is not None:
                grants.append(grant)
        return Lending(buckets, grants, frozenset(unreadable))

    async def _take_back(self, records: list[StoredRecord], lending: Lending) -> list[StoredRecord]:
        """Have keys lose what other namespaces' Buckets lend them no more, whatever kept that from being done. Returns
        the records as they are then."""
        after: list[StoredRecord] = []
        for number, found in enumerate(records):
            if number % _AT_A_TIME == 0:
                await asyncio.sleep(0)
            key = lending.lent(found.record) if isinstance(found.record, KeyRecord) else None
            after.append(found if key is None or key == found.record else await self._narrow(found, key))
        return after

    async def _narrow(self, found: StoredRecord, key: KeyRecord) -> StoredRecord:
        log.warning("key %s loses what no BucketGrant lets it use, which was overlooked", key.access_key_id)
        try:
            stored = await self._cluster.update_record(found, key)
        except (Conflict, NotFound):
            log.info("record %s changed while it was swept: left to the next sweep", found.name)
            return found
        self._index.wrote(found.name, key)
        return stored

    async def _tell_halted(self, orphans: int, total: int) -> None:
        message = f"{orphans} of {total} records have no resource any more. {SWEEP_HALTED.advice}"
        log.error("SweepHalted: %s", message)
        for obj in await self._cluster.list_kind("Region"):
            await self._cluster.emit(obj, SWEEP_HALTED.severity, SWEEP_HALTED.name, message)
