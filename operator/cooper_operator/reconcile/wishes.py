"""CreateBucket requests that wait at gateways: each is decided, and the Bucket is made or the client refused."""

import logging
from collections.abc import Callable
from typing import Final

from cooper_crds.access_key import AccessKey
from cooper_crds.bucket import Bucket
from cooper_crds.names import bucket_name_problem, bucket_record_name, key_record_name
from cooper_crds.records import BucketRecord, KeyRecord, RecordError, RegionRecord
from cooper_crds.region import Region
from cooper_operator.cluster.port import AlreadyExists, Cluster, ClusterError, Invalid, Object, Ref
from cooper_operator.cluster.recollection import Recollection
from cooper_operator.gateways.port import Gateways, GatewayUnavailable, Wish
from cooper_operator.plan.reasons import CREATE_REFUSED, CREATED_OVER_S3
from cooper_operator.plan.wishes import DENIED, REVOKED, Verdict, WishSnapshot, at_once, decide, manifest
from cooper_operator.reconcile.reading import RelatedUnreadable, read_related, ref_of
from cooper_operator.reconcile.telemetry import Telemetry

log = logging.getLogger(__name__)

#: Refusals that somebody has to know of who is not the client. That a name is taken is none.
_TOLD: Final = (DENIED, REVOKED, "TooManyBuckets")


class Wishes:
    """One poll asks a Region once. What cannot be read or reached is left for the next poll."""

    def __init__(
        self,
        cluster: Cluster,
        gateways: Gateways,
        clock: Callable[[], float],
        wake: Callable[[Ref], None],
        seen: Recollection,
        telemetry: Telemetry,
    ) -> None:
        self._cluster = cluster
        self._gateways = gateways
        self._clock = clock
        self._wake = wake
        self._seen = seen
        self._telemetry = telemetry

    async def poll(self, region: Region, record: RegionRecord) -> None:
        """Decide about all requests that wait now in a Region, whose record as it is to be is given."""
        if not record.create_buckets:
            return  # its gateways serve none, and forget those that they served
        try:
            wishes = await self._gateways.wishes(record)
        except GatewayUnavailable as error:
            log.debug("wishes of Region %s: %s", record.name, error)
            return
        for wish in wishes:
            try:
                await self._grant(region, record, wish)
            except (ClusterError, RecordError, RelatedUnreadable, GatewayUnavailable) as error:
                log.warning("CreateBucket %s over S3 waits: %s", wish.bucket, error)

    async def _grant(self, region: Region, record: RegionRecord, wish: Wish) -> None:
        access_key = None
        verdict = at_once(wish.asked_at, wish.settled, self._clock())
        if verdict is None:
            snapshot, access_key = await self._observe(region, wish)
            verdict = decide(snapshot)
            if verdict.decision == "make" and snapshot.key is not None:
                verdict = await self._make(wish, record, snapshot.key)
        if verdict.decision == "made":
            await self._gateways.settle_wish(record, wish, "made")
        elif verdict.decision == "forget":
            await self._gateways.settle_wish(record, wish, "forgotten")
        elif verdict.decision == "refuse":
            await self._refuse(record, wish, verdict, access_key)

    async def _observe(self, region: Region, wish: Wish) -> tuple[WishSnapshot, Object | None]:
        """All that decides, and the AccessKey as it is."""
        key = await self._key(wish.access_key_id)
        access_key = bucket = claim = None
        count = 0
        if key is not None and not key.system and bucket_name_problem(wish.bucket) is None:
            namespace = key.owner.namespace
            access_key = await self._cluster.get(Ref("AccessKey", namespace, key.owner.name))
            bucket = await self._cluster.get(Ref("Bucket", namespace, wish.bucket))
            stored = await self._cluster.get_record(bucket_record_name(wish.bucket))
            claim = stored.record if stored is not None and isinstance(stored.record, BucketRecord) else None
            count = await self._count(namespace)
        snapshot = WishSnapshot(
            name=wish.bucket,
            access_key_id=wish.access_key_id,
            asked_at=wish.asked_at,
            settled=wish.settled,
            region=region.metadata.name,
            served=region.spec.features.create_bucket,
            most=region.spec.limits.max_created_buckets,
            key=key,
            access_key=read_related(access_key, AccessKey),
            bucket=read_related(bucket, Bucket),
            record=claim,
            count=count,
            now=self._clock(),
        )
        return snapshot, access_key

    async def _key(self, access_key_id: str) -> KeyRecord | None:
        if not access_key_id.isalnum():
            return None
        stored = await self._cluster.get_record(key_record_name(access_key_id))
        record = None if stored is None else stored.record
        return record if isinstance(record, KeyRecord) and record.access_key_id == access_key_id else None

    async def _count(self, namespace: str) -> int:
        """Buckets of a namespace. Those that were just made here are among them."""
        seen = self._seen.all_of("Bucket", namespace)
        if seen is not None:
            return len(seen)
        return sum(ref_of(obj).namespace == namespace for obj in await self._cluster.list_kind("Bucket"))

    async def _make(self, wish: Wish, record: RegionRecord, key: KeyRecord) -> Verdict:
        try:
            made = await self._cluster.declare(manifest(wish.bucket, record.name, key))
        except AlreadyExists:
            return Verdict("leave", "somebody else was faster: the next poll decides anew")
        except Invalid as error:  # a quota, a policy, a file that is in the way
            return Verdict("refuse", str(error), DENIED)
        self._telemetry.answered("CreateBucket", "done")
        message = f"key {wish.access_key_id} created the bucket over S3"
        await self._cluster.emit(made, "Normal", CREATED_OVER_S3.name, message)
        self._wake(ref_of(made))
        return Verdict("made", message)

    async def _refuse(self, record: RegionRecord, wish: Wish, verdict: Verdict, access_key: Object | None) -> None:
        await self._gateways.settle_wish(record, wish, verdict.code)
        self._telemetry.answered("CreateBucket", "refused")
        log.info("CreateBucket %s over S3 was refused: %s", wish.bucket, verdict.why)
        if access_key is not None and verdict.code in _TOLD:
            message = f"key {wish.access_key_id} asked for bucket {wish.bucket}: {verdict.why}"
            await self._cluster.emit(access_key, "Warning", CREATE_REFUSED.name, message)
