"""What settles while others look at it: whoever saw it as it was before looks again, without any echo to wake him."""

import pytest

from cooper_crds.rotation import WorkloadName
from cooper_crds.stored import Workload
from cooper_operator.cluster.port import Ref
from support.gates import Gated
from unit.operator.operator_world import World
from unit.operator.test_rotation import annotate

NO_KEY = {"credentials": {"enabled": False}}
ASKS = {"grants": [{"bucket": "photos", "namespace": "films", "actions": ["s3:GetObject"]}]}
LETS = {"from": [{"namespace": "default"}]}


async def settle_but_one(world: World) -> None:
    """Wait until nothing is worked on but what is held."""
    queue = world.operator._queue  # pyright: ignore[reportPrivateUsage]
    assert queue is not None

    async def holds() -> bool:
        return queue.depth == 0 and queue._running == 1  # pyright: ignore[reportPrivateUsage]

    await world.until(holds)


#: Reads of a key's first look: the answer to one of them is on its way when the grant is withdrawn.
READS = {
    "the grants": ("list_kind", "BucketGrant"),
    "the bucket, after the grants": ("get", Ref("Bucket", "films", "photos")),
}


@pytest.mark.parametrize("read", READS)
async def test_a_grant_that_is_withdrawn_during_a_first_look_gives_nothing(
    quiet_world: World, view: Gated, read: str
) -> None:
    world = quiet_world
    await world.apply("Bucket", "photos", {**NO_KEY, "bucketName": "films-photos"}, "films")
    await world.until_ready("Bucket", "photos", "films")
    await world.apply("BucketGrant", "to-default", LETS, "films")
    await world.until_ready("BucketGrant", "to-default", "films")
    await world.settle()
    gate = view.hold(*READS[read])
    await world.apply("AccessKey", "app", ASKS)
    await gate.reached.wait()
    await world.delete("BucketGrant", "to-default", "films")
    await settle_but_one(world)
    gate.open()
    await world.settle()
    assert await world.condition("AccessKey", "app") == ("False", "NotGranted")
    assert [key.grants for key in await world.keys() if key.state == "Active"] in ([], [()])


async def test_a_bucket_that_is_provisioned_during_a_first_look_is_granted(quiet_world: World, view: Gated) -> None:
    world = quiet_world
    bucket = view.hold("namespace", "default")
    await world.apply("Bucket", "photos", NO_KEY)
    await bucket.reached.wait()
    key = view.hold("get_credentials", "default", "app")
    await world.apply("AccessKey", "app", {"grants": [{"bucket": "photos"}]})
    await key.reached.wait()
    bucket.open()
    await world.until_ready("Bucket", "photos")
    await settle_but_one(world)
    key.open()
    await world.settle()
    assert await world.condition("AccessKey", "app") == ("True", "KeyWorks")


async def test_a_bucket_that_nobody_could_ask_about_is_asked_about_with_the_first_key(
    quiet_world: World, view: Gated
) -> None:
    world = quiet_world
    await world.apply("Bucket", "photos", {**NO_KEY, "apiAccess": "Revoked"})
    await world.until_condition("Bucket", "photos", "Unknown", "NoKeyToAskWith", "Revoked")
    await world.settle()
    await world.apply("AccessKey", "app", {"grants": [{"bucket": "photos"}]})
    await world.until_condition("Bucket", "photos", "True", "ApiAccessRevoked", "Revoked")


async def test_a_bucket_says_of_its_key_what_that_says_by_now(quiet_world: World, view: Gated) -> None:
    """Of a condition the message changes alone: of two workloads that are not there one comes."""
    world, web = quiet_world, WorkloadName(kind="Deployment", name="web")
    both = [{"kind": "Deployment", "name": "web"}, {"kind": "Deployment", "name": "api"}]
    await world.apply("Bucket", "photos", {"credentials": {"restart": both}})
    await world.until_condition("Bucket", "photos", "False", "WorkloadNotFound", "RolledOut")
    await world.settle()
    assert "web is not there" in await world.message("Bucket", "photos", "RolledOut")
    world.cluster.workloads["default", web] = Workload(web, "1")
    await annotate(world, "AccessKey", "photos", "now", "example.com/touched")
    await world.settle()
    for kind in ("AccessKey", "Bucket"):
        message = await world.message(kind, "photos", "RolledOut")
        assert "api is not there" in message and "web" not in message
