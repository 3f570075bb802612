"""A Bucket takes over what a former one left, over a cluster and gateways in memory."""

from typing import Any

from cooper_crds.records import BucketRecord, encode
from cooper_operator.cluster.port import Ref
from unit.operator.operator_world import World

ADOPT = {"adopt": True, "bucketName": "photos"}


async def leave(world: World, objects: int = 3, **spec: Any) -> BucketRecord:
    """A Bucket that is retained with objects; its record before."""
    await world.apply("Bucket", "photos", {"deletionPolicy": "Retain", **spec})
    await world.until_ready("Bucket", "photos")
    record = await world.bucket_record("photos")
    assert record is not None
    data = world.gateways.bucket(record.data_id)
    data.objects, data.size = objects, objects * 10
    await world.settle()
    await world.delete("Bucket", "photos")
    await world.until_gone("Bucket", "photos")
    return record


async def test_the_same_namespace_takes_over_what_it_left(world: World) -> None:
    before = await leave(world)
    await world.apply("Bucket", "again", {**ADOPT, "visibility": "Public", "maxObjectSize": "1Ki"})
    await world.until_ready("Bucket", "again")
    await world.settle()
    record, obj = await world.bucket_record("photos"), await world.get("Bucket", "again")
    assert record is not None and obj is not None
    assert (record.data_id, record.owner.uid, record.retained) == (before.data_id, obj["metadata"]["uid"], False)
    assert (record.visibility, record.max_object_size) == ("Public", 1024)
    assert (obj["status"]["objects"], obj["status"]["size"]) == (3, "30")
    assert obj["status"]["adopted"]["dataId"] == before.data_id
    assert [grant.data_id for grant in (await world.key()).grants] == [before.data_id]
    told = [each for each in world.cluster.events(Ref("Bucket", "default", "again")) if each.reason == "Adopted"]
    assert [each.count for each in told] == [1]


LONG: dict[str, Any] = {
    "cors": [{"allowedOrigins": ["https://app.example.com"], "allowedMethods": ["GET"], "maxAge": "10m"}],
    "allowedContentTypes": [f"image/{number}" for number in range(32)],
}


async def test_what_is_left_keeps_no_lists_and_has_those_of_who_takes_it_over(world: World) -> None:
    before = await leave(world, **LONG)
    assert before.cors and before.content_types
    left = await world.bucket_record("photos")
    assert left is not None and left.retained
    assert (left.cors, left.content_types) == ((), ())
    assert len(encode(left)) < 1024
    await world.apply("Bucket", "again", {**ADOPT, **LONG})
    await world.until_ready("Bucket", "again")
    after = await world.bucket_record("photos")
    assert after is not None
    assert (after.data_id, after.cors, after.content_types) == (before.data_id, before.cors, before.content_types)


async def test_what_a_bucket_without_finalizer_leaves_keeps_no_lists(world: World) -> None:
    await world.apply("Bucket", "photos", LONG)
    await world.until_ready("Bucket", "photos")
    record = await world.bucket_record("photos")
    assert record is not None and record.cors
    world.gateways.bucket(record.data_id).objects = 1
    await world.stop()
    obj = await world.get("Bucket", "photos") or {}
    await world.cluster.update({**obj, "metadata": {**obj["metadata"], "finalizers": []}})
    await world.delete("Bucket", "photos")
    await world.start(region=False)
    await world.settle()
    assert await world.operator._sweeper.sweep()  # pyright: ignore[reportPrivateUsage]
    left = await world.bucket_record("photos")
    assert left is not None and left.deletion_policy == "Retain"
    assert (left.retained, left.cors, left.content_types) == (True, (), ())


async def test_what_was_taken_over_stays_so_whatever_becomes_of_the_field_and_over_a_restart(world: World) -> None:
    before = await leave(world)
    await world.apply("Bucket", "again", ADOPT)
    await world.until_ready("Bucket", "again")
    await world.apply("Bucket", "again", {"bucketName": "photos"})
    await world.until_ready("Bucket", "again")
    await world.settle()
    record = await world.bucket_record("photos")
    await world.stop()
    writes = world.count_writes()
    await world.start(region=False)
    await world.settle()
    assert [each for each in writes if "key-" not in each] == []
    assert record is not None and record.data_id == before.data_id


async def test_what_was_taken_over_is_deleted_as_its_new_bucket_says(world: World) -> None:
    before = await leave(world)
    await world.apply("Bucket", "again", {**ADOPT, "deletionPolicy": "Purge"})
    await world.until_ready("Bucket", "again")
    await world.delete("Bucket", "again")
    await world.until_gone("Bucket", "again")
    data = world.gateways.bucket(before.data_id)
    assert (data.objects, data.destroyed) == (0, True)
    assert await world.bucket_record("photos") is None


async def test_a_purge_that_was_ended_by_retain_is_open_again_once_it_is_taken_over(world: World) -> None:
    before = await leave(world)
    world.gateways.bucket(before.data_id).closed = True
    await world.apply("Bucket", "again", ADOPT)
    await world.until_ready("Bucket", "again")
    assert not world.gateways.bucket(before.data_id).closed


