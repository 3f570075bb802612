"""Who reaches which port of Cooper's Pods, where NetworkPolicies are enforced."""

import asyncio
import json
import secrets
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from e2e.chart.enforcer import policies_enforced
from e2e.chart.helm import Helm
from e2e.chart.release import NAME, Release, installed
from e2e.kind.cluster import Cluster
from e2e.kubectl import Kubectl
from e2e.system.system import manifest

pytestmark = pytest.mark.asyncio(loop_scope="module")

#: Prints which of the addresses given can be connected to.
_TRY = """\
import json, socket, sys
def opens(address):
    try:
        socket.create_connection(address.rsplit(":", 1), 1.5).close()
    except OSError:
        return False
    return True
print(json.dumps([opens(each) for each in sys.argv[1:]]))
"""
_PRIVATE = {
    "allowPrivilegeEscalation": False,
    "readOnlyRootFilesystem": True,
    "capabilities": {"drop": ["ALL"]},
    "runAsNonRoot": True,
    "seccompProfile": {"type": "RuntimeDefault"},
}


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def release(charts: Helm, kubectl: Kubectl, kubeconfig: Path, pod_image: str) -> AsyncIterator[Release]:
    """Without policies as yet."""
    async with installed(charts, kubectl, kubeconfig, pod_image, operator={"replicas": 1}) as release:
        yield release


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def callers(release: Release, kubectl: Kubectl, pod_image: str) -> AsyncIterator[dict[str, str]]:
    """A Pod named `caller` in the namespace of a tenant, in that of who collects metrics, and in the release's own."""
    found = {each: f"{each}-{secrets.token_hex(4)}" for each in ("tenant", "monitoring")}
    for namespace in found.values():
        await kubectl("create", "namespace", namespace)
    found["own"] = release.namespace
    container = {"name": "caller", "image": pod_image, "command": ["sleep", "infinity"], "securityContext": _PRIVATE}
    try:
        for namespace in found.values():
            spec = {"containers": [container], "terminationGracePeriodSeconds": 1}
            await kubectl("create", "-f", "-", manifest=manifest("Pod", namespace, "caller", spec, "v1"))
        for namespace in found.values():
            await release.until_ready("pod/caller", namespace)
        yield found
    finally:
        for namespace in (found["tenant"], found["monitoring"]):
            await kubectl("delete", "namespace", namespace, "--timeout=120s")


async def _addresses(release: Release) -> dict[str, str]:
    """Every port that a container of the release's listens on, by the Pods' own addresses; and the Service for S3."""
    found = {"service": f"{NAME}-cooper-gateway.{release.namespace}.svc:9000"}
    for pod in (await release.get("pods", release.namespace))["items"]:
        part = pod["metadata"].get("labels", {}).get("app.kubernetes.io/component")
        for container in pod["spec"]["containers"] if part in ("operator", "gateway") else ():
            for port in container["ports"]:
                found[f"{part} {port['name']}"] = f"{pod['status']['podIP']}:{port['containerPort']}"
    return found


async def _open_to(release: Release, caller: str) -> set[str]:
    """Names of what a caller can connect to."""
    addresses = await _addresses(release)
    said = await release.kubectl("-n", caller, "exec", "caller", "--", "python", "-c", _TRY, *addresses.values())
    return {name for name, opens in zip(addresses, json.loads(said), strict=True) if opens}


async def _until(release: Release, callers: dict[str, str], wanted: dict[str, set[str]]) -> None:
    """A policy takes a moment until it counts."""
    found: dict[str, set[str]] = {}
    for _ in range(20):
        found = {name: await _open_to(release, namespace) for name, namespace in callers.items()}
        if found == wanted:
            return
        await asyncio.sleep(0.5)
    assert found == wanted


async def test_s3_is_for_everybody_and_metrics_are_for_whom_the_values_name(
    release: Release, callers: dict[str, str], cluster: Cluster, kubectl: Kubectl
) -> None:
    s3 = {"service", "gateway s3"}
    everything = s3 | {"gateway metrics", "operator metrics"}
    async with policies_enforced(cluster, kubectl):
        await _until(release, callers, dict.fromkeys(callers, everything))
        await _enforce(release)
        await _until(release, callers, {"tenant": s3, "monitoring": s3, "own": everything})
        await _enforce(release, metricsFrom=[callers["monitoring"]])
        await _until(release, callers, {"tenant": s3, "monitoring": everything, "own": s3})
        await _works(release, callers["tenant"])


async def _enforce(release: Release, **settings: Any) -> None:
    await release.install(operator={"replicas": 1}, networkPolicy={"enabled": True, **settings})


async def _works(release: Release, tenant: str) -> None:
    """The operator reaches every gateway, a Pod its bucket, and the kubelet the probes of all."""
    await release.apply("Bucket", tenant, "photos", bucketName=f"{tenant}-photos")
    await release.until_ready("bucket/photos", tenant)
    image: str = release.values["image"]["repository"] + ":" + release.values["image"]["tag"]
    assert (await release.try_linked(tenant, "photos", image)).splitlines()[-1] == "deleted it"
    pods: list[dict[str, Any]] = (await release.get("pods", release.namespace))["items"]
    assert all(each["ready"] for pod in pods for each in pod["status"]["containerStatuses"])
    await release.kubectl("-n", tenant, "delete", "bucket", "photos", "--timeout=60s")
