"""EndpointSlices (discovery.k8s.io/v1), put together to where the replicas behind a Service listen. Pure.

"endpoints may appear in more than one EndpointSlice … consumers must iterate over all slices and build a complete,
deduplicated list" (Kubernetes, EndpointSlices). What cannot be placed makes the list incomplete: it is never left out.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

#: Of an EndpointSlice: whose it is.
SERVICE_LABEL: Final = "kubernetes.io/service-name"
#: In this order a replica is reached that has an address of each: who listens on IPv6 mostly listens on IPv4, too.
_ADDRESS_TYPES: Final = ("IPv4", "IPv6")


@dataclass(frozen=True, slots=True)
class ServiceEndpoint:
    """Where a replica listens. One that is not ready exists all the same, and may serve who knows its address."""

    host: str
    port: int
    ready: bool
    name: str = ""  # of its Pod, where it is one


@dataclass(frozen=True, slots=True)
class ServiceEndpoints:
    """All endpoints of a Service. `unknown`: why there may be others; empty: there are none.

    `told` False: they could not be listed; `soon`: for the moment only.
    """

    endpoints: tuple[ServiceEndpoint, ...]
    unknown: str = ""
    told: bool = True
    soon: bool = False


@dataclass(frozen=True, slots=True)
class Slice:
    """What matters of an EndpointSlice. `endpoints` are a replica's identity, its address, whether it is ready, and the
    name of its Pod."""

    name: str
    service: str  # empty: of none
    address_type: str
    ports: tuple[tuple[str, int | None], ...]
    endpoints: tuple[tuple[str, str, bool, str], ...]

    def number(self, port: str) -> int | None:
        """The number of the port of that name. The only one is meant whatever its name is."""
        if len(self.ports) == 1:
            return self.ports[0][1]
        return next((number for name, number in self.ports if name == port), None)


def slice_of(obj: Mapping[str, Any]) -> Slice:
    """Read an EndpointSlice as the API server returns it."""
    metadata: Mapping[str, Any] = obj["metadata"]
    labels: Mapping[str, str] = metadata.get("labels") or {}
    return Slice(
        name=metadata["name"],
        service=labels.get(SERVICE_LABEL, ""),
        address_type=obj["addressType"],
        ports=tuple((each.get("name") or "", each.get("port")) for each in obj.get("ports") or ()),
        endpoints=tuple(_endpoint(each) for each in obj.get("endpoints") or ()),
    )


def _endpoint(endpoint: Mapping[str, Any]) -> tuple[str, str, bool, str]:
    """ "addresses … consumers should only use the first"; "ready … a nil value should be interpreted as 'true'"."""
    address: str = endpoint["addresses"][0]
    target: Mapping[str, Any] = endpoint.get("targetRef") or {}
    conditions: Mapping[str, Any] = endpoint.get("conditions") or {}
    return target.get("uid") or address, address, conditions.get("ready") is not False, target.get("name") or ""


def put_together(slices: Iterable[Slice], port: str) -> ServiceEndpoints:
    """The endpoints of one Service, from all its slices, at its port of that name."""
    address_of: dict[tuple[str, int], str] = {}  # by identity and port
    ready: dict[tuple[str, int], bool] = {}  # by address and port
    names: dict[tuple[str, int], str] = {}  # the same
    problems: list[str] = []
    for part in sorted(slices, key=_order):
        number = part.number(port)
        if not part.endpoints:
            continue
        if part.address_type not in _ADDRESS_TYPES or number is None:
            problems.append(_unusable(part, port))
            continue
        for identity, address, is_ready, name in part.endpoints:
            place = address_of.setdefault((identity, number), address), number
            ready[place] = ready.get(place, False) or is_ready
            if is_ready or place not in names:
                names[place] = name
    found = tuple(ServiceEndpoint(*place, is_ready, names[place]) for place, is_ready in ready.items())
    return ServiceEndpoints(found, "; ".join(problems[:1]))


def _order(part: Slice) -> tuple[bool, str, str]:
    return part.address_type not in _ADDRESS_TYPES, part.address_type, part.name


def _unusable(part: Slice, port: str) -> str:
    if part.address_type not in _ADDRESS_TYPES:
        return f"EndpointSlice {part.name} of Service {part.service} has names, and not addresses of its replicas"
    return (
        f"EndpointSlice {part.name} of Service {part.service} has no port named {port}: name the one that speaks S3 in "
        "spec.service.port of the Region"
    )
