"""Observe a BucketGrant: whether the Buckets that it names are there."""

from collections.abc import Callable

from cooper_crds.bucket_grant import BucketGrant
from cooper_operator.cluster.port import Ref
from cooper_operator.plan.snapshot import BucketGrantSnapshot
from cooper_operator.reconcile.neighbours import Neighbours
from cooper_operator.reconcile.observed import Observed


class BucketGrantObserver:
    """`clock` gives Unix seconds."""

    def __init__(self, neighbours: Neighbours, clock: Callable[[], float]) -> None:
        self._neighbours = neighbours
        self._clock = clock

    async def observe(self, observed: Observed, grant: BucketGrant) -> BucketGrantSnapshot:
        """A BucketGrant that is there."""
        namespace = grant.metadata.namespace
        names = grant.spec.buckets or ()
        there = [await self._neighbours.resource(Ref("Bucket", namespace, name), observed) for name in names]
        missing = tuple(name for name, obj in zip(names, there, strict=True) if obj is None)
        return BucketGrantSnapshot(grant, missing, self._clock())
