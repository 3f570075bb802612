"""A cluster whose watch is late, and what an operator remembers of it meanwhile, as with an API server."""

import asyncio
import random
from collections.abc import AsyncGenerator
from typing import Any

from cooper_crds.records import Record
from cooper_crds.stored import StoredRecord
from cooper_operator.cluster.objects import ref_of
from cooper_operator.cluster.port import Kind, Object, Ref
from cooper_operator.cluster.recollection import Seen
from support.lagging_gateways import LoggedCluster
from support.no_echoes import NoEchoes

#: Seconds by which the watch is late, at most.
_LATE = 0.2
#: A version that no object has yet: a list in memory is of this moment.
_NOW = str(1 << 62)


class LateView:
    """The port, and `seen`: it has what was written through here, and of what others did as much as was watched."""

    def __init__(self, cluster: LoggedCluster | NoEchoes, rng: random.Random) -> None:
        self._cluster = cluster
        self._rng = rng
        self._told = 0  # how much of the records' log is known
        self.seen = Seen()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._cluster, name)

    async def list_kind(self, kind: Kind) -> list[Object]:
        found = await self._cluster.list_kind(kind)
        self.seen.listed(kind, "", {ref_of(obj): obj for obj in found}, _NOW)
        return found

    async def create(self, obj: Object) -> Object:
        return self._wrote(await self._cluster.create(obj))

    async def update(self, obj: Object) -> Object:
        return self._wrote(await self._cluster.update(obj))

    async def update_status(self, obj: Object) -> Object:
        return self._wrote(await self._cluster.update_status(obj))

    async def get_record(self, name: str) -> StoredRecord | None:
        found = await self._cluster.get_record(name)
        if found is not None:
            self.seen.read_record(found)
        return found

    async def create_record(self, name: str, record: Record) -> StoredRecord:
        return self._wrote_record(await self._cluster.create_record(name, record))

    async def update_record(self, current: StoredRecord, record: Record) -> StoredRecord:
        return self._wrote_record(await self._cluster.update_record(current, record))

    async def watch(self) -> AsyncGenerator[Ref]:
        async for ref in self._cluster.watch():
            shown = await self._cluster.get(ref)
            log = self._cluster.log[self._told :]
            self._told += len(log)
            if self._rng.random() < 0.7:
                await asyncio.sleep(self._rng.random() * _LATE)
            known = self.seen.resource(ref)
            if shown is not None:
                self.seen.saw(ref, shown)
            elif known is not None:
                self.seen.gone(ref, known["metadata"]["resourceVersion"])
            for name, _ in log:
                self.seen.forget_record(name)
            yield ref

    def _wrote(self, obj: Object) -> Object:
        self.seen.saw(ref_of(obj), obj)
        return obj

    def _wrote_record(self, stored: StoredRecord) -> StoredRecord:
        self.seen.read_record(stored)
        return stored
