"""Today's code reads yesterday's store: the archives were written by the release that introduced each format."""

import asyncio
import tarfile
from pathlib import Path

import pytest

from cooper_gateway.storage.embedded import EmbeddedStore
from cooper_gateway.storage.port import Usage
from support.golden_store import (
    ATTRIBUTES,
    BUCKET,
    CHECKSUM,
    CLOSED,
    GUARD,
    INTENT,
    OBJECTS,
    PARTS,
    UPLOAD,
)
from support.store_process import CommitterProcess, config_in
from support.verifying import assert_sound

#: Bytes of parts in progress that a store has counted, where those were not all.
COUNTED_PARTS = {"store-1.tar.xz": 0}
ARCHIVES = sorted(Path(__file__).parent.glob("golden/*.tar.xz"))


@pytest.mark.parametrize("archive", ARCHIVES, ids=lambda path: path.name)
async def test_a_store_of_an_earlier_release_is_read(archive: Path, tmp_path: Path) -> None:
    with tarfile.open(archive) as packed:
        packed.extractall(tmp_path, filter="data")
    committer = CommitterProcess(config_in(tmp_path))
    store = EmbeddedStore(committer.config, committer.keyring, asyncio.get_running_loop())
    try:
        expected = {**OBJECTS, b"multi": b"".join(PARTS.values())}
        listing = await store.list_objects(BUCKET, b"", b"", b"", 100)
        assert [entry.name for entry in listing.entries] == sorted(expected)
        for name, data in expected.items():
            opened = await store.open(BUCKET, name)
            assert b"".join([piece async for piece in opened.read(0, len(data))]) == data
            assert (opened.info.attributes, opened.info.checksum, opened.info.size) == (ATTRIBUTES, CHECKSUM, len(data))
            opened.close()
        assert opened.info.part_sizes == tuple(len(data) for data in PARTS.values())
        in_parts = COUNTED_PARTS.get(archive.name, sum(map(len, PARTS.values())))
        assert await store.usage(BUCKET) == Usage(len(expected), sum(map(len, expected.values())), 1, False, in_parts)
        (upload,) = (await store.list_uploads(BUCKET, b"", b"", (b"", ""), 10)).entries
        assert (upload.name, upload.initiated) == (UPLOAD.name, UPLOAD.initiated)
        assert await store.upload_info(BUCKET, UPLOAD.name, upload.upload_id) == UPLOAD
        parts = await store.list_parts(BUCKET, UPLOAD.name, upload.upload_id, 0, 10)
        assert [(part.number, part.size, part.etag) for part in parts] == [
            (n, len(d), f"e{n}") for n, d in PARTS.items()
        ]
        assert await store.intents() == [INTENT]
        assert (await store.usage(CLOSED)).closed
        await store.delete(BUCKET, list(expected), GUARD)  # and it can be written
        assert (await store.usage(BUCKET)).objects == 0
    finally:
        await store.close()
        committer.stop()
    assert_sound(committer.config)


def test_there_is_a_store_of_every_format() -> None:
    assert [path.name for path in ARCHIVES] == ["store-1.tar.xz", "store-2.tar.xz"]
