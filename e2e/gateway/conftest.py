"""Each test has a namespace of its own, with a Region, a bucket and a key, and a gate before the API."""

import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest
from kubernetes import client

from e2e.gateway.gate import Gate
from e2e.gateway.records import Namespace, usable_key
from support.gateway_rig import Gateway
from support.records_fixtures import bucket, region


@pytest.fixture
def namespace(api: client.ApiClient) -> Iterator[Namespace]:
    name = f"f-gateway-{secrets.token_hex(4)}"
    core = client.CoreV1Api(api)
    core.create_namespace(client.V1Namespace(metadata=client.V1ObjectMeta(name=name)))
    try:
        yield Namespace(api, name)
    finally:
        core.delete_namespace(name)


@pytest.fixture
def records(namespace: Namespace) -> Namespace:
    namespace.put_many([region(max_record_age=30.0), bucket(), usable_key()])
    return namespace


@pytest.fixture
def gate(kubeconfig: Path, tmp_path: Path) -> Iterator[Gate]:
    with Gate(kubeconfig, tmp_path) as gate:
        yield gate


@pytest.fixture
def gateway(gate: Gate, namespace: Namespace, tmp_path: Path) -> Iterator[Gateway]:
    """Not started yet."""
    gateway = Gateway(tmp_path, "--kubeconfig", str(gate.kubeconfig), "--namespace", namespace.name)
    try:
        yield gateway
    finally:
        if gateway.process is not None:
            gateway.stop()
