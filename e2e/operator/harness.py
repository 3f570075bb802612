"""The Kubernetes adapter behind the harness of the behaviour suite. People act through kubectl, as they would."""

import asyncio
import base64
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, cast

import aiohttp

from cooper_crds.kubernetes import CREDENTIALS_LABEL, RECORD_KEY, secret_name
from cooper_operator.cluster.kubernetes import KubernetesCluster
from cooper_operator.cluster.kubernetes_api import MERGE_PATCH, Collection, KubernetesApi
from cooper_operator.cluster.kubernetes_connection import Connection, Request, from_kubeconfig
from cooper_operator.cluster.kubernetes_objects import CLUSTER_SCOPED, PLURALS, core_path, kind_path
from cooper_operator.cluster.kubernetes_watch import OwnerWatch
from cooper_operator.cluster.port import Kind, Ref
from e2e.kubectl import Kubectl

TENANT: Final = "default"


class Sweep:
    """Leaves the cluster as a test wants to find it."""

    def __init__(self, kubeconfig: Path, records: str) -> None:
        self._connection = Connection(from_kubeconfig(kubeconfig))
        self.api = KubernetesApi(self._connection)
        self._records = records

    async def resources(self) -> list[tuple[Kind, dict[str, Any]]]:
        """Everything of Cooper's in the cluster."""
        return [(kind, obj) for kind in PLURALS for obj in (await self._list(kind_path(kind)))]

    async def clean(self) -> None:
        """Remove what tests made, and whatever would hold it."""
        for kind, obj in await self.resources():
            metadata = obj["metadata"]
            path = f"{kind_path(kind, metadata.get('namespace', ''))}/{metadata['name']}"
            if metadata.get("finalizers"):
                await self._send(Request("PATCH", path, {"metadata": {"finalizers": None}}, None, MERGE_PATCH))
            await self._send(Request("DELETE", path))
        for path in (core_path("secrets", TENANT), core_path("secrets", self._records), core_path("events", TENANT)):
            await self._send(Request("DELETE", path))
        beside = {"labelSelector": CREDENTIALS_LABEL}
        await self._send(Request("DELETE", core_path("configmaps", TENANT), None, beside))

    async def close(self) -> None:
        await self._connection.close()

    async def _list(self, path: str) -> list[dict[str, Any]]:
        return (await self.api.list(Collection(path, path))).items

    async def _send(self, request: Request) -> None:
        async with await self._connection.send(request, aiohttp.ClientTimeout(total=10)) as response:
            assert response.status in (200, 202, 404), await response.text()


class KubernetesHarness:
    """What people do to a cluster, and the adapter under test."""

    def __init__(self, kubectl: Kubectl, kubeconfig: Path, records: str) -> None:
        self.kubectl = kubectl
        self.records = records
        self.api = KubernetesApi(Connection(from_kubeconfig(kubeconfig)))
        self.cluster = KubernetesCluster(self.api, namespace=records)
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Tell the adapter of changes to resources."""
        for kind in PLURALS:
            of = Collection(kind_path(kind), f"all {kind}s", metadata_only=True)
            watch = OwnerWatch(self.api, of, _refs(kind), self.cluster.notify)
            self._tasks.append(asyncio.create_task(watch.run()))
            await watch.attempted.wait()

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.cluster.close()

    async def apply(self, manifest: dict[str, Any]) -> None:
        await self.kubectl("apply", "-f", "-", manifest=manifest)

    async def remove(self, ref: Ref) -> None:
        within = () if ref.kind in CLUSTER_SCOPED else ("-n", ref.namespace)
        await self.kubectl("delete", PLURALS[ref.kind], ref.name, *within, "--wait=false")

    async def set_credentials(self, namespace: str, name: str, data: dict[str, str]) -> None:
        secret: dict[str, Any] = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "type": "Opaque"}
        found = await self.kubectl("-n", namespace, "get", "secret", name, "-o", "json", "--ignore-not-found")
        secret = json.loads(found) if found else secret
        secret["data"] = {key: base64.b64encode(value.encode()).decode() for key, value in data.items()}
        await self.kubectl("-n", namespace, "replace" if found else "create", "-f", "-", manifest=secret)

    async def remove_credentials(self, namespace: str, name: str) -> None:
        await self.kubectl("-n", namespace, "delete", "secret", name)

    async def damage_record(self, name: str) -> None:
        patch = {"data": {RECORD_KEY: base64.b64encode(b"{").decode()}}
        await self.kubectl("-n", self.records, "patch", "secret", secret_name(name), "-p", json.dumps(patch))


def _refs(kind: Kind) -> Any:
    def ref(metadata: Mapping[str, Any]) -> Ref:
        return Ref(kind, cast(str, metadata.get("namespace", "")), metadata["name"])

    return ref
