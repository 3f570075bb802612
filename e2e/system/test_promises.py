"""How long it takes until a key works, and until it does not; and how often that is written about."""

import asyncio
import statistics
import time
from collections import Counter
from typing import Any

import pytest
from kubernetes import client

from cooper_crds.conditions import Condition, find_condition
from e2e.kind.cluster import Cluster
from e2e.system.system import System, manifest
from support.rig import error_code, eventually

#: What is written for all objects together, not for each.
_SHARED = ("leases", "configmaps")


class Tenant:
    """Applies and reads resources of one namespace in milliseconds."""

    def __init__(self, api: client.ApiClient, namespace: str) -> None:
        self._objects = client.CustomObjectsApi(api)
        self.namespace = namespace

    def create(self, kind: str, name: str, spec: dict[str, Any]) -> None:
        self._objects.create_namespaced_custom_object(
            "cooper.dev", "v1alpha1", self.namespace, _plural(kind), manifest(kind, self.namespace, name, spec)
        )

    def edit(self, kind: str, name: str, spec: dict[str, Any]) -> None:
        place = ("cooper.dev", "v1alpha1", self.namespace, _plural(kind), name)
        self._objects.patch_namespaced_custom_object(*place, {"spec": spec})

    def is_ready(self, kind: str, name: str) -> bool:
        place = ("cooper.dev", "v1alpha1", self.namespace, _plural(kind), name)
        found: Any = self._objects.get_namespaced_custom_object(*place)
        conditions = [Condition.model_validate(each) for each in found.get("status", {}).get("conditions", [])]
        ready = find_condition(conditions, "Ready")
        return ready is not None and ready.status == "True"


def _plural(kind: str) -> str:
    return {"Bucket": "buckets", "AccessKey": "accesskeys"}[kind]


@pytest.fixture
def rounds(request: pytest.FixtureRequest) -> int:
    """How often each thing is done: its tenth where all tests are run."""
    return 100 if request.config.getoption("--soak") else 10


async def test_credentials_work_at_the_first_try_on_every_gateway(system: System, tenant: str, rounds: int) -> None:
    for number in range(rounds):
        name = f"photos-{number}"
        await system.apply(manifest("Bucket", tenant, name, {"bucketName": f"{tenant}-{name}"}))
        await system.wait(f"bucket/{name}", tenant)
        credentials = await system.credentials(tenant, name)
        for s3 in system.clients(credentials):
            s3.put_object(Bucket=credentials["BUCKET"], Key="a", Body=b"content")
            assert s3.get_object(Bucket=credentials["BUCKET"], Key="a")["Body"].read() == b"content"
            assert error_code(lambda s3=s3: s3.list_objects_v2(Bucket="another")) == "AccessDenied"
            s3.delete_object(Bucket=credentials["BUCKET"], Key="a")
    print(f"\nfirst tries that worked, on both gateways: {rounds} of {rounds}")


async def test_how_long_until_ready_and_until_refused(
    system: System, api: client.ApiClient, tenant: str, rounds: int
) -> None:
    ready, refused = [], []
    user = Tenant(api, tenant)
    user.create("Bucket", "all", {"bucketName": f"{tenant}-all"})
    eventually("the bucket", lambda: user.is_ready("Bucket", "all"))
    for name in (f"key-{number}" for number in range(rounds // 2)):
        began = time.monotonic()
        user.create("AccessKey", name, {"grants": [{"bucket": "all"}]})
        eventually("readiness", lambda name=name: user.is_ready("AccessKey", name))
        ready.append(time.monotonic() - began)
        clients = system.clients(await system.credentials(tenant, name))
        assert [_answer(s3) for s3 in clients] == ["ok", "ok"]
        began = time.monotonic()
        user.edit("AccessKey", name, {"state": "Revoked"})
        eventually("refusal", lambda clients=clients: {_answer(s3) for s3 in clients} == {"KeyAccessRevoked"})
        refused.append(time.monotonic() - began)
    print(f"\napply -> Ready: {_spread(ready)}\nrevoke -> refused on both gateways: {_spread(refused)}")


def _answer(s3: Any) -> str:
    try:
        s3.list_buckets()
    except s3.exceptions.ClientError as error:
        return error.response["Error"]["Code"]
    return "ok"


def _spread(seconds: list[float]) -> str:
    median, worst = statistics.median(seconds), max(seconds)
    return f"median {median * 1000:.0f} ms, worst {worst * 1000:.0f} ms of {len(seconds)}"


@pytest.mark.parametrize(
    ("kind", "spec", "most"),
    [
        ("AccessKey", {"grants": [{"bucket": "all"}]}, 5),
        ("Bucket", {}, 11),  # its AccessKey's included
    ],
)
async def test_how_much_is_written(
    system: System, api: client.ApiClient, cluster: Cluster, tenant: str, kind: str, spec: dict[str, Any], most: int
) -> None:
    user = Tenant(api, tenant)
    user.create("Bucket", "all", {"bucketName": f"{tenant}-all"})
    eventually("the bucket", lambda: user.is_ready("Bucket", "all"))
    await _until_quiet(system, cluster)
    before = len(await _writes(system, cluster))
    user.create(kind, "counted", spec | ({"bucketName": f"{tenant}-counted"} if kind == "Bucket" else {}))
    eventually("readiness", lambda: user.is_ready(kind, "counted"))
    await _until_quiet(system, cluster)
    written = Counter((await _writes(system, cluster))[before:])
    print(f"\n{kind}: {sum(written.values())} writes: {dict(written)}")
    assert 0 < sum(written.values()) <= most


async def _until_quiet(system: System, cluster: Cluster) -> None:
    await system.former_tenants_settled()
    before = -1
    async with asyncio.timeout(20):
        while before != (before := len(await _writes(system, cluster))):
            await asyncio.sleep(1.5)


async def _writes(system: System, cluster: Cluster) -> list[str]:
    """The operator's writes of what belongs to an object, by what was written."""
    return [each.what for each in await system.writes(cluster) if each.what.split()[1] not in _SHARED]
