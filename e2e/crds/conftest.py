"""A namespace of the tests' own, and one object of each kind in it. Regions have names of their own."""

import asyncio
import secrets
from collections.abc import Iterator

import pytest
from kubernetes import client

from cooper_crds.manifest import KINDS
from e2e.crds.samples import full
from e2e.crds.schemas import CRDS
from e2e.crds.server import Server
from e2e.kubectl import Kubectl


@pytest.fixture(scope="session")
def installed(kubectl: Kubectl) -> None:
    """The CRDs as the chart has them."""
    asyncio.run(kubectl.define(CRDS))


@pytest.fixture(scope="package")
def server(api: client.ApiClient, installed: None) -> Iterator[Server]:
    """The API server, with a namespace for this run."""
    core = client.CoreV1Api(api)
    name = f"f-crds-{secrets.token_hex(4)}"
    core.create_namespace(client.V1Namespace(metadata=client.V1ObjectMeta(name=name)))
    try:
        yield Server(api, name)
    finally:
        core.delete_namespace(name)


@pytest.fixture(scope="package")
def stored(server: Server) -> Iterator[dict[str, str]]:
    """The name of an object of each kind, with every field of its spec and no status."""
    names = dict.fromkeys(KINDS, f"{server.namespace}-sample")
    for kind, name in names.items():
        made = full(kind)
        made["metadata"]["name"] = name
        assert server.create(kind, made, keep=True).accepted
    yield names
    for kind, name in names.items():
        server.delete(kind, name)
