"""What befalls a cluster's nodes: one is restarted, programs on it are killed, etcd forgets what was."""

import base64
import json
from typing import Any, Final

from e2e.kind.cluster import Cluster
from e2e.kind.steps import StepFailed, output

#: Kills what runs in a Pod but for the sandbox, which the kubelet would make anew with another address. Prints when.
_KILL: Final = """
for each in /proc/[0-9]*; do
    grep -q "$1" $each/cgroup 2>/dev/null || continue
    read -r name < $each/comm && [ "$name" != pause ] && kill -9 ${each#/proc/} && date +%s.%N
done
true
"""
_PKI: Final = "/etc/kubernetes/pki"


class Nodes:
    """The nodes of a cluster, however many there are."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster

    def restart(self, node: str) -> None:
        """Restart the node of that name, with the address that it has, and wait until the API server answers. Raises
        StepFailed.
        """
        address = _address(node)
        output(["docker", "restart", node])
        # Docker gives the lowest address that is free: another one, where a cluster beside it is gone since.
        if _address(node) != address:
            output(["docker", "stop", node])
            output(["docker", "network", "disconnect", "kind", node])
            output(["docker", "network", "connect", "--ip", address, "kind", node])
            output(["docker", "start", node])
        self._cluster.keep_to_itself()
        self._cluster.wait_until_ready(180)

    def kill_pod(self, pod: dict[str, Any]) -> float:
        """`kill -9` all that runs in a Pod, on the node that it is on: its containers are begun anew, in the same Pod.
        When the first one was killed, in Unix seconds: to get there may take a while. Raises StepFailed.
        """
        node, uid = pod["spec"]["nodeName"], pod["metadata"]["uid"]
        # Names of control groups have the UID with one or the other.
        killed = _run(node, "sh", "-c", _KILL, "sh", uid.replace("-", "[-_]")).split()
        if not killed:
            raise StepFailed(f"nothing runs in the Pod {uid} on {node}")
        return float(killed[0])

    def compact(self) -> int:
        """Have etcd forget all that was: no watch goes on from before. The revision that is the oldest now."""
        revision = int(self._etcd("maintenance/status", {})["header"]["revision"])
        self._etcd("kv/compaction", {"revision": str(revision), "physical": True})
        return revision

    def lose(self, key: str) -> None:
        """Have etcd lose an object, as `/registry/namespaces/photos`, with none of what its deletion would bring."""
        self._etcd("kv/deleterange", {"key": base64.b64encode(key.encode()).decode()})

    def _etcd(self, method: str, request: dict[str, Any]) -> dict[str, Any]:
        """A call of etcd's own API, as its JSON gateway takes it."""
        key = ["--cacert", f"{_PKI}/etcd/ca.crt", "--cert", f"{_PKI}/apiserver-etcd-client.crt"]
        key += ["--key", f"{_PKI}/apiserver-etcd-client.key"]
        options = ["--silent", "--show-error", "--fail", "--data", json.dumps(request)]
        return json.loads(_run(self._cluster.node, "curl", *options, *key, f"https://127.0.0.1:2379/v3/{method}"))


def _run(node: str, *command: str) -> str:
    return output(["docker", "exec", node, *command])


def _address(node: str) -> str:
    return output(["docker", "inspect", "--format", "{{.NetworkSettings.Networks.kind.IPAddress}}", node]).strip()
