"""A Bucket that is deleted: nothing of its data goes by mistake, and it says what it waits for."""

from typing import Any

import pytest

from e2e.system.tenant import Tenant, told
from support.rig import KEY_REFUSED, error_code

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def filled(team: Tenant, objects: int, **spec: Any) -> tuple[Any, str]:
    """A Bucket `photos` with objects; a client with its key, and its S3 name."""
    await team.apply(team.bucket("photos", **spec))
    await team.until_ready(("Bucket", "photos"))
    credentials = await team.credentials("photos")
    client, bucket = team.system.clients(credentials)[0], credentials["BUCKET"]
    for number in range(objects):
        client.put_object(Bucket=bucket, Key=f"{number}", Body=b"content")
    return client, bucket


def empty(client: Any, bucket: str) -> None:
    for each in client.list_objects_v2(Bucket=bucket)["Contents"]:
        client.delete_object(Bucket=bucket, Key=each["Key"])


async def test_it_waits_while_objects_remain_and_goes_when_emptied(team: Tenant) -> None:
    client, bucket = await filled(team, 3)
    await team.delete("bucket", "photos")
    text = "deletion waits: the bucket holds 3 objects"
    await team.until_said("Bucket", "photos", "False", "BucketNotEmpty", text)
    await team.until_said("Bucket", "photos", "True", "CredentialsWork", type_="CredentialsReady")
    assert (await team.get("Bucket", "photos") or {})["status"]["objects"] == 3
    assert await team.until_told("Bucket", "photos", "BucketNotEmpty") == told("BucketNotEmpty", text)
    former = await team.credentials("photos")
    empty(client, bucket)
    await team.until_gone("Bucket", "photos")
    assert await team.get("AccessKey", "photos") is None
    assert await team.secret("photos") is None
    assert await team.records() == set()
    for each in team.system.clients(former):
        assert error_code(lambda each=each: each.list_objects_v2(Bucket=bucket)) in KEY_REFUSED

    await team.apply(team.bucket("photos"))
    await team.until_ready(("Bucket", "photos"))
    anew = await team.credentials("photos")
    assert (anew["BUCKET"], anew["ACCESS_KEY"] != former["ACCESS_KEY"]) == (bucket, True)
    assert team.system.clients(anew)[0].list_objects_v2(Bucket=bucket)["KeyCount"] == 0


async def test_a_retained_one_leaves_its_data_and_its_name_taken(team: Tenant) -> None:
    client, bucket = await filled(team, 1, deletionPolicy="Retain")
    await team.delete("bucket", "photos")
    await team.until_gone("Bucket", "photos")
    assert await team.secret("photos") is None
    assert error_code(lambda: client.get_object(Bucket=bucket, Key="0")) in KEY_REFUSED
    assert await team.records() == {f"bucket-{bucket}"}
    await team.apply(team.bucket("photos"))
    holds = f"the S3 name {bucket} holds the retained data of the former Bucket photos of this namespace"
    await team.until_said("Bucket", "photos", "False", "NameTaken", f"{holds}, which spec.adopt true takes over")


async def test_retain_ends_the_waiting(team: Tenant) -> None:
    _, bucket = await filled(team, 1)
    await team.delete("bucket", "photos")
    await team.until_said("Bucket", "photos", "False", "BucketNotEmpty", "deletion waits: the bucket holds 1 object")
    await team.change("bucket", "photos", deletionPolicy="Retain")
    await team.until_gone("Bucket", "photos")
    assert await team.records() == {f"bucket-{bucket}"}


