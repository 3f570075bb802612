"""Data that was retained is taken over by the namespace that left it, and by nobody else but whom the Region names."""

from typing import Any

import pytest

from e2e.system.system import manifest
from e2e.system.tenant import Tenant, told
from support.rig import KEY_REFUSED, error_code, eventually

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def left(team: Tenant) -> tuple[Any, str]:
    """A Bucket that was retained with an object; a client with its former key, and its S3 name."""
    await team.apply(team.bucket("photos", deletionPolicy="Retain"))
    await team.until_ready(("Bucket", "photos"))
    credentials = await team.credentials("photos")
    client, bucket = team.system.clients(credentials)[0], credentials["BUCKET"]
    client.put_object(Bucket=bucket, Key="a", Body=b"left")
    await team.delete("bucket", "photos")
    await team.until_gone("Bucket", "photos")
    return client, bucket


def adopter(team: Tenant, bucket: str, name: str = "again", **spec: Any) -> dict[str, Any]:
    wanted = {"bucketName": bucket, "adopt": True, "deletionPolicy": "Purge"}
    return manifest("Bucket", team.namespace, name, {**wanted, **spec})


async def read(team: Tenant, name: str) -> bytes:
    credentials = await team.credentials(name)
    client = team.system.clients(credentials)[0]
    return client.get_object(Bucket=credentials["BUCKET"], Key="a")["Body"].read()


async def test_its_own_namespace_takes_it_over_and_the_spec_holds(team: Tenant) -> None:
    former, bucket = await left(team)
    await team.apply(adopter(team, bucket, quota={"maxObjects": 1}))
    await team.until_ready(("Bucket", "again"))
    assert await read(team, "again") == b"left"
    assert error_code(lambda: former.get_object(Bucket=bucket, Key="a")) in KEY_REFUSED
    client = team.system.clients(await team.credentials("again"))[0]
    assert error_code(lambda: client.put_object(Bucket=bucket, Key="b", Body=b"x")) == "QuotaExceeded"
    status = (await team.get("Bucket", "again") or {})["status"]
    assert status["objects"] == 1
    said = f"the bucket {bucket} was taken over, with what it holds"
    assert await team.until_told("Bucket", "again", "Adopted") == told("Adopted", said)

    await team.change("bucket", "again", adopt=False, quota={"maxObjects": 5})
    eventually("the quota", lambda: error_code(lambda: client.put_object(Bucket=bucket, Key="b", Body=b"x"), "") == "")
    after = (await team.get("Bucket", "again") or {})["status"]
    assert after["adopted"] == status["adopted"]
    await team.delete("bucket", "again")
    await team.until_gone("Bucket", "again")
    assert await team.records() == set()


async def test_a_namespace_that_was_made_anew_gets_the_answer_that_strangers_get(
    team: Tenant, neighbour: Tenant
) -> None:
    _, bucket = await left(neighbour)
    kubectl = team.system.kubectl
    await kubectl("delete", "namespace", neighbour.namespace, "--timeout=120s")
    await kubectl("create", "namespace", neighbour.namespace)
    for tenant in (neighbour, team):
        await tenant.apply(adopter(tenant, bucket))
        await tenant.until_said(
            "Bucket", "again", "False", "NameTaken", f"the S3 name {bucket} belongs to another namespace"
        )
    assert (await neighbour.condition("Bucket", "again"))["message"] == (await team.condition("Bucket", "again"))[
        "message"
    ]
    assert await team.secret("again") is None


async def test_whom_the_region_names_takes_over_what_another_namespace_left(team: Tenant, neighbour: Tenant) -> None:
    former, bucket = await left(team)
    await neighbour.apply(adopter(neighbour, bucket))
    await neighbour.until_said("Bucket", "again", "False", "NameTaken")
    lets = [{"bucketName": bucket, "namespace": neighbour.namespace}]
    await team.system.apply(team.system.region(adoptions=lets))
    try:
        await neighbour.until_ready(("Bucket", "again"))
        assert await read(neighbour, "again") == b"left"
        assert error_code(lambda: former.get_object(Bucket=bucket, Key="a")) in KEY_REFUSED
        await team.apply(adopter(team, bucket))
        await team.until_said("Bucket", "again", "False", "NameTaken")
        assert await team.records() == set()
    finally:
        await team.system.apply(team.system.region())
    await neighbour.until_ready(("Bucket", "again"))
    assert await read(neighbour, "again") == b"left"


async def test_of_two_that_claim_it_at_once_one_gets_it_for_good(team: Tenant) -> None:
    _, bucket = await left(team)
    await team.apply(adopter(team, bucket, "one"), adopter(team, bucket, "two"))

    async def states() -> list[tuple[str, str]]:
        found = [await team.condition("Bucket", name) for name in ("one", "two")]
        return [(each.get("status", ""), each.get("reason", "")) for each in found]

    async def decided() -> bool:
        return sorted(await states()) == [("False", "NameTaken"), ("True", "BucketServed")]

    await team.until("one owner", decided)
    first = await states()
    winner = ("one", "two")[[status for status, _ in first].index("True")]
    assert await read(team, winner) == b"left"
    assert await states() == first
