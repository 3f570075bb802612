"""A Secret with credentials that people change or delete is put back as it was, and the AccessKey's events tell so."""

import base64
from typing import Any

import pytest

from cooper_crds.stored import content_digest
from e2e.system.tenant import Tenant, told

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def ready(team: Tenant) -> tuple[dict[str, str], dict[str, Any]]:
    """A Bucket `photos`; the values of its Secret, and its AccessKey's condition Ready."""
    await team.apply(team.bucket("photos"))
    await team.until_ready(("Bucket", "photos"))
    return await team.credentials("photos"), await team.condition("AccessKey", "photos")


async def put_back(team: Tenant, values: dict[str, str]) -> None:
    async def holds() -> bool:
        found = await team.secret("photos")
        metadata = found["metadata"] if found else {}
        marks = {**metadata.get("labels", {}), **metadata.get("annotations", {})}
        there = {"cooper.dev/credentials", "cooper.dev/access-key-id"} <= marks.keys()
        return there and await team.credentials("photos") == values

    await team.until("the Secret as it was", holds)


async def test_an_edit_is_put_back_and_what_others_added_stays(team: Tenant) -> None:
    values, condition = await ready(team)
    labels = {"team": "pictures", "cooper.dev/credentials": None, "cooper.dev/owner-uid": None}
    added = {"labels": labels, "annotations": {"example.com/note": "mine"}, "finalizers": ["example.com/hold"]}
    data = {"SECRET_KEY": base64.b64encode(b"wrong").decode(), "MORE": base64.b64encode(b"x").decode(), "BUCKET": None}
    await team.patch("secret", "photos", {"metadata": added, "data": data})
    await put_back(team, values)
    metadata = (await team.secret("photos") or {})["metadata"]
    assert metadata["labels"]["team"] == "pictures"
    marked = {"cooper.dev/access-key-id": values["ACCESS_KEY"], "cooper.dev/content-digest": content_digest(values)}
    assert metadata["annotations"] == {"example.com/note": "mine", **marked}
    assert metadata["finalizers"] == ["example.com/hold"]
    text = "Secret photos was not as it is to be, in BUCKET, MORE, SECRET_KEY; it was written again"
    assert await team.until_told("AccessKey", "photos", "SecretRewritten") == told("SecretRewritten", text)
    assert await team.condition("AccessKey", "photos") == condition, "the key was never not ready"
    await team.patch("secret", "photos", {"metadata": {"finalizers": None}})


@pytest.mark.parametrize("what", ["labels", "annotations"])
async def test_labels_and_annotation_taken_off_are_put_back(team: Tenant, what: str) -> None:
    values, _ = await ready(team)
    await team.patch("secret", "photos", {"metadata": {what: None}})
    await put_back(team, values)
    text = "Secret photos had lost labels or the annotation by which it is known; it was written again"
    assert await team.until_told("AccessKey", "photos", "SecretRewritten") == told("SecretRewritten", text)


async def test_one_that_is_deleted_is_there_again_with_the_same_key(team: Tenant) -> None:
    values, condition = await ready(team)
    await team.kubectl("delete", "secret", "photos")
    await put_back(team, values)
    assert await team.until_told("AccessKey", "photos", "SecretRewritten") == told(
        "SecretRewritten", "Secret photos was gone; it was written again"
    )
    assert await team.condition("AccessKey", "photos") == condition
    (client, _) = team.system.clients(values)
    assert client.list_objects_v2(Bucket=values["BUCKET"])["KeyCount"] == 0
