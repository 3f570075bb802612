"""Making new segment files' directory entries durable, before the commit that refers to them."""

import os
from collections import OrderedDict
from collections.abc import Iterable
from typing import Final

from cooper_gateway.storage.layout import NO_ROOM, Layout, sync_directory
from cooper_gateway.storage.port import StoreFailed

_OPEN: Final = 256  # descriptors of directories kept open


class SyncFailed(Exception):
    """fsync failed: what is on disk is unknown, and asking again would not tell."""


class DirectorySync:
    """Syncs directories of segments, each once for a batch, and their parent when one is new."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._open: OrderedDict[bytes, int] = OrderedDict()

    def sync(self, directories: Iterable[bytes]) -> None:
        """Raise StoreFailed when a directory is missing, SyncFailed when a sync failed, OSError for want of room."""
        new = [directory_id for directory_id in directories if directory_id not in self._open]
        for directory_id in new:
            try:
                path = self._layout.directory(directory_id)
                self._open[directory_id] = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            except FileNotFoundError:
                raise StoreFailed(f"the directory {directory_id.hex()} of a new segment is missing") from None
        try:
            if new:
                sync_directory(self._layout.segments)
            for directory_id in directories:
                os.fsync(self._open[directory_id])
                self._open.move_to_end(directory_id)
        except OSError as error:
            if error.errno in NO_ROOM:
                raise
            raise SyncFailed(f"a directory of segments could not be synced: {error.strerror}") from error
        while len(self._open) > _OPEN:
            os.close(self._open.popitem(last=False)[1])

    def close(self) -> None:
        """Release the descriptors."""
        while self._open:
            os.close(self._open.popitem()[1])
