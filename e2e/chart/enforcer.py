"""NetworkPolicies enforced in the tests' cluster by kube-network-policies, built from the Go module proxy.

kind's own CNI does that with kind's own node image, the agent of our node image does not. The kernel asks the program,
by a queue, about each new connection between Pods. The program would make the rules for that itself, with nftables'
`queue`, which not every kernel has; the rule here asks with iptables.
"""

import os
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

from e2e.kind import host
from e2e.kind.binaries import go
from e2e.kind.cluster import Cluster
from e2e.kind.steps import run, step
from e2e.kubectl import Kubectl
from support.artefacts import cached

VERSION: Final = "v0.8.0"
_MODULE: Final = "sigs.k8s.io/kube-network-policies/cmd"
_IMAGE: Final = f"cooper/kube-network-policies:{VERSION}"
_NAME: Final = "policy-enforcer"
_QUEUE: Final = 100
_RULE: Final = (
    *("FORWARD", "-p", "tcp", "-m", "conntrack", "--ctstate", "NEW"),
    *("-j", "NFQUEUE", "--queue-num", str(_QUEUE), "--queue-bypass"),
)
_READS: Final = [
    {"apiGroups": [""], "resources": ["pods", "namespaces", "nodes"], "verbs": ["list", "watch"]},
    {"apiGroups": ["networking.k8s.io"], "resources": ["networkpolicies"], "verbs": ["list", "watch"]},
]


@asynccontextmanager
async def policies_enforced(cluster: Cluster, kubectl: Kubectl) -> AsyncIterator[None]:
    """While this lasts a NetworkPolicy counts for new connections between Pods."""
    if not host.docker_is_ours():
        yield
        return
    _load(cluster)
    await kubectl("create", "namespace", _NAME)
    try:
        await kubectl("apply", "-f", "-", manifest={"apiVersion": "v1", "kind": "List", "items": _objects()})
        await kubectl("-n", _NAME, "rollout", "status", f"daemonset/{_NAME}", "--timeout=60s")
        _iptables(cluster, "-I")
        try:
            yield
        finally:
            _iptables(cluster, "-D")
    finally:
        await kubectl("delete", "clusterrole,clusterrolebinding", _NAME, "--ignore-not-found")
        await kubectl("delete", "namespace", _NAME, "--timeout=60s")


def _iptables(cluster: Cluster, action: str) -> None:
    for node in cluster.nodes:
        run("policies", ["docker", "exec", node, "iptables", "-w", "-t", "mangle", action, *_RULE])


def _load(cluster: Cluster) -> None:
    folder = cached("policy-enforcer", [], _build, salt=VERSION)
    if subprocess.run(["docker", "image", "inspect", _IMAGE], capture_output=True).returncode:
        run("policies", ["docker", "build", "--tag", _IMAGE, folder], env={**os.environ, "DOCKER_BUILDKIT": "0"})
    cluster.load(_IMAGE)


def _build(folder: Path) -> None:
    env = {**os.environ, "CGO_ENABLED": "0", "GOBIN": str(folder)}
    with step("building kube-network-policies"):
        command = [go(), "install", "-trimpath", "-ldflags", "-s -w", f"{_MODULE}@{VERSION}"]
        run("build", command, cwd=Path("/"), env=env)
    (folder / "Dockerfile").write_text('FROM scratch\nCOPY cmd /enforcer\nENTRYPOINT ["/enforcer"]\n')


def _objects() -> list[dict[str, Any]]:
    rbac, account = "rbac.authorization.k8s.io", {"kind": "ServiceAccount", "name": _NAME, "namespace": _NAME}
    container = {
        "name": "enforcer",
        "image": _IMAGE,
        "args": [f"--nfqueue-id={_QUEUE}", "--hostname-override=$(NODE)", "--metrics-bind-address=127.0.0.1:0"],
        "env": [{"name": "NODE", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}}],
        "securityContext": {"capabilities": {"drop": ["ALL"], "add": ["NET_ADMIN"]}},
    }
    pod = {"serviceAccountName": _NAME, "hostNetwork": True, "containers": [container]}
    metadata, here, labels = {"name": _NAME}, {"name": _NAME, "namespace": _NAME}, {"app": _NAME}
    spec = {"selector": {"matchLabels": labels}, "template": {"metadata": {"labels": labels}, "spec": pod}}
    role = {"apiGroup": rbac, "kind": "ClusterRole", "name": _NAME}
    return [
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": here},
        {"apiVersion": f"{rbac}/v1", "kind": "ClusterRole", "metadata": metadata, "rules": _READS},
        {
            "apiVersion": f"{rbac}/v1",
            "kind": "ClusterRoleBinding",
            "metadata": metadata,
            "roleRef": role,
            "subjects": [account],
        },
        {"apiVersion": "apps/v1", "kind": "DaemonSet", "metadata": here, "spec": spec},
    ]
