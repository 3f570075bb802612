"""A seeded life of a store, each step of it told to a file of marks before it begins and once it was acknowledged.

What is told is a lane's: a lane does one thing after another and owns the names that it changes, so its state after
each acknowledgement is known as a whole. Run as a program under the recorder: FOLDER MARKS SEED SIZE.
"""

import asyncio
import contextlib
import hashlib
import json
import os
import random
import sys
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Protocol

import msgspec

from cooper_gateway.config import GatewayConfig
from cooper_gateway.crypto import key_file
from cooper_gateway.processes import rotation
from cooper_gateway.records.mirror import Mirror
from cooper_gateway.records.table import record_name
from cooper_gateway.storage import multipart, segments
from cooper_gateway.storage.embedded import EmbeddedStore
from cooper_gateway.storage.port import (
    NO_CONDITIONS,
    Attributes,
    BucketRef,
    Guard,
    NoSuchUpload,
    Overloaded,
    Quota,
    Refused,
    Segment,
    StoreFailed,
    UploadInfo,
    Wish,
)
from support.records_fixtures import key
from support.store_process import CommitterProcess, config_in

GUARD: Final = Guard("AKIATEST", "s3:PutObject")
MAP_SIZE: Final = 1 << 22
SIZES: Final = (0, 10, 700, 3_000, 20_000, 33_000, 40_000, 70_000)
LARGE: Final = 600_000  # more than a writer keeps in memory
_FILES_OF_A_DIRECTORY: Final = 5  # so that many are given up, settled and removed
MIRROR: Final = "mirror/records-mirror"

Delta = Mapping[str, object]


def bucket_named(name: str) -> BucketRef:
    """Which data a bucket of the workload has follows from its name."""
    return BucketRef(hashlib.sha256(name.encode()).digest()[:16], name)


BUCKETS: Final = (bucket_named("first"), bucket_named("second"))


def place(folder: Path) -> GatewayConfig:
    """The store's configuration. Its folder lies deeper than what is there."""
    (folder / "keys").mkdir(exist_ok=True)
    config = config_in(folder, map_size=MAP_SIZE)
    return msgspec.structs.replace(
        config, data_dir=str(folder / "some" / "place" / "data"), kek_file=str(folder / "keys" / "kek")
    )


def body(tag: str, size: int) -> bytes:
    seed = hashlib.sha256(tag.encode()).digest()
    return (seed * (size // len(seed) + 1))[:size]


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:16]


class Tells(Protocol):
    """Who is told."""

    def tell(self, what: str, lane: str, delta: Delta | None = None) -> None: ...


class Teller:
    """Writes marks, each with one call."""

    def __init__(self, path: Path) -> None:
        self._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)

    def tell(self, what: str, lane: str, delta: Delta | None = None) -> None:
        os.write(self._descriptor, json.dumps([what, lane, delta]).encode())


class World:
    """The store as it is reached just now."""

    def __init__(self, folder: Path, teller: Tells, seed: int, under: Sequence[str] = ()) -> None:
        self.teller = teller
        self.chance = random.Random(seed)
        self.committer = CommitterProcess(place(folder), under=under)
        self.store = self._open()
        self.count = 0

    def _open(self) -> EmbeddedStore:
        return EmbeddedStore(self.committer.config, self.committer.keyring, asyncio.get_running_loop())

    def tag(self, lane: str) -> str:
        self.count += 1
        return f"{lane}-{self.count}"

    @contextlib.asynccontextmanager
    async def segment(self, bucket: BucketRef, data: bytes) -> AsyncGenerator[Segment]:
        """These bytes, stored; dropped where they are not committed."""
        writer = self.store.writer(bucket, len(data))
        try:
            await writer.write(data)
            yield await writer.finish()
        finally:
            writer.abort()

    async def new_worker(self) -> None:
        """This one ends, with files that it never committed among others; another begins."""
        lane = Lane(self, f"worker{self.tag('worker')}")
        for number in range(4):
            await lane.put(BUCKETS[0], f"{lane.name}/{number}", 33_000)
            writer = self.store.writer(BUCKETS[0], 40_000)
            await writer.write(bytes(40_000))
            await writer.finish()
        await self.store.close()
        self.store = self._open()


