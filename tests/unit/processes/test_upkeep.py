"""Idle uploads are looked for each ten minutes, by the Region's setting of that moment."""

import asyncio
import contextlib

import pytest

from cooper_crds.records import RegionRecord
from cooper_gateway.processes.upkeep import expire_uploads
from cooper_gateway.storage.memory import MemoryStore
from cooper_gateway.storage.port import StoreFailed
from support.calls import NOW_SECONDS, FakeDirectory
from support.virtual_time import virtual


class Store(MemoryStore):
    """Notes until when uploads were to be dropped; what it raises comes once."""

    def __init__(self, fails: Exception | None = None) -> None:
        super().__init__()
        self.asked: list[int] = []
        self.fails = fails

    async def expire_uploads(self, before: int) -> int:
        self.asked.append(before)
        failure, self.fails = self.fails, None
        if failure is not None:
            raise failure
        return 3


async def _run(store: Store, directory: FakeDirectory, seconds: float) -> None:
    upkeep = asyncio.create_task(expire_uploads(store, lambda: directory, lambda: NOW_SECONDS))
    await asyncio.sleep(seconds)
    upkeep.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await upkeep


@virtual
async def test_each_ten_minutes_by_the_regions_setting(caplog: pytest.LogCaptureFixture) -> None:
    store, directory = Store(), FakeDirectory(settings=RegionRecord("eu", "eu", idle_uploads=3600.0))
    with caplog.at_level("INFO"):
        await _run(store, directory, 1250)
    assert store.asked == [int((NOW_SECONDS - 3600) * 1000)] * 2
    assert "dropped 3 uploads" in caplog.text


@virtual
@pytest.mark.parametrize("failure", [StoreFailed("the disk"), RuntimeError("damaged")])
async def test_what_fails_is_told_and_tried_again(failure: Exception, caplog: pytest.LogCaptureFixture) -> None:
    store = Store(failure)
    await _run(store, FakeDirectory(), 1250)
    assert len(store.asked) == 2
    assert "could not be dropped" in caplog.text