async def test_a_purged_one_goes_with_all_that_it_holds_and_nothing_else(team: Tenant) -> None:
    client, bucket = await filled(team, 5, deletionPolicy="Purge")
    client.create_multipart_upload(Bucket=bucket, Key="never completed")
    await team.apply(team.bucket("neighbour", deletionPolicy="Purge"))
    await team.until_ready(("Bucket", "neighbour"))
    kept = await team.credentials("neighbour")
    team.system.clients(kept)[0].put_object(Bucket=kept["BUCKET"], Key="kept", Body=b"content")
    await team.delete("bucket", "photos")
    await team.until_gone("Bucket", "photos")
    assert await team.secret("photos") is None
    assert error_code(lambda: client.get_object(Bucket=bucket, Key="0")) in KEY_REFUSED
    assert await team.records() == {f"bucket-{kept['BUCKET']}", f"key-{kept['ACCESS_KEY'].lower()}"}
    assert team.system.clients(kept)[0].list_objects_v2(Bucket=kept["BUCKET"])["KeyCount"] == 1

    await team.apply(team.bucket("photos"))  # the name is free, and nothing is left under it
    await team.until_ready(("Bucket", "photos"))
    anew = team.system.clients(await team.credentials("photos"))[0]
    assert anew.list_objects_v2(Bucket=bucket)["KeyCount"] == 0
    assert "Uploads" not in anew.list_multipart_uploads(Bucket=bucket)


async def test_purge_ends_the_waiting(team: Tenant) -> None:
    await filled(team, 1)
    await team.delete("bucket", "photos")
    await team.until_said("Bucket", "photos", "False", "BucketNotEmpty", "deletion waits: the bucket holds 1 object")
    await team.change("bucket", "photos", deletionPolicy="Purge")
    await team.until_gone("Bucket", "photos")
    assert await team.records() == set()


async def test_when_its_key_goes_first_another_empties_it(team: Tenant) -> None:
    """As with a GitOps tool that deletes in the foreground: what the Bucket owns is deleted before it."""
    client, bucket = await filled(team, 2)
    await team.delete("bucket", "photos", "--cascade=foreground")
    text = "deletion waits: the bucket holds 2 objects, and its own key is revoked"
    await team.until_gone("AccessKey", "photos")
    await team.until_said("Bucket", "photos", "False", "BucketNotEmpty", text)
    await team.until_said("Bucket", "photos", "False", "Deleting", "AccessKey photos is gone", type_="CredentialsReady")
    assert "binding" not in (await team.get("Bucket", "photos") or {})["status"]
    assert error_code(lambda: client.list_objects_v2(Bucket=bucket)) in KEY_REFUSED
    await team.apply(team.access_key("cleaner", "photos"))
    await team.until_ready(("AccessKey", "cleaner"))
    empty(team.system.clients(await team.credentials("cleaner"))[0], bucket)
    await team.until_gone("Bucket", "photos")
    await team.until_said(
        "AccessKey", "cleaner", "False", "BucketNotFound", "there is no Bucket photos in this namespace"
    )


async def test_over_s3_by_a_key_with_the_right(team: Tenant) -> None:
    actions = ["s3:PutObject", "s3:DeleteObject", "s3:DeleteBucket"]
    client, bucket = await filled(team, 1, credentials={"actions": actions})
    assert error_code(lambda: client.delete_bucket(Bucket=bucket)) == "BucketNotEmpty"
    client.delete_object(Bucket=bucket, Key="0")
    key = (await team.credentials("photos"))["ACCESS_KEY"]
    client.delete_bucket(Bucket=bucket)
    await team.until_gone("Bucket", "photos")
    assert await team.until_told("Bucket", "photos", "DeletedOverS3") == f"key {key} deleted the bucket over S3"
    assert await team.records() == set()
    assert await team.secret("photos") is None


async def test_over_s3_by_a_key_without_the_right(team: Tenant) -> None:
    client, bucket = await filled(team, 0)
    before = await team.get("Bucket", "photos")
    assert error_code(lambda: client.delete_bucket(Bucket=bucket)) == "AccessDenied"
    client.put_object(Bucket=bucket, Key="a", Body=b"serves on")
    assert await team.get("Bucket", "photos") == before
    client.delete_object(Bucket=bucket, Key="a")
