"""Workloads that are restarted: where they are found, and how far their roll-out is. Pure.

A restart is what `kubectl rollout restart` does: another annotation in the template of the Pods. A roll-out is over
when `kubectl rollout status` would say so, but for Pods that a StatefulSet's partition keeps: they run with what was.
"""

from collections.abc import Mapping
from typing import Any, Final

from cooper_crds.kubernetes import ROLLED_ANNOTATION_PREFIX
from cooper_crds.rotation import WorkloadKind, WorkloadName
from cooper_crds.stored import Workload
from cooper_operator.cluster.kubernetes_objects import segment

_PLURALS: Final[Mapping[WorkloadKind, str]] = {
    "Deployment": "deployments",
    "StatefulSet": "statefulsets",
    "DaemonSet": "daemonsets",
}
#: Fields of status that must have reached the number of Pods: as the template says, and available of those.
_COUNTS: Final[Mapping[WorkloadKind, tuple[str, str]]] = {
    "Deployment": ("updatedReplicas", "availableReplicas"),
    "StatefulSet": ("updatedReplicas", "availableReplicas"),
    "DaemonSet": ("updatedNumberScheduled", "numberAvailable"),
}


def workload_path(namespace: str, name: WorkloadName) -> str:
    """Path of a workload."""
    return f"/apis/apps/v1/namespaces/{segment(namespace)}/{_PLURALS[name.kind]}/{segment(name.name)}"


def workload_of(name: WorkloadName, obj: Mapping[str, Any]) -> Workload:
    """Read a workload."""
    metadata = obj["metadata"]
    annotations: dict[str, str] = metadata.get("annotations") or {}
    marks = {key: value for key, value in annotations.items() if key.startswith(ROLLED_ANNOTATION_PREFIX)}
    return Workload(name, metadata["resourceVersion"], marks, _waiting(name.kind, obj))


def workload_patch(current: Workload, annotation: str, value: str, roll: bool) -> dict[str, Any]:
    """The merge patch (RFC 7396) that annotates a workload at the version it was read at, and perhaps its Pods."""
    marked = {"annotations": {annotation: value}}
    patch: dict[str, Any] = {"metadata": {**marked, "resourceVersion": current.version}}
    return {**patch, "spec": {"template": {"metadata": marked}}} if roll else patch


def _waiting(kind: WorkloadKind, obj: Mapping[str, Any]) -> str:
    status: Mapping[str, Any] = obj.get("status") or {}
    if status.get("observedGeneration", 0) < obj["metadata"].get("generation", 0):
        return "its roll-out is yet to begin"
    wanted = status.get("desiredNumberScheduled", 0) if kind == "DaemonSet" else obj["spec"].get("replicas", 1)
    updated, available = (status.get(field, 0) for field in _COUNTS[kind])
    if updated < wanted:
        return f"Pods that are new: {updated} of {wanted}{_by_hand(obj)}"
    left = status.get("replicas", 0) - updated if kind == "Deployment" else 0
    if left > 0:
        return f"former Pods that are left: {left}"
    return f"new Pods that are available: {available} of {wanted}" if available < wanted else ""


def _by_hand(obj: Mapping[str, Any]) -> str:
    """Why a roll-out does not go on by itself."""
    if obj["spec"].get("paused"):
        return ", as the Deployment is paused"
    strategy: Mapping[str, Any] = obj["spec"].get("updateStrategy") or {}
    if strategy.get("type") == "OnDelete":
        return ", as updateStrategy OnDelete replaces none by itself"
    rolling: Mapping[str, Any] = strategy.get("rollingUpdate") or {}
    kept = rolling.get("partition", 0)
    return f", as updateStrategy replaces none below its partition, {kept}" if kept else ""
