"""Wakes a folder adapter when something in its folders may have changed, soon after, and every two seconds anyway."""

import asyncio
import contextlib
import logging
import os
from collections.abc import Callable
from typing import Final

from watchfiles import awatch  # pyright: ignore[reportUnknownVariableType]  (an optional parameter's type)

_log = logging.getLogger(__name__)

#: Seconds between two looks when nothing was noticed: inotify can miss what happens on network file systems.
RESCAN: Final = 2.0
#: Milliseconds without a further change after which changes are told, and the most that this may delay them.
_QUIET: Final = 20
_DEBOUNCE: Final = 60
#: Seconds after which a new watch is surely set up, so that a look misses nothing that came before it.
_SETTLED: Final = 0.1


class FolderWatch:
    """Calls `look` again and again until closed; `look` returns the seconds after which it wants to be called at last.

    `folders` gives absolute paths of all folders to watch. Each is watched by itself, not with its sub-folders: a
    recursive watch follows symlinks out of the folder.
    """

    def __init__(self, look: Callable[[], float | None], folders: Callable[[], set[str]]) -> None:
        self._look = look
        self._folders = folders
        self._dirty = asyncio.Event()
        self._watched: set[tuple[str, int, int]] = set()
        self._task: asyncio.Task[None] | None = None
        self._notifier: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin, in the running event loop. Does nothing when begun already."""
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._run())

    def wake(self) -> None:
        """Look soon."""
        self._dirty.set()

    async def close(self) -> None:
        """Stop and wait until stopped."""
        task, self._task = self._task, None
        if task is not None:
            await _cancelled(task)
            await self._stop_notifier()

    async def _run(self) -> None:
        while True:
            self._dirty.clear()
            due = self._look_once()
            timeout = RESCAN if due is None else min(RESCAN, due)
            if await self._watch_folders():
                timeout = min(timeout, _SETTLED)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(timeout):
                    await self._dirty.wait()

    def _look_once(self) -> float | None:
        try:
            return self._look()
        except Exception:
            # Whatever one file did, the other files are still to be followed.
            _log.exception("following the resources folder failed; trying again in %.0f s", RESCAN)
            return None

    async def _watch_folders(self) -> bool:
        """Watch other folders when they are others than before, or made anew. Returns whether that was so."""
        wanted = {identity for path in self._folders() if (identity := _identity(path))}
        ended = self._notifier is not None and self._notifier.done()
        if wanted == self._watched and not ended:
            return False
        await self._stop_notifier()
        self._watched = wanted
        if wanted:
            paths = sorted(path for path, _, _ in wanted)
            self._notifier = asyncio.get_running_loop().create_task(self._notify(paths))
        return not ended

    async def _notify(self, paths: list[str]) -> None:
        changes = awatch(
            *paths,
            watch_filter=None,
            debounce=_DEBOUNCE,
            step=_QUIET,
            recursive=False,
            ignore_permission_denied=True,
        )
        # No inotify watch left, or a folder went away: the look every two seconds goes on, and this is tried again.
        with contextlib.suppress(OSError, RuntimeError):
            async for _ in changes:
                self._dirty.set()

    async def _stop_notifier(self) -> None:
        notifier, self._notifier = self._notifier, None
        if notifier is not None:
            await _cancelled(notifier)


async def _cancelled(task: asyncio.Task[None]) -> None:
    """End a task. Who is cancelled while he waits for that, is: the one's end is not taken for the other's."""
    task.cancel()
    await asyncio.wait({task})


def _identity(path: str) -> tuple[str, int, int] | None:
    try:
        status = os.stat(path, follow_symlinks=True)
    except OSError:
        return None
    return (path, status.st_dev, status.st_ino)
