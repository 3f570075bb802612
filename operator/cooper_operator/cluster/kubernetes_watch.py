"""Watches Secrets by their metadata and tells whose they are when they change.

    list ──version──► watch ──however it ended──► pause, list again

No watch goes on from where another ended: a server whose state was restored from a backup answers a version that lies
in its future with silence. What changed in between is told by comparing lists.
"""

import asyncio
import logging
import random
from collections.abc import Callable, Mapping
from typing import Any, Final

from cooper_operator.cluster.kubernetes_api import Collection, KubernetesApi
from cooper_operator.cluster.kubernetes_ledgers import Ledger, NoLedger
from cooper_operator.cluster.port import ClusterError, Ref

log = logging.getLogger(__name__)

_FIRST_PAUSE: Final = 0.2
_LONGEST_PAUSE: Final = 30.0

OwnerOf = Callable[[Mapping[str, Any]], Ref | None]


class OwnerWatch:
    """`owner_of` reads an object's metadata; `notify` is told each owner of what was added, changed or removed.

    `ledger` notes everything, and says which events are worth telling.

    What the first listing finds is not told, if that is the first attempt: who waits for `attempted` before he reads,
    misses nothing.
    """

    def __init__(
        self,
        api: KubernetesApi,
        of: Collection,
        owner_of: OwnerOf,
        notify: Callable[[Ref], None],
        ledger: Ledger | None = None,
    ) -> None:
        self._api = api
        self._of = of
        self._owner_of = owner_of
        self._notify = notify
        self._ledger = ledger or NoLedger()
        self._known: dict[tuple[str, str], tuple[str, Ref | None]] = {}  # version and owner
        self._pause = _FIRST_PAUSE
        self.attempted = asyncio.Event()

    async def run(self) -> None:
        """Watch until cancelled."""
        while True:
            try:
                await self._follow(await self._list())
            except ClusterError as error:
                log.warning("the watch broke and is begun anew in %.1f s: %s", self._pause, error)
            except Exception:
                log.exception("the watch of %s failed; it is begun anew in %.1f s", self._of.about, self._pause)
            finally:
                self._ledger.lost()
                self.attempted.set()
            await asyncio.sleep(self._pause * (0.5 + random.random() / 2))
            self._pause = min(self._pause * 2, _LONGEST_PAUSE)

    async def _list(self) -> str:
        """Tell what differs from what was known; the version to watch from."""
        listing = await self._api.list(self._of)
        found = [each["metadata"] for each in listing.items]
        self._ledger.listed(found)
        before = self._known
        self._known = {_key(metadata): (metadata["resourceVersion"], self._owner_of(metadata)) for metadata in found}
        if self.attempted.is_set():
            keys = [key for key in before.keys() | self._known.keys() if before.get(key) != self._known.get(key)]
            self._tell(*(state[key][1] for key in keys for state in (before, self._known) if key in state))
        self.attempted.set()
        return listing.version

    async def _follow(self, version: str) -> None:
        async for event in self._api.watch(self._of, version):
            metadata = event["object"]["metadata"]
            self._pause = _FIRST_PAUSE
            if event["type"] != "BOOKMARK":
                self._saw(event["type"] == "DELETED", metadata)

    def _saw(self, deleted: bool, metadata: Mapping[str, Any]) -> None:
        key, owner = _key(metadata), self._owner_of(metadata)
        _, before = self._known.pop(key, ("", None))
        if not deleted:
            self._known[key] = (metadata["resourceVersion"], owner)
        if self._ledger.shown(metadata, deleted):
            self._tell(before, owner)

    def _tell(self, *owners: Ref | None) -> None:
        for owner in dict.fromkeys(owners):
            if owner is not None:
                self._notify(owner)


def _key(metadata: Mapping[str, Any]) -> tuple[str, str]:
    return metadata.get("namespace", ""), metadata["name"]
