"""What is not Cooper's and bears a name that it needs is left alone; the conflict ends as soon as that is gone."""

import asyncio
import time
from typing import Any, Final

import pytest

from e2e.system.system import manifest
from e2e.system.tenant import Tenant, told

pytestmark = pytest.mark.asyncio(loop_scope="session")

#: Seconds after which an operator that only looked again now and then would look no sooner than in a second and a half.
_LONG_IN_THE_WAY: Final = 3.5
_AT_ONCE: Final = 1.5
IN_THE_WAY: Final = (
    "Secret photos is there, is not this AccessKey's and is left alone; another name is set in "
    "spec.credentials.secretName of Bucket photos"
)


async def same(team: Tenant, secret: dict[str, Any]) -> bool:
    """Whether a Secret is exactly what it was."""
    return await team.secret(secret["metadata"]["name"]) == secret


async def test_a_secret_that_was_there_before_is_left_alone(team: Tenant) -> None:
    await team.make_secret("photos", password="mine")
    theirs = await team.secret("photos") or {}
    await team.apply(team.bucket("photos"))
    await team.until_said("AccessKey", "photos", "False", "SecretConflict", IN_THE_WAY)
    await team.until_said("Bucket", "photos", "False", "SecretConflict", f"AccessKey photos: {IN_THE_WAY}")
    assert await team.until_told("AccessKey", "photos", "SecretConflict") == told("SecretConflict", IN_THE_WAY)
    assert await team.until_told("Bucket", "photos", "SecretConflict")
    assert await team.records() == {f"bucket-{team.s3_name('photos')}"}, "no key is made that cannot be delivered"
    await asyncio.sleep(_LONG_IN_THE_WAY)
    assert await same(team, theirs)
    await team.kubectl("delete", "secret", "photos")
    began = time.monotonic()
    await team.until_ready(("AccessKey", "photos"), ("Bucket", "photos"))
    assert time.monotonic() - began < _AT_ONCE
    assert (await team.credentials("photos"))["BUCKET"] == team.s3_name("photos")


async def test_a_secret_that_was_replaced_is_never_written_over(team: Tenant) -> None:
    await team.apply(team.bucket("photos"))
    await team.until_ready(("Bucket", "photos"))
    ours = await team.credentials("photos")
    theirs = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "photos"}, "stringData": {"password": "mine"}}
    await team.kubectl("replace", "-f", "-", manifest=theirs)
    await team.until_said("AccessKey", "photos", "False", "SecretConflict", IN_THE_WAY)
    await team.until_said("AccessKey", "photos", "False", "NotIssued", "no Secret holds the key", type_="Delivered")
    await team.until_said("Bucket", "photos", "False", "SecretConflict")
    status = (await team.get("AccessKey", "photos") or {})["status"]
    assert "secretName" not in status
    assert "binding" not in status
    assert await team.credentials("photos") == {"password": "mine"}
    (client, *_) = team.system.clients(ours)
    client.list_objects_v2(Bucket=ours["BUCKET"])  # who has the key goes on
    await team.kubectl("delete", "secret", "photos")
    await team.until_ready(("AccessKey", "photos"), ("Bucket", "photos"))
    assert await team.credentials("photos") == ours


async def test_a_secret_that_lost_its_owner_is_not_cooper_s_any_more(team: Tenant) -> None:
    await team.apply(team.bucket("photos"))
    await team.until_ready(("Bucket", "photos"))
    await team.patch("secret", "photos", {"metadata": {"ownerReferences": None}})
    await team.until_said("AccessKey", "photos", "False", "SecretConflict", IN_THE_WAY)
    orphan = await team.secret("photos") or {}
    await team.delete("bucket", "photos")
    await team.until_gone("Bucket", "photos")
    assert await same(team, orphan), "not even with the Bucket it goes"


async def test_an_access_key_of_the_bucket_s_name_is_left_alone(team: Tenant) -> None:
    await team.apply(team.bucket("other", credentials={"enabled": False}), team.access_key("photos", "other"))
    await team.until_ready(("AccessKey", "photos"), ("Bucket", "other"))
    await team.apply(team.bucket("photos"))
    text = "AccessKey photos is there and is not this Bucket's"
    await team.until_said("Bucket", "photos", "False", "AccessKeyConflict", text)
    await team.until_said("Bucket", "photos", "True", "Provisioned", type_="Provisioned")
    await team.until_said("AccessKey", "photos", "True", "KeyWorks")
    theirs = await team.credentials("photos")
    assert theirs["BUCKET"] == team.s3_name("other")
    await team.until_told("Bucket", "photos", "AccessKeyConflict")
    events = await team.events("Bucket", "photos")
    assert events == {"AccessKeyConflict": told("AccessKeyConflict", text)}
    await team.kubectl("delete", "accesskey", "photos")
    await team.until_ready(("Bucket", "photos"))
    ours = await team.credentials("photos")
    assert ours["BUCKET"] == team.s3_name("photos")
    assert ours["ACCESS_KEY"] != theirs["ACCESS_KEY"]


async def test_a_bucket_that_goes_takes_no_access_key_with_it_that_is_another_s(team: Tenant) -> None:
    await team.apply(team.bucket("other"), team.access_key("photos", "other"))
    await team.until_ready(("AccessKey", "photos"))
    await team.apply(manifest("Bucket", team.namespace, "photos", {"bucketName": team.s3_name("photos")}))
    await team.until_said("Bucket", "photos", "False", "AccessKeyConflict")
    await team.delete("bucket", "photos")
    await team.until_gone("Bucket", "photos")
    await team.until_said("AccessKey", "photos", "True", "KeyWorks")
