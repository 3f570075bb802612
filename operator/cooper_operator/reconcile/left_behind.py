"""What stays behind when its namespace goes: Kubernetes overlooks kinds that its API server does not list yet, as when
that just came back. Keys are to end with their namespace, and who makes one of that name again is to find nothing.

Nobody can write to what is in a namespace that is not there, so that finalizers stay until there is one again: keys are
refused at once, and the rest goes then.
"""

import logging
from collections.abc import Iterable
from contextlib import suppress
from typing import Final

from cooper_operator.cluster.port import Cluster, Conflict, Kind, NotFound, Object
from cooper_operator.cluster.recollection import Recollection
from cooper_operator.reconcile.reading import ref_of

log = logging.getLogger(__name__)

#: What is let first: nobody is to be given anything by what is about to go.
_KINDS: Final[tuple[Kind, ...]] = ("BucketGrant", "AccessKey", "Bucket")


class LeftBehind:
    """Deletes it. Raises what the cluster's port raises."""

    def __init__(self, cluster: Cluster, recollection: Recollection) -> None:
        self._cluster = cluster
        self._recollection = recollection

    async def find(self, resources: Iterable[Object]) -> None:
        """Look whether the namespaces of resources are there, and delete what is in those that are not."""
        for namespace in sorted({obj["metadata"]["namespace"] for obj in resources if _is_to_stay(obj)}):
            if await self._cluster.namespace_uid(namespace) is None:
                await self.delete(namespace)

    async def delete(self, namespace: str) -> None:
        """Delete what is there of a namespace, if that is proven to be gone after it was seen: what somebody makes in
        one that is made anew meanwhile is his."""
        found = [obj for kind in _KINDS for obj in await self._all_of(kind, namespace) if _is_to_stay(obj)]
        if not found or await self._cluster.namespace_uid(namespace) is not None:
            return
        for obj in found:
            log.warning("%s: its namespace is gone, and it stayed behind: it is deleted", ref_of(obj))
            with suppress(NotFound, Conflict):
                await self._cluster.delete(ref_of(obj), obj["metadata"]["uid"])

    async def _all_of(self, kind: Kind, namespace: str) -> list[Object]:
        seen = self._recollection.all_of(kind, namespace)
        if seen is not None:
            return seen
        return [obj for obj in await self._cluster.list_kind(kind) if obj["metadata"]["namespace"] == namespace]


def _is_to_stay(obj: Object) -> bool:
    return "deletionTimestamp" not in obj["metadata"]
