"""Tells gateways how far they must have watched: the highest resourceVersion of a record's write, in one ConfigMap.

A burst of writes makes one write of it, and it never goes back: whoever else writes it, the maximum stays.
"""

import asyncio
import logging
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Final

from cooper_crds.kubernetes import REVISION_KEY, REVISION_OBJECT, revision_of
from cooper_operator.cluster.kubernetes_api import KubernetesApi
from cooper_operator.cluster.kubernetes_objects import core_path
from cooper_operator.cluster.port import AlreadyExists, ClusterError, Conflict, NotFound

log = logging.getLogger(__name__)

#: Seconds between two writes, at least. Gateways look every 2 s.
_INTERVAL: Final = 0.25
_FIRST_PAUSE: Final = 0.1
_LONGEST_PAUSE: Final = 10.0
_UNTOLD: Final = "gateways cannot be told of the latest records"
_ABOUT: Final = f"ConfigMap {REVISION_OBJECT}"


class RevisionWriter:
    """Writes in the background; a failure is tried again until it succeeds or `close`."""

    def __init__(self, api: KubernetesApi, namespace: str) -> None:
        self._api = api
        self._namespace = namespace
        self._wanted = 0
        self._written = -1  # what is known to be there
        self._found: Mapping[str, Any] | None = None  # the ConfigMap as it was read or written last
        self._task: asyncio.Task[None] | None = None

    def wrote(self, version: str) -> None:
        """A record was written and got this resourceVersion."""
        self._wanted = max(self._wanted, int(version))
        if self._wanted > self._written and self._task is None:
            self._task = asyncio.create_task(self._write())

    def confirm(self, version: int) -> None:
        """Of all records there are, this is the highest version: make sure that it is told, whoever removed it."""
        self._written, self._found = -1, None
        self.wrote(str(version))

    async def close(self, seconds: float = 2.0) -> None:
        """Give what is yet to be written a moment, then end. The next start tells what is missing."""
        if self._task is not None:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._task, seconds)

    async def _write(self) -> None:
        pause = _FIRST_PAUSE
        try:
            while self._wanted > self._written:
                try:
                    self._written = await self._raise_to(self._wanted)
                    pause = _FIRST_PAUSE
                    await asyncio.sleep(_INTERVAL)
                except (Conflict, AlreadyExists, NotFound):
                    self._found = None  # somebody else wrote or removed it: read it again
                    await asyncio.sleep(_FIRST_PAUSE)  # where that goes on, such as without the namespace
                except Exception as error:
                    expected = isinstance(error, ClusterError)
                    log.warning("%s, it is tried again: %s", _UNTOLD, error, exc_info=not expected)
                    await asyncio.sleep(pause)
                    pause = min(pause * 2, _LONGEST_PAUSE)
        finally:
            self._task = None

    async def _raise_to(self, wanted: int) -> int:
        """What is there then: `wanted`, or more."""
        found = self._found or await self._read()
        there = None if found is None else revision_of(found)
        if there is not None and there >= wanted:
            self._found = found
            return there
        data = {REVISION_KEY: str(wanted)}
        if found is None:
            made = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": REVISION_OBJECT}, "data": data}
            self._found = await self._api.create(core_path("configmaps", self._namespace), _ABOUT, made)
        else:
            patch = {"metadata": {"resourceVersion": found["metadata"]["resourceVersion"]}, "data": data}
            self._found = await self._api.patch(self._path, _ABOUT, patch)
        return wanted

    async def _read(self) -> Mapping[str, Any] | None:
        try:
            return await self._api.get(self._path, _ABOUT)
        except NotFound:
            return None

    @property
    def _path(self) -> str:
        return core_path("configmaps", self._namespace, REVISION_OBJECT)
