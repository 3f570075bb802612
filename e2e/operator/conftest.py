"""The cluster adapter under test. It uses the namespace `default` and cluster-scoped names: the cluster is its own."""

import asyncio
import json
import secrets
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from e2e.accounts import account_kubeconfig
from e2e.kubectl import Kubectl
from e2e.operator.harness import KubernetesHarness, Sweep
from e2e.operator.rights import rights

_CRDS = Path(__file__).parents[2] / "charts" / "cooper" / "files" / "crds"


@pytest.fixture(scope="session")
def records_namespace(kubectl: Kubectl, kubeconfig: Path) -> Iterator[str]:
    """A namespace for records, in a cluster that has our kinds and none of their objects."""
    name = f"behaviour-{secrets.token_hex(4)}"
    asyncio.run(_prepare(kubectl, kubeconfig, name))
    yield name
    asyncio.run(kubectl("delete", "namespace", name, "--wait=false"))


@pytest.fixture(scope="session")
def operator_kubeconfig(
    kubectl: Kubectl, kubeconfig: Path, records_namespace: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Path]:
    """How the operator reaches the cluster: with its own rights only."""
    manifests = rights(records_namespace)
    path = tmp_path_factory.mktemp("operator") / "kubeconfig"
    asyncio.run(_with_rights(kubectl, kubeconfig, manifests, path))
    yield path
    asyncio.run(kubectl("delete", "--ignore-not-found", "-f", "-", manifest=manifests))


@pytest.fixture
async def harness(
    kubectl: Kubectl, kubeconfig: Path, operator_kubeconfig: Path, records_namespace: str
) -> AsyncIterator[KubernetesHarness]:
    harness = KubernetesHarness(kubectl, operator_kubeconfig, records_namespace)
    await harness.start()
    yield harness
    await harness.close()
    sweep = Sweep(kubeconfig, records_namespace)
    await sweep.clean()
    await sweep.close()


async def _prepare(kubectl: Kubectl, kubeconfig: Path, namespace: str) -> None:
    await kubectl.define(_CRDS)
    sweep = Sweep(kubeconfig, namespace)
    there = [f"{kind} {obj['metadata']['name']}" for kind, obj in await sweep.resources()]
    await sweep.close()
    assert not there, f"the suite needs a cluster of its own, and this one has {there}: delete them, or name another"
    await kubectl("create", "namespace", namespace)
    await _wait_for_garbage_collection(kubectl)


async def _with_rights(kubectl: Kubectl, kubeconfig: Path, manifests: Any, path: Path) -> None:
    await kubectl("apply", "-f", "-", manifest=manifests)
    await account_kubeconfig(kubectl, kubeconfig, manifests["items"][0]["metadata"], path)


async def _wait_for_garbage_collection(kubectl: Kubectl) -> None:
    """The garbage collector learns of new kinds some time after they are made."""
    key = {"apiVersion": "cooper.dev/v1alpha1", "kind": "AccessKey"}
    spec = {"grants": [{"bucket": "canary"}]}
    orphan = {**key, "name": "gone", "uid": "00000000-0000-0000-0000-000000000000"}
    metadata = {"name": "canary", "namespace": "default", "ownerReferences": [orphan]}
    await kubectl("create", "-f", "-", manifest={**key, "metadata": metadata, "spec": spec})
    async with asyncio.timeout(120):
        while json.loads(await kubectl("get", "accesskeys", "-n", "default", "-o", "json"))["items"]:
            await asyncio.sleep(0.5)
