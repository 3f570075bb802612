"""What a tenant tries so as to keep a right on another one's Bucket, or to get more than a BucketGrant gives."""

import asyncio
import base64
import http.client
import time
import unicodedata
from collections.abc import AsyncIterator, Callable
from typing import Any, Final
from urllib.parse import urlsplit

import pytest
import pytest_asyncio

from cooper_crds.fields import timestamp
from cooper_operator.cluster.kubernetes_objects import resource_path
from cooper_operator.cluster.port import Ref
from e2e.system.server import Server
from e2e.system.tenant import Tenant
from e2e.system.test_bucket_grants import asks, grant, until_answered
from support.rig import KEY_REFUSED, error_code

pytestmark = pytest.mark.asyncio(loop_scope="session")

#: Seconds from kubectl's return until a right has ended everywhere, whatever its holder does: some tenths, and more
#: where a machine has much else to do.
_SOON: Final = 3.0
#: Resources of his own, which take the operator longer than that.
_CROWD: Final = 400
#: As many as an API server takes at a time.
_AT_A_TIME: Final = 40
_PART: Final = 5 << 20
_HOLD: Final = {"metadata": {"finalizers": ["example.com/hold"]}}


#: What tells nothing of an object: it may not be read, or there is none of that name where it may.
NOTHING: Final = ("AccessDenied", "NoSuchKey", "InvalidArgument")


def refusal(ask: Callable[..., object], **arguments: Any) -> str:
    """The code that a request is refused with."""
    return error_code(lambda: ask(**arguments))


class Shared:
    """The team's Bucket `photos` with `shared/a` and `private/a`, and the neighbour's key `app` on it."""

    def __init__(self, team: Tenant, neighbour: Tenant) -> None:
        self.team = team
        self.neighbour = neighbour
        self.bucket = team.s3_name("photos")

    async def prepare(self, **spec: Any) -> "Shared":
        team, neighbour = self.team, self.neighbour
        await team.apply(team.bucket("photos", deletionPolicy="Purge"), grant(team, neighbour, **spec))
        await team.until_ready(("Bucket", "photos"))
        self.owners = list(team.system.clients(await team.credentials("photos")))
        for own in self.owners:
            for key in ("shared/a", "private/a"):
                own.put_object(Bucket=self.bucket, Key=key, Body=key.encode())
        await neighbour.apply(asks(neighbour, team))
        await neighbour.until_ready(("AccessKey", "app"))
        self.key = await neighbour.credentials("app")
        self.clients = list(neighbour.system.clients(self.key))
        return self

    async def until_ended(self) -> float:
        """Seconds until the key may read nothing any more at any gateway."""
        return await until_answered(self.clients, self.read, "AccessDenied")

    def read(self, client: Any) -> object:
        return client.get_object(Bucket=self.bucket, Key="shared/a")

    def names(self) -> list[list[str]]:
        """Names of the objects at each gateway."""
        return [[e["Key"] for e in own.list_objects_v2(Bucket=self.bucket)["Contents"]] for own in self.owners]


@pytest_asyncio.fixture(loop_scope="session")
async def quick(team: Tenant) -> AsyncIterator[Server]:
    """The API server in milliseconds."""
    server = Server(team.system.kubeconfig)
    yield server
    await server.close()


async def test_a_deletion_that_another_finalizer_holds(team: Tenant, neighbour: Tenant, quick: Server) -> None:
    """Cooper's finalizer is taken off, so that nothing waits for the key's end; the resource stays, so that nothing is
    gone. Who is faster than the operator, once in some attempts, has such a resource."""
    shared = await Shared(team, neighbour).prepare()
    names = [f"app-{number}" for number in range(12)]
    keys = [{**asks(neighbour, team), "metadata": {"name": name, "namespace": neighbour.namespace}} for name in names]
    await neighbour.apply(*keys)
    await neighbour.until_ready(*(("AccessKey", name) for name in names))
    held = {name: await neighbour.credentials(name) for name in names}
    stripped: list[str] = []
    for name in names:
        ref = Ref("AccessKey", neighbour.namespace, name)
        await quick.patch(resource_path(ref), _HOLD)
        await quick.delete(ref)
        left = (await quick.get(resource_path(ref)) or {})["metadata"]
        if "deletionTimestamp" in left and left["finalizers"] == ["example.com/hold"]:
            stripped.append(name)
    print(f"\n{len(stripped)} of {len(names)} were faster than the operator")
    assert stripped
    try:
        clients = [client for name in stripped for client in neighbour.system.clients(held[name])]

        async def refused() -> bool:
            return all(error_code(lambda at=at: shared.read(at), otherwise="ok") in KEY_REFUSED for at in clients)

        await neighbour.until("the refusal of every key", refused)
        assert all([await neighbour.get("AccessKey", name) for name in stripped])
    finally:
        for name in names:
            path = resource_path(Ref("AccessKey", neighbour.namespace, name))
            await quick.patch(path, {"metadata": {"finalizers": None}})


