"""One Cooper for all tests here; each has tenants' namespaces of its own."""

import secrets
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from cooper_operator.cluster.kubernetes_api import KubernetesApi
from cooper_operator.cluster.kubernetes_connection import Connection, from_kubeconfig
from e2e.kind.cluster import Cluster
from e2e.kubectl import Kubectl
from e2e.system.regions import Regions
from e2e.system.server import Server
from e2e.system.system import System
from e2e.system.tenant import Tenant


@pytest_asyncio.fixture(scope="package", loop_scope="session")
async def system(
    kubectl: Kubectl, kubeconfig: Path, cluster: Cluster, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[System]:
    """Operator and two gateways, with the default Region."""
    home = tmp_path_factory.mktemp("system")
    system = System(kubectl, kubeconfig, home, f"cooper-{secrets.token_hex(4)}", cluster.gateway_address)
    try:
        yield await system.start()
    finally:
        await system.stop()


@pytest_asyncio.fixture
async def server(kubeconfig: Path) -> AsyncIterator[Server]:
    """The API server, for what is to be done often or fast."""
    server = Server(kubeconfig)
    yield server
    await server.close()


@pytest_asyncio.fixture(loop_scope="session")
async def tenant(system: System) -> AsyncIterator[str]:
    """A namespace of one tenant. It begins to go when the test is over, and is gone at the end of all."""
    name = await system.tenant(f"team-{secrets.token_hex(4)}")
    yield name
    await system.leave(name)


@pytest_asyncio.fixture(scope="package", loop_scope="session")
async def eyes(kubeconfig: Path) -> AsyncIterator[KubernetesApi]:
    """Looks at everything, with all rights."""
    api = KubernetesApi(Connection(from_kubeconfig(kubeconfig)))
    yield api
    await api.close()


@pytest_asyncio.fixture(loop_scope="session")
async def team(system: System, eyes: KubernetesApi, tenant: str) -> Tenant:
    """A tenant with a namespace of his own."""
    return Tenant(system, eyes, tenant)


@pytest_asyncio.fixture(loop_scope="session")
async def neighbour(system: System, eyes: KubernetesApi, tenant: str) -> AsyncIterator[Tenant]:
    """Another tenant, whose namespace's name begins with the first one's."""
    name = await system.tenant(f"{tenant}-b")
    yield Tenant(system, eyes, name)
    await system.leave(name)


@pytest_asyncio.fixture(loop_scope="session", scope="package")
async def north(system: System) -> Regions:
    """Another Region's gateway."""
    regions = Regions(system)
    await regions.serve()
    return regions


@pytest_asyncio.fixture(loop_scope="session")
async def regions(north: Regions) -> AsyncIterator[Regions]:
    """Makes the other Region for one test."""
    yield north
    await north.remove()
