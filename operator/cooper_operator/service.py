"""The operator on a Kubernetes cluster: waits until it leads, works, and begins anew when it leads no longer.

waiting ──the Lease is ours──► a term: watches, reconciles, renews ──the Lease is lost──► waiting
                                 └──stopped──► what is in progress ends, the Lease is given up
"""

import asyncio
import logging
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from cooper_crds.kubernetes import SYSTEM_NAMESPACE
from cooper_crds.records import RegionRecord
from cooper_operator.cluster.endpoints import ServiceEndpoints
from cooper_operator.cluster.kubernetes import KubernetesCluster
from cooper_operator.cluster.kubernetes_api import KubernetesApi
from cooper_operator.cluster.kubernetes_connection import Connection, Loader, access
from cooper_operator.cluster.kubernetes_endpoints import EndpointSlices
from cooper_operator.cluster.kubernetes_lease import Leadership, LeadershipLost, identity
from cooper_operator.cluster.kubernetes_objects import PLURALS
from cooper_operator.cluster.port import ClusterError
from cooper_operator.gateways.roster import Endpoint, Roster
from cooper_operator.handlers import Handlers, HandlersEnded
from cooper_operator.health import Health
from cooper_operator.installation import Installation
from cooper_operator.main import compose
from cooper_operator.reconcile.telemetry import Telemetry

log = logging.getLogger(__name__)

_FIRST_PAUSE: Final = 0.2
_LONGEST_PAUSE: Final = 10.0


@dataclass(frozen=True, slots=True)
class Service:
    """`namespace` has records, Lease and gateways; `namespaces` are the tenants', all where it is None."""

    load: Loader
    namespace: str = SYSTEM_NAMESPACE
    namespaces: Sequence[str] | None = None
    installation: Installation = field(default_factory=Installation)
    telemetry: Telemetry = field(default_factory=Telemetry)
    health: Health = field(default_factory=Health)

    def __post_init__(self) -> None:
        # Who waits for another's Lease to end counts from when he saw it first: until then he is no second one.
        self.health.note("Lease", "the Lease was not looked at yet")

    async def run(self) -> None:
        """Lead whenever that is possible, until cancelled."""
        # A connection of its own: renewing never waits behind other requests.
        api = KubernetesApi(Connection(self.load), calls=self.telemetry.calls)
        leadership = Leadership(api, self.namespace, identity(), attempted=lambda why: self.health.note("Lease", why))
        beating = asyncio.create_task(self.health.beat())
        try:
            while True:
                await leadership.acquire()
                log.info("leading, as process %d", os.getpid())
                self.telemetry.leading.set(1)
                await self._term(leadership)
                self.telemetry.leading.set(0)
        finally:
            beating.cancel()
            await leadership.release()
            await api.close()

    async def _term(self, leadership: Leadership) -> None:
        """Work as long as the Lease is ours. A late write of a term that is over fails: all bear a version."""
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(leadership.hold())
                group.create_task(self._work(keep_key=leadership.handed_over))
        except* LeadershipLost as lost:
            log.warning("leading no longer: %s", "; ".join(str(each) for each in lost.exceptions))

    async def _work(self, *, keep_key: bool) -> None:
        api = KubernetesApi(Connection(self.load), calls=self.telemetry.calls)
        cluster = KubernetesCluster(api, namespace=self.namespace, namespaces=self.namespaces, echoes=False)
        endpoints = EndpointSlices(api, self.namespace, lambda service: operator.hurry())
        gateways = GatewayRoster(endpoints)
        operator = compose(
            cluster,
            gateways.known,
            reread=gateways.read,
            recollection=cluster.seen,
            telemetry=self.telemetry,
            keep_key=keep_key,
        )
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self.installation.bring(cluster, api, self.namespace, cluster.notify))
                group.create_task(self._follow(cluster))
                group.create_task(endpoints.run())
                group.create_task(operator.run())
        finally:
            self.health.note("resources", "")
            await cluster.close()

    async def _follow(self, cluster: KubernetesCluster) -> None:
        """Have the cluster told of changes to resources; begun anew whenever that ended."""
        pause = _FIRST_PAUSE
        handlers = Handlers(PLURALS, self.namespaces, lambda: access(self.load), cluster.changed)
        while True:
            began = asyncio.get_running_loop().time()
            try:
                await cluster.check()
                self.health.note("resources", "")
                await handlers.run()
            except (ClusterError, HandlersEnded) as error:
                lasted = asyncio.get_running_loop().time() - began
                pause = _FIRST_PAUSE if lasted > _LONGEST_PAUSE else min(pause * 2, _LONGEST_PAUSE)
                log.warning("resources are not followed, which is tried again in %.1f s: %s", pause, error)
                self.health.note("resources", f"resources are not followed: {error}")
            await asyncio.sleep(pause)


class GatewayRoster:
    """The gateways of a Region: the endpoints of its Service."""

    def __init__(self, slices: EndpointSlices) -> None:
        self._slices = slices

    def known(self, region: RegionRecord) -> Roster:
        """As they were told last."""
        return _roster(self._slices.of(region.service or region.name, region.service_port))

    async def read(self, region: RegionRecord) -> Roster:
        """As they are at this moment."""
        try:
            return _roster(await self._slices.read(region.service or region.name, region.service_port))
        except ClusterError as error:
            return Roster(unknown=f"it is not known which gateways there are: {error}")


def _roster(found: ServiceEndpoints) -> Roster:
    endpoints = tuple(Endpoint(each.host, each.port, each.ready, each.name) for each in found.endpoints)
    return Roster(endpoints, found.unknown, found.told, found.soon)
