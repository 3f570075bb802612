"""What stays behind when its namespace goes: Kubernetes overlooks kinds that its API server does not list yet, as when
that just came back. Keys are to end with their namespace, and who makes one of that name again is to find nothing.

Nobody can write to what is in a namespace that is not there, so that finalizers stay until there is one again: keys are
refused at once, and the rest goes then. What is much older than its namespace was left behind by another one.
"""

import logging
from collections import defaultdict
from collections.abc import Iterable
from typing import Final

from cooper_crds.fields import unix_seconds
from cooper_operator.cluster.port import Cluster, ClusterError, Kind, Namespace, Object
from cooper_operator.cluster.recollection import Recollection
from cooper_operator.reconcile.reading import ref_of

log = logging.getLogger(__name__)

#: What is let first: nobody is to be given anything by what is about to go.
_KINDS: Final[tuple[Kind, ...]] = ("BucketGrant", "AccessKey", "Bucket")
#: Seconds by which something is older than its namespace at least: clocks of API servers may differ.
_OLDER: Final = 60.0


class LeftBehind:
    """Deletes it. Raises what the cluster's port raises when it cannot be known what is there."""

    def __init__(self, cluster: Cluster, recollection: Recollection) -> None:
        self._cluster = cluster
        self._recollection = recollection
        self._at_work: set[str] = set()  # namespaces

    async def find(self, resources: Iterable[Object]) -> None:
        """Look whether resources are of the namespaces that are there now, and delete those that are not."""
        by_namespace = defaultdict[str, list[Object]](list)
        for obj in resources:
            if "deletionTimestamp" not in obj["metadata"]:
                by_namespace[obj["metadata"]["namespace"]].append(obj)
        for name in sorted(by_namespace):
            namespace = await self._cluster.namespace(name)
            if any(stayed(_made(obj), namespace) for obj in by_namespace[name]):
                await self.delete(name)

    async def delete(self, name: str) -> None:
        """Delete what is there of a namespace that is proven to be gone, or another one, after it was seen: what
        somebody makes in one that is made anew meanwhile is his."""
        if name in self._at_work:
            return
        self._at_work.add(name)
        try:
            found = [obj for kind in _KINDS for obj in await self._all_of(kind, name)]
            namespace = await self._cluster.namespace(name)
            for obj in found:
                if "deletionTimestamp" not in obj["metadata"] and stayed(_made(obj), namespace):
                    await self._delete(obj)
        finally:
            self._at_work.discard(name)

    async def _delete(self, obj: Object) -> None:
        log.warning("%s: its namespace is gone, and it stayed behind: it is deleted", ref_of(obj))
        try:
            await self._cluster.delete(ref_of(obj), obj["metadata"]["uid"])
        except ClusterError as error:
            log.warning("%s is left to the next sweep: %s", ref_of(obj), error)

    async def _all_of(self, kind: Kind, name: str) -> list[Object]:
        seen = self._recollection.all_of(kind, name)
        if seen is not None:
            return seen
        return [obj for obj in await self._cluster.list_kind(kind) if obj["metadata"]["namespace"] == name]


def _made(obj: Object) -> str | None:
    made: str | None = obj["metadata"].get("creationTimestamp")
    return made


def stayed(made: str | None, namespace: Namespace | None) -> bool:
    """Whether what was made at that time is not of the namespace that is there under its namespace's name."""
    if namespace is None:
        return True
    return made is not None and unix_seconds(made) < namespace.created - _OLDER
