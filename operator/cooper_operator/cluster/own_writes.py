"""Tells the echo of our own writes from what others did: a watch shows both alike.

What a reconcile wrote itself it has taken into account. Without this each of its writes would make another one, which
reads everything only to find that there is nothing to do.
"""

from collections.abc import Mapping
from typing import Any


class OwnWrites:
    """The version of each object's latest write that its watch has not shown yet. Objects are named by their path."""

    def __init__(self) -> None:
        self._versions: dict[str, str] = {}

    def wrote(self, path: str, written: Mapping[str, Any]) -> None:
        """The object at `path` is as the API server answered to our write of it."""
        self._versions[path] = written["metadata"]["resourceVersion"]

    def is_echo(self, path: str, version: str | None) -> bool:
        """Whether a watch's event (version None: the object is gone) shows nothing but our latest write. Ask once."""
        if version is None:
            self._versions.pop(path, None)
            return False
        if self._versions.get(path) != version:
            return False
        del self._versions[path]
        return True
