"""BucketGrant on a real API server: one namespace's key on another one's Bucket, while that lets it."""

from typing import Any

import pytest

from e2e.system.system import manifest
from e2e.system.tenant import Tenant, seconds_until
from support.rig import error_code

pytestmark = pytest.mark.asyncio(loop_scope="session")

READ = ["s3:GetObject", "s3:ListBucket"]


def grant(owner: Tenant, to: Tenant, name: str = "share", **spec: Any) -> dict[str, Any]:
    return manifest("BucketGrant", owner.namespace, name, {"from": [{"namespace": to.namespace}], **spec})


def asks(who: Tenant, owner: Tenant, **right: Any) -> dict[str, Any]:
    rights = [{"bucket": "photos", "namespace": owner.namespace, **right}]
    return manifest("AccessKey", who.namespace, "app", {"grants": rights})


async def until_answered(clients: list[Any], ask: Any, expected: str) -> float:
    """Seconds until every gateway says so."""

    async def answers() -> set[str]:
        return {error_code(lambda client=client: ask(client), otherwise="ok") for client in clients}

    return await seconds_until({expected}, answers)


async def test_a_grant_is_given_made_less_and_withdrawn(team: Tenant, neighbour: Tenant) -> None:
    await team.apply(team.bucket("photos"))
    await team.until_ready(("Bucket", "photos"))
    owners = list(team.system.clients(await team.credentials("photos")))  # each gateway has a store of its own here
    bucket = team.s3_name("photos")
    for own in owners:
        for key in ("shared/a", "private/a"):
            own.put_object(Bucket=bucket, Key=key, Body=key.encode())

    await neighbour.apply(asks(neighbour, team))
    text = f"no BucketGrant in namespace {team.namespace} lets this one use Bucket photos of namespace {team.namespace}"
    await neighbour.until_said("AccessKey", "app", "False", "NotGranted", text)
    assert await neighbour.secret("app") is None
    await team.apply(grant(team, neighbour, buckets=["photos"], actions=READ))
    await team.until_said("BucketGrant", "share", "True", "Granted")
    await neighbour.until_ready(("AccessKey", "app"))
    credentials = await neighbour.credentials("app")
    assert credentials["BUCKET"] == bucket
    clients = list(neighbour.system.clients(credentials))
    for client in clients:
        assert client.get_object(Bucket=bucket, Key="private/a")["Body"].read() == b"private/a"
        assert error_code(lambda client=client: client.put_object(Bucket=bucket, Key="b", Body=b"")) == "AccessDenied"

    def read(client: Any) -> object:
        return client.get_object(Bucket=bucket, Key="private/a")

    await team.change("bucketgrant", "share", prefixes=["shared/"])
    narrowed = await until_answered(clients, read, "AccessDenied")
    for client in clients:
        assert client.get_object(Bucket=bucket, Key="shared/a")["Body"].read() == b"shared/a"
        assert [e["Key"] for e in client.list_objects_v2(Bucket=bucket, Prefix="shared/")["Contents"]] == ["shared/a"]
    await team.delete("bucketgrant", "share")
    withdrawn = await until_answered(
        clients, lambda client: client.get_object(Bucket=bucket, Key="shared/a"), "AccessDenied"
    )
    print(f"\na BucketGrant holds everywhere: narrower {narrowed * 1000:.0f} ms, withdrawn {withdrawn * 1000:.0f} ms")
    assert max(narrowed, withdrawn) < 1
    await neighbour.until_said("AccessKey", "app", "False", "NotGranted", text)
    for own in owners:
        assert own.get_object(Bucket=bucket, Key="private/a")["Body"].read() == b"private/a"
        own.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": "shared/a"}, {"Key": "private/a"}]})
    await neighbour.delete("accesskey", "app")
    await neighbour.until_gone("AccessKey", "app")


async def test_nobody_grants_what_is_another_s(team: Tenant, neighbour: Tenant) -> None:
    """BucketGrants of the neighbour's own, whatever they say, open nothing of the team's."""
    await team.apply(team.bucket("photos"))
    await team.until_ready(("Bucket", "photos"))
    bucket = team.s3_name("photos")
    await neighbour.apply(
        grant(neighbour, neighbour, buckets=["photos"]),
        grant(neighbour, team, "other", buckets=[bucket, "photos"]),
        neighbour.bucket("mine"),
        asks(neighbour, team),
    )
    await neighbour.until_said("AccessKey", "app", "False", "NotGranted")
    await neighbour.until_ready(("Bucket", "mine"))
    for client in neighbour.system.clients(await neighbour.credentials("mine")):
        assert error_code(lambda client=client: client.list_objects_v2(Bucket=bucket)) == "AccessDenied"
    assert await neighbour.secret("app") is None
    assert "BucketGrant" not in str(await team.events("Bucket", "photos"))
