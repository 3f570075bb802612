"""A Bucket says what its user has to do about the key that it brings along: he looks at the Bucket first."""

from typing import Any

from cooper_crds.fields import timestamp
from cooper_crds.rotation import WorkloadName
from cooper_crds.stored import Workload
from cooper_operator.cluster.port import Ref
from unit.operator.operator_world import World
from unit.operator.test_rotation import annotate

WEB = WorkloadName(kind="Deployment", name="web")


async def bucket(world: World, **credentials: Any) -> None:
    await world.apply("Bucket", "photos", {"credentials": credentials})
    await world.until_ready("Bucket", "photos")
    await world.settle()


async def until_not_said(world: World, type_: str) -> None:
    async def gone() -> bool:
        return await world.condition("Bucket", "photos", type_) == ("", "")

    await world.until(gone)


async def told(world: World, reason: str) -> list[str]:
    return [each.message for each in world.cluster.events(Ref("Bucket", "default", "photos")) if each.reason == reason]


async def test_a_time_that_is_none(world: World) -> None:
    await bucket(world)
    await annotate(world, "Bucket", "photos", "soon")
    await world.until_condition("Bucket", "photos", "False", "InvalidRotateAt", "Rotated")
    text = await world.message("Bucket", "photos", "Rotated")
    assert text == (
        "AccessKey photos: the annotation cooper.dev/rotate-at is no RFC 3339 time. Set the annotation "
        "cooper.dev/rotate-at to a time such as 2030-01-31T12:00:00Z, or take it off."
    )
    await world.settle()
    assert await told(world, "InvalidRotateAt") == [text]
    assert await world.condition("Bucket", "photos") == ("True", "BucketServed")
    await annotate(world, "Bucket", "photos", timestamp(world.now() + 3600))
    await until_not_said(world, "Rotated")


async def test_a_workload_that_is_not_there(world: World) -> None:
    await bucket(world, restart=[{"kind": "Deployment", "name": "web"}])
    await world.until_condition("Bucket", "photos", "False", "WorkloadNotFound", "RolledOut")
    text = await world.message("Bucket", "photos", "RolledOut")
    assert text.startswith("AccessKey photos: Deployment web is not there. If its kind or name is misspelled")
    await world.settle()
    assert await told(world, "WorkloadNotFound") == [text]
    world.cluster.workloads["default", WEB] = Workload(WEB, "1")  # nobody tells: it is looked for now and then
    await until_not_said(world, "RolledOut")
    await world.until_condition("AccessKey", "photos", "True", "RolledOut", "RolledOut")
    assert world.cluster.restarts == []


async def test_a_key_that_its_user_ended(world: World) -> None:
    await bucket(world)
    for change, reason, text in (
        (
            {"state": "Revoked"},
            "Revoked",
            "AccessKey photos: spec.state is Revoked. To use the AccessKey again set spec.state to Active; a new key "
            "is issued then.",
        ),
        (
            {"state": "Active", "expiresAt": "2020-01-01T00:00:00Z"},
            "Expired",
            "AccessKey photos: spec.expiresAt has passed. To use the AccessKey again set a later spec.expiresAt; a new "
            "key is issued then.",
        ),
    ):
        key = await world.get("AccessKey", "photos") or {}
        await world.cluster.update({**key, "spec": {**key["spec"], **change}})
        for type_ in ("Ready", "CredentialsReady"):
            await world.until_condition("Bucket", "photos", "False", reason, type_)
            assert await world.message("Bucket", "photos", type_) == text


async def test_a_secret_in_the_way_and_the_field_that_names_another(world: World) -> None:
    for name in ("photos", "app"):
        world.cluster.set_credentials("default", name, {"password": "theirs"})
    await world.apply("Bucket", "photos", {})
    await world.until_condition("Bucket", "photos", "False", "SecretConflict")
    assert "another name is set in spec.credentials.secretName of Bucket photos. " in await world.message(
        "Bucket", "photos"
    )
    await world.apply("AccessKey", "app", {"grants": [{"bucket": "photos"}]})
    await world.until_condition("AccessKey", "app", "False", "SecretConflict")
    assert "another name is set in spec.secretName. " in await world.message("AccessKey", "app")
