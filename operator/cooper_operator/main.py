"""Composition of the operator with gateways over HTTP. The command gives it a cluster and the gateways' addresses."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from cooper_crds.records import RegionRecord
from cooper_operator.cluster.port import Cluster
from cooper_operator.cluster.recollection import Recollection
from cooper_operator.gateways.http import HttpGateways
from cooper_operator.gateways.roster import Endpoint, Roster
from cooper_operator.gateways.system_key import SystemKey
from cooper_operator.reconcile.operator import Intervals, Operator
from cooper_operator.reconcile.telemetry import Telemetry


@dataclass(slots=True)
class Composition:
    """An operator and its connections to gateways."""

    operator: Operator
    gateways: HttpGateways

    async def run(self) -> None:
        """Work until `stop` is called or the task is cancelled."""
        try:
            await self.operator.run()
        finally:
            await self.gateways.close()

    def hurry(self) -> None:
        """Look at once at all that waits: gateways came or went."""
        self.operator.hurry()

    async def stop(self) -> None:
        """End all work; `run` returns then."""
        await self.operator.stop()


def compose(
    cluster: Cluster,
    roster: Callable[[RegionRecord], Roster],
    *,
    reread: Callable[[RegionRecord], Awaitable[Roster]] | None = None,
    recollection: Recollection | None = None,
    telemetry: Telemetry | None = None,
    keep_key: bool = False,
    default_endpoint: str = "",
    intervals: Intervals | None = None,
) -> Composition:
    """An operator on `cluster`. `roster` tells which gateway replicas a Region has, whenever asked; `reread` does so
    for sure, where that may be out of date. `keep_key`: see Operator."""
    system_key = SystemKey()
    gateways = HttpGateways(roster, system_key.current, reread=reread)
    operator = Operator(
        cluster,
        gateways,
        system_key=system_key,
        keep_key=keep_key,
        recollection=recollection,
        telemetry=telemetry,
        default_endpoint=default_endpoint,
        intervals=intervals,
    )
    return Composition(operator, gateways)


__all__ = ["Composition", "Endpoint", "Intervals", "Operator", "Roster", "compose"]
