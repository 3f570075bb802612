"""A key is rotated while a Deployment uses it: the Deployment is restarted, the former key works until then only."""

import asyncio
import datetime
import json
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from e2e.chart.helm import Helm
from e2e.chart.release import Release, installed, team
from e2e.kubectl import Kubectl
from support.rig import error_code

pytestmark = pytest.mark.asyncio(loop_scope="module")

OVERLAP = 20
_RUN = "import time; time.sleep(1e6)"


def _deployment(namespace: str, image: str, secret: str) -> dict[str, Any]:
    pod = {
        "terminationGracePeriodSeconds": 0,
        "containers": [
            {
                "name": "app",
                "image": image,
                "command": ["python3", "-c", _RUN],
                "envFrom": [{"secretRef": {"name": secret}}],
            }
        ],
    }
    labels = {"app": "web"}
    spec = {
        "replicas": 2,
        "selector": {"matchLabels": labels},
        "template": {"metadata": {"labels": labels}, "spec": pod},
    }
    metadata = {"name": "web", "namespace": namespace}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata, "spec": spec}


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def release(charts: Helm, kubectl: Kubectl, kubeconfig: Path, pod_image: str) -> AsyncIterator[Release]:
    """One for all tests here."""
    async with installed(charts, kubectl, kubeconfig, pod_image) as release:
        yield release


@pytest_asyncio.fixture(loop_scope="module")
async def tenant(release: Release) -> AsyncIterator[str]:
    """A namespace of an application team."""
    async with team(release, "deployment,bucket,accesskey") as name:
        yield name


async def _key_ids(release: Release, namespace: str) -> set[str]:
    """The keys that the Pods that run were started with."""
    found = json.loads(await release.kubectl("-n", namespace, "get", "pods", "-l", "app=web", "-o", "json"))
    names = [
        each["metadata"]["name"]
        for each in found["items"]
        if each["status"]["phase"] == "Running" and "deletionTimestamp" not in each["metadata"]
    ]
    told = [await release.kubectl("-n", namespace, "exec", each, "--", "printenv", "ACCESS_KEY") for each in names]
    return {each.strip() for each in told}


async def test_a_rotation_restarts_what_uses_the_secret_and_then_ends_the_former_key(
    release: Release, tenant: str, pod_image: str
) -> None:
    rotation = {"rotation": {"overlap": f"{OVERLAP}s"}, "restart": [{"kind": "Deployment", "name": "web"}]}
    await release.apply("Bucket", tenant, "turning", bucketName=f"{tenant}-turning", credentials=rotation)
    await release.until_ready("bucket/turning", tenant)
    await release.kubectl("apply", "-f", "-", manifest=_deployment(tenant, pod_image, "turning"))
    await release.kubectl("-n", tenant, "rollout", "status", "deployment/web", "--timeout=60s")
    first = await release.secret(tenant, "turning")
    assert await _key_ids(release, tenant) == {first["ACCESS_KEY"]}
    await asyncio.sleep(1.1)  # a time is given to the second, and the key was issued in one

    at = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    began = time.monotonic()
    await release.kubectl("-n", tenant, "annotate", "bucket/turning", f"cooper.dev/rotate-at={at}")
    second = first
    async with asyncio.timeout(30):
        while second["ACCESS_KEY"] == first["ACCESS_KEY"]:
            second = await release.secret(tenant, "turning")
    delivered = time.monotonic() - began
    async with release.client(first) as former, release.client(second) as new:
        for s3 in (former, new):
            s3.put_object(Bucket=first["BUCKET"], Key="during", Body=b"both work")
        for_ = "--for=condition=RolledOut"
        await release.kubectl("-n", tenant, "wait", for_, "accesskey/turning", "--timeout=60s")
        rolled = time.monotonic() - began
        assert await _key_ids(release, tenant) == {second["ACCESS_KEY"]}
        assert rolled < OVERLAP, "the roll-out took longer than the overlap: nothing is seen of the former key's end"
        former.head_object(Bucket=first["BUCKET"], Key="during")
        for_ = "--for=condition=Rotated"
        await release.kubectl("-n", tenant, "wait", for_, "accesskey/turning", "--timeout=60s")
        ended = time.monotonic() - began
        assert error_code(lambda: former.get_object(Bucket=first["BUCKET"], Key="during")) == "KeyAccessRevoked"
        assert new.get_object(Bucket=first["BUCKET"], Key="during")["Body"].read() == b"both work"
        new.delete_object(Bucket=first["BUCKET"], Key="during")
    print(
        f"\nrotation: new Secret after {delivered:.1f} s, two Pods restarted after {rolled:.1f} s, "
        f"the former key refused after {ended:.1f} s (overlap {OVERLAP} s)"
    )
    await _restarts_nothing_else(release, tenant)


async def _restarts_nothing_else(release: Release, tenant: str) -> None:
    """It was restarted once; a Secret that is edited and put back restarts nothing."""
    await release.kubectl("-n", tenant, "patch", "secret", "turning", "--type=merge", "-p", '{"data":{"ENDPOINT":""}}')
    async with asyncio.timeout(20):
        while not (await release.secret(tenant, "turning"))["ENDPOINT"]:
            await asyncio.sleep(0.1)
    await asyncio.sleep(1)
    rollouts = await release.kubectl("-n", tenant, "get", "replicasets", "-l", "app=web", "-o", "name")
    assert len(rollouts.split()) == 2


async def test_without_the_right_to_restart_a_rotation_goes_on_and_says_so(
    release: Release, tenant: str, pod_image: str
) -> None:
    await release.install(operator={"restartWorkloads": False})
    rotation = {"rotation": {"overlap": "2s"}, "restart": [{"kind": "Deployment", "name": "web"}]}
    await release.apply("Bucket", tenant, "alone", bucketName=f"{tenant}-alone", credentials=rotation)
    await release.until_ready("bucket/alone", tenant)
    await release.kubectl("apply", "-f", "-", manifest=_deployment(tenant, pod_image, "alone"))
    await asyncio.sleep(1.1)
    at = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    await release.kubectl("-n", tenant, "annotate", "accesskey/alone", f"cooper.dev/rotate-at={at}")
    await release.until("condition=Rotated", "accesskey/alone", tenant)
    status = (await release.get("accesskey/alone", tenant))["status"]
    (rolled_out,) = [each for each in status["conditions"] if each["type"] == "RolledOut"]
    assert rolled_out["reason"] == "RolloutRefused"
    assert "restartWorkloads" in rolled_out["message"]
