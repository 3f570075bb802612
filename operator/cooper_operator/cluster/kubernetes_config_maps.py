"""The part of credentials that is no secret, in a ConfigMap of the Secret's name: profile OBC asks for that.

Both are one: the Secret is marked to have a ConfigMap, and its version, as the port shows it, is that of both, joined
by `+`. The ConfigMap is written and deleted first, so that a crash in between leaves the mark, and both are found.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from cooper_crds.stored import Credentials
from cooper_operator.cluster.kubernetes_api import KubernetesApi
from cooper_operator.cluster.kubernetes_credentials import credentials_labels, is_labelled, is_marked, owned, owner_uid
from cooper_operator.cluster.kubernetes_objects import core_path
from cooper_operator.cluster.own_writes import OwnWrites
from cooper_operator.cluster.port import AlreadyExists, Conflict, Invalid, NotFound, Object

_JOINT = "+"


class ConfigMaps:
    """Those beside Secrets of ours. All writes go through `writes`."""

    def __init__(self, api: KubernetesApi, writes: OwnWrites) -> None:
        self._api = api
        self._writes = writes

    async def join(self, secret: Mapping[str, Any], found: Credentials) -> Credentials:
        """Credentials as a whole. `found` is what the Secret alone says."""
        if found.owner_uid is None or not is_marked(secret):
            return found
        beside = await self._get(found.namespace, found.name)
        if beside is None or owner_uid(beside["metadata"]) != found.owner_uid:
            return replace(found, version=f"{found.version}{_JOINT}")
        return replace(
            found,
            data={**found.data, **(beside.get("data") or {})},
            version=f"{found.version}{_JOINT}{beside['metadata']['resourceVersion']}",
            intact=found.intact and is_labelled(beside["metadata"]),
        )

    async def bring(
        self, namespace: str, name: str, data: Mapping[str, str], owner: Object, current: Credentials | None = None
    ) -> None:
        """Have one with exactly this data, beside credentials that are there, or are yet to be made.

        Raises Conflict, and Invalid when one is there that is not the owner's.
        """
        path, about, found = _path(namespace, name), _about(namespace, name), await self._get(namespace, name)
        if found is None:
            made = _config_map(namespace, name, data, owner)
            try:
                await self._writes.write(path, self._api.create(_path(namespace), about, made))
            except AlreadyExists as error:
                raise Conflict(str(error)) from None
            return
        if owner_uid(found["metadata"]) != owner["metadata"]["uid"]:
            raise Invalid(f"{about} is there, is not that of this AccessKey and is left alone: move it away")
        read = "" if current is None else current.version.partition(_JOINT)[2]
        if read not in ("", found["metadata"]["resourceVersion"]):
            raise Conflict(f"{about} changed since it was read")
        patch = _patch(found, data, owner)
        try:
            await self._writes.write(path, self._api.patch(path, about, patch))
        except NotFound as error:
            raise Conflict(str(error)) from None

    async def remove(self, current: Credentials) -> None:
        """Delete the one beside credentials of ours, as it was read. Raises Conflict; absent already is success."""
        version = current.version.partition(_JOINT)[2]
        if version:
            path, about = _path(current.namespace, current.name), _about(current.namespace, current.name)
            try:
                await self._api.delete(path, about, {"resourceVersion": version})
            except NotFound:
                pass

    async def _get(self, namespace: str, name: str) -> dict[str, Any] | None:
        try:
            return await self._api.get(_path(namespace, name), _about(namespace, name))
        except NotFound:
            return None


def of_secret(current: Credentials) -> Credentials:
    """The same with the version of the Secret alone."""
    return replace(current, version=current.version.partition(_JOINT)[0])


def _config_map(namespace: str, name: str, data: Mapping[str, str], owner: Object) -> dict[str, Any]:
    metadata = owned(namespace, name, owner)
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": dict(data)}


def _patch(found: Mapping[str, Any], data: Mapping[str, str], owner: Object) -> dict[str, Any]:
    """The merge patch (RFC 7396) that gives it exactly this data; labels and annotations of others stay."""
    labels = credentials_labels(owner["metadata"]["name"], owner["metadata"]["uid"])
    metadata = {"resourceVersion": found["metadata"]["resourceVersion"], "labels": labels}
    there: dict[str, str] = found.get("data") or {}
    others: dict[str, str] = found.get("binaryData") or {}
    removed, binary = dict.fromkeys(there.keys() - data.keys()), dict.fromkeys(others)
    return {"metadata": metadata, "data": {**removed, **data}, **({"binaryData": binary} if binary else {})}


def _path(namespace: str, name: str = "") -> str:
    return core_path("configmaps", namespace, name)


def _about(namespace: str, name: str) -> str:
    return f"ConfigMap {namespace}/{name}"
