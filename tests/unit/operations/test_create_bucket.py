"""CreateBucket: what the gateway does while operator and records, which tests play, do their part."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
import pytest

from cooper_crds.actions import GET_OBJECT
from cooper_crds.records import BucketRecord, Owner, RegionRecord
from cooper_gateway.access.principals import KeyHolder
from cooper_gateway.operations import create_bucket
from cooper_gateway.protocol.errors import CODES, S3Error
from cooper_gateway.protocol.messages import Response
from cooper_gateway.storage.port import NameAskedFor, Wish
from cooper_gateway.storage.wishes import KEPT
from support.calls import NOW_SECONDS, OWNER, PHOTOS, Rig, key_for

NEW = BucketRecord("new", "00000000-0000-4000-8000-00000000000a", OWNER)
KEY = msgspec.structs.replace(key_for(PHOTOS), create_buckets=True)
WITH_NEW = msgspec.structs.replace(key_for(PHOTOS, NEW), create_buckets=True)
ELSEWHERE = msgspec.structs.replace(NEW, owner=Owner("another", "new", "uid-2"))


@pytest.fixture
def rig(monkeypatch: pytest.MonkeyPatch) -> Rig:
    monkeypatch.setattr(create_bucket, "WAIT", 3.0)
    monkeypatch.setattr(create_bucket, "_FIRST_PAUSE", 0.001)
    monkeypatch.setattr(create_bucket, "_LONGEST_PAUSE", 0.01)
    rig = Rig(principal=KeyHolder(KEY))
    rig.directory.settings = RegionRecord("eu", "eu-west-1", create_buckets=True)
    rig.directory.keys[KEY.access_key_id] = KEY
    return rig


def make(rig: Rig, record: BucketRecord = NEW) -> None:
    """What operator and records do for a wish that is granted."""
    rig.directory.buckets[record.name] = record
    rig.directory.keys[KEY.access_key_id] = WITH_NEW


async def wished(rig: Rig, name: str = "new") -> Wish:
    while (wish := await rig.store.wish(name)) is None:
        await asyncio.sleep(0.001)
    return wish


async def meanwhile(rig: Rig, act: Callable[[Wish], Awaitable[None]], **asked: Any) -> Response | str:
    """The answer to CreateBucket, while somebody acts on the wish: a response, or an error's code."""

    async def acting() -> None:
        await act(await wished(rig))

    actor = asyncio.create_task(acting())
    try:
        return await rig.do("CreateBucket", bucket="new", **asked)
    except S3Error as error:
        return error.code
    finally:
        actor.cancel()


async def test_it_waits_until_the_key_can_use_the_bucket(rig: Rig) -> None:
    seen: list[str] = []

    async def act(wish: Wish) -> None:
        seen.append(wish.access_key_id)
        told = {"id": wish.id, "bucket": "new", "accessKeyId": "AKIAEXAMPLE", "askedAt": NOW_SECONDS * 1000}
        assert json.loads((await rig.do("ListWishes")).body) == [{**told, "outcome": "", "namespace": "team"}]
        said = {"x-cooper-bucket": "new", "x-cooper-wish": wish.id, "x-cooper-outcome": "made"}
        assert (await rig.do("SettleWish", headers=said)).status == 204
        rig.directory.buckets["new"] = NEW  # the bucket's record comes first
        await asyncio.sleep(0.05)
        seen.append("granted")
        rig.directory.keys[KEY.access_key_id] = WITH_NEW

    answer = await meanwhile(rig, act)
    assert isinstance(answer, Response)
    assert (answer.status, answer.headers["Location"]) == (200, "/new")
    assert seen == ["AKIAEXAMPLE", "granted"]
    assert await rig.store.wishes() == []


@pytest.mark.parametrize(
    "code", ["AccessDenied", "KeyAccessRevoked", "BucketAlreadyExists", "TooManyBuckets", "NotImplemented"]
)
async def test_a_refusal_is_told_at_once_and_once(rig: Rig, code: str) -> None:
    async def act(wish: Wish) -> None:
        await rig.store.settle_wish("new", wish.id, code)

    assert await meanwhile(rig, act) == code
    assert await rig.store.wishes() == []


