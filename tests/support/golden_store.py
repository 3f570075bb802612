"""Writes the golden store of the format that this code writes. Run it when the format's version changes, never else.

PYTHONPATH=tests python -m support.golden_store tests/unit/storage/golden/store-1.tar.xz
"""

import asyncio
import sys
import tarfile
import tempfile
from pathlib import Path

import msgspec

from cooper_gateway.storage import multipart
from cooper_gateway.storage.embedded import EmbeddedStore
from cooper_gateway.storage.port import Attributes, BucketRef, Checksum, Conditions, Guard, UploadInfo
from support.store_process import CommitterProcess, config_in

BUCKET = BucketRef(bytes(range(16)), "golden")
CLOSED = BucketRef(bytes(range(16, 32)), "closed")
INTENT = b"intent"
GUARD = Guard("AKIAGOLDEN", "s3:PutObject")
ATTRIBUTES = Attributes({"content-type": "text/plain"}, {"colour": "gold"})
CHECKSUM = Checksum("CRC64NVME", "AAAAAAAAAAA=")
LONG_NAME = b"long/" + b"n" * 1019
OBJECTS = {b"empty": b"", b"small": b"small body", b"large": b"large body " * 3000, LONG_NAME: b"long name"}
PARTS = {1: b"first part ", 2: b"short second part"}
UPLOAD = UploadInfo(b"unfinished", 1_700_000_000_000, ATTRIBUTES, "CRC32")


async def write(store: EmbeddedStore) -> None:
    """Put everything there is a format for."""
    for name, data in OBJECTS.items():
        writer = store.writer(BUCKET, len(data))
        await writer.write(data)
        await store.put(BUCKET, name, await writer.finish(), "etag", ATTRIBUTES, CHECKSUM, Conditions(), GUARD)
    for upload, complete in ((UploadInfo(b"multi", 1, ATTRIBUTES), True), (UPLOAD, False)):
        upload_id = await store.create_upload(BUCKET, upload, GUARD)
        for number, data in PARTS.items():
            writer = store.writer(BUCKET, len(data))
            await writer.write(data)
            segment = await writer.finish()
            await store.put_part(BUCKET, upload.name, upload_id, number, segment, f"e{number}", CHECKSUM, GUARD)
        if complete:
            named = [(number, f"e{number}") for number in PARTS]
            await store.complete_upload(BUCKET, upload.name, upload_id, named, "etag-2", CHECKSUM, Conditions(), GUARD)
    await store.close_bucket(CLOSED, None, INTENT)


def _anonymous(member: tarfile.TarInfo) -> tarfile.TarInfo:
    member.uid = member.gid = 0
    member.uname = member.gname = ""
    return member


def main() -> None:
    """Write the archive."""
    multipart.MIN_PART_SIZE = 1  # type: ignore[misc]
    with tempfile.TemporaryDirectory() as folder:
        committer = CommitterProcess(msgspec.structs.replace(config_in(Path(folder)), map_size=1 << 24))

        async def run() -> None:
            store = EmbeddedStore(committer.config, committer.keyring, asyncio.get_running_loop())
            await write(store)
            await store.close()

        asyncio.run(run())
        committer.stop()
        with tarfile.open(sys.argv[1], "w:xz") as archive:
            for name in ("data", "kek"):
                archive.add(Path(folder, name), name, filter=_anonymous)


if __name__ == "__main__":
    main()
