"""A bucket's S3 name belongs to who provisioned it first, whatever others call theirs."""

import pytest

from e2e.system.regions import Regions
from e2e.system.system import manifest
from e2e.system.tenant import Tenant, told
from support.rig import KEY_REFUSED, error_code

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_the_second_claimant_waits_and_gets_the_name_when_the_first_is_gone(
    team: Tenant, neighbour: Tenant
) -> None:
    name = team.s3_name("photos")
    await team.apply(team.bucket("photos"))
    await team.until_ready(("Bucket", "photos"))
    key = await team.credentials("photos")
    first = team.system.clients(key)[0]
    first.put_object(Bucket=name, Key="a", Body=b"theirs")

    await neighbour.apply(neighbour.bucket("mine", bucketName=name), neighbour.access_key("app", "mine"))
    text = f"the S3 name {name} belongs to another namespace"
    await neighbour.until_said("Bucket", "mine", "False", "NameTaken", text)
    await neighbour.until_said("Bucket", "mine", "False", "NameTaken", text, type_="Provisioned")
    waits = "Bucket mine is not provisioned (NameTaken)"
    await neighbour.until_said("AccessKey", "app", "False", "BucketNotReady", waits)
    assert await neighbour.until_told("Bucket", "mine", "NameTaken") == told("NameTaken", text)
    assert await neighbour.records() == set()
    assert await neighbour.secret("mine") is None
    assert await team.records() == {f"bucket-{name}", f"key-{key['ACCESS_KEY'].lower()}"}
    first.get_object(Bucket=name, Key="a")

    first.delete_object(Bucket=name, Key="a")
    await team.delete("bucket", "photos")
    await neighbour.until_ready(("Bucket", "mine"), ("AccessKey", "app"))
    second = neighbour.system.clients(await neighbour.credentials("mine"))[0]
    assert second.list_objects_v2(Bucket=name)["KeyCount"] == 0
    assert error_code(lambda: first.list_objects_v2(Bucket=name)) in KEY_REFUSED


async def test_two_names_that_a_template_makes_one(team: Tenant, neighbour: Tenant, regions: Regions) -> None:
    """Namespace `n` with Bucket `b-c`, and namespace `n-b` with Bucket `c`."""
    assert neighbour.namespace == f"{team.namespace}-b"
    region = await regions.make(bucketNameTemplate="{namespace}-{name}")
    await team.apply(manifest("Bucket", team.namespace, "b-c", {"region": region}))
    await team.until_ready(("Bucket", "b-c"))
    name = f"{team.namespace}-b-c"
    assert (await team.credentials("b-c"))["BUCKET"] == name
    bucket = manifest("Bucket", neighbour.namespace, "c", {"region": region})
    await neighbour.apply(bucket, neighbour.access_key("app", "c", region=region))
    await neighbour.until_said("Bucket", "c", "False", "NameTaken", f"the S3 name {name} belongs to another namespace")
    await neighbour.until_said("AccessKey", "app", "False", "BucketNotReady")
    assert await neighbour.records() == set()


async def test_a_name_that_s3_does_not_allow(team: Tenant, regions: Regions) -> None:
    region = await regions.make(bucketNameTemplate="{name}-" + "x" * 60)
    await team.apply(manifest("Bucket", team.namespace, "photos", {"region": region}))
    await team.until_said("Bucket", "photos", "False", "InvalidBucketName")
    assert await team.records() == set()