async def test_what_is_not_there_in_time_is_503_and_asking_again_goes_on(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(create_bucket, "WAIT", 0.02)
    with pytest.raises(S3Error) as caught:
        await rig.do("CreateBucket", bucket="new")
    assert caught.value.code == "ServiceUnavailable"
    first = await rig.store.wish("new")
    with pytest.raises(S3Error):
        await rig.do("CreateBucket", bucket="new")
    assert await rig.store.wish("new") == first
    make(rig)  # it came while nobody waited
    assert (await rig.do("CreateBucket", bucket="new")).status == 200
    with pytest.raises(S3Error) as caught:
        await rig.do("CreateBucket", bucket="new")
    assert caught.value.code == "BucketAlreadyOwnedByYou"


TAKEN = {
    "its own": ({"new": NEW}, WITH_NEW, "BucketAlreadyOwnedByYou"),
    "its namespace's, and not the key's": ({"new": NEW}, KEY, "BucketAlreadyExists"),
    "another namespace's": ({"new": ELSEWHERE}, KEY, "BucketAlreadyExists"),
    "another namespace's, granted": ({"new": ELSEWHERE}, WITH_NEW, "BucketAlreadyOwnedByYou"),
    "retained": ({"new": msgspec.structs.replace(NEW, retained=True)}, WITH_NEW, "BucketAlreadyExists"),
    "of data that the key was granted before": (
        {"new": msgspec.structs.replace(NEW, data_id=PHOTOS.data_id)},
        WITH_NEW,
        "BucketAlreadyExists",
    ),
}


@pytest.mark.parametrize("case", TAKEN)
async def test_a_name_that_is_taken(rig: Rig, case: str) -> None:
    buckets, key, code = TAKEN[case]
    rig.directory.buckets |= buckets
    rig.directory.keys[KEY.access_key_id] = key
    with pytest.raises(S3Error) as caught:
        await rig.do("CreateBucket", bucket="new")
    assert caught.value.code == code
    assert await rig.store.wishes() == []


async def test_a_name_that_somebody_else_got_meanwhile(rig: Rig) -> None:
    async def act(wish: Wish) -> None:
        rig.directory.buckets["new"] = ELSEWHERE

    assert await meanwhile(rig, act) == "BucketAlreadyExists"
    assert await rig.store.wishes() == []


async def test_a_bucket_that_is_being_deleted_is_waited_for(rig: Rig) -> None:
    make(rig)
    reference = rig.call("HeadBucket", bucket="new").ref
    await rig.store.close_bucket(reference, None, b"intent")

    async def deleted() -> None:
        await asyncio.sleep(0.05)
        assert await rig.store.wishes() == []
        del rig.directory.buckets["new"]
        rig.directory.keys[KEY.access_key_id] = KEY
        await wished(rig)
        again = msgspec.structs.replace(NEW, data_id="00000000-0000-4000-8000-00000000000b")
        rig.directory.buckets["new"] = again
        rig.directory.keys[KEY.access_key_id] = msgspec.structs.replace(key_for(again), create_buckets=True)

    deletion = asyncio.create_task(deleted())
    assert (await rig.do("CreateBucket", bucket="new")).status == 200
    await deletion


async def test_the_wish_of_another_key(rig: Rig) -> None:
    await rig.store.ask_for_bucket(Wish("1", "new", "AKIAOTHER", NOW_SECONDS * 1000), rig.call("CreateBucket").guard)
    with pytest.raises(NameAskedFor):
        await rig.do("CreateBucket", bucket="new")


async def test_a_wish_that_was_forgotten_is_made_anew(rig: Rig) -> None:
    async def act(wish: Wish) -> None:
        await rig.store.settle_wish("new", wish.id, "")
        assert (await wished(rig)).id != wish.id
        make(rig)

    answer = await meanwhile(rig, act)
    assert isinstance(answer, Response)


async def test_a_key_that_goes_meanwhile_is_told_so(rig: Rig) -> None:
    async def act(wish: Wish) -> None:
        del rig.directory.keys[KEY.access_key_id]
        rig.directory.buckets["new"] = NEW

    assert await meanwhile(rig, act) == "KeyAccessRevoked"


ASKED = {
    "no location": (b"", {}, "200"),
    "the region": (b"<LocationConstraint>eu-west-1</LocationConstraint>", {}, "200"),
    "an empty one": (b"<LocationConstraint/>", {}, "200"),
    "another region": (
        b"<LocationConstraint>us-west-2</LocationConstraint>",
        {},
        "IllegalLocationConstraintException",
    ),
    "no region at all": (b"<LocationConstraint>../x</LocationConstraint>", {}, "InvalidLocationConstraint"),
    "a directory bucket": (b"<Location><Name>a</Name></Location>", {}, "NotImplemented"),
    "tags": (b"<Tags><Tag/></Tags>", {}, "MalformedXML"),
    "twice": (b"<LocationConstraint/><LocationConstraint/>", {}, "MalformedXML"),
    "an ACL": (b"", {"x-amz-acl": "public-read"}, "200"),
    "an owner": (b"", {"x-amz-object-ownership": "BucketOwnerEnforced"}, "200"),
    "object lock": (b"", {"x-amz-bucket-object-lock-enabled": "true"}, "NotImplemented"),
    "object lock, in capitals": (b"", {"x-amz-bucket-object-lock-enabled": "TRUE"}, "NotImplemented"),
    "no object lock": (b"", {"x-amz-bucket-object-lock-enabled": "False"}, "200"),
}


@pytest.mark.parametrize("case", ASKED)
async def test_what_is_asked_for_besides(rig: Rig, case: str) -> None:
    inner, headers, expected = ASKED[case]
    body = b"" if not inner else b"<CreateBucketConfiguration>" + inner + b"</CreateBucketConfiguration>"

    async def act(wish: Wish) -> None:
        make(rig)

    answer = await meanwhile(rig, act, body=body, headers=headers)
    assert (str(answer.status) if isinstance(answer, Response) else answer) == expected
    assert await rig.store.wishes() == []


@pytest.mark.parametrize("name", ["a.-b", "a-.b"])
async def test_a_name_that_no_resource_can_have(rig: Rig, name: str) -> None:
    with pytest.raises(S3Error) as caught:
        await rig.do("CreateBucket", bucket=name)
    assert caught.value.code == "InvalidBucketName"


NO_WISH = [
    {},
    {"x-cooper-bucket": "new", "x-cooper-wish": "1"},
    {"x-cooper-bucket": "../new", "x-cooper-wish": "1", "x-cooper-outcome": "made"},
    {"x-cooper-bucket": "new", "x-cooper-outcome": "made"},
    {"x-cooper-bucket": "new", "x-cooper-wish": "1", "x-cooper-outcome": "Whatever"},
]


@pytest.mark.parametrize("headers", NO_WISH)
async def test_the_operator_names_wish_and_outcome(rig: Rig, headers: dict[str, str]) -> None:
    with pytest.raises(S3Error) as caught:
        await rig.do("SettleWish", headers=headers)
    assert caught.value.code == "InvalidArgument"


async def test_the_operator_forgets_a_wish(rig: Rig) -> None:
    await rig.store.ask_for_bucket(Wish("1", "new", "AKIA", 0), rig.call("CreateBucket").guard)
    said = {"x-cooper-bucket": "new", "x-cooper-wish": "1", "x-cooper-outcome": "forgotten"}
    for _ in range(2):
        assert (await rig.do("SettleWish", headers=said)).status == 204
    assert await rig.store.wishes() == []


def test_all_outcomes_are_known_and_wishes_outlive_those_who_wait() -> None:
    assert create_bucket.MADE not in CODES
    assert create_bucket.WAIT * 1000 < KEPT
    assert GET_OBJECT in KEY.grants[0].actions
