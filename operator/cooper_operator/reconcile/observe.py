"""Observe: read all that matters to one resource, live, and note what was seen of others."""

from collections.abc import Callable

from cooper_crds.access_key import AccessKey
from cooper_crds.bucket import Bucket
from cooper_crds.bucket_grant import BucketGrant
from cooper_operator.cluster.port import Cluster, Object, Ref
from cooper_operator.cluster.recollection import Recollection
from cooper_operator.gateways.port import Gateways
from cooper_operator.plan.snapshot import Blocked
from cooper_operator.reconcile.look import Look
from cooper_operator.reconcile.neighbours import Neighbours
from cooper_operator.reconcile.observe_access_key import AccessKeyObserver
from cooper_operator.reconcile.observe_bucket import BucketObserver
from cooper_operator.reconcile.observe_bucket_grant import BucketGrantObserver
from cooper_operator.reconcile.observe_region import RegionObserver
from cooper_operator.reconcile.observed import Observed
from cooper_operator.reconcile.reading import read
from cooper_operator.reconcile.records_index import RecordsIndex
from cooper_operator.reconcile.usage import UsageSchedule


class Observer:
    """Reads through the ports only. `clock` gives Unix seconds."""

    def __init__(
        self,
        cluster: Cluster,
        gateways: Gateways,
        index: RecordsIndex,
        usage: UsageSchedule,
        clock: Callable[[], float],
        default_endpoint: str,
        recollection: Recollection,
    ) -> None:
        self._recollection = recollection
        self._index = index
        neighbours = Neighbours(index, default_endpoint)
        self._region = RegionObserver(cluster, gateways, index, neighbours, clock, default_endpoint)
        self._bucket = BucketObserver(cluster, gateways, index, neighbours, usage, clock)
        self._bucket_grant = BucketGrantObserver(neighbours, clock)
        self._access_key = AccessKeyObserver(cluster, index, neighbours, clock)

    async def observe(self, ref: Ref, obj: Object | None, blocked: Blocked | None, look: Look) -> Observed:
        """Look at what belongs to a resource that was just read. Raises what the port raises, and ManifestError."""
        observed = Observed(ref, obj, look)
        if ref.kind == "Region":
            observed.snapshot = await self._region.observe(observed, blocked)
        elif obj is not None and ref.kind == "Bucket":
            observed.snapshot = await self._bucket.observe(observed, read(obj, Bucket), blocked)
        elif obj is not None and ref.kind == "BucketGrant":
            observed.snapshot = await self._bucket_grant.observe(observed, read(obj, BucketGrant))
        elif obj is not None:
            observed.snapshot = await self._access_key.observe(observed, read(obj, AccessKey), blocked)
        self._index.looked_at(observed.snapshot)
        return observed

    def regions_left(self) -> list[Ref]:
        """Regions that have a record, and as far as is known no resource."""
        refs = [Ref("Region", "", name) for name in sorted(self._index.regions)]
        return [ref for ref in refs if self._recollection.resource(ref) is None]
