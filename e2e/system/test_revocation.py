"""Rights that are taken away and given back: a Bucket's apiAccess, an AccessKey's state and its time."""

import time
from typing import Any

import pytest

from cooper_crds.fields import timestamp
from cooper_operator.cluster.port import Ref
from e2e.system.server import Server
from e2e.system.tenant import Tenant, told
from support.rig import KEY_REFUSED, error_code

pytestmark = pytest.mark.asyncio(loop_scope="session")


def answers(team: Tenant, credentials: dict[str, str], bucket: str) -> list[str]:
    """What a listing is answered with at each gateway: `ok` or an error code."""

    def answer(client: Any) -> str:
        return error_code(lambda: client.list_objects_v2(Bucket=bucket), otherwise="ok")

    return [answer(client) for client in team.system.clients(credentials)]


async def with_a_key(team: Tenant, **spec: Any) -> dict[str, str]:
    """A Bucket `photos` without a key of its own, and an AccessKey `app`; what the key's Secret holds."""
    bucket = team.bucket("photos", credentials={"enabled": False})
    await team.apply(bucket, team.access_key("app", "photos", **spec))
    await team.until_ready(("AccessKey", "app"))
    return await team.credentials("app")


async def test_api_access_of_a_bucket(team: Tenant) -> None:
    await team.apply(team.bucket("photos"))
    await team.until_ready(("Bucket", "photos"))
    key = await team.credentials("photos")
    await team.change("bucket", "photos", apiAccess="Revoked")
    await team.until_said("Bucket", "photos", "True", "ApiAccessRevoked", type_="Revoked")
    assert answers(team, key, key["BUCKET"]) == ["KeyAccessRevoked"] * 2
    await team.until_said("Bucket", "photos", "False", "ApiAccessRevoked")
    await team.until_said("AccessKey", "photos", "True", "KeyWorks")
    assert "every key is refused" in await team.until_told("Bucket", "photos", "ApiAccessRevoked")
    assert await team.credentials("photos") == key, "the Secret stays"

    await team.change("bucket", "photos", apiAccess="Allowed")
    await team.until_ready(("Bucket", "photos"))
    await team.until_said("Bucket", "photos", "False", "ApiAccessAllowed", type_="Revoked")
    assert answers(team, key, key["BUCKET"]) == ["ok"] * 2
    assert await team.credentials("photos") == key


async def test_a_key_that_is_revoked_and_active_again(team: Tenant) -> None:
    key = await with_a_key(team)
    await team.change("accesskey", "app", state="Revoked")
    refused = "every worker of every gateway refuses the key"
    await team.until_said("AccessKey", "app", "True", "RefusedEverywhere", refused, type_="Revoked")
    assert answers(team, key, key["BUCKET"]) == ["KeyAccessRevoked"] * 2
    await team.until_said("AccessKey", "app", "False", "Revoked", "spec.state is Revoked")
    assert await team.secret("app") is None
    status = (await team.get("AccessKey", "app") or {})["status"]
    assert (status["state"], status.get("secretName")) == ("Revoked", None)
    for reason, text in {"Revoked": "spec.state is Revoked", "RefusedEverywhere": refused}.items():
        assert await team.until_told("AccessKey", "app", reason) == text

    await team.change("accesskey", "app", state="Active")
    await team.until_ready(("AccessKey", "app"))
    anew = await team.credentials("app")
    assert anew["ACCESS_KEY"] != key["ACCESS_KEY"]
    assert answers(team, anew, key["BUCKET"]) == ["ok"] * 2
    assert answers(team, key, key["BUCKET"]) == ["KeyAccessRevoked"] * 2
    text = f"a new key {anew['ACCESS_KEY']} was issued"
    assert await team.until_told("AccessKey", "app", "KeyReissued") == told("KeyReissued", text)


async def test_a_key_whose_time_has_passed(team: Tenant) -> None:
    key = await with_a_key(team, expiresAt=timestamp(time.time() + 4))
    assert answers(team, key, key["BUCKET"]) == ["ok"] * 2
    await team.until_said("AccessKey", "app", "False", "Expired", "spec.expiresAt has passed")
    await team.until_said("AccessKey", "app", "True", "RefusedEverywhere", type_="Revoked")
    assert answers(team, key, key["BUCKET"]) == ["KeyAccessRevoked"] * 2
    assert await team.secret("app") is None
    await team.change("accesskey", "app", expiresAt=timestamp(time.time() + 3600))
    await team.until_ready(("AccessKey", "app"))
    assert (await team.credentials("app"))["ACCESS_KEY"] != key["ACCESS_KEY"]
    assert answers(team, key, key["BUCKET"]) == ["KeyAccessRevoked"] * 2


async def test_metadata_keeps_no_key_alive(team: Tenant) -> None:
    """An API server takes more of it than a manifest can have."""
    key = await with_a_key(team)
    many = {f"note-{number}": "" for number in range(1100)}
    await team.patch("accesskey", "app", {"metadata": {"annotations": many, "labels": many}})
    await team.patch("bucket", "photos", {"metadata": {"annotations": many}})
    await team.change("accesskey", "app", state="Revoked")
    await team.until_said("AccessKey", "app", "True", "RefusedEverywhere", type_="Revoked")
    assert answers(team, key, key["BUCKET"]) == ["KeyAccessRevoked"] * 2
    await team.delete("bucket", "photos")
    await team.until_gone("Bucket", "photos")


async def test_a_key_whose_finalizer_is_taken_off_is_refused(team: Tenant) -> None:
    """However many go like that, which must not look like a cluster that lost its resources."""
    names = [f"app-{number}" for number in range(12)]
    keys = [team.access_key(name, "photos") for name in names]
    await team.apply(team.bucket("photos", credentials={"enabled": False}), *keys)
    await team.until_ready(*(("AccessKey", name) for name in names))
    held = [await team.credentials(name) for name in names]
    server = Server(team.system.kubeconfig)
    for name in names:
        await server.delete_unheld(Ref("AccessKey", team.namespace, name))
    await server.close()

    async def refused() -> bool:
        said = [answers(team, each, each["BUCKET"]) for each in held]
        return all(code in KEY_REFUSED for codes in said for code in codes)

    await team.until("refusal", refused)
