"""The image in pods of a namespace in which only the most restricted may run."""

import secrets
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest_asyncio

from e2e.kubectl import Kubectl
from e2e.operator.rights import gateway_rights, operator_rights
from e2e.system.system import manifest

_CRDS = Path(__file__).parents[2] / "charts" / "cooper" / "files" / "crds"
_REGION = "pods"
_RESTRICTED = {
    "allowPrivilegeEscalation": False,
    "readOnlyRootFilesystem": True,
    "capabilities": {"drop": ["ALL"]},
    "runAsNonRoot": True,
    "seccompProfile": {"type": "RuntimeDefault"},
}


@pytest_asyncio.fixture
async def namespace(kubectl: Kubectl) -> AsyncIterator[str]:
    name = f"image-{secrets.token_hex(4)}"
    await kubectl("create", "namespace", name)
    await kubectl("label", "namespace", name, "pod-security.kubernetes.io/enforce=restricted")
    yield name
    await kubectl("delete", "namespace", name, "--timeout=60s")
    await kubectl("delete", "clusterrole,clusterrolebinding", name, "--ignore-not-found")


def pod(name: str, image: str, *arguments: str, **spec: Any) -> dict[str, Any]:
    """A pod of one container that restarts never; `container` in `spec` adds to that."""
    container = {"name": "cooper", "image": image, "args": arguments, "securityContext": _RESTRICTED}
    settings = {"containers": [container | spec.pop("container", {})], "restartPolicy": "Never"}
    metadata = {"name": name, "labels": {"app": name}}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": settings | spec}


async def test_a_pod_prints_the_version(kubectl: Kubectl, namespace: str, pod_image: str) -> None:
    await kubectl("-n", namespace, "create", "-f", "-", manifest=pod("version", pod_image, "--version"))
    await kubectl("-n", namespace, "wait", "--for=jsonpath={.status.phase}=Succeeded", "pod/version", "--timeout=60s")
    assert (await kubectl("-n", namespace, "logs", "version")).startswith("cooper, version ")


def gateway(image: str) -> dict[str, Any]:
    options = ("--host=0.0.0.0", "--metrics-host=0.0.0.0", "--workers=1")
    probe = {"httpGet": {"path": "/readyz", "port": 9100}, "periodSeconds": 1}
    container = {"readinessProbe": probe, "volumeMounts": [{"name": "data", "mountPath": "/data"}]}
    return pod(
        "gateway",
        image,
        *("gateway", f"--region={_REGION}", *options),
        container=container,
        serviceAccountName="gateway",
        securityContext={"fsGroup": 65532},
        volumes=[{"name": "data", "emptyDir": {}}],
    )


def region(namespace: str) -> dict[str, Any]:
    internal = f"http://{_REGION}.{namespace}.svc:9000"
    spec = {"tag": _REGION, "default": True, "endpoints": {"internal": internal}}
    return manifest("Region", "", _REGION, spec)


async def test_operator_and_gateway_work_in_pods(kubectl: Kubectl, namespace: str, pod_image: str) -> None:
    await kubectl.define(_CRDS)
    rights = [*operator_rights(namespace)["items"], *gateway_rights(namespace)["items"]]
    service = manifest(
        "Service", namespace, _REGION, {"selector": {"app": "gateway"}, "ports": [{"name": "s3", "port": 9000}]}, "v1"
    )
    pods = [pod("operator", pod_image, "operator", serviceAccountName="operator"), gateway(pod_image)]
    await _apply(kubectl, namespace, *rights, service)
    await _apply(kubectl, namespace, *pods)
    await kubectl("apply", "-f", "-", manifest=region(namespace))
    try:
        await kubectl("wait", "--for=condition=Ready", f"region/{_REGION}", "--timeout=90s")
        await _apply(kubectl, namespace, manifest("Bucket", namespace, "photos", {}))
        # Ready says that the gateway accepts the key.
        await kubectl("-n", namespace, "wait", "--for=condition=Ready", "bucket/photos", "--timeout=60s")
        await kubectl("-n", namespace, "get", "secret", "photos")
    except BaseException:
        print(await kubectl("-n", namespace, "get", "region,bucket,accesskey,endpointslice,pod", "-o", "wide"))
        print(*[await kubectl("-n", namespace, "logs", each) for each in ("operator", "gateway")])
        raise
    finally:
        await kubectl("-n", namespace, "delete", "bucket", "--all", "--timeout=60s")
        await kubectl("delete", "region", _REGION, "--timeout=60s")


async def _apply(kubectl: Kubectl, namespace: str, *manifests: dict[str, Any]) -> None:
    await kubectl(
        "-n", namespace, "apply", "-f", "-", manifest={"apiVersion": "v1", "kind": "List", "items": manifests}
    )
