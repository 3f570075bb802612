"""Nothing that a tenant writes into his namespace gives him rights in another one, or takes anything away there."""

import asyncio
import json
from typing import Any

import pytest

from cooper_crds.kubernetes import CREDENTIALS_LABEL, CREDENTIALS_OWNER_LABEL
from e2e.system.tenant import Tenant
from support.rig import error_code

pytestmark = pytest.mark.asyncio(loop_scope="session")

API = "cooper.dev/v1alpha1"


class Victim:
    """A Bucket `photos` with one object, and what the cluster holds of it."""

    def __init__(self, team: Tenant) -> None:
        self._team = team
        self.key: dict[str, str] = {}
        self._before: list[Any] = []

    async def prepare(self) -> "Victim":
        await self._team.apply(self._team.bucket("photos"))
        await self._team.until_ready(("Bucket", "photos"))
        self.key = await self._team.credentials("photos")
        self.client = self._team.system.clients(self.key)[0]
        self.client.put_object(Bucket=self.bucket, Key="a", Body=b"theirs")
        self._before = await self._state()
        return self

    @property
    def bucket(self) -> str:
        """The S3 name."""
        return self.key["BUCKET"]

    async def uid(self, kind: Any) -> str:
        """Of his Bucket or AccessKey."""
        return (await self._team.get(kind, "photos") or {})["metadata"]["uid"]

    async def check(self) -> None:
        """Everything is as it was."""
        assert await self._state() == self._before
        assert self.client.get_object(Bucket=self.bucket, Key="a")["Body"].read() == b"theirs"

    async def clean(self) -> None:
        self.client.delete_object(Bucket=self.bucket, Key="a")

    async def _state(self) -> list[Any]:
        team = self._team
        resources = [await team.get("Bucket", "photos"), await team.get("AccessKey", "photos")]
        return [*resources, await team.secret("photos"), sorted(await team.records())]


async def attacker_gets_nothing(neighbour: Tenant, victim: Victim, secret: str) -> None:
    """Whatever keys the neighbour has, none opens the bucket."""
    for client in neighbour.system.clients(await neighbour.credentials(secret)):
        assert error_code(lambda client=client: client.list_objects_v2(Bucket=victim.bucket)) == "AccessDenied"
        assert error_code(lambda client=client: client.get_object(Bucket=victim.bucket, Key="a")) == "AccessDenied"


async def test_names_of_buckets_elsewhere(team: Tenant, neighbour: Tenant) -> None:
    victim = await Victim(team).prepare()
    for name in ("photos", victim.bucket, f"{team.namespace}.photos"):
        await neighbour.apply(neighbour.access_key("app", name))
        text = f"there is no Bucket {name} in this namespace"
        await neighbour.until_said("AccessKey", "app", "False", "BucketNotFound", text)
    for name in (f"{team.namespace}/photos", "../photos", "*", ""):
        with pytest.raises(AssertionError, match=r"spec\.grants\[0\]\.bucket"):
            await neighbour.apply(neighbour.access_key("app", name))
    assert await neighbour.records() == set()
    # The grant of a Bucket that is there, whose S3 name is the victim's.
    await neighbour.apply(neighbour.bucket("photos", bucketName=victim.bucket), neighbour.bucket("mine"))
    await neighbour.apply(neighbour.access_key("app", "photos"), neighbour.access_key("both", "mine", "photos"))
    await neighbour.until_said("AccessKey", "app", "False", "BucketNotReady")
    await neighbour.until_said("AccessKey", "both", "False", "BucketNotReady")
    await neighbour.until_ready(("Bucket", "mine"))
    await attacker_gets_nothing(neighbour, victim, "mine")
    await victim.check()
    await victim.clean()


async def test_forged_status_and_annotations(team: Tenant, neighbour: Tenant) -> None:
    victim = await Victim(team).prepare()
    await neighbour.apply(neighbour.bucket("photos"), neighbour.access_key("app", "photos"))
    await neighbour.until_ready(("Bucket", "photos"), ("AccessKey", "app"))
    forged = {"bucketName": victim.bucket, "region": "local", "endpoint": victim.key["ENDPOINT"]}
    await neighbour.kubectl("patch", "bucket", "photos", "--subresource=status", "--type=merge", "-p", _status(forged))
    forged = {"accessKeyId": victim.key["ACCESS_KEY"], "secretName": "photos", "provenRecord": "1"}
    await neighbour.kubectl("patch", "accesskey", "app", "--subresource=status", "--type=merge", "-p", _status(forged))

    async def as_it_is() -> bool:
        bucket = (await neighbour.get("Bucket", "photos") or {})["status"]
        key = (await neighbour.get("AccessKey", "app") or {})["status"]
        told = (bucket["bucketName"], key["accessKeyId"])
        return told == (neighbour.s3_name("photos"), (await neighbour.credentials("app"))["ACCESS_KEY"])

    await neighbour.until("the status as it is", as_it_is)
    for how in ("final", "recalled"):
        for kind, name in (("bucket", "photos"), ("accesskey", "app")):
            await neighbour.kubectl("annotate", kind, name, f"cooper.dev/deletion={how}", "--overwrite")
    await neighbour.delete("bucket", "photos")
    await neighbour.until_gone("Bucket", "photos")
    await victim.check()
    await victim.clean()


