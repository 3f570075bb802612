"""Each field of a spec that can be changed holds at every gateway, or in the Secret, within a second; and back."""

import http.client
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

import pytest

from cooper_crds.access_key import AccessKeySpec
from cooper_crds.bucket import BucketSpec
from cooper_crds.fields import timestamp
from cooper_operator.cluster.port import Kind
from e2e.system.tenant import Tenant, seconds_until
from support.rig import KEY_REFUSED, error_code

pytestmark = pytest.mark.asyncio(loop_scope="session")

#: Seconds, from kubectl's return on.
_SOON: Final = 1.0
_PAGE: Final = "https://app.example.com"
_ELSEWHERE: Final = ["198.51.100.0/24"]
_OTHER_SECRET: Final = "other"


@dataclass(frozen=True)
class Place:
    """One gateway, asked with the Secret's key, about a bucket that holds `a` and `in/b`, and an empty one."""

    client: Any
    endpoint: str
    bucket: str
    other: str

    def says(self, method: str, path: str, **headers: str) -> str:
        """The status of a request that nobody signed."""
        connection = http.client.HTTPConnection(urlsplit(self.endpoint).netloc, timeout=5)
        connection.request(method, path, headers={name.replace("_", "-"): value for name, value in headers.items()})
        status = connection.getresponse().status
        connection.close()
        return str(status)

    def code(self, operation: str, **arguments: Any) -> str:
        """The error code of a request with the key; `ok` where it is allowed."""
        try:
            code = error_code(lambda: getattr(self.client, operation)(**arguments), otherwise="ok")
        except self.client.exceptions.NoSuchKey:
            return "NoSuchKey"
        return "refused" if code in KEY_REFUSED else code

    def put(self, key: str = "c", **more: Any) -> str:
        return self.code("put_object", Bucket=self.bucket, Key=key, Body=b"xy", **more)

    def get(self, key: str = "a") -> str:
        return self.code("get_object", Bucket=self.bucket, Key=key)

    def list(self, bucket: str) -> str:
        return self.code("list_objects_v2", Bucket=bucket)


Ask = Callable[[Place], str]


@dataclass(frozen=True)
class Edit:
    """A field's value, and what every gateway says without and with it."""

    value: Any
    ask: Ask
    before: str
    after: str


def domain(place: Place) -> str:
    return place.says("GET", "/a", Host=f"www.{place.bucket}.example.com")


def preflight(place: Place) -> str:
    return place.says("OPTIONS", f"/{place.bucket}/a", Origin=_PAGE, Access_Control_Request_Method="PUT")


def past() -> str:
    return timestamp(time.time() - 3600)


def of_bucket(team: Tenant) -> dict[str, Edit]:
    """Edits of a Bucket that is Public and whose quota is not reached."""
    return {
        "visibility": Edit("Private", lambda at: at.says("GET", f"/public/{at.bucket}/a"), "200", "403"),
        "apiAccess": Edit("Revoked", Place.get, "ok", "refused"),
        "maxObjectSize": Edit(1, Place.put, "ok", "EntityTooLarge"),
        "quota": Edit({"maxObjects": 1}, lambda at: at.put(secrets.token_hex(8)), "ok", "QuotaExceeded"),
        "allowedContentTypes": Edit(
            ["image/*"], lambda at: at.put(ContentType="text/plain"), "ok", "ContentTypeNotAllowed"
        ),
        "cors": Edit([{"allowedOrigins": [_PAGE], "allowedMethods": ["PUT"]}], preflight, "403", "200"),
        "domains": Edit([f"www.{team.s3_name('photos')}.example.com"], domain, "400", "200"),
    }


def of_credentials() -> dict[str, Edit]:
    """Edits of a Bucket's `credentials`."""
    return {
        "credentials.actions": Edit(["s3:GetObject"], Place.put, "ok", "AccessDenied"),
        "credentials.allowedNetworks": Edit(_ELSEWHERE, Place.get, "ok", "NetworkNotAllowed"),
    }


def of_access_key() -> dict[str, Edit]:
    """Edits of an AccessKey that may do the usual on the first bucket."""
    grant = {"bucket": "photos"}
    return {
        "grants": Edit([{**grant, "actions": ["s3:GetObject"]}], Place.put, "ok", "AccessDenied"),
        "grants, prefixes": Edit([{**grant, "prefixes": ["in/"]}], Place.get, "ok", "AccessDenied"),
        "grants, one more": Edit([grant, {"bucket": "films"}], lambda at: at.list(at.other), "AccessDenied", "ok"),
        "allBuckets": Edit({}, lambda at: at.list(at.other), "AccessDenied", "ok"),
        "allowedNetworks": Edit(_ELSEWHERE, Place.get, "ok", "NetworkNotAllowed"),
    }


#: Edits after which the key is another one, so that there is no way back to this one.
LAST: dict[str, Any] = {"state": "Revoked", "expiresAt": past}
#: What else can be changed is about the Secret, and what is true of it then.
IN_SECRET: dict[str, tuple[Any, Callable[[dict[str, str]], bool]]] = {
    "secretProfiles": (["Cooper", "AWS"], lambda data: "AWS_ACCESS_KEY_ID" in data),
    "secretKeys": ({"accessKeyId": "USER"}, lambda data: "USER" in data),
}
#: The Secret's own name.
RENAMED: Final = "secretName"
#: Fields that change nothing of what works already, each with where its effect is shown.
OTHERWISE: dict[str, str] = {
    "bucketName": "immutable: e2e/crds, test_bucket_names.py",
    "region": "immutable: e2e/crds, test_regions.py",
    "deletionPolicy": "at deletion: test_bucket_deletion.py",
    "adopt": "at creation: test_adoption.py",
    "enabled": "the key goes: test_revocation.py",
    "rotation": "when time comes: e2e/chart/test_rotation.py",
    "restart": "of workloads: e2e/chart/test_rotation.py",
    "delivery": "the Secret goes: test_access_key_forms.py",
    "once": "with delivery: test_access_key_forms.py",
}


