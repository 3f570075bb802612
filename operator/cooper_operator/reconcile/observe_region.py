"""Observe a Region: whether it is the only default one, whether something lives there, and who its gateways are."""

from collections.abc import Callable

from cooper_crds.names import region_record_name
from cooper_crds.region import Region
from cooper_operator.cluster.port import Cluster
from cooper_operator.gateways.port import Gateways
from cooper_operator.plan.region import region_record
from cooper_operator.plan.snapshot import Blocked, GatewaysSeen, RegionSnapshot
from cooper_operator.reconcile.look import Look
from cooper_operator.reconcile.neighbours import Neighbours
from cooper_operator.reconcile.observed import Observed
from cooper_operator.reconcile.reading import read, section
from cooper_operator.reconcile.records_index import RecordsIndex


class RegionObserver:
    """`clock` gives Unix seconds."""

    def __init__(
        self,
        cluster: Cluster,
        gateways: Gateways,
        index: RecordsIndex,
        neighbours: Neighbours,
        clock: Callable[[], float],
        default_endpoint: str,
    ) -> None:
        self._cluster = cluster
        self._gateways = gateways
        self._index = index
        self._neighbours = neighbours
        self._clock = clock
        self._default_endpoint = default_endpoint

    async def observe(self, observed: Observed, blocked: Blocked | None) -> RegionSnapshot:
        """A Region that may be gone: its record tells of it then."""
        name = observed.ref.name
        every = await self._neighbours.all_regions(observed)
        observed.seen.pop(observed.ref, None)
        record = await observed.look.record(region_record_name(name))
        region = None if observed.obj is None else read(observed.obj, Region)
        return RegionSnapshot(
            name=name,
            region=region,
            all_regions=every,
            record=record,
            in_use=observed.obj is not None or (record is not None and await self._in_use(name, observed.look)),
            default_endpoint=self._default_endpoint,
            now=self._clock(),
            gateways=GatewaysSeen() if region is None else self._gateways_of(region),
            blocked=blocked,
        )

    def _gateways_of(self, region: Region) -> GatewaysSeen:
        known = self._gateways.known(region_record(region, self._default_endpoint))
        ready = tuple(each.shown for each in known.endpoints if each.ready)
        others = tuple(each.shown for each in known.endpoints if not each.ready)
        return GatewaysSeen(ready, others, known.unknown, known.told, known.soon)

    async def _in_use(self, name: str, look: Look) -> bool:
        """Whether something lives there by its record, or is about to by its resource."""
        for record in sorted(self._index.in_region(name)):
            if await look.record(record) is not None:
                return True
            self._index.removed(record)  # somebody else took it away
        for kind in ("Bucket", "AccessKey"):
            for obj in await self._cluster.list_kind(kind):
                if name in (section(obj, "status").get("region"), section(obj, "spec").get("region")):
                    return True
        return False
