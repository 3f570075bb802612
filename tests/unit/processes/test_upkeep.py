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
    """So many seconds by the loop's clock, which the records are as old as."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    upkeep = asyncio.create_task(expire_uploads(store, lambda: directory, lambda: NOW_SECONDS + loop.time() - began))
    await asyncio.sleep(seconds)
    upkeep.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await upkeep


@virtual
async def test_each_ten_minutes_by_the_regions_setting(caplog: pytest.LogCaptureFixture) -> None:
    store, directory = Store(), FakeDirectory(settings=RegionRecord("eu", "eu", idle_uploads=7200.0))
    with caplog.at_level("INFO"):
        await _run(store, directory, 60 + 3600 + 610)
    # First when requests have been served for an hour: who could not go on before has had the time to.
    assert store.asked == [int((NOW_SECONDS + at - 7200) * 1000) for at in (3660, 4260)]
    assert "dropped 3 uploads" in caplog.text


@virtual
@pytest.mark.parametrize("failure", [StoreFailed("the disk"), RuntimeError("damaged")])
async def test_what_fails_is_told_and_tried_again(failure: Exception, caplog: pytest.LogCaptureFixture) -> None:
    store = Store(failure)
    await _run(store, FakeDirectory(), 60 + 3600 + 610)
    assert len(store.asked) == 2
    assert "could not be dropped" in caplog.text


@virtual
async def test_what_is_to_go_sooner_is_looked_for_more_often() -> None:
    store = Store()
    await _run(store, FakeDirectory(settings=RegionRecord("eu", "eu", idle_uploads=60.0)), 310)
    assert len(store.asked) == 4  # from the second minute on


@virtual
async def test_while_no_request_is_served_no_upload_is_idle() -> None:
    """Records that are too old: all is answered 503, and nobody can add to an upload."""
    store = Store()
    await _run(store, FakeDirectory(settings=RegionRecord("eu", "eu", idle_uploads=60.0, max_record_age=90.0)), 3600)
    assert store.asked == []
