"""How far a roll-out is, as `kubectl rollout status` tells it, and what restarts a workload."""

from typing import Any

import pytest

from cooper_crds.rotation import WorkloadKind, WorkloadName
from cooper_operator.cluster.kubernetes_workloads import workload_of, workload_patch, workload_path

MARK = "rolled.cooper.dev/photos"


def name(kind: WorkloadKind) -> WorkloadName:
    return WorkloadName(kind=kind, name="web")


def obj(spec: dict[str, Any], status: dict[str, Any], generation: int = 2) -> dict[str, Any]:
    annotations = {MARK: "abc", "example.com/other": "x"}
    metadata = {"name": "web", "resourceVersion": "7", "generation": generation, "annotations": annotations}
    return {"metadata": metadata, "spec": spec, "status": {"observedGeneration": 2, **status}}


WAITING: list[tuple[WorkloadKind, dict[str, Any], dict[str, Any], str]] = [
    ("Deployment", {"replicas": 2}, {"updatedReplicas": 2, "replicas": 2, "availableReplicas": 2}, ""),
    ("Deployment", {}, {"updatedReplicas": 1, "replicas": 1, "availableReplicas": 1}, ""),
    ("Deployment", {"replicas": 0}, {}, ""),
    ("Deployment", {"replicas": 2}, {"updatedReplicas": 1, "replicas": 3}, "Pods that are new: 1 of 2"),
    ("Deployment", {"replicas": 2, "paused": True}, {}, "Pods that are new: 0 of 2, as the Deployment is paused"),
    (
        "Deployment",
        {"replicas": 2},
        {"updatedReplicas": 2, "replicas": 3, "availableReplicas": 3},
        "former Pods that are left: 1",
    ),
    (
        "Deployment",
        {"replicas": 2},
        {"updatedReplicas": 2, "replicas": 2, "availableReplicas": 1},
        "new Pods that are available: 1 of 2",
    ),
    ("StatefulSet", {"replicas": 1}, {"updatedReplicas": 1, "replicas": 1, "availableReplicas": 1}, ""),
    ("StatefulSet", {"replicas": 3}, {"updatedReplicas": 1, "replicas": 3}, "Pods that are new: 1 of 3"),
    (
        "StatefulSet",
        {"replicas": 1, "updateStrategy": {"type": "OnDelete"}},
        {},
        "Pods that are new: 0 of 1, as updateStrategy OnDelete replaces none by itself",
    ),
    (
        "StatefulSet",
        {"replicas": 3, "updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"partition": 2}}},
        {"updatedReplicas": 1, "replicas": 3, "availableReplicas": 3},
        "Pods that are new: 1 of 3, as updateStrategy replaces none below its partition, 2",
    ),
    ("DaemonSet", {}, {"desiredNumberScheduled": 2, "updatedNumberScheduled": 2, "numberAvailable": 2}, ""),
    ("DaemonSet", {}, {"desiredNumberScheduled": 2, "updatedNumberScheduled": 1}, "Pods that are new: 1 of 2"),
]


@pytest.mark.parametrize(("kind", "spec", "status", "waiting"), WAITING)
def test_what_a_roll_out_waits_for(
    kind: WorkloadKind, spec: dict[str, Any], status: dict[str, Any], waiting: str
) -> None:
    assert workload_of(name(kind), obj(spec, status)).waiting == waiting


def test_a_change_that_the_controller_has_not_seen_is_waited_for() -> None:
    status = {"updatedReplicas": 1, "replicas": 1, "availableReplicas": 1}
    assert workload_of(name("Deployment"), obj({}, status, generation=3)).waiting == "its roll-out is yet to begin"


def test_marks_are_read_and_others_annotations_are_not() -> None:
    found = workload_of(name("Deployment"), obj({}, {}))
    assert (found.version, dict(found.marks)) == ("7", {MARK: "abc"})


def test_a_mark_restarts_nothing_and_a_roll_changes_the_template() -> None:
    found = workload_of(name("Deployment"), obj({}, {}))
    marked = {"annotations": {MARK: "def"}}
    assert workload_patch(found, MARK, "def", roll=False) == {"metadata": {**marked, "resourceVersion": "7"}}
    patch = workload_patch(found, MARK, "def", roll=True)
    assert patch["spec"] == {"template": {"metadata": marked}}


@pytest.mark.parametrize(
    ("kind", "plural"), [("Deployment", "deployments"), ("StatefulSet", "statefulsets"), ("DaemonSet", "daemonsets")]
)
def test_paths(kind: WorkloadKind, plural: str) -> None:
    assert workload_path("team", name(kind)) == f"/apis/apps/v1/namespaces/team/{plural}/web"
