"""Nothing that the operator writes looks like drift: its finalizers and status, and what the server fills in."""

import copy
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from cooper_operator.cluster.kubernetes import KubernetesCluster
from cooper_operator.cluster.kubernetes_api import KubernetesApi
from cooper_operator.cluster.kubernetes_connection import Connection, from_kubeconfig
from cooper_operator.cluster.port import Object, Ref
from e2e.crds.samples import full, least
from e2e.crds.schemas import CRDS, DEFINITIONS
from e2e.crds.server import Server
from e2e.kubectl import Kubectl
from e2e.quiet import assert_quiet

HOW = {"client-side": ("apply",), "server-side": ("apply", "--server-side")}


@pytest.fixture
async def operator(kubeconfig: Path, server: Server) -> AsyncIterator[KubernetesCluster]:
    cluster = KubernetesCluster(KubernetesApi(Connection(from_kubeconfig(kubeconfig))), namespace=server.namespace)
    yield cluster
    await cluster.close()


@pytest.fixture
async def applied(
    kubectl: Kubectl, server: Server, request: pytest.FixtureRequest
) -> AsyncIterator[list[dict[str, Any]]]:
    """Manifests with every field, and with the fewest, as people apply them."""
    manifests = [
        named(server, make(kind), f"{server.namespace}-{name}")
        for kind in DEFINITIONS
        for name, make in (("full", full), ("least", least))
    ]
    listed = {"apiVersion": "v1", "kind": "List", "items": manifests}
    await kubectl(*HOW[request.param], "-f", "-", manifest=listed)
    yield manifests
    for each in manifests:
        found = server.get(each["kind"], each["metadata"]["name"])
        server.update(with_metadata(found, finalizers=[]), keep=True)
        server.delete(each["kind"], each["metadata"]["name"])


def named(server: Server, manifest: dict[str, Any], name: str) -> dict[str, Any]:
    manifest["metadata"] = {"name": name} | ({} if manifest["kind"] == "Region" else {"namespace": server.namespace})
    manifest.pop("status", None)  # people write none
    return manifest


def ref_of(manifest: dict[str, Any]) -> Ref:
    metadata = manifest["metadata"]
    return Ref(manifest["kind"], metadata.get("namespace", ""), metadata["name"])


async def reconciled(operator: KubernetesCluster, manifest: dict[str, Any]) -> Object:
    """The object after its finalizer and its status were written, as the operator writes them."""
    found = await operator.get(ref_of(manifest))
    assert found is not None
    found = await operator.update(with_metadata(found, finalizers=["cooper.dev/finalizer"]))
    return await operator.update_status({**found, "status": full(manifest["kind"])["status"]})


def with_metadata(obj: Object, **metadata: Any) -> dict[str, Any]:
    return {**obj, "metadata": {**obj["metadata"], **metadata}}


@pytest.mark.parametrize("applied", HOW, indirect=True)
async def test_reconciled_resources_show_no_drift(
    kubectl: Kubectl, operator: KubernetesCluster, applied: list[dict[str, Any]]
) -> None:
    for each in applied:
        await reconciled(operator, each)
    before = [await kept(operator, each) for each in applied]
    await assert_quiet(kubectl, *applied)
    assert [await kept(operator, each) for each in applied] == before


async def kept(operator: KubernetesCluster, manifest: dict[str, Any]) -> tuple[Any, ...]:
    """What must stay as it is, whoever applies the manifest."""
    obj = await operator.get(ref_of(manifest))
    assert obj is not None
    return obj["spec"], obj["status"], obj["metadata"]["finalizers"], obj["metadata"]["generation"]


@pytest.mark.parametrize("applied", HOW, indirect=True)
async def test_drift_is_found(kubectl: Kubectl, operator: KubernetesCluster, applied: list[dict[str, Any]]) -> None:
    (bucket,) = (each for each in applied if ref_of(each).kind == "Bucket" and "visibility" in each["spec"])
    changed = copy.deepcopy(dict(await reconciled(operator, bucket)))
    changed["spec"]["visibility"] = "Private"
    await operator.update(changed)
    with pytest.raises(AssertionError, match=r"(?s)-  visibility: Private\n\+  visibility: Public"):
        await assert_quiet(kubectl, bucket)
    with pytest.raises(AssertionError, match='conflict with "cooper-operator"'):
        await kubectl("apply", "--server-side", "--field-manager=gitops", "-f", "-", manifest=bucket)


async def test_the_crds_themselves_show_no_drift(kubectl: Kubectl, installed: None) -> None:
    files = ("--server-side", "-f", str(CRDS))
    before = await versions(kubectl)
    assert await kubectl("diff", *files) == ""
    await kubectl("apply", *files)
    assert await versions(kubectl) == before


async def versions(kubectl: Kubectl) -> list[str]:
    found = json.loads(await kubectl("get", "-f", str(CRDS), "-o", "json"))
    return [each["metadata"]["resourceVersion"] for each in found["items"]]
