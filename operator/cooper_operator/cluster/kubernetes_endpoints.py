"""Follows the EndpointSlices (discovery.k8s.io/v1) of a namespace: where the replicas behind each Service listen.

    list ──version──► watch ──however it ended──► pause, list again

Between a watch's end and the next list it is not known whether there are others.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from cooper_operator.cluster.kubernetes_api import Collection, KubernetesApi
from cooper_operator.cluster.port import ClusterError

log = logging.getLogger(__name__)

_SERVICE_LABEL: Final = "kubernetes.io/service-name"
_FIRST_PAUSE: Final = 0.2
_LONGEST_PAUSE: Final = 10.0


@dataclass(frozen=True, slots=True)
class ServiceEndpoint:
    """One address of a Service. One that is not ready exists all the same, and may serve who knows its address."""

    host: str
    port: int
    ready: bool


@dataclass(frozen=True, slots=True)
class ServiceEndpoints:
    """All endpoints of a Service. `unknown`: why there may be others; empty: there are none."""

    endpoints: tuple[ServiceEndpoint, ...]
    unknown: str = ""


class EndpointSlices:
    """`notify` is told the name of each Service whose endpoints changed."""

    def __init__(self, api: KubernetesApi, namespace: str, notify: Callable[[str], None]) -> None:
        self._api = api
        self._namespace = namespace
        path = f"/apis/discovery.k8s.io/v1/namespaces/{namespace}/endpointslices"
        self._of = Collection(path, f"the EndpointSlices in namespace {namespace}")
        self._notify = notify
        self._slices: dict[str, dict[str, Any]] = {}
        self._unknown = "they have not been listed yet"

    def of(self, service: str, port: str) -> ServiceEndpoints:
        """Where a Service's replicas listen on the port of that name."""
        slices = [each for each in self._slices.values() if _service(each) == service]
        found = tuple(dict.fromkeys(endpoint for each in slices for endpoint in _endpoints(each, port)))
        if self._unknown:
            return ServiceEndpoints(found, f"{self._of.about} cannot be followed: {self._unknown}")
        if not slices:
            return ServiceEndpoints(
                (),
                f"there is no Service {self._namespace}/{service} with EndpointSlices: create it, "
                "or name the gateways' Service in spec.service of the Region",
            )
        if not found and any(each.get("endpoints") for each in slices):
            return ServiceEndpoints(
                (), f"the endpoints of Service {self._namespace}/{service} have no port named {port}"
            )
        return ServiceEndpoints(found)

    async def run(self) -> None:
        """Follow until cancelled."""
        pause = _FIRST_PAUSE
        while True:
            try:
                version = await self._list()
                pause = _FIRST_PAUSE
                await self._follow(version)
                self._unknown = "the watch ended"
            except ClusterError as error:
                self._unknown = str(error)
                log.warning("the endpoints of gateways are not known, which is tried again in %.1f s: %s", pause, error)
                pause = min(pause * 2, _LONGEST_PAUSE)
                await asyncio.sleep(pause)

    async def _list(self) -> str:
        listing = await self._api.list(self._of)
        before, self._slices = self._slices, {each["metadata"]["name"]: each for each in listing.items}
        self._unknown = ""
        self._tell(*before.values(), *self._slices.values())
        return listing.version

    async def _follow(self, version: str) -> None:
        async for event in self._api.watch(self._of, version):
            if event["type"] == "BOOKMARK":
                continue
            found: dict[str, Any] = event["object"]
            before = self._slices.pop(found["metadata"]["name"], None)
            if event["type"] != "DELETED":
                self._slices[found["metadata"]["name"]] = found
            self._tell(found, *([before] if before is not None else []))

    def _tell(self, *slices: Mapping[str, Any]) -> None:
        for service in dict.fromkeys(_service(each) for each in slices):
            if service:
                self._notify(service)


def _service(found: Mapping[str, Any]) -> str:
    labels: Mapping[str, str] = found["metadata"].get("labels") or {}
    return labels.get(_SERVICE_LABEL, "")


def _endpoints(found: Mapping[str, Any], port: str) -> list[ServiceEndpoint]:
    """Of a slice whose addresses are IP addresses. Its only port is meant whatever its name is."""
    ports: list[Mapping[str, Any]] = found.get("ports") or []
    numbers = [each["port"] for each in ports if (each.get("name") == port or len(ports) == 1) and each.get("port")]
    if found.get("addressType") not in ("IPv4", "IPv6"):
        return []
    return [
        ServiceEndpoint(address, number, _is_ready(each))
        for each in found.get("endpoints") or ()
        for address in each["addresses"]
        for number in numbers[:1]
    ]


def _is_ready(endpoint: Mapping[str, Any]) -> bool:
    """ "ready … A nil value should be interpreted as 'true'" (EndpointConditions)."""
    conditions: Mapping[str, Any] = endpoint.get("conditions") or {}
    return conditions.get("ready") is not False