async def test_a_line_of_one_s_own(team: Tenant, neighbour: Tenant, quick: Server) -> None:
    """Hundreds of resources of his own do not put off what is taken from him."""
    shared = await Shared(team, neighbour).prepare()
    await neighbour.apply(neighbour.bucket("mine"))
    await neighbour.until_ready(("Bucket", "mine"))
    crowd = [neighbour.access_key(f"crowd-{number}", "mine") for number in range(_CROWD)]
    for at in range(0, _CROWD, _AT_A_TIME):
        await asyncio.gather(*(quick.create(each) for each in crowd[at : at + _AT_A_TIME]))
    await team.delete("bucketgrant", "share")
    took = await shared.until_ended()
    there = [await neighbour.get("AccessKey", f"crowd-{number}") or {} for number in range(_CROWD)]
    waiting = sum("status" not in each for each in there)
    print(f"\na right that was withdrawn ended after {took * 1000:.0f} ms, when {waiting} others waited")
    assert took < _SOON


async def test_edits_in_the_meantime(team: Tenant, neighbour: Tenant, quick: Server) -> None:
    """The AccessKey is edited without a pause while its right is taken away."""
    shared = await Shared(team, neighbour).prepare()
    path = resource_path(Ref("AccessKey", neighbour.namespace, "app"))
    edits = 0

    async def edit() -> None:
        nonlocal edits
        while True:
            edits += 1
            later = timestamp(time.time() + 3600 + edits)
            await quick.patch(path, {"metadata": {"annotations": {"edit": str(edits)}}, "spec": {"expiresAt": later}})

    editor = asyncio.create_task(edit())
    try:
        await asyncio.sleep(0.5)
        await team.delete("bucketgrant", "share")
        took = await shared.until_ended()
    finally:
        editor.cancel()
        await asyncio.gather(editor, return_exceptions=True)
    print(f"\n{edits} edits; the right ended after {took * 1000:.0f} ms")
    assert took < _SOON


#: Points of the curve that nothing can be sealed to (RFC 7748, 6.1), the last one in the form with the highest bit set.
_NO_RECIPIENTS: Final = (bytes(32), bytes([1, *bytes(31)]), (2**255 - 20 | 1 << 255).to_bytes(32, "little"))


async def test_an_access_key_that_nobody_can_read(team: Tenant, neighbour: Tenant) -> None:
    """What an API server takes and Cooper does not would leave the key's record as it is."""
    shared = await Shared(team, neighbour).prepare()
    for point in _NO_RECIPIENTS:
        once = {"recipient": base64.b64encode(point).decode()}
        with pytest.raises(AssertionError, match=r"spec\.once\.recipient"):
            await neighbour.change("accesskey", "app", delivery="Once", once=once)
    await team.delete("bucketgrant", "share")
    assert await shared.until_ended() < _SOON


