"""What an installation brings along: its Region, and the Secret that its gateway's key-encryption key is to lie in.

Neither is a part of a Helm release: what is in Buckets depends on both, and outlives it.
"""

import asyncio
import hashlib
import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from cooper_crds.kubernetes import INSTALLED, KEK_TYPE
from cooper_operator.cluster.kubernetes_api import KubernetesApi
from cooper_operator.cluster.kubernetes_objects import core_path
from cooper_operator.cluster.port import AlreadyExists, Cluster, ClusterError, Conflict, NotFound, Object, Ref

log = logging.getLogger(__name__)

_FIRST_PAUSE: Final = 0.5
_LONGEST_PAUSE: Final = 30.0


@dataclass(frozen=True, slots=True)
class Installation:
    """`region` is a Region's manifest; `kek_secrets` are names of Secrets in the operator's namespace."""

    region: Mapping[str, Any] | None = None
    kek_secrets: Sequence[str] = ()

    async def bring(self, cluster: Cluster, api: KubernetesApi, namespace: str) -> None:
        """Make what is not there; what cannot be made is tried again until it can."""
        pause = _FIRST_PAUSE
        while True:
            try:
                for name in self.kek_secrets:
                    await _make_secret(api, namespace, name)
                if self.region is not None:
                    await _bring_region(cluster, self.region)
                return
            except (Conflict, NotFound):
                pause = _FIRST_PAUSE  # it changed meanwhile
            except ClusterError as error:
                log.warning("what belongs to the installation cannot be made, it is tried again: %s", error)
            await asyncio.sleep(pause)
            pause = min(pause * 2, _LONGEST_PAUSE)


async def _make_secret(api: KubernetesApi, namespace: str, name: str) -> None:
    """Empty, for the gateway to fill in: so that it needs no right to make Secrets. One that is there is left alone."""
    path, about = core_path("secrets", namespace), f"Secret {namespace}/{name}"
    try:
        await api.get(f"{path}/{name}", about)
    except NotFound:
        metadata = {"name": name, "namespace": namespace}
        try:
            await api.create(
                path, about, {"apiVersion": "v1", "kind": "Secret", "type": KEK_TYPE, "metadata": metadata}
            )
        except AlreadyExists:
            return
        log.info("%s is made: the gateway puts its key-encryption key there", about)


async def _bring_region(cluster: Cluster, manifest: Mapping[str, Any]) -> None:
    ref = Ref("Region", "", manifest["metadata"]["name"])
    found = await cluster.get(ref)
    wanted = wanted_region(manifest, found)
    if wanted is None:
        return
    if found is None:
        await cluster.create(wanted)
        log.info("%s is made, as the installation says", ref)
    else:
        await cluster.update(wanted)
        log.info("%s is changed: the installation's settings are others", ref)


def wanted_region(manifest: Mapping[str, Any], found: Object | None) -> Object | None:
    """What is to be written; None: nothing.

    A Region that is there changes when the installation's settings do, and then only: what else was changed in it stays
    until then. One that somebody else made is theirs.
    """
    digest = hashlib.sha256(json.dumps(manifest["spec"], sort_keys=True).encode()).hexdigest()[:16]
    if found is None:
        metadata = dict(manifest["metadata"])
        metadata["annotations"] = {**metadata.get("annotations", {}), INSTALLED: digest}
        return {**manifest, "metadata": metadata}
    annotations: Mapping[str, str] = found["metadata"].get("annotations") or {}
    if INSTALLED not in annotations or annotations[INSTALLED] == digest or "deletionTimestamp" in found["metadata"]:
        return None
    metadata = {**found["metadata"], "annotations": {**annotations, INSTALLED: digest}}
    return {**found, "metadata": metadata, "spec": dict(manifest["spec"])}
