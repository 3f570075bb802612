"""Helm, built static from the Go module proxy, and the chart that it is used with."""

import json
import os
import subprocess
from collections.abc import Hashable
from pathlib import Path
from typing import Any, Final

import yaml

from e2e.kind import versions
from e2e.kind.binaries import go
from e2e.kind.steps import run, step
from support.artefacts import cached

VERSION: Final = "v3.21.4"
CHART: Final = Path(__file__).parents[2] / "charts" / "cooper"
NAMESPACE: Final = "cooper-rendered"


def helm() -> Path:
    """The program, built when it is not there: about a minute."""
    return cached("helm", [Path(__file__)], _build, salt=versions.KUBERNETES) / "helm"


def _build(folder: Path) -> None:
    env = {**os.environ, "CGO_ENABLED": "0", "GOBIN": str(folder)}
    base, (major, minor, _) = "helm.sh/helm/v3", versions.KUBERNETES.removeprefix("v").split(".")
    said = {"internal/version.version": VERSION}  # and what charts are rendered for where no cluster is asked
    for package in ("pkg/chartutil", "pkg/lint/rules"):
        said |= {f"{package}.k8sVersionMajor": major, f"{package}.k8sVersionMinor": minor}
    flags = " ".join(["-s -w", *(f"-X {base}/{name}={value}" for name, value in said.items())])
    with step("building helm"):
        command = [go(), "install", "-trimpath", "-ldflags", flags, f"helm.sh/helm/v3/cmd/helm@{VERSION}"]
        run("build", command, cwd=Path("/"), env=env)


class Helm:
    """helm with the chart, against one cluster."""

    def __init__(self, program: Path, kubeconfig: Path) -> None:
        self._command = (str(program), "--kubeconfig", str(kubeconfig))

    def __call__(self, *arguments: str, values: dict[str, Any] | None = None, seconds: float = 300) -> str:
        """What it prints. Raises HelmFailed with what it says."""
        command, given = [*self._command, *arguments], None
        if values is not None:
            command, given = [*command, "--values", "-"], json.dumps(values)
        done = subprocess.run(command, input=given, capture_output=True, text=True, timeout=seconds)
        if done.returncode:
            raise HelmFailed(done.stderr)
        return done.stdout

    def rendered(
        self, values: dict[str, Any] | None = None, release: str = "release", namespace: str = NAMESPACE
    ) -> list[dict[str, Any]]:
        """All objects of the chart, with these values, as for `kubectl apply`."""
        text = self("template", release, str(CHART), "--skip-tests", "--namespace", namespace, values=values or {})
        return [each for each in yaml.load_all(text, _EachKeyOnce) if each]


class _EachKeyOnce(yaml.SafeLoader):
    """Refuses a key that is there twice, of which YAML knows no last one."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        """As it is, with every key."""
        found = super().construct_mapping(node, deep)
        if len(found) < len(node.value):
            raise yaml.constructor.ConstructorError(
                None, None, f"a key is there twice in {list(found)}", node.start_mark
            )
        return found


class HelmFailed(Exception):
    """helm refused; the message is its own."""
