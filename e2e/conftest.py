"""The cluster that all end-to-end tests share: the one of `make cluster`, or one that COOPER_E2E_KUBECONFIG names."""

import os
import re
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest
import yaml
from kubernetes import client, config

from e2e.artefacts import collect
from e2e.image import build, clients
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
def cluster(kubeconfig: Path) -> Cluster:
    """The kind cluster that it is of, for what befalls its node."""
    context: str = yaml.safe_load(kubeconfig.read_text())["current-context"]
    return Cluster(context.removeprefix("kind-"))


@pytest.fixture(scope="session")
def image() -> str:
    """Cooper's image, of this clone as it is, in Docker."""
    return build.image()


@pytest.fixture(scope="session")
def pod_image(image: str, cluster: Cluster) -> str:
    """The same, for pods."""
    cluster.load(image)
    return image


@pytest.fixture(scope="session")
def client_image(cluster: Cluster) -> str:
    """An image with stock aws-cli and boto3, for pods."""
    name = clients.image()
    cluster.load(name)
    return name


@pytest.fixture(scope="session")
def api(kubeconfig: Path) -> Iterator[client.ApiClient]:
    """A client with all rights."""
    with config.new_client_from_config(str(kubeconfig)) as api:
        yield api


_FOLDER = Path(__file__).parents[1] / ".artefacts"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """When a test fails: the state of its cluster into the folder .artefacts, and the ends of logs to the report."""
    report = yield
    if report.failed and report.when != "teardown" and "kubeconfig" in getattr(item, "funcargs", {}):
        kubeconfig: Path = item.funcargs["kubeconfig"]  # pyright: ignore[reportAttributeAccessIssue]
        factory: pytest.TempPathFactory = item.config._tmp_path_factory  # pyright: ignore
        logs = sorted(factory.getbasetemp().rglob("*.log"))
        folder = _FOLDER / re.sub(r"[^A-Za-z0-9_]+", "-", item.nodeid)
        text = collect(kubeconfig.parent / "kubectl", kubeconfig, logs, folder)
        report.sections.append((f"artefacts are in {folder}", text))
    return report
