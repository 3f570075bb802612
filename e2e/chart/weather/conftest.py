"""One release for all tests here; each has a tenant of its own."""

import random
import secrets
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest
import pytest_asyncio

from e2e.chart.helm import Helm
from e2e.chart.release import Release, installed
from e2e.chart.weather.trial import Trial, trial
from e2e.kind.cluster import Cluster
from e2e.kind.nodes import Nodes
from e2e.kubectl import Kubectl
from e2e.system.server import Server

Trials = Callable[[], AbstractAsyncContextManager[Trial]]


@pytest.fixture(scope="session")
def soak(pytestconfig: pytest.Config) -> bool:
    """Whether the long runs are wanted."""
    return bool(pytestconfig.getoption("--soak"))


@pytest.fixture(scope="session")
def nodes(cluster: Cluster) -> Nodes:
    """The cluster's nodes."""
    return Nodes(cluster)


@pytest_asyncio.fixture(scope="package", loop_scope="session")
async def server(kubeconfig: Path) -> AsyncIterator[Server]:
    """The API server, for what is to be done often or fast."""
    server = Server(kubeconfig)
    yield server
    await server.close()


@pytest_asyncio.fixture(scope="package", loop_scope="session")
async def release(charts: Helm, kubectl: Kubectl, kubeconfig: Path, pod_image: str) -> AsyncIterator[Release]:
    """Reached from this machine by a port of the gateway's node: who is away is not hidden by anything between."""
    gateway = {"persistence": {"size": "1Gi"}, "service": {"type": "NodePort"}}
    async with installed(charts, kubectl, kubeconfig, pod_image, gateway=gateway) as release:
        yield release


@pytest_asyncio.fixture(scope="package", loop_scope="session")
async def tenants(release: Release) -> AsyncIterator[list[str]]:
    """Namespaces of tenants, which begin to go with their test and are waited for at the end of all."""
    names: list[str] = []
    yield names
    if names:
        await release.kubectl("wait", "--for=delete", *(f"namespace/{each}" for each in names), "--timeout=180s")


@pytest_asyncio.fixture(loop_scope="session")
async def tenant(release: Release, tenants: list[str]) -> AsyncIterator[str]:
    """A tenant's namespace."""
    name = f"team-{secrets.token_hex(4)}"
    await release.kubectl("create", "namespace", name)
    yield name
    await release.kubectl("delete", "namespace", name, "--wait=false")
    tenants.append(name)


@pytest_asyncio.fixture(loop_scope="session")
async def busy(release: Release, server: Server, tenant: str, soak: bool) -> Trials:
    """Begins a trial with that tenant. The long runs have a new seed, which is printed."""
    seed = time.time_ns() if soak else 1
    print(f"\nseed {seed}")
    return lambda: trial(release, server, tenant, random.Random(seed))
