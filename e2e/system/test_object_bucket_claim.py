"""Profile OBC: a ConfigMap beside the Secret, which comes, stays as it is to be, and goes with it."""

from typing import Any

import pytest

from e2e.system.system import TAG
from e2e.system.tenant import Tenant

pytestmark = pytest.mark.asyncio(loop_scope="session")

_OBC = {"secretProfiles": ["OBC"]}


async def until_it_is(team: Tenant, wanted: dict[str, str] | None) -> None:
    async def holds() -> bool:
        return await team.config_map("photos") == wanted

    await team.until("the ConfigMap as it is to be", holds)


def place(team: Tenant) -> dict[str, str]:
    host, _, port = team.system.gateways[0].endpoint.removeprefix("http://").rpartition(":")
    return {
        "BUCKET_HOST": host,
        "BUCKET_NAME": team.s3_name("photos"),
        "BUCKET_PORT": port,
        "BUCKET_REGION": TAG,
        "BUCKET_SUBREGION": "",
    }


async def test_it_comes_stays_and_goes_with_the_profile_and_with_the_secret(team: Tenant) -> None:
    await team.apply(team.bucket("photos", credentials=_OBC))
    await team.until_ready(("Bucket", "photos"))
    values = await team.credentials("photos")
    wanted: dict[str, str] = place(team)
    assert await team.config_map("photos") == wanted
    assert not wanted.keys() & values.keys()
    assert (values["AWS_ACCESS_KEY_ID"], values["AWS_SECRET_ACCESS_KEY"]) == (
        values["ACCESS_KEY"],
        values["SECRET_KEY"],
    )
    changes: list[Any] = [{"data": {"BUCKET_HOST": "elsewhere", "MORE": "1"}}, {"metadata": {"labels": None}}]
    for change in changes:
        await team.patch("configmap", "photos", change)
        await until_it_is(team, wanted)
    await team.kubectl("delete", "configmap", "photos")
    await until_it_is(team, wanted)
    await team.kubectl("delete", "secret", "photos")
    await team.until("the Secret again", lambda: team.secret("photos"))
    assert await team.credentials("photos") == values
    await team.change("bucket", "photos", credentials={"secretProfiles": ["AWS"]})
    await until_it_is(team, None)
    await team.change("bucket", "photos", credentials=_OBC)
    await until_it_is(team, wanted)
    await team.change("bucket", "photos", credentials={"enabled": False})
    await until_it_is(team, None)

    async def gone() -> bool:
        return await team.secret("photos") is None

    await team.until("the end of the Secret, which goes after it", gone)


async def test_one_of_somebody_else_is_left_alone_and_no_secret_is_written(team: Tenant) -> None:
    await team.kubectl("create", "configmap", "photos", "--from-literal=a=b")
    await team.apply(team.bucket("photos", credentials=_OBC))
    await team.until_said("AccessKey", "photos", "False", "SecretRefused")
    assert f"ConfigMap {team.namespace}/photos is there" in (await team.condition("AccessKey", "photos"))["message"]
    assert await team.secret("photos") is None
    assert await team.config_map("photos") == {"a": "b"}
    await team.kubectl("delete", "configmap", "photos")
    await team.until_ready(("Bucket", "photos"))
    assert await team.config_map("photos") == place(team)
