"""What every store promises, run against each backend. A store that passes can stand behind the gateway."""

import asyncio
import hashlib
import os
import time
from collections.abc import AsyncIterator, Awaitable, Iterator

import msgspec
import pytest

from cooper_gateway.storage.embedded import EmbeddedStore
from cooper_gateway.storage.memory import MemoryStore
from cooper_gateway.storage.port import (
    Attributes,
    BucketClosed,
    BucketNotEmpty,
    BucketRef,
    Checksum,
    ConditionFailed,
    Conditions,
    EntityTooSmall,
    Guard,
    InvalidPart,
    NameAskedFor,
    NoSuchName,
    NoSuchUpload,
    ObjectInfo,
    Overloaded,
    Quota,
    Refused,
    Segment,
    Store,
    UploadInfo,
    Usage,
    Wish,
)
from cooper_gateway.storage.wishes import KEPT, MOST_OF_A_KEY
from support.store_process import REVOKED, UNREADABLE, UNTOUCHED, CommitterProcess, config_in, refuse_revoked
from support.verifying import assert_sound

GUARD = Guard("AKIATEST", "s3:PutObject")
ALWAYS = Conditions()
PART = 5 << 20
SUM = Checksum("CRC32", "AAAAAA==")
SOME = Attributes({"content-type": "text/plain"}, {"colour": "blue"})


@pytest.fixture(scope="module")
def committer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CommitterProcess]:
    process = CommitterProcess(config_in(tmp_path_factory.mktemp("store")))
    yield process
    assert_sound(process.config)  # after all that the tests have done
    process.stop()


@pytest.fixture(params=["memory", "embedded"])
async def store(request: pytest.FixtureRequest) -> AsyncIterator[Store]:
    if request.param == "memory":
        yield MemoryStore(refuse_revoked)
        return
    process: CommitterProcess = request.getfixturevalue("committer")
    embedded = EmbeddedStore(process.config, process.keyring, asyncio.get_running_loop())
    yield embedded
    await embedded.close()


@pytest.fixture
def bucket() -> BucketRef:
    return BucketRef(os.urandom(16), "photos")


async def segment(store: Store, bucket: BucketRef, data: bytes, step: int = 100_000) -> Segment:
    writer = store.writer(bucket, len(data))
    for start in range(0, len(data), step):
        await writer.write(memoryview(data)[start : start + step])
    return await writer.finish()


async def put(
    store: Store,
    bucket: BucketRef,
    name: bytes,
    data: bytes = b"x",
    conditions: Conditions = ALWAYS,
    guard: Guard = GUARD,
) -> ObjectInfo:
    etag = hashlib.md5(data).hexdigest()
    stored = await segment(store, bucket, data)
    return await store.put(bucket, name, stored, etag, SOME, SUM, conditions, guard)


async def get(store: Store, bucket: BucketRef, name: bytes, start: int = 0, end: int | None = None) -> bytes:
    opened = await store.open(bucket, name)
    try:
        pieces = [piece async for piece in opened.read(start, opened.info.size if end is None else end)]
    finally:
        opened.close()
    assert all(0 < len(piece) <= 512 * 1024 for piece in pieces)
    return b"".join(pieces)


async def upload(
    store: Store, bucket: BucketRef, name: bytes, parts: dict[int, bytes]
) -> tuple[str, list[tuple[int, str]]]:
    upload_id = await store.create_upload(bucket, UploadInfo(name, 1234, SOME, "CRC32"), GUARD)
    named: list[tuple[int, str]] = []
    for number, data in parts.items():
        etag = hashlib.md5(data).hexdigest()
        stored = await segment(store, bucket, data, 1 << 20)
        info = await store.put_part(bucket, name, upload_id, number, stored, etag, SUM, GUARD)
        assert (info.number, info.size, info.etag, info.checksum) == (number, len(data), etag, SUM)
        named.append((number, etag))
    return upload_id, named


