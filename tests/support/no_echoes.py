"""A cluster in memory whose watch is as that of an API server: what was written through here is not told again."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Any, TypeVar

from cooper_crds.records import Record
from cooper_crds.stored import StoredRecord
from cooper_operator.cluster.memory import MemoryCluster
from cooper_operator.cluster.objects import ref_of
from cooper_operator.cluster.own_writes import OwnWrites
from cooper_operator.cluster.owners import record_owner
from cooper_operator.cluster.port import Credentials, Object, Ref
from cooper_operator.cluster.watch_hub import Watcher, WatchHub

_T = TypeVar("_T")


class NoEchoes:
    """The port. `clock` is monotonic, in seconds."""

    def __init__(self, cluster: MemoryCluster, clock: Callable[[], float]) -> None:
        self._cluster = cluster
        self._writes = OwnWrites(clock)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._cluster, name)

    async def create(self, obj: Object) -> Object:
        return await self._write(str(ref_of(obj)), self._cluster.create(obj), _version)

    async def update(self, obj: Object) -> Object:
        return await self._write(str(ref_of(obj)), self._cluster.update(obj), _version)

    async def update_status(self, obj: Object) -> Object:
        return await self._write(str(ref_of(obj)), self._cluster.update_status(obj), _version)

    async def create_record(self, name: str, record: Record) -> StoredRecord:
        return await self._write(f"record {name}", self._cluster.create_record(name, record), lambda made: made.version)

    async def update_record(self, current: StoredRecord, record: Record) -> StoredRecord:
        writing = self._cluster.update_record(current, record)
        return await self._write(f"record {current.name}", writing, lambda made: made.version)

    async def create_credentials(self, namespace: str, name: str, *content: Any) -> None:
        await self._write_credentials(namespace, name, self._cluster.create_credentials(namespace, name, *content))

    async def update_credentials(self, current: Credentials, *content: Any) -> None:
        writing = self._cluster.update_credentials(current, *content)
        await self._write_credentials(current.namespace, current.name, writing)

    async def _write_credentials(self, namespace: str, name: str, writing: Awaitable[None]) -> None:
        def version(_: None) -> str:
            return self._cluster._secrets[namespace, name].version  # pyright: ignore[reportPrivateUsage]

        await self._write(f"Secret {namespace}/{name}", writing, version)

    async def _write(self, path: str, writing: Awaitable[_T], version_of: Callable[[_T], str]) -> _T:
        answers: list[_T] = []

        async def request() -> dict[str, Any]:
            answers.append(await writing)
            return {"metadata": {"resourceVersion": version_of(answers[0])}}

        await self._writes.write(path, request())
        return answers[0]

    async def watch(self) -> AsyncGenerator[Ref]:
        with WatchHub().watching() as watcher:
            telling = asyncio.create_task(self._tell(watcher))
            try:
                while True:
                    yield await watcher.next()
            finally:
                telling.cancel()

    async def _tell(self, watcher: Watcher) -> None:
        """What there is at first, and then each version of each object that somebody else wrote."""
        shown: dict[Ref, dict[str, str]] = {}
        listed = set(self._cluster._objects.entries)  # pyright: ignore[reportPrivateUsage]
        async for ref in self._cluster.watch():
            before, shown[ref] = shown.get(ref, {}), self._versions(ref)
            now = shown[ref]
            changed = [path for path in before.keys() | now.keys() if before.get(path) != now.get(path)]
            if ref in listed or not changed:  # a Secret of somebody else that it waited for tells no version
                listed.discard(ref)
                watcher.add(ref)
            for path in changed:
                self._writes.tell_unless_echo(path, now.get(path), lambda ref=ref: watcher.add(ref))

    def _versions(self, ref: Ref) -> dict[str, str]:
        """Versions of a resource and of what is its, by path."""
        cluster: Any = self._cluster
        entry = cluster._objects.entries.get(ref)
        found = {} if entry is None else {str(ref): _version(entry.obj)}
        for name, stored in cluster._records.items():
            if isinstance(stored, StoredRecord) and record_owner(stored.record) == ref:
                found[f"record {name}"] = stored.version
        for (namespace, name), secret in cluster._secrets.items():
            if secret.owner == ref:
                found[f"Secret {namespace}/{name}"] = secret.version
        return found


def _version(obj: Object) -> str:
    return obj["metadata"]["resourceVersion"]
