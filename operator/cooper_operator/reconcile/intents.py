"""Polls the gateways for DeleteBucket and CreateBucket requests, and has each decided."""

import logging
from collections.abc import Callable

from cooper_crds.bucket import Bucket
from cooper_crds.names import bucket_record_name, key_record_name
from cooper_crds.records import BucketRecord, KeyRecord, RecordError, RegionRecord
from cooper_crds.region import Region
from cooper_operator.cluster.port import Cluster, ClusterError, Conflict, NotFound, Object, Ref
from cooper_operator.gateways.port import Gateways, GatewayUnavailable, Intent
from cooper_operator.plan.intents import IntentSnapshot, decide
from cooper_operator.plan.reasons import DELETE_NOT_AUTHORIZED, DELETED_OVER_S3
from cooper_operator.plan.region import region_record
from cooper_operator.reconcile.reading import RelatedUnreadable, read_related
from cooper_operator.reconcile.telemetry import Telemetry
from cooper_operator.reconcile.wishes import Wishes

log = logging.getLogger(__name__)


class Intents:
    """One poll asks every Region once. What cannot be read or reached is left for the next poll."""

    def __init__(
        self,
        cluster: Cluster,
        gateways: Gateways,
        clock: Callable[[], float],
        wake: Callable[[Ref], None],
        wishes: Wishes,
        telemetry: Telemetry,
        default_endpoint: str = "",
    ) -> None:
        self._cluster = cluster
        self._gateways = gateways
        self._clock = clock
        self._wake = wake
        self._wishes = wishes
        self._telemetry = telemetry
        self._default_endpoint = default_endpoint

    async def poll(self) -> None:
        """Decide about all requests that wait now."""
        try:
            regions = [read_related(obj, Region) for obj in await self._cluster.list_kind("Region")]
        except (ClusterError, RelatedUnreadable) as error:
            log.debug("intents: %s", error)
            return
        for region in regions:
            if region is not None:
                record = region_record(region, self._default_endpoint)
                await self._poll_region(record)
                await self._wishes.poll(region, record)

    async def _poll_region(self, region: RegionRecord) -> None:
        try:
            intents = await self._gateways.intents(region)
        except GatewayUnavailable as error:
            log.debug("intents of Region %s: %s", region.name, error)
            return
        for intent in intents:
            try:
                await self._decide(region, intent)
            except (ClusterError, RecordError, RelatedUnreadable, GatewayUnavailable) as error:
                log.warning("DeleteBucket %s over S3 waits: %s", intent.bucket, error)

    async def _decide(self, region: RegionRecord, intent: Intent) -> None:
        stored = await self._cluster.get_record(bucket_record_name(intent.bucket))
        record = stored.record if stored is not None and isinstance(stored.record, BucketRecord) else None
        key = await self._cluster.get_record(key_record_name(intent.access_key_id)) if intent.access_key_id else None
        ref = Ref("Bucket", record.owner.namespace, record.owner.name) if record is not None else None
        obj = await self._cluster.get(ref) if ref is not None else None
        snapshot = IntentSnapshot(
            data_id=intent.data_id,
            record=record,
            key=key.record if key is not None and isinstance(key.record, KeyRecord) else None,
            bucket=read_related(obj, Bucket),
            now=self._clock(),
        )
        decision, why = decide(snapshot)
        if decision == "delete" and obj is not None and ref is not None:
            await self._delete(ref, obj, intent)
        elif decision == "reopen" and record is not None:
            await self._gateways.reopen_bucket(region, record)
            self._telemetry.answered("DeleteBucket", "refused")
            log.warning("DeleteBucket %s over S3 was refused: %s", intent.bucket, why)
            if obj is not None:
                message = f"key {intent.access_key_id}: {why}; the bucket was reopened"
                await self._cluster.emit(obj, "Warning", DELETE_NOT_AUTHORIZED.name, message)

    async def _delete(self, ref: Ref, obj: Object, intent: Intent) -> None:
        try:
            await self._cluster.delete(ref, obj["metadata"]["uid"])
        except (Conflict, NotFound):
            return  # another Bucket by now, or none: the next poll decides anew
        self._telemetry.answered("DeleteBucket", "done")
        message = f"key {intent.access_key_id} deleted the bucket over S3"
        await self._cluster.emit(obj, "Normal", DELETED_OVER_S3.name, message)
        self._wake(ref)
