"""What an installation brings along: its Region, and Secrets for its gateway's key-encryption key and certificate.

None is a part of a Helm release: what is in Buckets depends on them, and outlives it.
"""

import asyncio
import hashlib
import json
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from cooper_crds.kubernetes import INSTALLED, KEK_TYPE
from cooper_crds.pem import blocks_of
from cooper_operator.certificates.secret import ServingSecret
from cooper_operator.cluster.kubernetes_api import KubernetesApi
from cooper_operator.cluster.kubernetes_objects import core_path
from cooper_operator.cluster.port import AlreadyExists, Cluster, ClusterError, Conflict, NotFound, Object, Ref

log = logging.getLogger(__name__)

_FIRST_PAUSE: Final = 0.5
_LONGEST_PAUSE: Final = 30.0
#: Between looks at the certificate: who renews it may change whom to trust for it.
_LOOK_SECONDS: Final = 10.0


@dataclass(frozen=True, slots=True)
class Installation:
    """`region` is a Region's manifest; `kek_secrets` are names of Secrets in the operator's namespace. `serving` is the
    one with the gateway's certificate, where it serves over TLS."""

    region: Mapping[str, Any] | None = None
    kek_secrets: Sequence[str] = ()
    serving: ServingSecret | None = None

    async def bring(self, cluster: Cluster, api: KubernetesApi, namespace: str, told: Callable[[Ref], None]) -> None:
        """Make what is not there; what cannot be made is tried again until it can. A certificate is followed on.

        `told` hears of a Region that was written: who follows the cluster is not told of what is written through it.
        """
        pause, trusted = _FIRST_PAUSE, None
        while True:
            try:
                trusted = await self._bring(cluster, api, namespace, trusted, told)
                if self.serving is None:
                    return
                await asyncio.sleep(_LOOK_SECONDS)
                pause = _FIRST_PAUSE
                continue
            except (Conflict, NotFound):
                pause = _FIRST_PAUSE  # it changed meanwhile
            except ClusterError as error:
                log.warning("what belongs to the installation cannot be made, it is tried again: %s", error)
            await asyncio.sleep(pause)
            pause = min(pause * 2, _LONGEST_PAUSE)

    async def _bring(
        self,
        cluster: Cluster,
        api: KubernetesApi,
        namespace: str,
        trusted: str | None,
        told: Callable[[Ref], None],
    ) -> str:
        """`trusted`: whom the Region was told to trust before; None: nothing was brought yet. Returns whom by now."""
        authorities = ""
        if self.serving is not None:
            authorities = await self.serving.authorities(api, namespace, time.time())
        if authorities == trusted:
            return authorities
        for name in self.kek_secrets:
            await _make_secret(api, namespace, name)
        if self.region is not None and await _bring_region(cluster, self.region, authorities):
            told(_ref(self.region))
        return authorities


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


async def _bring_region(cluster: Cluster, manifest: Mapping[str, Any], authorities: str) -> bool:
    """Whether anything was written."""
    ref = _ref(manifest)
    found = await cluster.get(ref)
    wanted = wanted_region(manifest, found, authorities)
    if wanted is None:
        return False
    if found is None:
        await cluster.create(wanted)
        log.info("%s is made, as the installation says", ref)
    else:
        await cluster.update(wanted)
        log.info("%s is changed: the installation's settings, or whom to trust for its gateway, are others", ref)
    return True


def _ref(manifest: Mapping[str, Any]) -> Ref:
    return Ref("Region", "", manifest["metadata"]["name"])


def wanted_region(manifest: Mapping[str, Any], found: Object | None, authorities: str = "") -> Object | None:
    """What is to be written; None: nothing.

    A Region that is there changes when the installation's settings do, and then only: what else was changed in it stays
    until then. One that somebody else made is theirs. `authorities` (PEM) are those of the gateway's certificate.
    """
    digest = hashlib.sha256(json.dumps(manifest["spec"], sort_keys=True).encode()).hexdigest()[:16]
    if found is None:
        metadata = dict(manifest["metadata"])
        metadata["annotations"] = {**metadata.get("annotations", {}), INSTALLED: digest}
        return {**manifest, "metadata": metadata, "spec": _trusting(manifest["spec"], manifest, authorities)}
    annotations: Mapping[str, str] = found["metadata"].get("annotations") or {}
    if INSTALLED not in annotations or "deletionTimestamp" in found["metadata"]:
        return None
    base = found["spec"] if annotations[INSTALLED] == digest else manifest["spec"]
    spec = _trusting(base, manifest, authorities)
    if annotations[INSTALLED] == digest and spec == found["spec"]:
        return None
    metadata = {**found["metadata"], "annotations": {**annotations, INSTALLED: digest}}
    return {**found, "metadata": metadata, "spec": spec}


def _trusting(spec: Mapping[str, Any], manifest: Mapping[str, Any], authorities: str) -> dict[str, Any]:
    """The spec with these in its caBundle, unless the settings say what that is, or it has them among others."""
    held = blocks_of(spec.get("caBundle") or "")
    if "caBundle" in manifest["spec"] or set(blocks_of(authorities)) <= set(held):
        return dict(spec)
    return {**spec, "caBundle": authorities}