class Lane:
    """Does one thing after the other."""

    def __init__(self, world: World, name: str) -> None:
        self.world = world
        self.name = name
        self.chance = random.Random(world.chance.random())

    async def do(self, work: Callable[[], Awaitable[Any]], delta: Delta) -> bool:
        """Once. False: nobody knows."""
        teller = self.world.teller
        teller.tell("begin", self.name, delta)
        try:
            await work()
        except (Refused, Overloaded):
            teller.tell("void", self.name)
            return False
        except StoreFailed:
            teller.tell("unknown", self.name)
            return False
        teller.tell("ack", self.name)
        return True

    async def surely(self, work: Callable[[], Awaitable[Any]], delta: Delta) -> None:
        """Again and again until it is acknowledged."""
        while not await self.do(work, delta):
            await asyncio.sleep(0.02)

    async def put(self, bucket: BucketRef, name: str, size: int, guard: Guard = GUARD, again: bool = True) -> None:
        tag = self.world.tag(self.name)

        async def work() -> None:
            attributes = Attributes({"content-type": "text/plain"}, {"tag": tag})
            async with self.world.segment(bucket, body(tag, size)) as segment:
                store = self.world.store
                await store.put(bucket, name.encode(), segment, tag, attributes, None, NO_CONDITIONS, guard)

        delta = {f"o/{bucket.name}/{name}": [tag, digest(body(tag, size)), tag, []]}
        await (self.surely(work, delta) if again else self.do(work, delta))

    async def delete(self, bucket: BucketRef, names: list[str]) -> None:
        delta = {f"o/{bucket.name}/{name}": None for name in names}
        encoded = [name.encode() for name in names]
        await self.surely(lambda: self.world.store.delete(bucket, encoded, GUARD), delta)


class Objects(Lane):
    """Puts, overwrites, describes anew, copies and deletes a few names, also several at once."""

    def __init__(self, world: World, name: str) -> None:
        super().__init__(world, name)
        self.bucket = self.chance.choice(BUCKETS)
        self.names = [f"{name}/a", f"{name}/b", f"{name}/" + "long" * 150, f"{name}/d"]
        self.sizes: dict[str, int] = {}
        self.tags: dict[str, list[object]] = {}

    async def act(self) -> None:
        name = self.chance.choice(self.names)
        kind = self.chance.random()
        if kind < 0.5:
            self.sizes[name] = LARGE if self.chance.random() < 0.02 else self.chance.choice(SIZES)
            await self.put(self.bucket, name, self.sizes[name])
        elif kind < 0.62:
            await self.delete(self.bucket, [name])
            self.sizes.pop(name, None)
        elif kind < 0.7:
            await self.delete(self.bucket, self.names)
            self.sizes.clear()
        elif kind < 0.78 and self.sizes:
            await self._describe(self.chance.choice(sorted(self.sizes)))
        elif kind < 0.86 and self.sizes:
            await self._copy(self.chance.choice(sorted(self.sizes)), name)
        elif kind < 0.93:
            limited = msgspec.structs.replace(GUARD, quota=Quota(size=1))
            await self.put(self.bucket, f"{self.name}/too large", 40_000, limited, again=False)
        else:
            writer = self.world.store.writer(self.bucket, None)
            try:
                await writer.write(body("dropped", 600_000))
            finally:
                writer.abort()

    async def _describe(self, name: str) -> None:
        found = await self.world.store.open(self.bucket, name.encode())
        found.close()
        tag = self.world.tag(self.name)
        attributes = Attributes({}, {"tag": tag})
        data = digest(body(found.info.etag, self.sizes[name]))
        delta = {f"o/{self.bucket.name}/{name}": [found.info.etag, data, tag, []]}

        async def work() -> None:
            store = self.world.store
            await store.replace_attributes(self.bucket, name.encode(), attributes, NO_CONDITIONS, GUARD)

        await self.surely(work, delta)

    async def _copy(self, source: str, name: str) -> None:
        """As CopyObject does it."""
        found = await self.world.store.open(self.bucket, source.encode())
        try:
            data = b"".join([piece async for piece in found.read(0, found.info.size)])
        finally:
            found.close()
        tag = self.world.tag(self.name)
        other = BUCKETS[1 - BUCKETS.index(self.bucket)]
        guard = msgspec.structs.replace(GUARD, source=self.bucket.data_id, source_name=source.encode())

        async def work() -> None:
            attributes = Attributes({}, {"tag": tag})
            async with self.world.segment(other, data) as segment:
                store = self.world.store
                await store.put(other, name.encode(), segment, tag, attributes, None, NO_CONDITIONS, guard)

        await self.surely(work, {f"o/{other.name}/{name}": [tag, digest(data), tag, []]})


