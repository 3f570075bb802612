"""One Cooper for all tests here; each has tenants' namespaces of its own."""

import secrets
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from e2e.kind.cluster import Cluster
from e2e.kubectl import Kubectl
from e2e.system.system import System


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


@pytest_asyncio.fixture(loop_scope="session")
async def tenant(system: System) -> str:
    """A namespace of one tenant."""
    return await system.tenant(f"team-{secrets.token_hex(4)}")