@pytest.mark.parametrize("size", [0, 1, 32768, 32769, 65535, 65536, 65537, 131072, 524288, 524289, 1048576, 2_500_000])
async def test_what_was_put_is_read_back(store: Store, bucket: BucketRef, size: int) -> None:
    data = os.urandom(size)
    info = await put(store, bucket, b"name", data)
    assert await get(store, bucket, b"name") == data
    peeked = store.peek(bucket, b"name")
    if peeked is not None:
        assert peeked[0] == info
        assert peeked[1] in (data, None)
        assert size > 4096 or peeked[1] == data
    assert (info.size, info.attributes, info.checksum, info.part_sizes) == (size, SOME, SUM, ())
    for start, end in ((0, 1), (size // 3, size // 3 + 70_000), (65530, 65540), (size - 1, size), (262143, 262145)):
        if 0 <= start < min(end, size):
            assert await get(store, bucket, b"name", start, min(end, size)) == data[start:end]


@pytest.mark.parametrize("step", [100_000, 524_288])
@pytest.mark.parametrize("size", [0, 1, 32768, 32769, 524_287, 524_288, 524_289, 1_048_576, 2_500_000])
async def test_who_watches_sees_all_that_is_stored(store: Store, bucket: BucketRef, size: int, step: int) -> None:
    data = os.urandom(size)
    writer, seen = store.writer(bucket, size), bytearray()
    writer.watch(seen.extend)
    pieces = [bytearray(data[start : start + step]) for start in range(0, size, step)]
    for piece in pieces:
        await writer.write(piece)
    stored = await writer.finish()
    assert seen == data
    assert b"".join(pieces) == data  # they are the writer's to read, not to change
    await store.put(bucket, b"name", stored, "e", SOME, None, ALWAYS, GUARD)
    assert await get(store, bucket, b"name") == data


@pytest.mark.parametrize(("old", "new"), [(10, 20), (10, 100_000), (100_000, 10), (100_000, 200_000)])
async def test_overwriting_replaces_the_object_and_counts_it_once(
    store: Store, bucket: BucketRef, old: int, new: int
) -> None:
    await put(store, bucket, b"name", os.urandom(old))
    data = os.urandom(new)
    await put(store, bucket, b"name", data)
    assert await get(store, bucket, b"name") == data
    assert await store.usage(bucket) == Usage(1, new, 0, False)


async def test_nothing_is_there_before_it_is_put(store: Store, bucket: BucketRef) -> None:
    with pytest.raises(NoSuchName):
        await store.open(bucket, b"name")
    with pytest.raises(NoSuchName):
        if store.peek(bucket, b"name") is None:
            raise NoSuchName
    listing = await store.list_objects(bucket, b"", b"", b"", 10)
    assert (listing.entries, listing.prefixes, listing.resume) == ([], [], None)
    assert await store.usage(bucket) == Usage(0, 0, 0, False)
    await store.delete(bucket, [b"name"], GUARD)


async def test_a_segment_is_invisible_until_it_is_put(store: Store, bucket: BucketRef) -> None:
    await segment(store, bucket, b"x" * 100_000)
    assert (await store.list_objects(bucket, b"", b"", b"", 10)).entries == []
    assert await store.usage(bucket) == Usage(0, 0, 0, False)


async def test_aborting_is_safe_at_any_time(store: Store, bucket: BucketRef) -> None:
    store.writer(bucket, None).abort()
    writer = store.writer(bucket, None)
    await writer.write(b"x" * 700_000)
    writer.abort()
    writer.abort()
    writer = store.writer(bucket, None)
    await writer.write(b"y" * 700_000)
    stored = await writer.finish()
    await store.put(bucket, b"name", stored, "e", SOME, None, ALWAYS, GUARD)
    writer.abort()  # too late: it is committed
    assert await get(store, bucket, b"name") == b"y" * 700_000


async def test_buckets_are_apart(store: Store, bucket: BucketRef) -> None:
    other = BucketRef(os.urandom(16), "photos")
    await put(store, bucket, b"name", b"1")
    with pytest.raises(NoSuchName):
        await store.open(other, b"name")
    await put(store, other, b"name", b"2")
    await store.delete(bucket, [b"name"], GUARD)
    assert await get(store, other, b"name") == b"2"


async def test_deleting_is_idempotent_and_exact(store: Store, bucket: BucketRef) -> None:
    for name, size in ((b"a", 10), (b"b", 100_000), (b"c", 20)):
        await put(store, bucket, name, b"x" * size)
    await store.delete(bucket, [b"a", b"b", b"a", b"nothing"], GUARD)
    await store.delete(bucket, [b"a"], GUARD)
    assert await store.usage(bucket) == Usage(1, 20, 0, False)
    with pytest.raises(NoSuchName):
        await store.open(bucket, b"b")


async def test_a_thousand_of_the_longest_names_go_in_one_request(store: Store, bucket: BucketRef) -> None:
    names = [b"%04d" % number + b"n" * 1020 for number in range(1000)]
    await asyncio.gather(*(put(store, bucket, name) for name in names))
    listing = await store.list_objects(bucket, b"", b"", b"", 1000)
    assert [entry.name for entry in listing.entries] == names
    assert listing.resume is None
    await store.delete(bucket, names, GUARD)
    assert await store.usage(bucket) == Usage(0, 0, 0, False)


ETAG = hashlib.md5(b"x").hexdigest()


@pytest.mark.parametrize(
    ("exists", "conditions", "holds"),
    [
        (False, Conditions(if_none_match="*"), True),
        (True, Conditions(if_none_match="*"), False),
        (True, Conditions(if_none_match=ETAG), False),
        (True, Conditions(if_none_match="other"), True),
        (True, Conditions(if_match=ETAG), True),
        (True, Conditions(if_match="*"), True),
        (True, Conditions(if_match="other"), False),
        (False, Conditions(if_match="*"), False),
        (False, Conditions(if_match=ETAG), False),
        (True, Conditions(if_match=ETAG, if_none_match="other"), True),
        (True, Conditions(if_match=ETAG, if_none_match="*"), False),
    ],
)
async def test_conditions_are_decided_by_what_is_there(
    store: Store, bucket: BucketRef, exists: bool, conditions: Conditions, holds: bool
) -> None:
    if exists:
        await put(store, bucket, b"name")
    if holds:
        await put(store, bucket, b"name", b"new", conditions)
        assert await get(store, bucket, b"name") == b"new"
        return
    with pytest.raises(ConditionFailed):
        await put(store, bucket, b"name", b"new", conditions)
    assert (await store.usage(bucket)).objects == exists


async def test_a_conditional_delete_deletes_all_or_nothing(store: Store, bucket: BucketRef) -> None:
    with pytest.raises(ConditionFailed):  # before the bucket was ever written to
        await store.delete(bucket, [b"a"], GUARD, Conditions(if_match="*"))
    await put(store, bucket, b"a", b"1")
    await put(store, bucket, b"b", b"2")
    etag = (await store.open(bucket, b"a")).info.etag
    for names, wanted in (([b"a"], "other"), ([b"missing"], "*"), ([b"a", b"missing"], "*"), ([b"a", b"b"], etag)):
        with pytest.raises(ConditionFailed):
            await store.delete(bucket, names, GUARD, Conditions(if_match=wanted))
        assert (await store.usage(bucket)).objects == 2
    await store.delete(bucket, [b"a"], GUARD, Conditions(if_match=etag))
    await store.delete(bucket, [b"b"], GUARD, Conditions(if_match="*"))
    assert await store.usage(bucket) == Usage(0, 0, 0, False)


async def test_only_one_of_many_wins_a_race(store: Store, bucket: BucketRef) -> None:
    attempts = (put(store, bucket, b"name", b"%d" % n, Conditions(if_none_match="*")) for n in range(32))
    outcomes = await asyncio.gather(*attempts, return_exceptions=True)
    won = [n for n, outcome in enumerate(outcomes) if isinstance(outcome, ObjectInfo)]
    assert len(won) == 1
    assert sum(isinstance(outcome, ConditionFailed) for outcome in outcomes) == 31
    assert await get(store, bucket, b"name") == b"%d" % won[0]


async def test_every_write_is_refused_to_a_revoked_key(store: Store, bucket: BucketRef) -> None:
    revoked = Guard(REVOKED, "s3:PutObject")
    await put(store, bucket, b"name")
    upload_id, named = await upload(store, bucket, b"big", {1: b"p"})
    stored = await segment(store, bucket, b"q")
    writes = {
        "put": put(store, bucket, b"name", b"new", guard=revoked),
        "replace": store.replace_attributes(bucket, b"name", SOME, ALWAYS, revoked),
        "delete": store.delete(bucket, [b"name"], revoked),
        "create": store.create_upload(bucket, UploadInfo(b"n", 1, SOME), revoked),
        "part": store.put_part(bucket, b"big", upload_id, 2, stored, "e", None, revoked),
        "complete": store.complete_upload(bucket, b"big", upload_id, named, "e-1", None, ALWAYS, revoked),
        "abort": store.abort_upload(bucket, b"big", upload_id, revoked),
        "close": store.close_bucket(bucket, revoked, b""),
    }
    for what, write in writes.items():
        with pytest.raises(Refused) as refused:
            await write
        assert refused.value.code == "KeyAccessRevoked", what
    assert await get(store, bucket, b"name") == b"x"
    assert await store.usage(bucket) == Usage(1, 1, 1, False, 1)


async def test_a_write_is_refused_on_an_object_that_the_key_may_not_touch(store: Store, bucket: BucketRef) -> None:
    stored = await segment(store, bucket, b"q")
    await put(store, bucket, b"name")
    source = Guard(GUARD.access_key_id, GUARD.action, bucket.data_id, UNTOUCHED)
    writes = {
        "put": put(store, bucket, UNTOUCHED, b"new"),
        "delete": store.delete(bucket, [b"name", UNTOUCHED], GUARD),
        "create": store.create_upload(bucket, UploadInfo(UNTOUCHED, 1, SOME), GUARD),
        "part": store.put_part(bucket, UNTOUCHED, "0" * 32, 2, stored, "e", None, GUARD),
        "abort": store.abort_upload(bucket, UNTOUCHED, "0" * 32, GUARD),
        "copy of it": store.replace_attributes(bucket, b"name", SOME, ALWAYS, source),
    }
    for what, write in writes.items():
        with pytest.raises(Refused) as refused:
            await write
        assert refused.value.code == "AccessDenied", what
    assert await store.usage(bucket) == Usage(1, 1, 0, False)


async def test_a_quota_is_kept_exactly(store: Store, bucket: BucketRef) -> None:
    """At most 3 objects and 10 bytes: what would be more is refused, what makes it less never is."""
    held = Guard(GUARD.access_key_id, GUARD.action, quota=Quota(3, 10))

    async def refused(write: Awaitable[object]) -> None:
        with pytest.raises(Refused) as error:
            await write
        assert error.value.code == "QuotaExceeded"

    await put(store, bucket, b"a", b"12345", guard=held)
    await put(store, bucket, b"b", b"12345", guard=held)
    await refused(put(store, bucket, b"c", b"1", guard=held))
    await put(store, bucket, b"c", b"", guard=held)
    await refused(put(store, bucket, b"d", b"", guard=held))
    await refused(put(store, bucket, b"a", b"123456", guard=held))
    await put(store, bucket, b"a", b"1234", guard=held)
    await put(store, bucket, b"b", b"123456", guard=held)
    assert await store.usage(bucket) == Usage(3, 10, 0, False)
    upload_id, named = await upload(store, bucket, b"a", {1: b"12345"})
    await refused(store.complete_upload(bucket, b"a", upload_id, named, "e-1", None, ALWAYS, held))
    await store.delete(bucket, [b"b"], held)
    await store.complete_upload(bucket, b"a", upload_id, named, "e-1", None, ALWAYS, held)
    assert await store.usage(bucket) == Usage(2, 5, 0, False)
    lower = Guard(GUARD.access_key_id, GUARD.action, quota=Quota(1, 2))  # it was made lower
    await put(store, bucket, b"a", b"1234", guard=lower)
    await store.replace_attributes(bucket, b"a", SOME, ALWAYS, lower)
    await refused(put(store, bucket, b"a", b"12345", guard=lower))
    assert await store.usage(bucket) == Usage(2, 4, 0, False)


async def test_parts_of_uploads_in_progress_count_for_the_quota(store: Store, bucket: BucketRef) -> None:
    """At most 10 bytes. An upload in the place of an object has its room."""
    held = Guard(GUARD.access_key_id, GUARD.action, quota=Quota(3, 10))

    async def part(name: bytes, upload_id: str, number: int, size: int) -> None:
        stored = await segment(store, bucket, b"x" * size)
        await store.put_part(bucket, name, upload_id, number, stored, ETAG, None, held)

    async def refused(write: Awaitable[object]) -> None:
        before = await store.usage(bucket)
        with pytest.raises(Refused) as error:
            await write
        assert error.value.code == "QuotaExceeded"
        assert await store.usage(bucket) == before

    await put(store, bucket, b"a", b"1234", guard=held)
    new, _ = await upload(store, bucket, b"new", {})
    over, _ = await upload(store, bucket, b"a", {})
    await part(b"new", new, 1, 5)
    await refused(part(b"new", new, 2, 2))
    await refused(part(b"new", new, 1, 7))
    await part(b"new", new, 1, 3)
    await part(b"new", new, 1, 6)
    assert await store.usage(bucket) == Usage(1, 4, 2, False, 6)
    await refused(put(store, bucket, b"b", b"1", guard=held))
    await refused(part(b"a", over, 1, 5))
    await part(b"a", over, 1, 4)
    await refused(part(b"a", over, 2, 1))
    await store.complete_upload(bucket, b"a", over, [(1, ETAG)], "e-1", None, ALWAYS, held)
    assert await store.usage(bucket) == Usage(1, 4, 1, False, 6)
    await store.complete_upload(bucket, b"new", new, [(1, ETAG)], "e-1", None, ALWAYS, held)
    assert await store.usage(bucket) == Usage(2, 10, 0, False, 0)


async def test_parts_make_room_when_their_upload_is_aborted(store: Store, bucket: BucketRef) -> None:
    held = Guard(GUARD.access_key_id, GUARD.action, quota=Quota(None, 10))
    upload_id, _ = await upload(store, bucket, b"name", {1: b"x" * 6, 2: b"x" * 4})
    with pytest.raises(Refused):
        await put(store, bucket, b"a", b"1", guard=held)
    await store.abort_upload(bucket, b"name", upload_id, GUARD)
    assert await store.usage(bucket) == Usage(0, 0, 0, False, 0)
    await put(store, bucket, b"a", b"x" * 10, guard=held)


async def test_uploads_that_nothing_is_added_to_are_dropped(store: Store, bucket: BucketRef) -> None:
    began = time.time_ns() // 1_000_000
    idle = [
        await store.create_upload(bucket, UploadInfo(b"idle%03d" % number, began - 5000, SOME), GUARD)
        for number in range(300)
    ]
    fresh = await store.create_upload(bucket, UploadInfo(b"idle100", began, SOME), GUARD)
    fed, _ = await upload(store, bucket, b"fed", {1: b"x" * 40_000})  # begun long ago, a part came now
    await put(store, bucket, b"object")
    await store.expire_uploads(began - 6000)  # what other tests left, too: their buckets are in this store as well
    assert (await store.usage(bucket)).uploads == 302
    assert await store.expire_uploads(began - 1000) == len(idle)
    left = (await store.list_uploads(bucket, b"", b"", (b"", ""), 1000)).entries
    assert [each.upload_id for each in left] == [fed, fresh]
    assert await store.usage(bucket) == Usage(1, 1, 2, False, 40_000)
    with pytest.raises(NoSuchUpload):
        await store.upload_info(bucket, b"idle000", idle[0])
    later = time.time_ns() // 1_000_000 + 1000
    assert await store.expire_uploads(later) >= 2
    assert await store.usage(bucket) == Usage(1, 1, 0, False)
    assert await get(store, bucket, b"object") == b"x"


async def test_uploads_of_a_closed_bucket_wait_for_it(store: Store, bucket: BucketRef) -> None:
    await upload(store, bucket, b"name", {1: b"x"})
    await store.close_bucket(bucket, None, b"")
    await store.expire_uploads(1 << 50)
    await store.reopen_bucket(bucket)
    assert (await store.usage(bucket)).uploads == 1
    assert await store.expire_uploads(1 << 50) == 1


async def test_a_quota_is_not_exceeded_together(store: Store, bucket: BucketRef) -> None:
    held = Guard(GUARD.access_key_id, GUARD.action, quota=Quota(10, 100))
    writes = [put(store, bucket, b"%d" % number, b"x" * 15, guard=held) for number in range(40)]
    outcomes = await asyncio.gather(*writes, return_exceptions=True)
    assert sum(isinstance(outcome, Refused) for outcome in outcomes) == 34
    assert await store.usage(bucket) == Usage(6, 90, 0, False)


async def test_a_copy_is_refused_when_its_source_may_be_read_no_more(store: Store, bucket: BucketRef) -> None:
    before = await put(store, bucket, b"name", b"x")
    writer = store.writer(bucket, 1)
    await writer.write(b"y")
    segment = await writer.finish()
    upload_id = await store.create_upload(bucket, UploadInfo(b"up", 1, Attributes()), GUARD)
    guard = Guard(GUARD.access_key_id, GUARD.action, UNREADABLE)
    copies = {
        "put": lambda: store.put(bucket, b"name", segment, ETAG, Attributes(), None, ALWAYS, guard),
        "part": lambda: store.put_part(bucket, b"up", upload_id, 1, segment, ETAG, None, guard),
        "onto itself": lambda: store.replace_attributes(bucket, b"name", Attributes(), ALWAYS, guard),
    }
    for what, copy in copies.items():
        with pytest.raises(Refused) as refused:
            await copy()
        assert refused.value.code == "AccessDenied", what
    assert (await store.open(bucket, b"name")).info == before
    assert await store.list_parts(bucket, b"up", upload_id, 0, 10) == []
    readable = Guard(GUARD.access_key_id, GUARD.action, bucket.data_id)
    await store.put(bucket, b"name", segment, ETAG, Attributes(), None, ALWAYS, readable)
    assert await get(store, bucket, b"name") == b"y"


@pytest.mark.parametrize("size", [10, 100_000])
async def test_attributes_are_replaced_and_the_bytes_stay(store: Store, bucket: BucketRef, size: int) -> None:
    data = os.urandom(size)
    before = await put(store, bucket, b"name", data)
    new = Attributes({"content-type": "image/png"}, {})
    with pytest.raises(ConditionFailed):
        await store.replace_attributes(bucket, b"name", new, Conditions(if_match="other"), GUARD)
    info = await store.replace_attributes(bucket, b"name", new, Conditions(if_match=before.etag), GUARD)
    assert (info.attributes, info.etag, info.checksum, info.size) == (new, before.etag, SUM, size)
    assert info.modified >= before.modified
    opened = await store.open(bucket, b"name")
    assert opened.info == info
    opened.close()
    assert await get(store, bucket, b"name") == data
    assert await store.usage(bucket) == Usage(1, size, 0, False)
    with pytest.raises(NoSuchName):
        await store.replace_attributes(bucket, b"other", new, ALWAYS, GUARD)


NAMES = [b"a", b"a/", b"a/1", b"a/2/3", b"ab", b"b/1", b"b/2", b"b0", b"c", "ü".encode()]


@pytest.mark.parametrize(
    ("prefix", "delimiter", "after", "limit", "names", "prefixes", "resume"),
    [
        (b"", b"", b"", 100, NAMES, [], None),
        (b"", b"", b"", 10, NAMES, [], None),
        (b"", b"", b"", 9, NAMES[:9], [], b"c"),
        (b"", b"", b"ab", 2, [b"b/1", b"b/2"], [], b"b/2"),
        (b"", b"/", b"", 100, [b"a", b"ab", b"b0", b"c", "ü".encode()], [b"a/", b"b/"], None),
        (b"", b"/", b"", 2, [b"a"], [b"a/"], b"a/"),
        (b"", b"/", b"a/", 2, [b"ab"], [b"b/"], b"b/"),
        (b"", b"/", b"b/", 2, [b"b0", b"c"], [], b"c"),
        (b"a/", b"/", b"", 100, [b"a/", b"a/1"], [b"a/2/"], None),
        (b"a", b"", b"", 100, [b"a", b"a/", b"a/1", b"a/2/3", b"ab"], [], None),
        (b"b", b"/", b"", 1, [], [b"b/"], b"b/"),
        (b"zz", b"/", b"", 10, [], [], None),
        (b"", b"", b"zzz", 10, ["ü".encode()], [], None),
        (b"", b"", b"", 0, [], [], None),
        (b"", b"b", b"", 100, [b"a", b"a/", b"a/1", b"a/2/3", b"c", "ü".encode()], [b"ab", b"b"], None),
    ],
)
async def test_listings(
    store: Store,
    bucket: BucketRef,
    prefix: bytes,
    delimiter: bytes,
    after: bytes,
    limit: int,
    names: list[bytes],
    prefixes: list[bytes],
    resume: bytes | None,
) -> None:
    await asyncio.gather(*(put(store, bucket, name) for name in NAMES))
    listing = await store.list_objects(bucket, prefix, delimiter, after, limit)
    assert [entry.name for entry in listing.entries] == names
    assert (listing.prefixes, listing.resume) == (prefixes, resume)
    assert all((entry.size, entry.etag, entry.checksum) == (1, ETAG, SUM) for entry in listing.entries)


async def test_a_multipart_upload_becomes_an_object(store: Store, bucket: BucketRef) -> None:
    first, second, last = os.urandom(PART), os.urandom(PART + 3), b"the end"
    upload_id, named = await upload(store, bucket, b"big", {2: second, 1: first, 9: b"unnamed", 3: last})
    assert (await store.upload_info(bucket, b"big", upload_id)) == UploadInfo(b"big", 1234, SOME, "CRC32")
    assert [part.number for part in await store.list_parts(bucket, b"big", upload_id, 0, 100)] == [1, 2, 3, 9]
    assert [part.number for part in await store.list_parts(bucket, b"big", upload_id, 1, 2)] == [2, 3]
    assert await store.usage(bucket) == Usage(0, 0, 1, False, 2 * PART + 3 + len(b"unnamed") + len(last))
    chosen = sorted(named)[:3]
    info = await store.complete_upload(bucket, b"big", upload_id, chosen, "etag-3", SUM, ALWAYS, GUARD)
    whole = first + second + last
    assert (info.size, info.etag, info.attributes, info.checksum) == (len(whole), "etag-3", SOME, SUM)
    assert info.part_sizes == (PART, PART + 3, 7)
    assert [each.algorithm for each in info.part_checksums if each is not None] == ["CRC32"] * 3
    assert await get(store, bucket, b"big") == whole
    assert await get(store, bucket, b"big", PART - 2, PART + 2) == whole[PART - 2 : PART + 2]
    assert await get(store, bucket, b"big", len(whole) - 9, len(whole)) == whole[-9:]
    assert await store.usage(bucket) == Usage(1, len(whole), 0, False)
    peeked = store.peek(bucket, b"big")
    assert peeked is None or peeked == (info, None)
    again = await store.complete_upload(bucket, b"big", upload_id, chosen, "etag-3", SUM, ALWAYS, GUARD)
    assert again == msgspec.structs.replace(info, part_checksums=again.part_checksums)
    for name, parts in ((b"big", chosen[:1]), (b"other", chosen)):
        with pytest.raises(NoSuchUpload):
            await store.complete_upload(bucket, name, upload_id, parts, "etag-3", SUM, ALWAYS, GUARD)
    with pytest.raises(NoSuchUpload):
        await store.list_parts(bucket, b"big", upload_id, 0, 100)
    renamed = await store.replace_attributes(bucket, b"big", Attributes(), ALWAYS, GUARD)
    assert (renamed.part_sizes, renamed.etag) == (info.part_sizes, "etag-3")
    assert await get(store, bucket, b"big") == whole
    await put(store, bucket, b"big", b"small")
    assert await store.usage(bucket) == Usage(1, 5, 0, False)


async def test_a_part_is_replaced_by_the_next_of_its_number(store: Store, bucket: BucketRef) -> None:
    upload_id, old = await upload(store, bucket, b"big", {1: b"old"})
    new = await segment(store, bucket, b"new")
    await store.put_part(bucket, b"big", upload_id, 1, new, "n", None, GUARD)
    with pytest.raises(InvalidPart):
        await store.complete_upload(bucket, b"big", upload_id, old, "e-1", None, ALWAYS, GUARD)
    await store.complete_upload(bucket, b"big", upload_id, [(1, "n")], "e-1", None, ALWAYS, GUARD)
    assert await get(store, bucket, b"big") == b"new"


async def test_a_completion_that_cannot_be_leaves_the_upload(store: Store, bucket: BucketRef) -> None:
    upload_id, named = await upload(store, bucket, b"big", {1: b"small", 2: b"last"})
    for parts, condition, error in (
        (named, ALWAYS, EntityTooSmall),
        ([(1, "wrong")], ALWAYS, InvalidPart),
        ([(3, "missing")], ALWAYS, InvalidPart),
        ([], ALWAYS, InvalidPart),
        (named[:1], Conditions(if_match="*"), ConditionFailed),
    ):
        with pytest.raises(error):
            await store.complete_upload(bucket, b"big", upload_id, parts, "e-1", None, condition, GUARD)
    assert await store.usage(bucket) == Usage(0, 0, 1, False, len(b"smalllast"))
    assert len(await store.list_parts(bucket, b"big", upload_id, 0, 100)) == 2


async def test_an_upload_is_known_by_its_id_bucket_and_name(store: Store, bucket: BucketRef) -> None:
    upload_id, named = await upload(store, bucket, b"big", {1: b"p"})
    other = BucketRef(os.urandom(16), "other")
    await put(store, other, b"x")
    wrong = [
        (bucket, b"other", upload_id),
        (other, b"big", upload_id),
        (bucket, b"big", "00" * 16),
        (bucket, b"big", "é"),
    ]
    for where, name, wanted in wrong:
        stored = await segment(store, where, b"x")
        for call in (
            store.upload_info(where, name, wanted),
            store.list_parts(where, name, wanted, 0, 10),
            store.put_part(where, name, wanted, 1, stored, "e", None, GUARD),
            store.complete_upload(where, name, wanted, named, "e-1", None, ALWAYS, GUARD),
            store.abort_upload(where, name, wanted, GUARD),
        ):
            with pytest.raises(NoSuchUpload):
                await call
    assert await store.usage(bucket) == Usage(0, 0, 1, False, 1)


async def test_an_aborted_upload_is_gone(store: Store, bucket: BucketRef) -> None:
    upload_id, named = await upload(store, bucket, b"big", {1: b"p" * 100_000, 2: b"q"})
    await store.abort_upload(bucket, b"big", upload_id, GUARD)
    with pytest.raises(NoSuchUpload):
        await store.complete_upload(bucket, b"big", upload_id, named, "e-1", None, ALWAYS, GUARD)
    with pytest.raises(NoSuchUpload):
        await store.abort_upload(bucket, b"big", upload_id, GUARD)
    assert await store.usage(bucket) == Usage(0, 0, 0, False)


async def test_uploads_are_listed_by_name_then_id(store: Store, bucket: BucketRef) -> None:
    names = (b"b", b"a/1", b"a/2", b"b", b"b/" + b"x" * 1000, b"c" * 1024)
    made = sorted([(name, await store.create_upload(bucket, UploadInfo(name, 77, SOME), GUARD)) for name in names])
    listing = await store.list_uploads(bucket, b"", b"", (b"", ""), 100)
    assert [(entry.name, entry.upload_id) for entry in listing.entries] == made
    assert {entry.initiated for entry in listing.entries} == {77}
    assert listing.resume is None
    seen: list[tuple[bytes, str]] = []
    after = (b"", "")
    while True:
        page = await store.list_uploads(bucket, b"", b"", after, 2)
        seen += [(entry.name, entry.upload_id) for entry in page.entries]
        if page.resume is None:
            break
        after = page.resume
    assert seen == made
    rolled = await store.list_uploads(bucket, b"", b"/", (b"", ""), 100)
    assert rolled.prefixes == [b"a/", b"b/"]
    assert [entry.name for entry in rolled.entries] == [b"b", b"b", b"c" * 1024]
    rolled = await store.list_uploads(bucket, b"", b"/", (b"a/", ""), 100)
    assert (rolled.prefixes, len(rolled.entries)) == ([b"b/"], 3)
    beyond = await store.list_uploads(bucket, b"", b"", (b"b", ""), 100)
    assert [entry.name for entry in beyond.entries] == [b"b/" + b"x" * 1000, b"c" * 1024]
    only = await store.list_uploads(bucket, b"a", b"", (b"", ""), 100)
    assert [entry.name for entry in only.entries] == [b"a/1", b"a/2"]


async def test_a_bucket_with_objects_is_not_closed(store: Store, bucket: BucketRef) -> None:
    await put(store, bucket, b"name")
    with pytest.raises(BucketNotEmpty):
        await store.close_bucket(bucket, GUARD, b"why")
    with pytest.raises(BucketNotEmpty):
        await store.destroy_bucket(bucket)
    assert not (await store.usage(bucket)).closed
    assert await get(store, bucket, b"name") == b"x"


async def test_a_closed_bucket_refuses_everything_until_it_is_opened(store: Store, bucket: BucketRef) -> None:
    await put(store, bucket, b"name")
    upload_id, named = await upload(store, bucket, b"big", {1: b"p"})
    stored = await segment(store, bucket, b"q")
    await store.delete(bucket, [b"name"], GUARD)
    intent = b"intent of " + bucket.data_id
    await store.close_bucket(bucket, GUARD, intent)
    await store.close_bucket(bucket, None, b"")
    assert intent in await store.intents()
    assert (await store.usage(bucket)).closed
    with pytest.raises(BucketClosed):
        store.peek(bucket, b"name")
        raise BucketClosed  # a backend that cannot peek says so by None
    for call in (
        store.open(bucket, b"name"),
        store.list_objects(bucket, b"", b"", b"", 10),
        store.list_uploads(bucket, b"", b"", (b"", ""), 10),
        put(store, bucket, b"name"),
        store.delete(bucket, [b"name"], GUARD),
        store.create_upload(bucket, UploadInfo(b"n", 1, SOME), GUARD),
        store.put_part(bucket, b"big", upload_id, 2, stored, "e", None, GUARD),
        store.complete_upload(bucket, b"big", upload_id, named, "e-1", None, ALWAYS, GUARD),
        store.upload_info(bucket, b"big", upload_id),
    ):
        with pytest.raises(BucketClosed):
            await call
    await store.reopen_bucket(bucket)
    await store.reopen_bucket(bucket)
    assert intent not in await store.intents()
    await put(store, bucket, b"name", b"again")
    await store.complete_upload(bucket, b"big", upload_id, named, "e-1", None, ALWAYS, GUARD)
    assert await get(store, bucket, b"big") == b"p"


async def test_a_bucket_that_never_was_written_can_be_closed_opened_and_written(
    store: Store, bucket: BucketRef
) -> None:
    await store.reopen_bucket(bucket)
    await store.close_bucket(bucket, GUARD, b"")
    await store.reopen_bucket(bucket)
    await put(store, bucket, b"name")
    assert await get(store, bucket, b"name") == b"x"


async def test_a_bucket_that_is_closed_with_its_content_has_it_when_it_is_opened(
    store: Store, bucket: BucketRef
) -> None:
    await put(store, bucket, b"name")
    await store.close_bucket(bucket, None, b"", with_content=True)
    assert await store.usage(bucket) == Usage(1, 1, 0, True)
    for call in (store.open(bucket, b"name"), put(store, bucket, b"other")):
        with pytest.raises(BucketClosed):
            await call
    await store.reopen_bucket(bucket)
    assert await get(store, bucket, b"name") == b"x"


async def test_a_purge_leaves_nothing_and_goes_on_where_it_was(store: Store, bucket: BucketRef) -> None:
    neighbour = BucketRef(os.urandom(16), "neighbour")
    await put(store, neighbour, b"name")
    for number in range(7):
        await put(store, bucket, f"small/{number}".encode() + b"/" * 600 * (number % 2))
    upload_id, named = await upload(store, bucket, b"multi", {1: b"p" * PART, 2: b"q"})
    await store.complete_upload(bucket, b"multi", upload_id, named, "e-2", None, ALWAYS, GUARD)
    await upload(store, bucket, b"unfinished", {1: b"p" * 100_000, 2: b"q"})
    stored = await segment(store, bucket, b"late")
    # Asked for before it was closed, it closes the bucket itself.
    while await store.purge_bucket(bucket):
        with pytest.raises(BucketClosed):
            await store.list_objects(bucket, b"", b"", b"", 10)
    assert await store.usage(bucket) == Usage(0, 0, 0, True)
    with pytest.raises(BucketClosed):
        await store.put(bucket, b"late", stored, "e", SOME, None, ALWAYS, GUARD)
    assert not await store.purge_bucket(bucket)
    await store.destroy_bucket(bucket)
    assert not await store.purge_bucket(bucket)
    assert await get(store, neighbour, b"name") == b"x"


async def test_a_purge_of_many_objects_takes_several_steps(store: Store, bucket: BucketRef) -> None:
    many = 520
    await asyncio.gather(*(put(store, bucket, f"{number:04}".encode()) for number in range(many)))
    assert await store.purge_bucket(bucket)
    left = (await store.usage(bucket)).objects
    assert many - 500 == left
    await store.reopen_bucket(bucket)  # what is left is whole
    assert await get(store, bucket, f"{many - 1:04}".encode()) == b"x"
    page = await store.list_objects(bucket, b"", b"", b"", 1000)
    assert len(page.entries) == left
    assert not await store.purge_bucket(bucket)


async def test_what_is_being_read_when_its_bucket_is_purged_is_read_to_its_end(store: Store, bucket: BucketRef) -> None:
    data = os.urandom(PART + 500_000)
    upload_id, named = await upload(store, bucket, b"name", {1: data[:PART], 2: data[PART:]})
    await store.complete_upload(bucket, b"name", upload_id, named, "e-2", None, ALWAYS, GUARD)
    opened = await store.open(bucket, b"name")
    reading = opened.read(0, len(data))
    got = await anext(reading)
    while await store.purge_bucket(bucket):
        pass
    async for piece in reading:
        got += piece
    opened.close()
    assert got == data


async def test_a_destroyed_bucket_never_comes_back(store: Store, bucket: BucketRef) -> None:
    await upload(store, bucket, b"big", {1: b"p" * 100_000, 2: b"q"})
    await store.close_bucket(bucket, GUARD, b"intent of " + bucket.data_id)
    await store.destroy_bucket(bucket)
    await store.destroy_bucket(bucket)
    assert await store.usage(bucket) == Usage(0, 0, 0, True)
    assert b"intent of " + bucket.data_id not in await store.intents()
    with pytest.raises(BucketClosed):
        await put(store, bucket, b"name")
    with pytest.raises(BucketClosed):
        await store.list_objects(bucket, b"", b"", b"", 10)


@pytest.mark.parametrize("multipart", [False, True])
async def test_an_open_object_is_of_one_instant(store: Store, bucket: BucketRef, multipart: bool) -> None:
    data = os.urandom(PART + 500_000)
    if multipart:
        upload_id, named = await upload(store, bucket, b"name", {1: data[:PART], 2: data[PART:]})
        await store.complete_upload(bucket, b"name", upload_id, named, "e-2", None, ALWAYS, GUARD)
    else:
        await put(store, bucket, b"name", data)
    opened = await store.open(bucket, b"name")
    reading = opened.read(0, len(data))
    got = await anext(reading)
    await put(store, bucket, b"name", b"new")
    await store.delete(bucket, [b"name"], GUARD)
    await asyncio.sleep(0.1)
    got += b"".join([piece async for piece in reading])
    opened.close()
    opened.close()
    assert got == data


async def test_readers_see_old_or_new_while_it_is_overwritten(store: Store, bucket: BucketRef) -> None:
    versions = [bytes([n]) * (40_000 + n * 70_000) for n in range(12)]
    await put(store, bucket, b"name", versions[0])
    done = asyncio.Event()

    async def read() -> int:
        count = 0
        while not done.is_set():
            assert await get(store, bucket, b"name") in versions
            await asyncio.sleep(0)
            count += 1
        return count

    readers = [asyncio.ensure_future(read()) for _ in range(3)]
    for data in versions * 3:
        await put(store, bucket, b"name", data)
        await asyncio.sleep(0)
    done.set()
    assert all(count > 0 for count in await asyncio.gather(*readers))


CREATING = Guard("AKIATEST", "s3:CreateBucket")


def wish_for(bucket: str, key: str = "AKIATEST", at: int = 1_800_000_000_000) -> Wish:
    return Wish(os.urandom(4).hex(), bucket, key, at)


async def forget_all(store: Store) -> None:
    for each in await store.wishes():
        await store.settle_wish(each.bucket, each.id, "")


async def test_a_wish_is_kept_until_it_is_forgotten(store: Store) -> None:
    wish = wish_for("wished")
    assert await store.wish("wished") is None
    await store.ask_for_bucket(wish, CREATING)
    assert (await store.wish("wished"), await store.wishes()) == (wish, [wish])
    await store.ask_for_bucket(wish_for("wished"), CREATING)  # of the same key: it goes on with the first
    assert await store.wish("wished") == wish
    with pytest.raises(NameAskedFor):
        await store.ask_for_bucket(wish_for("wished", "AKIAOTHER"), CREATING)
    await store.settle_wish("wished", "another", "made")
    await store.settle_wish("nothing", wish.id, "made")
    assert await store.wish("wished") == wish
    await store.settle_wish("wished", wish.id, "TooManyBuckets")
    settled = await store.wish("wished")
    assert settled is not None
    assert (settled.id, settled.outcome) == (wish.id, "TooManyBuckets")
    again = wish_for("wished", "AKIAOTHER")  # what has an outcome is in nobody's way
    await store.ask_for_bucket(again, CREATING)
    await store.settle_wish("wished", wish.id, "")
    assert await store.wish("wished") == again
    await store.settle_wish("wished", again.id, "")
    assert await store.wishes() == []


async def test_who_may_not_ask_leaves_no_wish(store: Store) -> None:
    with pytest.raises(Refused) as caught:
        await store.ask_for_bucket(wish_for("wished"), Guard(REVOKED, "s3:CreateBucket"))
    assert caught.value.code == "KeyAccessRevoked"
    assert await store.wishes() == []


async def test_a_key_can_wish_for_so_many_and_old_wishes_are_forgotten(store: Store) -> None:
    for number in range(MOST_OF_A_KEY):
        await store.ask_for_bucket(wish_for(f"wished-{number}"), CREATING)
    with pytest.raises(Overloaded):
        await store.ask_for_bucket(wish_for("one-more"), CREATING)
    await store.ask_for_bucket(wish_for("one-more", "AKIAOTHER"), CREATING)
    later = wish_for("later", at=1_800_000_000_000 + KEPT + 1)
    await store.ask_for_bucket(later, CREATING)
    assert await store.wishes() == [later]
    await forget_all(store)