async def test_forged_owners_of_resources(team: Tenant, neighbour: Tenant) -> None:
    """A Bucket's own key is one that it controls, by UID, in its namespace."""
    victim = await Victim(team).prepare()
    owner = {"apiVersion": API, "kind": "Bucket", "name": "photos", "controller": True}
    owner["uid"] = await victim.uid("Bucket")
    mine = neighbour.bucket("mine")
    key = neighbour.access_key("photos", "mine")
    key["metadata"]["ownerReferences"] = [owner]
    key["metadata"]["finalizers"] = ["example.com/hold"]  # garbage collection takes what has no owner in its namespace
    await neighbour.apply(mine, key)
    await neighbour.until_ready(("Bucket", "mine"))
    await asyncio.sleep(1)
    await victim.check()
    await neighbour.patch("accesskey", "photos", {"metadata": {"finalizers": None}})
    await victim.clean()


async def test_forged_owners_of_secrets(team: Tenant, neighbour: Tenant) -> None:
    victim = await Victim(team).prepare()
    await neighbour.apply(neighbour.bucket("photos"))
    await neighbour.until_ready(("Bucket", "photos"))
    uid = await victim.uid("AccessKey")
    owner = {"apiVersion": API, "kind": "AccessKey", "name": "photos", "uid": uid, "controller": True}
    labels = {CREDENTIALS_LABEL: "photos", CREDENTIALS_OWNER_LABEL: uid}
    for name, metadata in {
        "labelled": {"labels": labels},
        "owned": {"labels": labels, "ownerReferences": [owner], "finalizers": ["example.com/hold"]},
    }.items():
        secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name, **metadata}}
        await neighbour.kubectl("create", "-f", "-", manifest={**secret, "stringData": {"ACCESS_KEY": "mine"}})
    own = await neighbour.secret("photos") or {}
    await neighbour.patch("secret", "photos", {"metadata": {"ownerReferences": [owner], "labels": labels}})

    async def put_back() -> bool:
        """Garbage collection takes what has no owner in its namespace; then it is made anew."""
        found = await neighbour.secret("photos")
        return found is not None and found["metadata"]["uid"] != own["metadata"]["uid"] and found["data"] == own["data"]

    await neighbour.until("the Secret as it was", put_back)
    assert await neighbour.credentials("labelled") == {"ACCESS_KEY": "mine"}
    await victim.check()
    await neighbour.patch("secret", "owned", {"metadata": {"finalizers": None}})
    await victim.clean()


async def test_owners_whose_names_are_paths(team: Tenant, neighbour: Tenant) -> None:
    """An API server takes any text for the name of an owner, and one that is a path leads elsewhere."""
    victim = await Victim(team).prepare()
    uid = await victim.uid("AccessKey")
    there = f"{team.namespace}/accesskeys/photos"
    forged = {
        "photos": f"../../{there}",  # the name of the victim's own Secret
        "other": f"../../../namespaces/{there}",
        "encoded": f"..%2f..%2f{there.replace('/', '%2f')}",
        "dotted": f"%2e%2e/%2e%2e/{there}",
        "queried": f"../../{there}?watch=true",
        "everything": "../../../../../../api/v1/secrets",
        "up": "..",
    }
    for name, path in forged.items():
        for state in ({"uid": uid}, {"uid": "another"}):
            owner = {"apiVersion": API, "kind": "AccessKey", "name": path, "controller": True, **state}
            labels = {CREDENTIALS_LABEL: "true", CREDENTIALS_OWNER_LABEL: uid}
            own = name if state["uid"] == uid else f"{name}-2"
            metadata = {"name": own, "labels": labels, "ownerReferences": [owner], "finalizers": ["example.com/hold"]}
            secret = {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "stringData": {"ACCESS_KEY": "mine"}}
            await neighbour.kubectl("create", "-f", "-", manifest=secret)
    await asyncio.sleep(3)
    for name in forged:
        for own in (name, f"{name}-2"):
            assert await neighbour.credentials(own) == {"ACCESS_KEY": "mine"}
    await victim.check()
    for name in forged:
        for own in (name, f"{name}-2"):
            await neighbour.patch("secret", own, {"metadata": {"finalizers": None}})
    await victim.clean()


async def test_a_secret_of_one_s_own_that_says_it_is_the_key_s(team: Tenant) -> None:
    """Within a namespace too: labels alone make nothing Cooper's."""
    await team.apply(team.bucket("photos"))
    await team.until_ready(("Bucket", "photos"))
    uid = (await team.get("AccessKey", "photos") or {})["metadata"]["uid"]
    await team.make_secret("mine", password="x")
    await team.patch("secret", "mine", {"metadata": {"labels": {CREDENTIALS_OWNER_LABEL: uid, CREDENTIALS_LABEL: "a"}}})
    mine = await team.secret("mine")
    await team.change("accesskey", "photos", state="Revoked")
    await team.until_said("AccessKey", "photos", "True", "RefusedEverywhere", type_="Revoked")
    await team.delete("bucket", "photos")
    await team.until_gone("Bucket", "photos")
    assert await team.secret("mine") == mine


def _status(fields: dict[str, Any]) -> str:
    return json.dumps({"status": fields})