async def test_what_was_begun_before(team: Tenant, neighbour: Tenant) -> None:
    """Uploads and links of the time before a BucketGrant was narrowed."""
    shared = await Shared(team, neighbour).prepare()
    client, bucket = shared.clients[0], shared.bucket
    upload = {"Bucket": bucket, "Key": "private/b"}
    upload["UploadId"] = client.create_multipart_upload(**upload)["UploadId"]
    part = client.upload_part(**upload, PartNumber=1, Body=b"x" * _PART)
    inside = {"Bucket": bucket, "Key": "shared/b"}
    inside["UploadId"] = client.create_multipart_upload(**inside)["UploadId"]
    link = client.generate_presigned_url("get_object", {"Bucket": bucket, "Key": "private/a"})
    put = urlsplit(client.generate_presigned_url("put_object", {"Bucket": bucket, "Key": "private/c"}))
    going = http.client.HTTPConnection(put.netloc, timeout=20)
    going.putrequest("PUT", f"{put.path}?{put.query}")
    going.putheader("Content-Length", str(1 << 20))
    going.endheaders()
    going.send(b"x" * (1 << 18))

    await team.change("bucketgrant", "share", prefixes=["shared/"])
    await until_answered([client], lambda at: at.get_object(Bucket=bucket, Key="private/a"), "AccessDenied")
    parts = {"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]}
    source = f"{bucket}/private/a"
    for ask in (
        lambda: client.upload_part(**upload, PartNumber=2, Body=b"x"),
        lambda: client.complete_multipart_upload(**upload, MultipartUpload=parts),
        lambda: client.list_parts(**upload),
        lambda: client.abort_multipart_upload(**upload),
        lambda: client.upload_part_copy(**inside, PartNumber=1, CopySource=source),
        lambda: client.copy_object(Bucket=bucket, Key="shared/c", CopySource=source),
        lambda: client.list_multipart_uploads(Bucket=bucket),
    ):
        assert error_code(ask) == "AccessDenied"
    at = urlsplit(link)
    asked = http.client.HTTPConnection(at.netloc, timeout=20)
    asked.request("GET", f"{at.path}?{at.query}")
    assert asked.getresponse().status == 403
    await asyncio.sleep(1.5)  # what goes on is looked at each second
    try:
        going.send(b"x" * ((1 << 20) - (1 << 18)))
        assert going.getresponse().status == 403
    except (ConnectionError, http.client.HTTPException):
        pass  # it was cut off
    assert shared.names()[0] == ["private/a", "shared/a"]


async def test_names_around_a_prefix(team: Tenant, neighbour: Tenant) -> None:
    """A prefix is bytes of a name, and so is what looks like another way there."""
    shared = await Shared(team, neighbour).prepare(prefixes=["shared/é"])
    bucket = shared.bucket
    plain, composed = unicodedata.normalize("NFD", "shared/é"), unicodedata.normalize("NFC", "shared/é")
    for own in shared.owners:
        own.put_object(Bucket=bucket, Key=plain, Body=b"theirs")
        own.put_object(Bucket=bucket, Key=composed, Body=b"let")
    for client in shared.clients:
        assert client.get_object(Bucket=bucket, Key=composed)["Body"].read() == b"let"
        for name in (plain, "private/a", "/shared/é", "./shared/é", "shared", "SHARED/É", "shared\\é"):
            assert refusal(client.get_object, Bucket=bucket, Key=name) == "AccessDenied", name
            assert refusal(client.put_object, Bucket=bucket, Key=name) == "AccessDenied", name
            assert refusal(client.list_objects_v2, Bucket=bucket, Prefix=name) == "AccessDenied", name
        # Below the prefix `..` is a part of a name: nothing is there, and nothing else is meant.
        with pytest.raises(client.exceptions.NoSuchKey):
            client.get_object(Bucket=bucket, Key="shared/é/../../private/a")
        for source in ("private/a", "private%2Fa", "shared/é/../../private/a"):
            copied = refusal(client.copy_object, Bucket=bucket, Key="shared/é-copy", CopySource=f"{bucket}/{source}")
            assert copied in NOTHING, source


async def test_copies_between_what_is_granted_and_what_is_not(team: Tenant, neighbour: Tenant) -> None:
    shared = await Shared(team, neighbour).prepare(buckets=["photos"])
    await team.apply(team.bucket("films", deletionPolicy="Purge"))
    await neighbour.apply(neighbour.bucket("mine"))
    await team.until_ready(("Bucket", "films"))
    await neighbour.until_ready(("Bucket", "mine"))
    films, mine = team.s3_name("films"), neighbour.s3_name("mine")
    both = [{"bucket": "photos", "namespace": team.namespace}, {"bucket": "mine"}]
    await neighbour.change("accesskey", "app", grants=both)
    await neighbour.until_ready(("AccessKey", "app"))
    for own, client in zip(team.system.clients(await team.credentials("films")), shared.clients, strict=True):
        own.put_object(Bucket=films, Key="a", Body=b"x" * _PART)
        for to in (shared.bucket, mine):
            upload = {"Bucket": to, "Key": "b"}
            upload["UploadId"] = client.create_multipart_upload(**upload)["UploadId"]
            for source in (f"{films}/a", f"/{films}/a", f"{films}%2Fa", f"{shared.bucket}/../{films}/a"):
                assert refusal(client.copy_object, Bucket=to, Key="b", CopySource=source) in NOTHING, (to, source)
                part = {**upload, "PartNumber": 1, "CopySource": source}
                assert refusal(client.upload_part_copy, **part) in NOTHING, (to, source)
            client.abort_multipart_upload(**upload)
        client.put_object(Bucket=mine, Key="a", Body=b"mine")
        assert refusal(client.copy_object, Bucket=films, Key="b", CopySource=f"{mine}/a") == "AccessDenied"
        client.delete_object(Bucket=mine, Key="a")
    assert shared.names() == [["private/a", "shared/a"]] * 2


async def test_a_bucket_of_the_same_name_made_again(team: Tenant, neighbour: Tenant) -> None:
    """A right is on a bucket's data: another one of the same names is let anew, or not."""
    shared = await Shared(team, neighbour).prepare()
    await team.delete("bucketgrant", "share")
    await team.delete("bucket", "photos")
    await team.until_gone("Bucket", "photos")
    await team.apply(team.bucket("photos", deletionPolicy="Purge"))
    await team.until_ready(("Bucket", "photos"))
    for own in team.system.clients(await team.credentials("photos")):
        own.put_object(Bucket=shared.bucket, Key="shared/a", Body=b"new")
    for _ in range(20):
        assert {error_code(lambda at=at: shared.read(at)) for at in shared.clients} == {"AccessDenied"}
        await asyncio.sleep(0.05)
    await neighbour.until_said("AccessKey", "app", "False", "NotGranted")
