"""Helm, built static from the Go module proxy."""

import os
from pathlib import Path
from typing import Final

from e2e.kind import versions
from e2e.kind.binaries import go
from e2e.kind.steps import run, step
from support.artefacts import cached

VERSION: Final = "v3.21.4"


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