def _fields(model: Any) -> set[str]:
    return {field.alias or name for name, field in model.model_fields.items()}


async def test_every_field_is_in_a_table(team: Tenant) -> None:
    credentials = _fields(BucketSpec.model_fields["credentials"].annotation)
    in_secret = IN_SECRET.keys() | {RENAMED}
    of_key = {each.split(",")[0] for each in of_access_key()}
    of_bucket_s = {path.removeprefix("credentials.") for path in of_credentials()}
    assert _fields(BucketSpec) <= of_bucket(team).keys() | OTHERWISE.keys() | {"credentials"}
    assert credentials <= of_bucket_s | in_secret | OTHERWISE.keys()
    assert _fields(AccessKeySpec) <= of_key | in_secret | LAST.keys() | OTHERWISE.keys()


async def changed(team: Tenant, kind: Kind, name: str, path: str, at: list[Place], edit: Edit) -> float:
    """Edit a field, `outer.inner` for one of a field, and take it back; the seconds that the slower of both took."""
    *outer, field = path.split(".")

    def patch(value: Any) -> dict[str, Any]:
        return {outer[0]: {field: value}} if outer else {field: value}

    async def answers() -> set[str]:
        return {edit.ask(each) for each in at}

    spec = (await team.get(kind, name) or {})["spec"]
    former = (spec.get(outer[0], {}) if outer else spec).get(field)
    assert await answers() == {edit.before}
    await team.change(kind.lower(), name, **patch(edit.value))
    there = await seconds_until({edit.after}, answers)
    await team.change(kind.lower(), name, **patch(former))
    return max(there, await seconds_until({edit.before}, answers))


async def furnish(team: Tenant) -> None:
    """Two Buckets, the first with objects at each gateway."""
    await team.apply(
        team.bucket("photos", visibility="Public", deletionPolicy="Purge"), team.bucket("films", visibility="Private")
    )
    await team.until_ready(("Bucket", "photos"), ("Bucket", "films"))
    for client in team.system.clients(await team.credentials("photos")):
        for key in ("a", "in/b"):
            client.put_object(Bucket=team.s3_name("photos"), Key=key, Body=b"x")


async def places(team: Tenant, secret: str) -> list[Place]:
    """Each gateway, as it is asked with what the Secret holds."""
    clients = team.system.clients(await team.credentials(secret))
    endpoints = [each.endpoint for each in team.system.gateways]
    names = team.s3_name("photos"), team.s3_name("films")
    return [Place(client, endpoint, *names) for client, endpoint in zip(clients, endpoints, strict=True)]


async def test_fields_of_a_bucket(team: Tenant) -> None:
    await furnish(team)
    suffix = f"{team.s3_name('photos')}.example.com"
    await team.system.apply(team.system.region(domainSuffixes=[{"suffix": suffix, "namespaces": [team.namespace]}]))
    try:
        at = await places(team, "photos")
        took = {
            field: await changed(team, "Bucket", "photos", field, at, edit) for field, edit in of_bucket(team).items()
        }
        took |= {
            path: await changed(team, "Bucket", "photos", path, at, edit) for path, edit in of_credentials().items()
        }
    finally:
        await team.system.apply(team.system.region())
    _show(took)


async def test_fields_of_an_access_key(team: Tenant) -> None:
    await furnish(team)
    await team.apply(team.access_key("app", "photos"))
    await team.until_ready(("AccessKey", "app"))
    at = await places(team, "app")
    took = {
        name: await changed(team, "AccessKey", "app", name.split(",")[0], at, edit)
        for name, edit in of_access_key().items()
    }
    for field, value in LAST.items():
        at = await places(team, "app")

        async def answers(at: list[Place] = at) -> set[str]:
            return {each.get() for each in at}

        assert await answers() == {"ok"}
        await team.change("accesskey", "app", **{field: value() if callable(value) else value})
        took[field] = await seconds_until({"refused"}, answers)
        await team.until_no_secret("app")
        await team.change("accesskey", "app", **{field: None})
        await team.until_ready(("AccessKey", "app"))
    _show(took)


async def test_fields_of_a_secret(team: Tenant) -> None:
    await furnish(team)
    took: dict[str, float] = {}
    for field, (value, holds) in IN_SECRET.items():

        async def there(holds: Callable[[dict[str, str]], bool] = holds) -> bool:
            return holds(await team.credentials("photos"))

        assert not await there()
        await team.change("bucket", "photos", credentials={field: value})
        there_after = await seconds_until(True, there)
        await team.change("bucket", "photos", credentials={field: None})
        took[field] = max(there_after, await seconds_until(False, there))

    async def both() -> list[bool]:
        return [await team.secret(name) is not None for name in ("photos", _OTHER_SECRET)]

    await team.change("bucket", "photos", credentials={RENAMED: _OTHER_SECRET})
    took[RENAMED] = await seconds_until([False, True], both)
    _show(took)


def _show(took: dict[str, float]) -> None:
    print()
    for field, seconds in took.items():
        print(f"{field}: {seconds * 1000:.0f} ms")
    assert max(took.values()) < _SOON, took
