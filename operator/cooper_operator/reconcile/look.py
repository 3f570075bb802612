"""Reading for a reconcile: first from what was seen, which costs nothing; live when that failed or says nothing."""

from collections import defaultdict

from cooper_crds.stored import Credentials, StoredRecord
from cooper_operator.cluster.port import Cluster, Kind, Object, Ref
from cooper_operator.cluster.recollection import Recollection
from cooper_operator.reconcile.reading import ref_of


class Look:
    """One look at things. `live`: at nothing but the cluster. Raises what the cluster's port raises."""

    def __init__(self, cluster: Cluster, recollection: Recollection, *, live: bool) -> None:
        self._cluster = cluster
        self._recollection = recollection
        self._listed: dict[Kind, dict[str, list[Object]]] = {}  # by namespace
        self.live = live

    async def resource(self, ref: Ref) -> Object | None:
        """A resource; None proves that it is absent."""
        found = None if self.live else self._recollection.resource(ref)
        # One that goes may be gone by now: what was seen of it can be the last that there is to see.
        if found is None or "deletionTimestamp" in found["metadata"]:
            return await self._cluster.get(ref)
        return found

    async def all_of(self, kind: Kind, namespace: str = "") -> list[Object]:
        """All resources of a kind in a namespace. One that was just made may not be among them: it is told of."""
        found = None if self.live else self._recollection.all_of(kind, namespace)
        if found is not None:
            return found
        if kind not in self._listed:  # once, however many namespaces somebody names
            by_namespace = defaultdict[str, list[Object]](list)
            for obj in await self._cluster.list_kind(kind):
                by_namespace[ref_of(obj).namespace].append(obj)
            self._listed[kind] = by_namespace
        return self._listed[kind].get(namespace, [])

    async def record(self, name: str) -> StoredRecord | None:
        """A record; None proves that it is absent."""
        found = None if self.live else self._recollection.record(name)
        return await self._cluster.get_record(name) if found is None else found

    async def other_credentials(self, namespace: str, owner_uid: str, but: str) -> tuple[Credentials, ...]:
        """The Secrets that were made for an owner under other names than `but`."""
        names = None if self.live else self._recollection.credentials(namespace, owner_uid)
        if names is not None and names <= {but}:
            return ()
        found = await self._cluster.list_credentials(namespace, owner_uid)
        return tuple(each for each in found if each.name != but)
