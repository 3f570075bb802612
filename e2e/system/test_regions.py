"""A Region that is missing, one too many, gone, or without what it needs."""

import pytest

from e2e.system.regions import Regions
from e2e.system.system import REGION, manifest
from e2e.system.tenant import Tenant, told
from support.rig import KEY_REFUSED, error_code, s3_client

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_one_that_is_missing_and_then_created(team: Tenant, regions: Regions) -> None:
    region = regions.name
    await team.apply(team.bucket("photos", region=region), team.access_key("app", "photos", region=region))
    text = f"there is no Region {region}"
    await team.until_said("Bucket", "photos", "False", "RegionNotFound", text)
    await team.until_said("Bucket", "photos", "False", "RegionNotFound", text, type_="Provisioned")
    await team.until_said("AccessKey", "app", "False", "RegionNotFound", text)
    await team.until_told("Bucket", "photos", "RegionNotFound")
    assert await team.events("Bucket", "photos") == {"RegionNotFound": told("RegionNotFound", text)}
    assert await team.records() == set()
    await team.apply(regions.manifest())
    await team.until_ready(("Bucket", "photos"), ("AccessKey", "app"), ("Region", region))
    key = await team.credentials("app")
    assert key["REGION"] == "eu-north-1"
    assert s3_client(key).list_objects_v2(Bucket=key["BUCKET"])["KeyCount"] == 0
    for elsewhere in team.system.clients(key):
        assert error_code(elsewhere.list_buckets) == "InvalidAccessKeyId"


async def test_two_that_are_the_default(team: Tenant, regions: Regions) -> None:
    await team.apply(team.bucket("photos"), team.access_key("app", "photos"))
    await team.until_ready(("Bucket", "photos"), ("AccessKey", "app"))
    key = await team.credentials("app")
    second = await regions.make(default=True)
    both = f"{REGION}, {second} are all marked as the default"
    for region in (REGION, second):
        await team.until_said("Region", region, "False", "DefaultRegionAmbiguous", both)
    await team.apply(team.bucket("more"), team.access_key("late", "photos"))
    text = f"spec.region names no Region and {REGION}, {second} are all marked as the default"
    await team.until_said("Bucket", "more", "False", "DefaultRegionAmbiguous", text)
    await team.until_said("AccessKey", "late", "False", "DefaultRegionAmbiguous", text)
    for kind, name, reason in (("Bucket", "photos", "BucketServed"), ("AccessKey", "app", "KeyWorks")):
        await team.until_said(kind, name, "True", reason)  # they stay where they are
    assert await team.credentials("app") == key
    assert team.system.clients(key)[0].list_objects_v2(Bucket=key["BUCKET"])["KeyCount"] == 0
    await team.change("region", second, default=False)
    await team.until_ready(("Region", REGION), ("Region", second), ("Bucket", "more"), ("AccessKey", "late"))
    assert await team.credentials("app") == key


async def test_one_that_is_deleted_while_in_use(team: Tenant, regions: Regions) -> None:
    region = await regions.make()
    await team.apply(team.bucket("photos", region=region), team.access_key("app", "photos", region=region))
    await team.until_ready(("Bucket", "photos"), ("AccessKey", "app"))
    keys = [await team.credentials(name) for name in ("photos", "app")]
    await team.kubectl("delete", "region", region)
    for kind, name in (("Bucket", "photos"), ("AccessKey", "app")):
        await team.until_said(kind, name, "False", "RegionNotFound", f"there is no Region {region}")
    for key in keys:
        s3_client(key).list_objects_v2(Bucket=key["BUCKET"])  # who uses it goes on

    await team.change("accesskey", "app", state="Revoked")
    await team.until_said("AccessKey", "app", "True", "RefusedEverywhere", type_="Revoked")
    await team.delete("bucket", "photos")
    await team.until_gone("Bucket", "photos")
    for key in keys:
        said = error_code(lambda key=key: s3_client(key).list_objects_v2(Bucket=key["BUCKET"]))
        assert said in KEY_REFUSED
    await team.delete("accesskey", "app")
    await team.until_gone("AccessKey", "app")
    assert await team.records() == set()


async def test_one_whose_service_is_missing_and_then_created(team: Tenant, regions: Regions) -> None:
    region = await regions.make(service=None)
    await team.apply(team.access_key("app", "photos", region=region), team.bucket("photos", region=region))
    waits = (
        f"the key is recorded; still waiting: there is no Service {region} with EndpointSlices in namespace "
        f"{team.system.namespace}: create it, or name the gateways' Service in spec.service of the Region"
    )
    await team.until_said("AccessKey", "app", "False", "GatewayUnavailable", waits)
    assert await team.secret("app") is None
    await team.change("region", region, service={"name": regions.service})
    await team.until_ready(("AccessKey", "app"), ("Bucket", "photos"))


async def test_one_without_an_endpoint_for_its_keys(team: Tenant, regions: Regions) -> None:
    region = await regions.make(endpoints=None)
    await team.apply(team.bucket("photos", region=region))
    text = f"Region {region} names no internal endpoint"
    await team.until_said("AccessKey", "photos", "False", "EndpointUnknown", text)
    await team.until_said("Bucket", "photos", "False", "EndpointUnknown", f"AccessKey photos: {text}")
    assert await team.records() == {f"bucket-{team.s3_name('photos')}"}
    endpoint = "http://s3.example.com:9000"
    await team.change("region", region, endpoints={"internal": endpoint})
    await team.until_ready(("Bucket", "photos"))
    assert (await team.credentials("photos"))["ENDPOINT"] == endpoint
    moved = "https://s3.example.com"  # of something before the gateway, which itself speaks no TLS
    service = {"name": regions.service, "scheme": "http"}
    await team.change("region", region, endpoints={"internal": moved}, service=service)

    async def delivered() -> bool:
        return (await team.credentials("photos"))["ENDPOINT"] == moved

    await team.until("the new endpoint in the Secret", delivered)
    text = "Secret photos was not as it is to be, in ENDPOINT; it was written again"
    assert await team.until_told("AccessKey", "photos", "SecretRewritten") == told("SecretRewritten", text)


async def test_a_bucket_stays_where_it_is(team: Tenant, regions: Regions) -> None:
    region = await regions.make()
    await team.apply(team.bucket("photos"))
    await team.until_ready(("Bucket", "photos"))
    await team.change("bucket", "photos", region=region)
    text = f"the bucket's data lies in Region {REGION}"
    await team.until_said("Bucket", "photos", "False", "RegionChanged", text)
    key = await team.credentials("photos")
    team.system.clients(key)[0].list_objects_v2(Bucket=key["BUCKET"])
    far = manifest("AccessKey", team.namespace, "far", {"region": region, "grants": [{"bucket": "photos"}]})
    await team.apply(far)
    text = f"Bucket photos is in Region {REGION}, this AccessKey in Region {region}"
    await team.until_said("AccessKey", "far", "False", "RegionMismatch", text)
