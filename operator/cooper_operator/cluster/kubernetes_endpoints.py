"""Follows the EndpointSlices of a namespace: where the replicas behind each Service listen."""

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any, Final

from cooper_operator.cluster.endpoints import SERVICE_LABEL, ServiceEndpoints, Slice, put_together, slice_of
from cooper_operator.cluster.kubernetes_api import Collection, KubernetesApi
from cooper_operator.cluster.kubernetes_following import follow

#: Seconds between attempts to follow at most: until then nothing can be proven of any gateway.
_LONGEST_PAUSE: Final = 10.0
#: Seconds for which that counts as a moment.
_MOMENT: Final = 300.0


class EndpointSlices:
    """`notify` is told the name of each Service whose endpoints changed, or came to be known. `clock` is monotonic."""

    def __init__(
        self,
        api: KubernetesApi,
        namespace: str,
        notify: Callable[[str], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._api = api
        self._namespace = namespace
        path = f"/apis/discovery.k8s.io/v1/namespaces/{namespace}/endpointslices"
        self._of = Collection(path, f"the EndpointSlices in namespace {namespace}")
        self._notify = notify
        self._slices: dict[str, Slice] = {}
        self._unknown = f"{self._of.about} have not been listed yet"
        self._clock = clock
        self._unknown_since = clock()

    def of(self, service: str, port: str) -> ServiceEndpoints:
        """Where a Service's replicas listen on the port of that name."""
        slices = [each for each in self._slices.values() if each.service == service]
        found = put_together(slices, port)
        if self._unknown:
            soon = self._clock() - self._unknown_since < _MOMENT
            return ServiceEndpoints(found.endpoints, self._unknown, told=False, soon=soon)
        # A Service with a selector has a slice, which is empty where it has no replicas.
        return found if slices else ServiceEndpoints((), self._no_service(service))

    async def read(self, service: str, port: str) -> ServiceEndpoints:
        """The same, from a list of this moment: a watch may lag, or be broken and not know it. Raises Unavailable."""
        labels = {"labelSelector": f"{SERVICE_LABEL}={service}"}
        slices = [slice_of(each) for each in (await self._api.list(replace(self._of, selector=labels))).items]
        return put_together(slices, port) if slices else ServiceEndpoints((), self._no_service(service))

    async def run(self) -> None:
        """Follow until cancelled."""
        await follow(self._api, self._of, self, longest_pause=_LONGEST_PAUSE)

    def listed(self, items: Sequence[dict[str, Any]]) -> None:
        """See Follower."""
        before, self._slices = self._slices, {each.name: each for each in map(slice_of, items)}
        known, self._unknown = not self._unknown, ""
        names = before.keys() | self._slices.keys()
        changed = [name for name in sorted(names) if not known or before.get(name) != self._slices.get(name)]
        self._tell(each for name in changed for each in (before.get(name), self._slices.get(name)))

    def shown(self, item: dict[str, Any], deleted: bool) -> None:
        """See Follower."""
        now = slice_of(item)
        before = self._slices.pop(now.name, None)
        if not deleted:
            self._slices[now.name] = now
        if deleted or before != now:
            self._tell((before, now))

    def lost(self, why: str) -> None:
        """See Follower. A watch that ended by itself is no trouble: a list follows, which says so if it is."""
        if why:
            self._unknown_since = self._unknown_since if self._unknown else self._clock()
            self._unknown = f"it is not known which gateways there are: {why}"

    def _tell(self, slices: Iterable[Slice | None]) -> None:
        for service in dict.fromkeys(each.service for each in slices if each is not None):
            if service:
                self._notify(service)

    def _no_service(self, service: str) -> str:
        return (
            f"there is no Service {service} with EndpointSlices in namespace {self._namespace}: create it, or name the "
            "gateways' Service in spec.service of the Region"
        )
