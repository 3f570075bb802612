"""Values that only the cluster shows to be wrong: helm refuses them in words that say what to do, and no others."""

import json
import secrets
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from e2e.chart.helm import CHART, Helm, HelmFailed

Render = Callable[[dict[str, Any]], str]

RELEASE = "release"
_VOLUME = 'has a volume of size 1Gi, storageClass "" and accessMode ReadWriteOnce, which Kubernetes lets no upgrade'
#: What there is, values that are to be of it, and what is said.
CHANGES: dict[str, tuple[dict[str, Any], dict[str, Any], str]] = {
    "a larger volume": ({}, {"persistence": {"size": "2Gi"}}, _VOLUME),
    "a volume of another class": ({}, {"persistence": {"storageClass": "fast"}}, _VOLUME),
    "a volume of another access mode": ({}, {"persistence": {"accessMode": "ReadWriteOncePod"}}, _VOLUME),
    "a claim that is there": ({}, {"persistence": {"existingClaim": "mine"}}, "has its volume by a claim of its own"),
    "a claim of its own": (
        {"persistence": {"existingClaim": "mine"}},
        {"persistence": {}},
        "has its volume by a claim that was there",
    ),
}
SAME: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "nothing": ({}, {}),
    "a size written otherwise": ({}, {"persistence": {"size": "1024Mi"}}),
    "a size of a fraction": ({"persistence": {"size": "1.5Gi"}}, {"persistence": {"size": "1536Mi"}}),
    "a size of bytes": ({"persistence": {"size": "2000000000"}}, {"persistence": {"size": "2G"}}),
    "another claim": ({"persistence": {"existingClaim": "mine"}}, {"persistence": {"existingClaim": "other"}}),
    "what can be changed": ({}, {"workers": 3, "podLabels": {"a": "b"}}),
    "no gateway any more": ({}, {"enabled": False}),
}
NAMES: dict[str, tuple[dict[str, Any], str]] = {
    "another name": ({"fullnameOverride": "s3"}, "the gateway is the StatefulSet release-cooper-gateway of cooper"),
    "another label": ({"nameOverride": "s3", "fullnameOverride": "release-cooper"}, "of cooper. One of another name"),
    "another Region": ({"region": {"name": "other"}}, "region.name: the gateway serves the Region local"),
}


@pytest.fixture
def namespace(kubeconfig: Path) -> Iterator[str]:
    """One of its own."""
    name = f"refused-{secrets.token_hex(4)}"
    _kubectl(kubeconfig, "create", "namespace", name)
    yield name
    _kubectl(kubeconfig, "delete", "namespace", name, "--wait=false")


def _kubectl(kubeconfig: Path, *arguments: str, given: str = "") -> None:
    command = [str(kubeconfig.parent / "kubectl"), "--kubeconfig", str(kubeconfig), *arguments]
    subprocess.run(command, check=True, capture_output=True, input=given, text=True)


@pytest.fixture
def render(charts: Helm, namespace: str) -> Render:
    """Renders with a look at the cluster, as install and upgrade do."""
    arguments = ("template", RELEASE, str(CHART), "--dry-run=server", "--skip-tests", "--namespace", namespace)
    return lambda values: charts(*arguments, values=values)


@pytest.fixture
def installed(charts: Helm, kubeconfig: Path, namespace: str) -> Callable[[dict[str, Any]], None]:
    """Makes the gateway's StatefulSet of some values, without Pods."""

    def make(gateway: dict[str, Any]) -> None:
        objects = charts.rendered({"gateway": _gateway(gateway)}, RELEASE, namespace)
        (found,) = (each for each in objects if each["kind"] == "StatefulSet")
        found["spec"]["replicas"] = 0
        _kubectl(kubeconfig, "apply", "-f", "-", given=json.dumps(found))

    return make


def _gateway(changes: dict[str, Any]) -> dict[str, Any]:
    return {**changes, "persistence": {"size": "1Gi"} | changes.get("persistence", {})}


@pytest.mark.parametrize("case", CHANGES)
def test_what_no_upgrade_can_change_is_refused(installed: Any, render: Render, case: str) -> None:
    before, after, said = CHANGES[case]
    installed(before)
    with pytest.raises(HelmFailed) as failed:
        render({"gateway": _gateway(after)})
    assert said in str(failed.value)
    assert "docs/upgrade-and-backup.md says how (What an upgrade cannot change)" in str(failed.value)


@pytest.mark.parametrize("case", SAME)
def test_what_an_upgrade_can_change_is_not(installed: Any, render: Render, case: str) -> None:
    before, after = SAME[case]
    installed(before)
    render({"gateway": _gateway(after)})


@pytest.mark.parametrize("case", NAMES)
def test_names_that_data_hangs_by_stay(installed: Any, render: Render, case: str) -> None:
    values, said = NAMES[case]
    installed({})
    with pytest.raises(HelmFailed) as failed:
        render(values | {"gateway": _gateway({})})
    assert said in str(failed.value)


def test_another_release_is_another_matter(installed: Any, charts: Helm, namespace: str) -> None:
    installed({})
    arguments = ("template", "other", str(CHART), "--dry-run=server", "--skip-tests", "--namespace", namespace)
    charts(*arguments, values={"region": {"name": "other"}})


def test_a_namespace_to_watch_is_there(render: Render, charts: Helm, namespace: str) -> None:
    render({"watchNamespaces": [namespace, "default"]})
    missing = {"watchNamespaces": ["default", "team-a"]}
    with pytest.raises(HelmFailed) as failed:
        render(missing)
    assert "watchNamespaces: there is no namespace team-a in this cluster" in str(failed.value)
    assert "kubectl create namespace team-a" in str(failed.value)
    charts.rendered(missing)  # where no cluster is asked, nobody knows


def test_a_release_s_own_namespace_may_come_with_it(charts: Helm) -> None:
    """`--create-namespace` makes it after the chart was rendered."""
    arguments = ("template", RELEASE, str(CHART), "--dry-run=server", "--skip-tests", "--namespace", "to-come")
    charts(*arguments, values={"watchNamespaces": ["to-come"]})
