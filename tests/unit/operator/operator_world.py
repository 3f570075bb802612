"""An operator over a cluster and gateways in memory, with a clock that tests move."""

import asyncio
import contextlib
import time
from typing import Any

from cooper_crds.records import BucketRecord, KeyRecord, Record
from cooper_operator.cluster.memory import MemoryCluster
from cooper_operator.cluster.port import Credentials, Object, Ref
from cooper_operator.cluster.recollection import Recollection
from cooper_operator.gateways.memory import MemoryGateways
from cooper_operator.gateways.system_key import SystemKey
from cooper_operator.reconcile.operator import Intervals, Operator

ENDPOINT = "http://127.0.0.1:9000"
NEVER = 3600.0


def manifest(kind: str, name: str, spec: dict[str, Any] | None = None, namespace: str = "default") -> dict[str, Any]:
    metadata = {"name": name} if kind == "Region" else {"name": name, "namespace": namespace}
    return {"apiVersion": "cooper.dev/v1alpha1", "kind": kind, "metadata": metadata, "spec": spec or {}}


class World:
    def __init__(self, **intervals: float) -> None:
        self.offset = 0.0
        self.writes: list[str] = []
        self.cluster = MemoryCluster(self.now)
        self.gateways = MemoryGateways(self._records, clock=self.now)
        self.system_key = SystemKey()
        self.intervals = Intervals(**{"intents": NEVER, "usage": NEVER, "sweep": NEVER, "resync": NEVER, **intervals})
        self.recollection: Recollection | None = None
        self.keep_key = False
        self.view: Any = self.cluster  # what the operator sees of it
        self.operator: Operator
        self._running: asyncio.Task[None] | None = None

    def now(self) -> float:
        return time.time() + self.offset

    async def _records(self) -> list[Record]:
        return [stored.record for stored in await self.cluster.list_records()]

    async def start(self, *, region: bool = True) -> "World":
        if region:
            await self.apply("Region", "local", {"tag": "us-east-1", "default": True})
        self.operator = Operator(
            self.view,
            self.gateways,
            system_key=self.system_key,
            keep_key=self.keep_key,
            recollection=self.recollection,
            clock=self.now,
            default_endpoint=ENDPOINT,
            intervals=self.intervals,
        )
        self._running = asyncio.create_task(self.operator.run())
        return self

    async def stop(self) -> None:
        if self._running is not None:
            await self.operator.stop()
            await self._running
            self._running = None

    async def apply(self, kind: str, name: str, spec: dict[str, Any] | None = None, namespace: str = "default") -> None:
        await self.cluster.apply(manifest(kind, name, spec, namespace))

    async def get(self, kind: Any, name: str, namespace: str = "default") -> Object | None:
        return await self.cluster.get(Ref(kind, "" if kind == "Region" else namespace, name))

    async def delete(self, kind: Any, name: str, namespace: str = "default") -> None:
        obj = await self.get(kind, name, namespace)
        assert obj is not None
        await self.cluster.delete(Ref(kind, "" if kind == "Region" else namespace, name), obj["metadata"]["uid"])

    async def condition(
        self, kind: str, name: str, type_: str = "Ready", namespace: str = "default"
    ) -> tuple[str, str]:
        """Status and reason of a condition, of the current generation only."""
        obj = await self.get(kind, name, namespace) or {}
        for each in (obj.get("status") or {}).get("conditions", []):
            if each["type"] == type_ and each["observedGeneration"] == obj["metadata"]["generation"]:
                return each["status"], each["reason"]
        return "", ""

    async def message(self, kind: str, name: str, type_: str = "Ready") -> str:
        obj = await self.get(kind, name) or {}
        return next(each["message"] for each in obj["status"]["conditions"] if each["type"] == type_)

    async def until(self, condition: Any, timeout: float = 5.0) -> None:
        """Wait until an async condition holds."""
        deadline = time.monotonic() + timeout
        while not await condition():
            assert time.monotonic() < deadline, "the condition did not come to hold"
            await asyncio.sleep(0.002)

    async def until_condition(
        self, kind: str, name: str, status: str, reason: str, type_: str = "Ready", namespace: str = "default"
    ) -> None:
        last = ("", "")
        with contextlib.suppress(AssertionError):

            async def holds() -> bool:
                nonlocal last
                last = await self.condition(kind, name, type_, namespace)
                return last == (status, reason)

            await self.until(holds)
        assert last == (status, reason)

    async def until_ready(self, kind: str, name: str, namespace: str = "default") -> None:
        async def holds() -> bool:
            return (await self.condition(kind, name, "Ready", namespace))[0] == "True"

        await self.until(holds)

    async def until_gone(self, kind: str, name: str, namespace: str = "default") -> None:
        async def holds() -> bool:
            return await self.get(kind, name, namespace) is None

        await self.until(holds)

    async def settle(self) -> None:
        """Wait until the operator has nothing to do now."""
        quiet = 0
        for _ in range(2000):
            quiet = quiet + 1 if self.operator.idle else 0
            if quiet > 5:
                return
            await asyncio.sleep(0.002)
        raise AssertionError("the operator does not settle")

    async def credentials(self, name: str, namespace: str = "default") -> Credentials | None:
        return await self.cluster.get_credentials(namespace, name)

    async def secret(self, name: str, namespace: str = "default") -> dict[str, str]:
        found = await self.credentials(name, namespace)
        assert found is not None
        return dict(found.data)

    async def keys(self) -> list[KeyRecord]:
        """All keys but the operator's own."""
        return [each for each in await self._records() if isinstance(each, KeyRecord) and not each.system]

    async def key(self) -> KeyRecord:
        """The newest key of the one AccessKey that has any."""
        keys = await self.keys()
        assert len({key.owner.uid for key in keys}) == 1
        return max(keys, key=lambda key: key.serial)

    async def bucket_record(self, name: str) -> BucketRecord | None:
        stored = await self.cluster.get_record(f"bucket-{name}")
        assert stored is None or isinstance(stored.record, BucketRecord)
        return None if stored is None else stored.record

    def count_writes(self) -> list[str]:
        """Note every write from now on."""
        for name in dir(self.cluster):
            if name.split("_")[0] in {"create", "update", "delete"}:
                self._count(name)
        return self.writes

    def _count(self, name: str) -> None:
        original = getattr(self.cluster, name)

        async def counted(*args: Any, **kwargs: Any) -> Any:
            self.writes.append(f"{name} {args[0] if args else ''}"[:100])
            return await original(*args, **kwargs)

        setattr(self.cluster, name, counted)
