"""The watch of a folder adapter ends when it is told to, whatever it is about."""

import asyncio
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from cooper_operator.cluster import folder_watch
from cooper_operator.cluster.folder_watch import FolderWatch


async def _slow_to_end(*_: str, **__: object) -> AsyncGenerator[set[str]]:
    """As the real one, which ends when its thread has."""
    try:
        await asyncio.sleep(3600)
        yield set()
    finally:
        await asyncio.sleep(0.05)


async def test_it_is_closed_while_it_turns_to_other_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folder_watch, "awatch", _slow_to_end)
    folders = {str(tmp_path)}
    watch = FolderWatch(lambda: None, lambda: folders)
    watch.start()
    await asyncio.sleep(0.01)
    (tmp_path / "made").mkdir()
    folders.add(str(tmp_path / "made"))
    watch.wake()
    await asyncio.sleep(0.01)  # the former folders' watch is being ended
    closed = asyncio.create_task(watch.close())
    await asyncio.sleep(0.3)
    assert closed.done()
    assert len(asyncio.all_tasks()) == 1
