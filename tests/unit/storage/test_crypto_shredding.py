"""A bucket that is destroyed cannot be read by anybody any more: shown on every byte that is left on the disk."""

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from cooper_gateway.crypto.envelope import HEADER_SIZE, BucketCipher
from cooper_gateway.crypto.keyring import Keyring
from cooper_gateway.storage.bucket_keys import BucketKeys
from cooper_gateway.storage.embedded import EmbeddedStore
from cooper_gateway.storage.layout import Layout
from cooper_gateway.storage.port import Attributes, BucketRef, Conditions, Guard
from support.disk_crashes import Crash, CrashAfter
from support.store_process import CommitterProcess

GUARD = Guard("AKIATEST", "s3:PutObject")
LARGE = os.urandom(200_000)  # bytes: a file


async def put(store: EmbeddedStore, bucket: BucketRef, name: bytes, data: bytes) -> None:
    writer = store.writer(bucket, None)
    await writer.write(data)
    await store.put(bucket, name, await writer.finish(), "e", Attributes({}, {}), None, Conditions(), GUARD)


class BucketKey:
    """A bucket's key as it is on the disk, and what it is once unwrapped."""

    def __init__(self, layout: Layout, keyring: Keyring, data_id: bytes) -> None:
        self.file = layout.bucket_key(data_id)
        self.wrapped = bytes.fromhex(json.loads(self.file.read_bytes())["wrapped"])
        self.key = keyring.unwrap(self.wrapped, data_id)

    def forms(self) -> list[bytes]:
        """The secret parts in every form in which they could lie somewhere: halves, since a block's end may cut."""
        whole = [self.wrapped, self.wrapped.hex().encode(), self.key, self.key.hex().encode()]
        return [half for each in whole for half in (each[: len(each) // 2], each[len(each) // 2 :])]

    def found_in(self, root: Path) -> list[Path]:
        """Files that hold any of it."""
        contents = {path: path.read_bytes() for path in root.rglob("*") if path.is_file()}
        return [path for path, content in contents.items() if any(form in content for form in self.forms())]


async def test_nothing_on_the_disk_opens_what_a_destroyed_bucket_held(
    store: EmbeddedStore, committer: CommitterProcess, tmp_path: Path
) -> None:
    doomed, other = (BucketRef(os.urandom(16), name) for name in ("doomed", "other"))
    for bucket in (doomed, other):
        await put(store, bucket, b"small", b"a few bytes")
        await put(store, bucket, b"large", LARGE)
    layout, keyring = Layout(committer.config.data_dir), committer.keyring
    key = BucketKey(layout, keyring, doomed.data_id)
    cipher = BucketCipher(doomed.data_id, key.key)
    old = [(bytes.fromhex(path.name), path.read_bytes()) for path in layout.segments.rglob("*") if path.is_file()]
    of_doomed = [(segment, sealed) for segment, sealed in old if opens(cipher, segment, sealed)]
    assert len(of_doomed) == 1, "the test knows what it looks for"
    assert key.found_in(layout.root) == [key.file], "and finds it while it is there"
    kept = tmp_path / "the blocks that the key's file had"
    os.link(key.file, kept)

    while await store.purge_bucket(doomed):
        pass
    await store.destroy_bucket(doomed)
    await store.close()
    committer.stop()

    assert key.found_in(layout.root) == []
    content = kept.read_bytes()
    assert content and not any(form in content for form in key.forms()), "it was overwritten, not only unlinked"
    left = [path.read_bytes() for path in (*layout.bucket_keys.iterdir(), kept, Path(committer.config.kek_file))]
    for segment, sealed in of_doomed:
        for candidate in candidates(keyring, [doomed.data_id, other.data_id], left):
            assert not opens(BucketCipher(doomed.data_id, candidate), segment, sealed)


def candidates(keyring: Keyring, data_ids: list[bytes], contents: list[bytes]) -> Iterator[bytes]:
    """Every key that files give, with the key-encryption key: as they are, and unwrapped as any bucket's."""
    for content in contents:
        yield from (content[at : at + 32] for at in range(len(content) - 31))
        try:
            wrapped = bytes.fromhex(json.loads(content)["wrapped"])
        except (ValueError, KeyError):
            try:
                yield bytes.fromhex(json.loads(content)["key"])
            except (ValueError, KeyError):
                pass
            continue
        for data_id in data_ids:
            try:
                yield keyring.unwrap(wrapped, data_id)
            except ValueError:
                pass


def opens(cipher: BucketCipher, segment_id: bytes, sealed: bytes) -> bool:
    """Whether a segment's file opens as one of this bucket."""
    segment = cipher.segment(segment_id, sealed[:HEADER_SIZE])
    try:
        segment.open_frames(memoryview(sealed)[HEADER_SIZE:], 0, True)
    except ValueError:
        return False
    return True


@pytest.mark.parametrize("steps", range(4))
def test_a_shredding_that_is_cut_short_is_finished_by_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, steps: int
) -> None:
    layout = Layout(str(tmp_path / "data"))
    layout.create()
    keyring = Keyring(os.urandom(32))
    data_id = os.urandom(16)
    BucketKeys(layout, keyring).create(data_id)
    BucketKeys(layout, keyring).publish(data_id)
    key = BucketKey(layout, keyring, data_id)
    os.link(key.file, tmp_path / "blocks")
    with monkeypatch.context() as patch:
        crash = CrashAfter(patch, steps)
        try:
            BucketKeys(layout, keyring).shred(data_id)
        except Crash:
            pass
    assert crash.crashed == (steps < 3), "there are three steps: overwritten and synced, unlinked, synced"
    BucketKeys(layout, keyring).shred(data_id)
    assert not key.file.exists()
    assert key.found_in(tmp_path) == []


async def test_a_committer_that_is_killed_before_it_shreds_does_so_when_it_is_back(
    store: EmbeddedStore, committer: CommitterProcess
) -> None:
    bucket = BucketRef(os.urandom(16), "doomed")
    await put(store, bucket, b"large", LARGE)
    layout = Layout(committer.config.data_dir)
    key = BucketKey(layout, committer.keyring, bucket.data_id)
    content = key.file.read_bytes()
    while await store.purge_bucket(bucket):
        pass
    # As if it had been killed after the commit: the garbage's row is there, and so is the file.
    await store.destroy_bucket(bucket)
    committer.kill()
    key.file.write_bytes(content)
    committer.start()
    committer.stop()
    assert key.found_in(layout.root) == []
    assert not [path for path in layout.segments.rglob("*") if path.is_file()]
