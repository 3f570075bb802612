"""The API server with all rights, in milliseconds: for what is to be done many times, or at a certain moment."""

import base64
from collections.abc import AsyncGenerator, Mapping
from pathlib import Path
from typing import Any

import aiohttp

from cooper_crds.kubernetes import LEASE
from cooper_operator.cluster.kubernetes_api import MERGE_PATCH, Collection, KubernetesApi
from cooper_operator.cluster.kubernetes_connection import Connection, Request, from_kubeconfig
from cooper_operator.cluster.kubernetes_objects import core_path, resource_path
from cooper_operator.cluster.port import NotFound, Ref

Object = dict[str, Any]
_TIMEOUT = aiohttp.ClientTimeout(total=10)
_TENANT = {"fieldManager": "tenant"}


class Server:
    """Close it in the loop that it was used in."""

    def __init__(self, kubeconfig: Path) -> None:
        self._connection = Connection(from_kubeconfig(kubeconfig))
        self._api = KubernetesApi(self._connection)

    async def close(self) -> None:
        await self._api.close()

    async def create(self, manifest: Object) -> bool:
        """Make a resource. False: one of that name is there, or is going."""
        metadata = manifest["metadata"]
        path = resource_path(Ref(manifest["kind"], metadata["namespace"], metadata["name"])).rpartition("/")[0]
        return await self._send(Request("POST", path, manifest, _TENANT)) != 409

    async def edit(self, ref: Ref, spec: Mapping[str, Any]) -> None:
        """Change fields of a spec."""
        await self._send(Request("PATCH", resource_path(ref), {"spec": spec}, _TENANT, MERGE_PATCH))

    async def delete(self, ref: Ref) -> None:
        """Ask for a deletion."""
        await self._send(Request("DELETE", resource_path(ref)))

    async def delete_unheld(self, ref: Ref) -> None:
        """Take the finalizers off and ask for the deletion, before anybody can put them back."""
        await self._send(Request("PATCH", resource_path(ref), {"metadata": {"finalizers": None}}, _TENANT, MERGE_PATCH))
        await self.delete(ref)

    async def drop_lease(self, namespace: str) -> None:
        """Have an operator that starts begin at once: who held the Lease is known to be dead."""
        await self._send(Request("DELETE", f"/apis/coordination.k8s.io/v1/namespaces/{namespace}/leases/{LEASE}"))

    async def list(self, path: str, **selector: str) -> list[Object]:
        """All objects at a path."""
        return (await self._api.list(Collection(path, path, selector))).items

    async def get(self, path: str) -> Object | None:
        """An object; None when there is none."""
        try:
            return await self._api.get(path, path)
        except NotFound:
            return None

    async def patch(self, path: str, body: Mapping[str, Any]) -> Object | None:
        """Merge what is given into an object, at whatever version; None when that could not be."""
        request = Request("PATCH", path, body, _TENANT, MERGE_PATCH)
        async with await self._connection.send(request, _TIMEOUT) as response:
            return await response.json() if response.status == 200 else None

    async def secrets(self, namespace: str) -> AsyncGenerator[Object]:
        """Every Secret of a namespace as it is, then as it is whenever it changes. Ends when the server ends it."""
        of = Collection(core_path("secrets", namespace), namespace)
        listing = await self._api.list(of)
        for secret in listing.items:
            yield secret
        async for event in self._api.watch(of, listing.version):
            if event["type"] in ("ADDED", "MODIFIED"):
                yield event["object"]

    async def _send(self, request: Request) -> int:
        async with await self._connection.send(request, _TIMEOUT) as response:
            assert response.status in (200, 201, 202, 404, 409), await response.text()
            return response.status


def values(secret: Object) -> dict[str, str]:
    """What a Secret holds."""
    return {key: base64.b64decode(value).decode() for key, value in (secret.get("data") or {}).items()}
