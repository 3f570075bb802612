"""The cluster that all end-to-end tests share: the one of `make cluster`, or one that COOPER_E2E_KUBECONFIG names."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from kubernetes import client, config

from e2e.kind.cluster import Cluster
from e2e.kubectl import Kubectl


@pytest.fixture(scope="session")
def kubeconfig() -> Path:
    """How to reach the cluster."""
    named = os.environ.get("COOPER_E2E_KUBECONFIG")
    path = Path(named) if named else Cluster().kubeconfig
    assert path.is_file(), f"{path} is not there: make a cluster first (make cluster), or name one's kubeconfig"
    return path


@pytest.fixture(scope="session")
def kubectl(kubeconfig: Path) -> Kubectl:
    """The kubectl that lies beside the kubeconfig, with all rights."""
    return Kubectl(kubeconfig.parent / "kubectl", kubeconfig)


@pytest.fixture(scope="session")
def api(kubeconfig: Path) -> Iterator[client.ApiClient]:
    """A client with all rights."""
    with config.new_client_from_config(str(kubeconfig)) as api:
        yield api