async def test_while_no_gateway_can_open_it_nothing_is_taken_over(world: World) -> None:
    before = await leave(world)
    world.gateways.away = True
    await world.apply("Bucket", "again", ADOPT)
    await world.until_condition("Bucket", "again", "False", "GatewayUnavailable")
    record = await world.bucket_record("photos")
    assert record is not None and record.owner == before.owner
    world.gateways.away = False
    world.operator.hurry()
    await world.until_ready("Bucket", "again")


async def test_a_namespace_made_anew_is_told_no_more_than_a_stranger_is(world: World) -> None:
    await leave(world)
    for namespace, uid in (("default", "uid-anew"), ("stranger", "uid-x")):
        world.cluster.namespaces[namespace] = uid
        await world.apply("Bucket", "again", ADOPT, namespace)
        await world.until_condition("Bucket", "again", "False", "NameTaken", namespace=namespace)
    texts = set()
    for namespace in ("default", "stranger"):
        obj = await world.get("Bucket", "again", namespace)
        assert obj is not None
        texts |= {each["message"] for each in obj["status"]["conditions"] if each["type"] == "Ready"}
    assert texts == {"the S3 name photos belongs to another namespace. Choose another spec.bucketName."}


async def test_whom_the_region_names_takes_over_what_others_left(world: World) -> None:
    before = await leave(world)
    await world.apply("Bucket", "theirs", ADOPT, "partner")
    await world.until_condition("Bucket", "theirs", "False", "NameTaken", namespace="partner")
    lets = [{"bucketName": "photos", "namespace": "partner"}]
    await world.apply("Region", "local", {"tag": "us-east-1", "default": True, "adoptions": lets})
    await world.until_ready("Bucket", "theirs", "partner")
    record = await world.bucket_record("photos")
    assert record is not None
    assert (record.data_id, record.owner.namespace) == (before.data_id, "partner")
    assert record.namespace_uid == "uid-of-partner"
    await world.apply("Bucket", "again", ADOPT)
    await world.until_condition("Bucket", "again", "False", "NameTaken")


async def test_of_two_that_claim_it_one_gets_it(world: World) -> None:
    before = await leave(world)
    for name in ("one", "two"):
        await world.apply("Bucket", name, ADOPT)

    async def decided() -> bool:
        said = {await world.condition("Bucket", name) for name in ("one", "two")}
        return {status for status, _ in said} == {"True", "False"} and ("False", "NameTaken") in said

    await world.until(decided)
    await world.settle()
    assert await decided()
    record = await world.bucket_record("photos")
    assert record is not None and record.data_id == before.data_id


async def test_it_waits_while_a_key_of_before_is_granted_something(world: World) -> None:
    """An AccessKey whose record cannot be written is not withdrawn from: whoever has it is not to be let in again."""
    await world.apply("Bucket", "other")
    await world.apply("AccessKey", "ci", {"grants": [{"bucket": "photos"}]})
    before = await leave(world)
    await world.settle()
    assert all(grant.data_id != before.data_id for key in await world.keys() for grant in key.grants)
    (key,) = [key for key in await world.keys() if key.owner.name == "other"]
    await world.apply("Bucket", "again", {"bucketName": "photos"})
    await world.until_condition("Bucket", "again", "False", "NameTaken")
    stored = await world.cluster.get_record(f"key-{key.access_key_id.lower()}")
    assert stored is not None
    grant = key.grants[0].__class__("photos", before.data_id, ("s3:GetObject",))
    late = key.__class__(key.access_key_id, key.secret_key, key.owner, key.serial, (grant,), region=key.region)
    await world.stop()
    await world.cluster.update_record(stored, late)
    world.cluster.get, get = _refuses(world, "AccessKey"), world.cluster.get  # type: ignore[method-assign]
    await world.start(region=False)
    await world.apply("Bucket", "again", ADOPT)
    await world.until_condition("Bucket", "again", "False", "WaitingToAdopt")
    world.cluster.get = get  # type: ignore[method-assign]
    await world.until_ready("Bucket", "again")


def _refuses(world: World, kind: str) -> Any:
    """AccessKeys of the Bucket `other` cannot be read."""
    from cooper_operator.cluster.port import Unavailable

    get = world.cluster.get

    async def refused(ref: Ref) -> Any:
        if ref.kind == kind and ref.name == "other":
            raise Unavailable("away")
        return await get(ref)

    return refused


async def test_a_damaged_record_of_what_was_taken_over_is_not_made_up(world: World) -> None:
    await leave(world)
    await world.apply("Bucket", "again", ADOPT)
    await world.until_ready("Bucket", "again")
    await world.settle()
    stored = await world.cluster.get_record("bucket-photos")
    assert stored is not None
    await world.cluster.delete_record(stored)
    await world.until_condition("Bucket", "again", "False", "RecordMissing")
    assert await world.bucket_record("photos") is None
    await world.cluster.create_record("bucket-photos", stored.record)
    await world.apply("Bucket", "again", {**ADOPT, "visibility": "Public"})
    await world.until_ready("Bucket", "again")
