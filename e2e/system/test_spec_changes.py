"""What is changed in a spec takes effect, and soon."""

from typing import Any, Final

import pytest

from e2e.system.tenant import Tenant
from e2e.system.test_bucket_grants import until_answered

pytestmark = pytest.mark.asyncio(loop_scope="session")

#: Seconds, from kubectl's return on.
_SOON: Final = 1.0


async def test_actions_hold_at_every_gateway_in_under_a_second(team: Tenant) -> None:
    await team.apply(team.bucket("photos"))
    await team.until_ready(("Bucket", "photos"))
    key = await team.credentials("photos")
    clients, bucket = team.system.clients(key), key["BUCKET"]

    def put(client: Any) -> object:
        return client.put_object(Bucket=bucket, Key="a", Body=b"x")

    assert await until_answered(clients, put, "ok") < _SOON
    await team.change("bucket", "photos", credentials={"actions": ["s3:GetObject", "s3:ListBucket"]})
    assert await until_answered(clients, put, "AccessDenied") < _SOON
    assert clients[0].get_object(Bucket=bucket, Key="a")["Body"].read() == b"x"
    await team.change("bucket", "photos", credentials={"actions": None})
    assert await until_answered(clients, put, "ok") < _SOON
    await team.until_ready(("Bucket", "photos"))
    assert await team.credentials("photos") == key, "the key and its Secret stay"
    for client in clients:
        client.delete_object(Bucket=bucket, Key="a")


async def test_a_new_secret_name_is_delivered_and_the_former_secret_goes(team: Tenant) -> None:
    await team.apply(team.bucket("photos"))
    await team.until_ready(("Bucket", "photos"))
    key = await team.credentials("photos")
    await team.change("bucket", "photos", credentials={"secretName": "app"})
    await team.until_no_secret("photos")
    await team.until_ready(("AccessKey", "photos"), ("Bucket", "photos"))
    assert await team.credentials("app") == key
    for kind in ("AccessKey", "Bucket"):
        assert (await team.get(kind, "photos") or {})["status"]["binding"] == {"name": "app"}
    assert "SecretRewritten" not in await team.events("AccessKey", "photos")


async def test_other_profiles_and_keys_change_the_secret_and_not_what_it_is_for(team: Tenant) -> None:
    await team.apply(team.bucket("photos"))
    await team.until_ready(("Bucket", "photos"))
    key = await team.credentials("photos")
    own = {"accessKeyId": "MY_ID"}
    await team.change("bucket", "photos", credentials={"secretProfiles": ["AWS", "CredentialsFile"], "secretKeys": own})

    async def renamed() -> bool:
        return "MY_ID" in await team.credentials("photos")

    await team.until("the Secret under other keys", renamed)
    found = await team.credentials("photos")
    assert found["MY_ID"] == found["AWS_ACCESS_KEY_ID"] == key["ACCESS_KEY"]
    assert f"aws_secret_access_key = {key['SECRET_KEY']}\n" in found["credentials"]
    assert "ACCESS_KEY" not in found
    await team.until_ready(("AccessKey", "photos"), ("Bucket", "photos"))
    await team.change("bucket", "photos", credentials={"secretProfiles": None, "secretKeys": None})

    async def as_before() -> bool:
        return await team.credentials("photos") == key

    await team.until("the Secret as it was", as_before)
    await team.until_ready(("AccessKey", "photos"), ("Bucket", "photos"))
    assert "SecretRewritten" not in await team.events("AccessKey", "photos")


async def test_a_new_secret_name_that_is_another_s_leaves_the_former_secret(team: Tenant) -> None:
    await team.make_secret("app", password="mine")
    theirs = await team.secret("app")
    await team.apply(team.bucket("photos"))
    await team.until_ready(("Bucket", "photos"))
    key = await team.credentials("photos")
    await team.change("bucket", "photos", credentials={"secretName": "app"})
    text = (
        "Secret app is there, is not this AccessKey's and is left alone; another name is set in "
        "spec.credentials.secretName of Bucket photos"
    )
    await team.until_said("Bucket", "photos", "False", "SecretConflict", f"AccessKey photos: {text}")
    await team.until_said(
        "AccessKey", "photos", "True", "Delivered", "the Secret photos holds the key", type_="Delivered"
    )
    assert await team.credentials("photos") == key
    assert await team.secret("app") == theirs
    await team.change("bucket", "photos", credentials={"secretName": None})
    await team.until_ready(("Bucket", "photos"))
    assert await team.credentials("photos") == key
