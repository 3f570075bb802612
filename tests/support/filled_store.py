"""A store with something of everything in it, and what it holds."""

import asyncio
import random
from pathlib import Path

from cooper_gateway.storage import multipart
from cooper_gateway.storage.embedded import EmbeddedStore
from cooper_gateway.storage.port import Attributes, BucketRef, Conditions, Guard, UploadInfo
from support.store_process import CommitterProcess

GUARD = Guard("AKIATEST", "s3:PutObject")
BUCKET = BucketRef(bytes(range(16)), "photos")
OTHER = BucketRef(bytes(range(16, 32)), "other")
LARGE = random.Random(7).randbytes(150_000)
DEEP = b"d" * 1010
BODIES = {b"small": b"small body", b"large": LARGE, b"empty": b"", DEEP: b"deep", b"e" * 503: b"at the cut"}
#: Bodies of the parts of `multi`, which is complete, and `begun`, which is not.
MULTI = [LARGE, b"second", LARGE[:40_000]]
BEGUN = [LARGE, b"second"]


async def put(store: EmbeddedStore, bucket: BucketRef, name: bytes, data: bytes) -> None:
    writer = store.writer(bucket, len(data))
    await writer.write(data)
    await store.put(bucket, name, await writer.finish(), "e", Attributes(), None, Conditions(), GUARD)


async def upload(store: EmbeddedStore, bucket: BucketRef, name: bytes, parts: list[bytes], complete: bool) -> None:
    upload_id = await store.create_upload(bucket, UploadInfo(name, 1, Attributes()), GUARD)
    for number, data in enumerate(parts, 1):
        writer = store.writer(bucket, len(data))
        await writer.write(data)
        await store.put_part(bucket, name, upload_id, number, await writer.finish(), f"{number}", None, GUARD)
    if complete:
        named = [(number, f"{number}") for number in range(1, len(parts) + 1)]
        await store.complete_upload(bucket, name, upload_id, named, "m", None, Conditions(), GUARD)


async def fill(store: EmbeddedStore) -> None:
    for bucket in (BUCKET, OTHER):
        for name, data in BODIES.items():
            await put(store, bucket, name, data)
        await upload(store, bucket, b"multi", MULTI, complete=True)
        await upload(store, bucket, b"begun", BEGUN, complete=False)


def filled(committer: CommitterProcess, more: int = 0) -> CommitterProcess:
    """Fill a store, with `more` small objects as well, and stop its committer."""
    least, multipart.MIN_PART_SIZE = multipart.MIN_PART_SIZE, 1  # type: ignore[misc]

    async def run() -> None:
        store = EmbeddedStore(committer.config, committer.keyring, asyncio.get_running_loop())
        await fill(store)
        for number in range(more):
            await put(store, BUCKET, b"more/%04d" % number, b"body of %d" % number * 20)
        await store.close()

    try:
        asyncio.run(run())
    finally:
        multipart.MIN_PART_SIZE = least  # type: ignore[misc]
    committer.stop()
    return committer


def files_of(committer: CommitterProcess) -> list[Path]:
    """Segment files."""
    return sorted(path for path in Path(committer.config.data_dir, "segments").rglob("*") if path.is_file())


def flip(path: Path, position: int, bit: int = 0) -> None:
    """Change one bit of a file."""
    with path.open("r+b") as file:
        file.seek(position)
        (byte,) = file.read(1)
        file.seek(position)
        file.write(bytes([byte ^ 1 << bit]))
