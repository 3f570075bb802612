"""CreateBucket over S3 on a real API server: a Bucket of the key's namespace, made by the operator's own rights."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from e2e.system.system import REGION, manifest
from e2e.system.tenant import Tenant
from support.rig import error_code

pytestmark = pytest.mark.asyncio(loop_scope="session")

ALL = ["s3:GetObject", "s3:PutObject", "s3:DeleteObject", "s3:ListBucket", "s3:CreateBucket", "s3:DeleteBucket"]


@pytest_asyncio.fixture(loop_scope="session")
async def makers(team: Tenant) -> AsyncIterator[Tenant]:
    """A tenant whose key `maker` may create buckets, in the Region as long as it lets him."""
    await team.system.apply(team.system.region(features={"createBucket": True}))
    await team.system.kubectl("wait", "--for=condition=GatewaysReady", f"region/{REGION}", "--timeout=30s")
    await team.apply(maker(team))
    await team.until_ready(("AccessKey", "maker"))
    yield team
    await team.system.apply(team.system.region(features={"createBucket": False}))


def maker(tenant: Tenant, actions: list[str] = ALL, **spec: Any) -> dict[str, Any]:
    return manifest("AccessKey", tenant.namespace, "maker", {"allBuckets": {"actions": actions}, **spec})


async def asked(client: Any, name: str) -> str:
    """What a client gets that asks for a bucket, while the operator and the test go on."""
    return await asyncio.to_thread(error_code, lambda: client.create_bucket(Bucket=name), "200")


async def test_a_bucket_is_made_used_and_deleted_at_either_gateway(makers: Tenant, neighbour: Tenant) -> None:
    clients = makers.system.clients(await makers.credentials("maker"))
    names = [makers.s3_name(f"made-{number}") for number in range(len(clients))]
    for client, name in zip(clients, names, strict=True):  # each keeps what it was asked
        assert await asked(client, name) == "200"
        client.put_object(Bucket=name, Key="a", Body=b"hello")
        assert client.get_object(Bucket=name, Key="a")["Body"].read() == b"hello"
        made = await makers.get("Bucket", name)
        assert made is not None
        assert made["metadata"]["annotations"] == {
            "cooper.dev/created-by-key": (await makers.credentials("maker"))["ACCESS_KEY"]
        }
        assert made["spec"]["credentials"]["enabled"] is False
        await makers.until_ready(("Bucket", name))
        assert "created the bucket over S3" in await makers.until_told("Bucket", name, "CreatedOverS3")
        assert await makers.secret(name) is None
        assert await makers.get("AccessKey", name) is None
        assert await asked(client, name) == "BucketAlreadyOwnedByYou"
    await makers.until_ready(("AccessKey", "maker"))

    # Another tenant gets neither the name nor anything in it.
    await neighbour.apply(maker(neighbour))
    await neighbour.until_ready(("AccessKey", "maker"))
    theirs = neighbour.system.clients(await neighbour.credentials("maker"))[0]
    assert await asked(theirs, names[0]) == "BucketAlreadyExists"
    assert error_code(lambda: theirs.get_object(Bucket=names[0], Key="a")) == "AccessDenied"
    assert await neighbour.get("Bucket", names[0]) is None

    clients[0].delete_object(Bucket=names[0], Key="a")
    clients[0].delete_bucket(Bucket=names[0])
    assert await asked(clients[0], names[0]) == "200"  # waits until the former one is gone
    assert clients[0].list_objects_v2(Bucket=names[0])["KeyCount"] == 0


async def test_what_the_cluster_and_the_access_key_refuse(makers: Tenant) -> None:
    client = makers.system.clients(await makers.credentials("maker"))[0]
    await makers.kubectl("create", "quota", "buckets", "--hard=count/buckets.cooper.dev=1")

    async def counted() -> bool:
        return "count/buckets.cooper.dev" in await makers.kubectl(
            "get", "quota", "buckets", "-o", "jsonpath={.status.used}"
        )

    await makers.until("the quota's count", counted)
    assert await asked(client, makers.s3_name("first")) == "200"
    assert await asked(client, makers.s3_name("second")) == "AccessDenied"
    assert "exceeded quota" in await makers.until_told("AccessKey", "maker", "CreateRefused")
    await makers.kubectl("delete", "quota", "buckets")

    await makers.apply(maker(makers, ["s3:GetObject"]))
    await makers.until_ready(("AccessKey", "maker"))
    assert await asked(client, makers.s3_name("third")) == "AccessDenied"
    await makers.apply(maker(makers, state="Revoked"))
    await makers.until_said("AccessKey", "maker", "True", type_="Revoked")
    assert await asked(client, makers.s3_name("third")) in ("KeyAccessRevoked", "InvalidAccessKeyId")
    assert await makers.get("Bucket", makers.s3_name("second")) is None
    assert await makers.get("Bucket", makers.s3_name("third")) is None
