"""A namespace is deleted with Buckets and keys in it, while another team works on."""

import json

import pytest

from e2e.chart.release import Release
from e2e.chart.weather.conftest import Trials
from e2e.system.server import Server, values
from support.rig import KEY_REFUSED, error_code, s3_client

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_a_namespace_goes_or_says_what_it_waits_for(
    busy: Trials, release: Release, server: Server, tenants: list[str], tenant: str
) -> None:
    leaving = f"{tenant}-leaving"
    await release.kubectl("create", "namespace", leaving)
    for name in ("empty", "full"):
        await release.apply("Bucket", leaving, name, bucketName=f"{leaving}-{name}")
    await release.apply("AccessKey", leaving, "both", grants=[{"bucket": "empty"}, {"bucket": "full"}])
    for what in ("bucket/empty", "bucket/full", "accesskey/both"):
        await release.until_ready(what, leaving)
    secret = values(await release.get("secret/full", leaving))
    s3 = s3_client({**secret, "ENDPOINT": await release.node_endpoint()})
    s3.put_object(Bucket=secret["BUCKET"], Key="kept", Body=b"kept")
    async with busy() as going_on:
        await release.kubectl("delete", "namespace", leaving, "--wait=false")
        await going_on.work(10)
        says = '{.status.conditions[?(@.type=="Ready")].reason}=BucketNotEmpty'
        await release.until(f"jsonpath={says}", "bucket/full", leaving)
        await release.kubectl("-n", leaving, "wait", "--for=delete", "bucket/empty", "accesskey/both", "--timeout=60s")
        print(f"it says: {await _waits_for(release, leaving)}")
        assert error_code(lambda: s3.list_objects_v2(Bucket=secret["BUCKET"])) in KEY_REFUSED
        retain = ("patch", "bucket", "full", "--type=merge", "-p", '{"spec": {"deletionPolicy": "Retain"}}')
        await release.kubectl("-n", leaving, *retain)
        await release.kubectl("wait", "--for=delete", f"namespace/{leaving}", "--timeout=60s")
    assert going_on.load.failures == []


async def _waits_for(release: Release, namespace: str) -> str:
    bucket = await release.get("bucket/full", namespace)
    (ready,) = [each for each in bucket["status"]["conditions"] if each["type"] == "Ready"]
    return json.dumps(ready["message"])
