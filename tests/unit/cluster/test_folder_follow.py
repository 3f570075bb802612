"""Following the folders in the background, with real clocks and inotify."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

import pytest

from cooper_operator.cluster.folder import FolderCluster
from cooper_operator.cluster.port import Ref
from unit.cluster.cluster_harness import CREDENTIALS, KEY_ID, FakeBox, FolderHarness, access_key, bucket

BUCKET = Ref("Bucket", "default", "photos")


class Live(FolderHarness):
    def make(self, box: FakeBox | None = None) -> FolderCluster:
        return FolderCluster(self.resources, self.state, self.credentials, box or FakeBox())


@pytest.fixture
async def live(tmp_path: Path) -> AsyncIterator[Live]:
    harness = Live(tmp_path)
    yield harness
    await harness.cluster.close()


async def next_of(refs: AsyncIterator[Ref], wanted: Ref, seconds: float) -> float:
    """Seconds until a watcher was told of a resource."""
    start = time.monotonic()
    async with asyncio.timeout(seconds):
        while await anext(refs) != wanted:
            pass
    return time.monotonic() - start


async def test_changes_are_told_soon_also_in_new_folders(live: Live) -> None:
    live.write("first.yaml", bucket("first"))
    refs = live.cluster.watch()
    await next_of(refs, Ref("Bucket", "default", "first"), 2)
    await asyncio.sleep(0.3)
    live.write("a.yaml", bucket())
    assert await next_of(refs, BUCKET, 1.5) < 1
    live.write("team/sub/b.yaml", bucket("deep"))
    await next_of(refs, Ref("Bucket", "default", "deep"), 1.5)
    await asyncio.sleep(0.3)
    live.write("team/sub/b.yaml", bucket("deep", visibility="Public"))
    await next_of(refs, Ref("Bucket", "default", "deep"), 1.5)
    (live.resources / "a.yaml").unlink()
    assert 1.9 < await next_of(refs, BUCKET, 4) < 3
    assert await live.cluster.get(BUCKET) is None


async def test_edited_credentials_are_told_soon(live: Live) -> None:
    key = await live.cluster.create(access_key())
    refs = live.cluster.watch()
    ref = Ref("AccessKey", "default", "photos")
    await next_of(refs, ref, 2)
    await live.cluster.create_credentials("default", "photos", CREDENTIALS, key, KEY_ID)
    await next_of(refs, ref, 2)
    await asyncio.sleep(0.5)
    (live.credentials / "default/photos.env").unlink()
    await next_of(refs, ref, 1.5)


async def test_folder_that_comes_back_is_followed_again(live: Live) -> None:
    live.write("a.yaml", bucket())
    refs = live.cluster.watch()
    await next_of(refs, BUCKET, 2)
    away = live.resources.with_name("away")
    live.resources.rename(away)
    await asyncio.sleep(2.5)
    assert await live.cluster.get(BUCKET) is not None
    assert live.cluster.problems
    live.resources.mkdir()
    live.write("a.yaml", bucket())
    live.write("b.yaml", bucket("other"))
    await next_of(refs, Ref("Bucket", "default", "other"), 3)
    assert await live.cluster.get(BUCKET) is not None


async def test_deleted_resource_with_an_edited_document_is_made_anew_at_once(live: Live) -> None:
    live.write("a.yaml", bucket())
    refs = live.cluster.watch()
    await next_of(refs, BUCKET, 2)
    made = await live.cluster.get(BUCKET)
    assert made
    held = await live.cluster.update({**made, "metadata": {**made["metadata"], "finalizers": ["cooper.dev/x"]}})
    await live.cluster.delete(BUCKET, made["metadata"]["uid"])
    live.write("a.yaml", bucket(visibility="Public"))
    live.cluster.refresh()
    held = await live.cluster.get(BUCKET)
    assert held
    await live.cluster.update({**held, "metadata": {**held["metadata"], "finalizers": []}})
    async with asyncio.timeout(1):
        while (again := await live.cluster.get(BUCKET)) is None:
            await anext(refs)
    assert again["metadata"]["uid"] != made["metadata"]["uid"]


async def test_close_ends_everything(live: Live) -> None:
    before = asyncio.all_tasks()
    refs = live.cluster.watch()
    waiting = asyncio.ensure_future(anext(refs))
    await asyncio.sleep(0.2)
    await live.cluster.close()
    waiting.cancel()
    with suppress(asyncio.CancelledError):
        await waiting
    assert asyncio.all_tasks() == before