class Parts(Lane):
    """One upload after the other: parts, parts again, completed in whole or in part, or dropped."""

    async def act(self) -> None:
        bucket, tag = self.chance.choice(BUCKETS), self.world.tag(self.name)
        name = f"{self.name}/{tag}"
        place, upload_ids, parts = f"u/{bucket.name}/{name}", list[str](), dict[int, tuple[str, int]]()
        info = UploadInfo(name.encode(), 1, Attributes({}, {"tag": tag}))

        async def create() -> None:
            upload_ids.append(await self.world.store.create_upload(bucket, info, GUARD))

        if not await self.do(create, {place: []}):
            return
        for number in self.chance.choices((1, 2, 3), k=self.chance.randrange(1, 5)):
            await self._part(bucket, name, upload_ids[0], number, parts)
        if self.chance.random() < 0.3:
            if self.chance.random() < 0.5:
                work = lambda: self._dropped(bucket, name, upload_ids[0])  # noqa: E731
                await self.surely(work, {place: None})
            return
        named = [(number, parts[number][0]) for number in sorted(parts) if number == 1 or self.chance.random() < 0.8]
        named = named or [(number, parts[number][0]) for number in sorted(parts)]
        data = b"".join(body(part, parts[number][1]) for number, part in named)
        sizes = [parts[number][1] for number, _ in named]

        async def complete() -> None:
            store, etag = self.world.store, f"{tag}-{len(named)}"
            await store.complete_upload(bucket, name.encode(), upload_ids[0], named, etag, None, NO_CONDITIONS, GUARD)

        done = {f"o/{bucket.name}/{name}": [f"{tag}-{len(named)}", digest(data), tag, sizes], place: None}
        await self.surely(complete, done)
        if self.chance.random() < 0.6:
            await self.delete(bucket, [name])

    async def _part(
        self, bucket: BucketRef, name: str, upload_id: str, number: int, parts: dict[int, tuple[str, int]]
    ) -> None:
        part, size = self.world.tag(self.name), self.chance.choice(SIZES[1:])

        async def work() -> None:
            async with self.world.segment(bucket, body(part, size)) as segment:
                store = self.world.store
                await store.put_part(bucket, name.encode(), upload_id, number, segment, part, None, GUARD)

        parts[number] = (part, size)
        told = [[each, *parts[each]] for each in sorted(parts)]
        await self.surely(work, {f"u/{bucket.name}/{name}": told})

    async def _dropped(self, bucket: BucketRef, name: str, upload_id: str) -> None:
        with contextlib.suppress(NoSuchUpload):  # by an attempt before this one
            await self.world.store.abort_upload(bucket, name.encode(), upload_id, GUARD)


class Buckets(Lane):
    """Buckets that are made, filled, closed, opened again, emptied and destroyed."""

    async def act(self) -> None:
        tag = self.world.tag(self.name)
        bucket = bucket_named(tag)
        state, names = f"b/{tag}", [f"{number}" for number in range(4)]
        for name in names:
            await self.put(bucket, name, self.chance.choice(SIZES))
        if self.chance.random() < 0.3:
            return
        if self.chance.random() < 0.6:
            close = lambda: self.world.store.close_bucket(bucket, None, b"why", with_content=True)  # noqa: E731
            await self.surely(close, {state: "closed"})
            await self.surely(lambda: self.world.store.reopen_bucket(bucket), {state: None})
        emptied = {f"o/{tag}/{name}": None for name in names}
        await self.surely(lambda: self.world.store.purge_bucket(bucket), {state: "closed", **emptied})
        await self.surely(lambda: self.world.store.destroy_bucket(bucket), {state: "destroyed"})


class Files(Lane):
    """Large objects that are deleted late, when their folder takes no more and has been looked through; one in so many
    stays for good, and with it the folder."""

    def __init__(self, world: World, name: str) -> None:
        super().__init__(world, name)
        self.waiting: list[str] = []

    async def act(self) -> None:
        for number in range(4):
            name = f"{self.name}/{self.world.tag(self.name)}"
            await self.put(BUCKETS[0], name, self.chance.choice((33_000, 40_000)))
            if number:
                self.waiting.append(name)
        await asyncio.sleep(0.02)
        while len(self.waiting) > 6:
            await self.delete(BUCKETS[0], [self.waiting.pop(self.chance.randrange(4))])


class Wishes(Lane):
    """Wishes for buckets."""

    async def act(self) -> None:
        name = self.world.tag(self.name)
        wish = Wish(name, name, name, 1, namespace=name)
        await self.surely(lambda: self.world.store.ask_for_bucket(wish, GUARD), {f"w/{name}": ""})
        await self.surely(lambda: self.world.store.settle_wish(name, name, "made"), {f"w/{name}": "made"})
        if self.chance.random() < 0.7:
            await self.surely(lambda: self.world.store.settle_wish(name, name, ""), {f"w/{name}": None})


