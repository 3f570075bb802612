"""The hash of a bucket's entries is that of what is there, after whatever sequence of writes."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cooper_gateway.storage import multipart, set_hash
from cooper_gateway.storage.embedded import EmbeddedStore
from cooper_gateway.storage.port import (
    Attributes,
    BucketClosed,
    BucketRef,
    ConditionFailed,
    Conditions,
    Guard,
    NoSuchName,
    NoSuchUpload,
    Segment,
    SegmentWriter,
    StoreError,
    UploadInfo,
)
from support.store_process import CommitterProcess, config_in
from support.verifying import assert_sound

ENTRIES = st.tuples(st.sampled_from([b"o", b"u", b"p"]), st.binary(max_size=20), st.binary(max_size=20))


@given(st.lists(ENTRIES), st.randoms())
def test_it_is_of_the_set_and_not_of_the_way_to_it(
    there: list[tuple[bytes, bytes, bytes]], chance: random.Random
) -> None:
    found = set_hash.EMPTY
    for entry in there:
        found = set_hash.changed(found, set_hash.element(*entry))
    for_a_while = [(b"o", b"gone", bytes([number])) for number in range(3)]
    acts = [(1, entry) for entry in [*there, *for_a_while]]
    chance.shuffle(acts)
    other = set_hash.EMPTY
    for sign, entry in acts + [(-1, entry) for entry in for_a_while]:
        other = set_hash.changed(other, sign * set_hash.element(*entry))
    assert other == found
    assert len(found) == set_hash.SIZE


@given(ENTRIES, ENTRIES)
def test_entries_that_differ_in_anything_have_other_numbers(
    one: tuple[bytes, bytes, bytes], other: tuple[bytes, bytes, bytes]
) -> None:
    assert (set_hash.element(*one) == set_hash.element(*other)) is (one == other)


def test_what_is_not_known_stays_unknown() -> None:
    assert set_hash.changed(b"", 7) == b""


GUARD = Guard("AKIATEST", "s3:PutObject")
SIZES = (0, 10, 32_769, 70_000)
LONG = b"n" * 1024


class Life:
    """Random writes to a few names of two buckets, from several tasks at once."""

    def __init__(self, store: EmbeddedStore, chance: random.Random) -> None:
        self.store = store
        self.chance = chance
        self.buckets = [BucketRef(chance.randbytes(16), f"b{number}") for number in range(2)]
        self.uploads: list[tuple[BucketRef, bytes, str]] = []
        self.acts: list[Callable[[], Awaitable[None]]] = [
            *[self.put] * 4,
            self.replace,
            *[self.delete] * 2,
            self.begin,
            *[self.part] * 3,
            self.complete,
            self.abort,
            self.expire,
            self.purge,
        ]

    async def run(self, steps: int) -> None:
        for _ in range(steps):
            try:
                await self.chance.choice(self.acts)()
            except (NoSuchName, NoSuchUpload, ConditionFailed, BucketClosed):
                continue  # others were faster: nothing is to have happened
            except StoreError as error:
                # Others had destroyed the bucket, and with it its key.
                keyless = "the bucket key" in str(error)
                assert type(error).__name__ in ("InvalidPart", "EntityTooSmall") or keyless, error

    def bucket(self) -> BucketRef:
        return self.chance.choice(self.buckets)

    def name(self) -> bytes:
        return self.chance.choice([b"a", b"b/c", LONG, LONG[:503], LONG[:1006], b"z" * self.chance.randrange(1, 1025)])

    def conditions(self) -> Conditions:
        return self.chance.choice([Conditions(), Conditions(), Conditions(if_none_match="*"), Conditions(if_match="*")])

    async def segment(self, bucket: BucketRef) -> tuple[SegmentWriter, Segment]:
        size = self.chance.choice(SIZES)
        writer = self.store.writer(bucket, size)
        await writer.write(self.chance.randbytes(size))
        return writer, await writer.finish()

    async def put(self) -> None:
        bucket = self.bucket()
        writer, segment = await self.segment(bucket)
        try:
            await self.store.put(bucket, self.name(), segment, "e", Attributes(), None, self.conditions(), GUARD)
        except StoreError:
            writer.abort()
            raise

    async def replace(self) -> None:
        attributes = Attributes({"content-type": self.chance.choice(["a/b", "c/d"])}, {})
        await self.store.replace_attributes(self.bucket(), self.name(), attributes, Conditions(), GUARD)

    async def delete(self) -> None:
        await self.store.delete(self.bucket(), [self.name() for _ in range(3)], GUARD)

    async def begin(self) -> None:
        bucket, name = self.bucket(), self.name()
        self.uploads.append(
            (bucket, name, await self.store.create_upload(bucket, UploadInfo(name, 1, Attributes()), GUARD))
        )

    def upload(self) -> tuple[BucketRef, bytes, str]:
        if not self.uploads:
            raise NoSuchUpload
        return self.chance.choice(self.uploads)

    async def part(self) -> None:
        bucket, name, upload_id = self.upload()
        writer, segment = await self.segment(bucket)
        try:
            number = self.chance.randrange(1, 5)
            await self.store.put_part(bucket, name, upload_id, number, segment, f"{number}", None, GUARD)
        except StoreError:
            writer.abort()
            raise

    async def complete(self) -> None:
        bucket, name, upload_id = self.upload()
        parts = [part.number for part in await self.store.list_parts(bucket, name, upload_id, 0, 10)]
        named = [(number, f"{number}") for number in parts if self.chance.random() < 0.8]
        await self.store.complete_upload(bucket, name, upload_id, named, "m", None, self.conditions(), GUARD)

    async def abort(self) -> None:
        bucket, name, upload_id = self.upload()
        await self.store.abort_upload(bucket, name, upload_id, GUARD)

    async def expire(self) -> None:
        if self.chance.random() < 0.2:
            await self.store.expire_uploads(1 << 60)

    async def purge(self) -> None:
        if self.chance.random() > 0.2:
            return
        bucket = self.bucket()
        await self.store.purge_bucket(bucket)
        if self.chance.random() < 0.5:
            await self.store.reopen_bucket(bucket)
        else:
            while await self.store.purge_bucket(bucket):
                pass
            await self.store.destroy_bucket(bucket)
            if bucket in self.buckets:  # else somebody was faster
                self.buckets[self.buckets.index(bucket)] = BucketRef(self.chance.randbytes(16), bucket.name)


@pytest.mark.parametrize("seed", range(4))
async def test_a_store_is_sound_after_any_life(seed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(multipart, "MIN_PART_SIZE", 1)
    committer = CommitterProcess(config_in(tmp_path))
    store = EmbeddedStore(committer.config, committer.keyring, asyncio.get_running_loop())
    chance = random.Random(seed)
    try:
        for _ in range(3):
            life = Life(store, chance)
            await asyncio.gather(*(life.run(40) for _ in range(4)))
            await asyncio.to_thread(assert_sound, committer.config)
        committer.kill()
        committer.start()
        await asyncio.to_thread(assert_sound, committer.config)
    finally:
        await store.close()
        committer.stop()
