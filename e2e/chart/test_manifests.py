"""Cooper without helm in the cluster: `helm template | kubectl apply`, again and again, and by GitOps tools."""

import asyncio
import json
import secrets
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from e2e.chart.helm import Helm
from e2e.chart.release import NAME, Release
from e2e.kubectl import Kubectl
from e2e.quiet import assert_quiet

pytestmark = pytest.mark.asyncio(loop_scope="module")

Manifests = list[dict[str, Any]]


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def release(charts: Helm, kubectl: Kubectl, kubeconfig: Path, pod_image: str) -> AsyncIterator[Release]:
    """Where it is applied; nothing is yet."""
    namespace = f"manifests-{secrets.token_hex(4)}"
    await kubectl("create", "namespace", namespace)
    yield Release(charts, kubectl, kubeconfig, namespace, pod_image)
    await kubectl("delete", "region", "local", "--ignore-not-found")
    await kubectl("delete", "namespace", namespace, "--timeout=120s")


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def manifests(release: Release, charts: Helm, kubectl: Kubectl) -> AsyncIterator[Manifests]:
    """What is applied. All but the kinds is deleted after, Buckets first: the operator sees to them."""
    rendered = charts.rendered(release.values, NAME, release.namespace)
    yield rendered
    await kubectl("-n", release.namespace, "delete", "bucket", "--all", "--timeout=60s")
    rest = [each for each in rendered if each["kind"] != "CustomResourceDefinition"]
    await kubectl("delete", "--ignore-not-found", "--timeout=120s", "-f", "-", manifest=_list(rest))


async def test_applied_once_it_works(release: Release, manifests: Manifests, pod_image: str) -> None:
    began = time.monotonic()
    await release.kubectl("apply", "-f", "-", manifest=_list(manifests))
    await release.until_rolled_out()
    await release.until_ready("region/local", seconds=120)
    print(f"\nkubectl apply until all is ready: {time.monotonic() - began:.1f} s")
    await release.apply("Bucket", release.namespace, "photos", bucketName=f"{release.namespace}-photos")
    await release.until_ready("bucket/photos", release.namespace)
    said = await release.try_linked(release.namespace, "photos", pod_image)
    assert said.splitlines()[-1] == "deleted it"


async def test_applied_again_nothing_changes(release: Release, manifests: Manifests) -> None:
    before = await _all(release, manifests)
    said = (await release.kubectl("apply", "-f", "-", manifest=_list(manifests))).splitlines()
    # Of a PodDisruptionBudget kubectl says otherwise each time, since it sends the selector anew; its version stays.
    changed = [line for line in said if not line.endswith(" unchanged")]
    assert {line.partition("/")[0] for line in changed} <= {"poddisruptionbudget.policy"}, changed
    await asyncio.sleep(5)
    assert await _all(release, manifests) == before


async def test_a_gitops_tool_finds_nothing_to_do(release: Release, manifests: Manifests) -> None:
    kept = await _content(release)
    await assert_quiet(release.kubectl, *manifests)
    await release.until_ready("bucket/photos", release.namespace)
    assert await _content(release) == kept


def _list(items: Manifests) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "List", "items": items}


async def _all(release: Release, manifests: Manifests) -> dict[str, str]:
    """Versions of all that was applied and of all that came of it, but for the Lease."""
    kinds = ("secrets", "configmaps", "pods", "persistentvolumeclaims", "buckets", "accesskeys")
    made = await release.get(",".join(kinds), release.namespace)
    region = await release.get("region/local")
    applied = json.loads(await release.kubectl("get", "-f", "-", "-o", "json", manifest=_list(manifests)))
    items = [*made["items"], region, *applied["items"]]
    return {f"{each['kind']}/{each['metadata']['name']}": each["metadata"]["resourceVersion"] for each in items}


async def _content(release: Release) -> dict[str, Any]:
    """Of each Secret: keys are neither made anew nor taken away."""
    found = await release.get("secrets", release.namespace)
    return {each["metadata"]["name"]: each.get("data") for each in found["items"]}