class Records(Lane):
    """The mirror of records: snapshots, changes, and that it is given up."""

    def __init__(self, world: World, name: str, path: str) -> None:
        super().__init__(world, name)
        self.mirror = Mirror(path, world.committer.keyring, "namespace")
        self.serial = 0

    async def anew(self) -> None:
        """A snapshot, sealed by the newest key."""
        self.serial += 1

        async def replace() -> None:
            self.mirror.replace([(record_name(key(1)), key(self.serial))])

        await self.do(replace, {"m/": self.serial})

    async def act(self) -> None:
        self.serial += 1
        record = key(self.serial)
        kind = self.chance.random()

        async def append() -> None:
            self.mirror.append({record_name(key(1)): record})

        async def discard() -> None:
            self.mirror.discard()

        if kind < 0.3 and self.mirror.writable:
            await self.do(discard, {"m/": None})
        else:
            await (self.do(append, {"m/": self.serial}) if self.mirror.writable and kind < 0.75 else self.anew())


class Keys(Lane):
    """The key-encryption key: another one, by which all bucket keys are wrapped, and the old ones removed."""

    @property
    def path(self) -> Path:
        return Path(self.world.committer.config.kek_file)

    async def add(self) -> None:
        file = key_file.load(self.path).added()

        async def work() -> None:
            key_file.change(self.path, lambda _: file)

        await self.do(work, {"k/": len(file.keys)})
        await self.surely(self._rewrap, {})

    async def _rewrap(self) -> None:
        path, newest = self.world.committer.config.committer_path, key_file.load(self.path).fingerprints[0]
        try:
            await asyncio.to_thread(lambda: list(rotation.rewrap(path, newest, last=True)))
        except rotation.RewrapFailed as error:
            raise StoreFailed(str(error)) from None

    async def remove(self) -> None:
        for left, fingerprint in reversed(list(enumerate(key_file.load(self.path).fingerprints[1:], 1))):

            async def work(gone: str = fingerprint) -> None:
                key_file.change(self.path, lambda file: file.without(gone))

            # Each by itself: between two of them power may be lost as well. A single key is not told of.
            await self.do(work, {"k/": left if left > 1 else None, f"removed/{fingerprint}": None})


def lanes_of(world: World) -> list[Any]:
    """Lanes of the store."""
    return [
        *(Objects(world, f"objects{number}") for number in range(5)),
        *(Parts(world, f"parts{number}") for number in range(2)),
        *(Buckets(world, f"buckets{number}") for number in range(2)),
        *(Files(world, f"files{number}") for number in range(2)),
        Wishes(world, "wishes"),
    ]


async def act(lane: Any, size: int) -> None:
    """`size` acts, or fewer of those that have many steps."""
    for _ in range(size if isinstance(lane, Objects | Records) else max(1, size // 4)):
        await lane.act()
        await asyncio.sleep(0)


def small_limits() -> None:
    """So that little work meets them."""
    multipart.MIN_PART_SIZE = 1  # type: ignore[misc]
    segments._FILES = _FILES_OF_A_DIRECTORY  # type: ignore[misc]


async def live(folder: Path, marks: Path, seed: int, size: int) -> None:
    """All of it, `size` acts of each lane in each of four times."""
    small_limits()
    (folder / "mirror").mkdir()
    for made in (folder / "mirror", folder):
        descriptor = os.open(made, os.O_RDONLY)
        os.fsync(descriptor)
        os.close(descriptor)
    world = World(folder, Teller(marks), seed)
    records, keys = Records(world, "records", str(folder / MIRROR)), Keys(world, "keys")
    lanes = [*lanes_of(world), records]

    async def all_lanes() -> None:
        await asyncio.gather(*(act(lane, size) for lane in lanes))

    async def kill() -> None:
        await asyncio.sleep(world.chance.uniform(0.1, 0.3))
        world.committer.kill()
        await asyncio.to_thread(world.committer.start)

    await asyncio.gather(all_lanes(), keys.add())
    await asyncio.gather(all_lanes(), keys.add(), kill())
    await records.anew()
    await keys.remove()
    await world.new_worker()
    await all_lanes()
    await world.new_worker()
    await asyncio.to_thread(world.committer.stop)
    await asyncio.to_thread(world.committer.start)
    await all_lanes()
    await world.store.close()
    await asyncio.to_thread(world.committer.stop)


def main() -> None:
    """FOLDER MARKS SEED SIZE"""
    folder, marks, seed, size = sys.argv[1:]
    asyncio.run(live(Path(folder), Path(marks), int(seed), int(size)))


if __name__ == "__main__":
    main()
