"""A namespace is deleted with everything in it: all goes, or says what it waits for."""

import asyncio
import json

import pytest

from e2e.kind.cluster import Cluster
from e2e.kind.nodes import Nodes
from e2e.system.system import manifest
from e2e.system.tenant import Tenant
from support.rig import KEY_REFUSED, error_code

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def furnished(team: Tenant) -> list[dict[str, str]]:
    """Two Buckets and an AccessKey for both; what their Secrets hold."""
    await team.apply(team.bucket("photos"), team.bucket("logs"), team.access_key("both", "photos", "logs"))
    await team.until_ready(("Bucket", "photos"), ("Bucket", "logs"), ("AccessKey", "both"))
    return [await team.credentials(name) for name in ("photos", "logs", "both")]


async def test_empty_buckets_go_and_those_with_objects_say_that_they_wait(
    team: Tenant, neighbour: Tenant, cluster: Cluster
) -> None:
    keys = await furnished(team)
    full = await furnished(neighbour)
    client, bucket = neighbour.system.clients(full[0])[0], full[0]["BUCKET"]
    for number in range(2):
        client.put_object(Bucket=bucket, Key=f"{number}", Body=b"content")
    both = (team.namespace, neighbour.namespace)
    await team.system.kubectl("delete", "namespace", *both, "--wait=false")

    text = "deletion waits: the bucket holds 2 objects, and its own key is revoked"
    await neighbour.until_said("Bucket", "photos", "False", "BucketNotEmpty", text)
    await neighbour.until_gone("Bucket", "logs")
    for name in ("both", "photos"):
        await neighbour.until_gone("AccessKey", name)
    assert error_code(lambda: client.list_objects_v2(Bucket=bucket)) in KEY_REFUSED
    assert await neighbour.records() == {f"bucket-{bucket}"}, "no key works on, whatever waits"
    in_vain = refused(cluster, neighbour.namespace)
    remaining = json.loads(await team.system.kubectl("get", "namespace", neighbour.namespace, "-o", "json"))
    said = {each["type"]: each["message"] for each in remaining["status"]["conditions"]}
    assert "buckets.cooper.dev has" in said["NamespaceContentRemaining"]

    await neighbour.change("bucket", "photos", deletionPolicy="Retain")
    await team.system.kubectl("wait", "--for=delete", *(f"namespace/{each}" for each in both), "--timeout=60s")
    assert await team.records() == set()
    for key in keys:
        assert error_code(lambda key=key: team.system.clients(key)[1].list_buckets()) in KEY_REFUSED

    assert await neighbour.records() == {f"bucket-{bucket}"}, "the objects that were to stay, and the name they take"
    assert refused(cluster, neighbour.namespace) == in_vain, "what cannot be is not tried while the Bucket waits"


async def test_buckets_that_are_purged_keep_no_namespace(team: Tenant) -> None:
    await team.apply(team.bucket("photos", deletionPolicy="Purge"))
    await team.until_ready(("Bucket", "photos"))
    credentials = await team.credentials("photos")
    team.system.clients(credentials)[0].put_object(Bucket=credentials["BUCKET"], Key="a", Body=b"content")
    await team.system.kubectl("delete", "namespace", team.namespace, "--timeout=60s")
    assert await team.records() == set()


async def test_what_stayed_behind_when_its_namespace_went_goes_as_well(team: Tenant, cluster: Cluster) -> None:
    """As after an API server came back that did not list our kinds yet: all else of the namespace is gone."""
    keys = await furnished(team)
    lets = {"from": [{"namespace": "default"}]}
    await team.apply(manifest("BucketGrant", team.namespace, "all", lets))
    nodes = Nodes(cluster)
    await asyncio.to_thread(nodes.lose, f"/registry/namespaces/{team.namespace}")
    await team.kubectl("delete", "secret", "--all")

    async def only_buckets() -> bool:
        return all(name.startswith("bucket-") for name in await team.records())

    await team.until("the end of all keys", only_buckets)
    for key in keys:
        assert error_code(lambda key=key: team.system.clients(key)[1].list_buckets()) in KEY_REFUSED
    await team.system.kubectl("create", "namespace", team.namespace)
    left = json.loads(await team.kubectl("get", "buckets,accesskeys,bucketgrants", "-o", "json"))["items"]
    assert [each for each in left if "deletionTimestamp" not in each["metadata"]] == [], "it comes to nobody"


def refused(cluster: Cluster, namespace: str) -> int:
    """How often something was to be created there in vain: its Secrets may go some time before its AccessKeys."""
    events = [json.loads(line) for line in cluster.audit_log().splitlines()]
    return sum(
        event["verb"] == "create"
        and event["objectRef"].get("namespace") == namespace
        and event["objectRef"]["resource"] != "events"
        and event["responseStatus"]["code"] == 403
        for event in events
    )
