"""Unlinking files that a commit dropped: in a thread, since it may take long, and not while they are read."""

import logging
import queue
import threading
from collections import deque
from typing import Final

from cooper_gateway.storage.batch import Garbage
from cooper_gateway.storage.entries import DIRECTORY_ID
from cooper_gateway.storage.layout import Layout, sync_directory
from cooper_gateway.storage.pins import Pins

_PAUSE: Final = 1.0  # seconds between looks whether readers are done

_log = logging.getLogger(__name__)


class Unlinker:
    """Removes files that are garbage. The keys of those that are gone, durably, are appended to `removed`."""

    def __init__(self, layout: Layout, pins: Pins, removed: deque[bytes]) -> None:
        self._layout = layout
        self._pins = pins
        self._removed = removed
        self._queue: queue.SimpleQueue[Garbage | None] = queue.SimpleQueue()
        self._waiting: Garbage = {}  # of objects that are still being read
        self._thread = threading.Thread(target=self._run, name="unlinker", daemon=True)
        self._thread.start()

    def take(self, files: Garbage) -> None:
        """Have files removed, soon."""
        self._queue.put(files)

    def close(self) -> None:
        """Finish what is queued. What is still being read stays, and is removed when the committer starts."""
        self._queue.put(None)
        self._thread.join()

    def _run(self) -> None:
        while (files := self._next()) is not None:
            self._remove(self._unread(self._waiting | files))

    def _next(self) -> Garbage | None:
        try:
            return self._queue.get(timeout=_PAUSE if self._waiting else None)
        except queue.Empty:
            return {}

    def _unread(self, files: Garbage) -> list[bytes]:
        """What may be removed now; the rest waits."""
        pinned = {object_id for object_id in set(files.values()) if object_id and self._is_pinned(object_id)}
        self._waiting = {key: object_id for key, object_id in files.items() if object_id in pinned}
        return [key for key, object_id in files.items() if object_id not in pinned]

    def _is_pinned(self, object_id: bytes) -> bool:
        try:
            return self._pins.held(object_id)
        except OSError:
            _log.exception("it cannot be told whether object %s is being read: it stays for now", object_id.hex())
            return True

    def _remove(self, keys: list[bytes]) -> None:
        gone: list[bytes] = []
        directories: set[bytes] = set()
        for key in keys:
            directory_id, segment_id = key[1 : 1 + DIRECTORY_ID], key[1 + DIRECTORY_ID :]
            try:
                self._layout.segment(directory_id, segment_id).unlink(missing_ok=True)
            except OSError:
                _log.exception("a segment file could not be removed: it is when the committer starts")
                continue
            gone.append(key)
            directories.add(directory_id)
        for directory_id in directories:  # durable, before the rows that remember these files go
            try:
                sync_directory(self._layout.directory(directory_id))
            except FileNotFoundError:
                pass
            except OSError:
                _log.exception("directory %s could not be synced", directory_id.hex())
                gone = [key for key in gone if key[1 : 1 + DIRECTORY_ID] != directory_id]
        self._removed.extend(gone)
