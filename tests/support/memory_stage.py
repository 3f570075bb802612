"""The operator's model on a cluster in memory, whose watch is late."""

import asyncio
import random
from collections.abc import Callable, Mapping, Set
from contextlib import suppress
from dataclasses import replace
from typing import Any

from cooper_crds.records import Record
from cooper_crds.rotation import WorkloadName
from cooper_crds.stored import StoredRecord, Workload
from cooper_operator.cluster.port import ClusterError, Credentials, Object, Ref
from cooper_operator.cluster.recollection import Recollection
from support.lagging_gateways import Log, LoggedCluster
from support.late_view import LateView
from support.no_echoes import NoEchoes
from support.stages import Edit, is_system, numbered_uids, resource_versions

#: A workload that uses a Secret.
WEB = WorkloadName(kind="Deployment", name="web")


class MemoryStage:
    """Implements `Stage`."""

    def __init__(self, rng: random.Random, now: Callable[[], float], *, echoes: bool) -> None:
        self._rng = rng
        self.echoes = echoes
        self.changed: Callable[[], None] = lambda: None
        self.cluster = LoggedCluster(now, numbered_uids())
        self.cluster.workloads["default", WEB] = Workload(WEB, "1")
        self._anew = 0  # namespaces

    @property
    def log(self) -> Log:
        """See the protocol."""
        return self.cluster.log

    @property
    def unavailable(self) -> str | None:
        """See the protocol."""
        return self.cluster.unavailable

    @unavailable.setter
    def unavailable(self, reason: str | None) -> None:
        self.cluster.unavailable = reason

    def open(self, dead: asyncio.Event) -> tuple[Any, Recollection]:
        """See the protocol."""
        told = self.cluster if self.echoes else NoEchoes(self.cluster, asyncio.get_running_loop().time)
        late = LateView(told, self._rng)
        return late, late.seen

    async def close(self) -> None:
        """See the protocol. What is kept is kept elsewhere: by an API server."""

    async def apply(self, manifest: Object) -> None:
        """See the protocol."""
        with suppress(ClusterError):
            await self.cluster.apply(manifest)
            self.changed()

    async def delete(self, ref: Ref) -> None:
        """See the protocol."""
        with suppress(ClusterError):
            obj = await self.cluster.get(ref)
            if obj is not None:
                await self.cluster.delete(ref, obj["metadata"]["uid"])
                self.changed()

    async def recall(self, ref: Ref) -> None:
        """See the protocol."""
        if ref in self.cluster._objects.entries and not self.cluster.unavailable:
            await self.cluster.recall(ref)
            self.changed()

    async def annotate(self, ref: Ref, key: str, value: str) -> None:
        """See the protocol."""
        with suppress(ClusterError):
            obj = await self.cluster.get(ref)
            if obj is not None:
                metadata = dict(obj["metadata"])
                metadata["annotations"] = {**metadata.get("annotations", {}), key: value}
                await self.cluster.update({**obj, "metadata": metadata})

    async def edit_all(self, edit: Edit) -> None:
        """See the protocol."""
        for obj in self.objects():
            if (spec := edit(obj["spec"])) is not None:
                await self.apply({**obj, "spec": spec})

    def set_credentials(self, namespace: str, name: str, data: Mapping[str, str]) -> None:
        """See the protocol."""
        self.cluster.set_credentials(namespace, name, data)

    def remove_credentials(self, namespace: str, name: str) -> None:
        """See the protocol."""
        self.cluster.remove_credentials(namespace, name)

    async def leave_record(self, name: str, record: Record) -> bool:
        """See the protocol."""
        with suppress(ClusterError):
            await self.cluster.create_record(name, record)
            return True
        return False

    def damage_record(self, name: str) -> None:
        """See the protocol."""
        self.cluster.damage_record(name)

    def drop_record(self, name: str) -> None:
        """See the protocol."""
        self.cluster.drop_record(name)

    async def happen(self, what: str, *how: Any) -> None:
        """See the protocol."""
        if what == "roll out":
            self._roll_out(*how)
        elif what == "anew":
            await self._make_anew(*how)
        else:
            raise ValueError(what)

    async def settle(self) -> None:
        """See the protocol."""
        self.unavailable = None
        self._roll_out(True)

    def objects(self) -> list[dict[str, Any]]:
        """See the protocol."""
        return [entry.obj for entry in self.cluster._objects.entries.values()]

    def uids(self) -> Set[str]:
        """See the protocol."""
        return self.cluster._objects.uids

    def records(self) -> dict[str, Record | None]:
        """See the protocol."""
        return {name: self.stored(name) for name in self.cluster._records}

    def stored(self, name: str) -> Record | None:
        """See the protocol."""
        return self.cluster.stored(name)

    def credentials(self) -> dict[tuple[str, str], Credentials]:
        """See the protocol."""
        return {key: secret.credentials(*key) for key, secret in self.cluster._secrets.items()}

    def home_of(self, namespace: str) -> str:
        """See the protocol."""
        return self.cluster.namespaces.get(namespace, f"uid-of-{namespace}")

    def versions(self) -> dict[str, str]:
        """See the protocol."""
        secrets = {f"Secret {key}": secret.version for key, secret in self.cluster._secrets.items()}
        stored = [each for each in self.cluster._records.values() if isinstance(each, StoredRecord)]
        records = {f"record {each.name}": each.version for each in stored if not is_system(each.record)}
        return resource_versions(self.objects()) | secrets | records

    def faults(self) -> list[str]:
        """See the protocol. What was applied is what there is."""
        return []

    def _roll_out(self, ended: bool) -> None:
        """The Pods of the workload are as its template says, or they cannot be."""
        found = self.cluster.workloads["default", WEB]
        self.cluster.workloads["default", WEB] = replace(found, waiting="" if ended else "Pods that are new: 0 of 1")

    async def _make_anew(self, namespace: str) -> None:
        """A namespace is deleted, and where that came to an end soon another one of its name is made."""
        for ref in [each for each in self.cluster._objects.entries if each.namespace == namespace]:
            await self.delete(ref)
        await asyncio.sleep(5)
        if not any(each.namespace == namespace for each in self.cluster._objects.entries):
            self._anew += 1
            self.cluster.namespaces[namespace] = f"{namespace} anew {self._anew}"
