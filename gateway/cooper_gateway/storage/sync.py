"""Making new segment files' directory entries durable, before the commit that refers to them."""

import os
from collections import OrderedDict
from collections.abc import Iterable
from typing import Final

from cooper_gateway.shredding import SyncFailed
from cooper_gateway.storage.layout import Layout, sync_directory
from cooper_gateway.storage.port import StoreFailed

_OPEN: Final = 256  # descriptors of directories kept open


class DirectorySync:
    """Syncs directories of segments, each once for a batch, and their parent when one is new."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._open: OrderedDict[bytes, int] = OrderedDict()

    def sync(self, directories: Iterable[bytes]) -> None:
        """Raise StoreFailed when a directory is missing, SyncFailed when a sync failed, OSError when one cannot be
        opened.
        """
        wanted = list(directories)
        self._open_new([directory_id for directory_id in wanted if directory_id not in self._open])
        for directory_id in wanted:
            try:
                os.fsync(self._open[directory_id])
            except OSError as error:  # a full disk, too: Linux tells an error once, so a second sync would lie
                raise SyncFailed(f"a directory of segments could not be synced: {error.strerror}") from error
            self._open.move_to_end(directory_id)
        while len(self._open) > _OPEN:
            os.close(self._open.popitem(last=False)[1])

    def _open_new(self, new: list[bytes]) -> None:
        """Open directories that were not synced before. They count as such only once their own entries are durable."""
        opened: dict[bytes, int] = {}
        try:
            for directory_id in new:
                path = self._layout.directory(directory_id)
                opened[directory_id] = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            if new:
                self._sync_parent()
        except BaseException as error:
            for descriptor in opened.values():
                os.close(descriptor)
            if isinstance(error, FileNotFoundError):
                raise StoreFailed("the directory of a new segment is missing") from None
            raise
        self._open.update(opened)

    def _sync_parent(self) -> None:
        try:
            sync_directory(self._layout.segments)
        except OSError as error:
            raise SyncFailed(f"the folder of segments could not be synced: {error.strerror}") from error

    def close(self) -> None:
        """Release the descriptors."""
        while self._open:
            os.close(self._open.popitem()[1])
