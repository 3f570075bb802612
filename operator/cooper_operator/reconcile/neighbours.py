"""Reads what several kinds of resources need of others: Regions, Buckets, and records. What is seen is noted."""

import asyncio
from collections.abc import Iterable
from typing import Final

from cooper_crds.bucket import Bucket
from cooper_crds.names import bucket_record_name, domain_record_name, region_record_name
from cooper_crds.records import RegionRecord
from cooper_crds.region import Region
from cooper_crds.stored import StoredRecord
from cooper_operator.cluster.port import Object, Ref
from cooper_operator.plan.bucket import record_of
from cooper_operator.plan.region import find_home
from cooper_operator.plan.snapshot import Surroundings
from cooper_operator.reconcile.look import Look
from cooper_operator.reconcile.observed import Observed
from cooper_operator.reconcile.reading import read_related, ref_of
from cooper_operator.reconcile.records_index import RecordsIndex
from cooper_operator.reconcile.relations import ANY_REGION, facts_of

#: What names of records of domains begin with.
OF_DOMAINS: Final = domain_record_name("")


class Neighbours:
    """Raises what the cluster's port raises, and RelatedUnreadable."""

    def __init__(self, index: RecordsIndex, default_endpoint: str) -> None:
        self._index = index
        self._default_endpoint = default_endpoint

    async def resource(self, ref: Ref, observed: Observed) -> Object | None:
        """Another resource; None proves that it is absent."""
        obj = await observed.look.resource(ref)
        observed.seen[ref] = facts_of(obj)
        return obj

    async def all_regions(self, observed: Observed) -> tuple[Region, ...]:
        """Every Region that there is."""
        found: list[Region] = []
        observed.seen[ANY_REGION] = None
        for obj in await observed.look.all_of("Region"):
            observed.seen[ref_of(obj)] = facts_of(obj)
            region = read_related(obj, Region)
            if region is not None:
                found.append(region)
        return tuple(found)

    async def surroundings(self, named: str | None, observed: Observed, *, every: bool = False) -> Surroundings:
        """The Region of that name, or all where none is named or `every` one matters, and the record of one that is
        gone."""
        if named is None or every:
            regions = await self.all_regions(observed)
        else:
            region = read_related(await self.resource(Ref("Region", "", named), observed), Region)
            regions = () if region is None else (region,)
        if named is None:
            recorded = self._index.regions if find_home(None, Surroundings(regions)).record is None else set[str]()
        else:
            recorded = {named} - {each.metadata.name for each in regions}
        return Surroundings(regions, await self.region_record(recorded, observed.look), self._default_endpoint)

    async def region_record(self, names: Iterable[str], look: Look) -> RegionRecord | None:
        """The record of a Region; None also when there are several and none is named."""
        stored = await self.records({region_record_name(name) for name in names}, look)
        found = [each.record for each in stored if isinstance(each.record, RegionRecord)]
        return found[0] if len(found) == 1 else None

    async def records(self, names: Iterable[str], look: Look) -> tuple[StoredRecord, ...]:
        """Those records of these names that are there, by name."""
        stored = await asyncio.gather(*(look.record(name) for name in sorted(names)))
        return tuple(each for each in stored if each is not None)

    async def bucket_record(self, bucket: Bucket, look: Look) -> StoredRecord | None:
        """The record that is a Bucket's own, perhaps of an earlier name."""
        uid = bucket.metadata.uid
        names = {name for name in self._index.owned_by(uid) if not name.startswith(OF_DOMAINS)}
        if bucket.status is not None and bucket.status.bucket_name is not None:
            names.add(bucket_record_name(bucket.status.bucket_name))
        return next((found for found in await self.records(names, look) if record_of(found, uid) is not None), None)
