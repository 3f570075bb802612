"""Watches Secrets by their metadata and tells whose they are when they change.

What changed between a watch and the next list is told by comparing lists.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from cooper_operator.cluster.kubernetes_api import Collection, KubernetesApi
from cooper_operator.cluster.kubernetes_following import follow
from cooper_operator.cluster.kubernetes_ledgers import Ledger, NoLedger
from cooper_operator.cluster.port import Ref

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
        self.attempted = asyncio.Event()

    async def run(self) -> None:
        """Watch until cancelled."""
        await follow(self._api, self._of, self)

    def listed(self, items: Sequence[Mapping[str, Any]]) -> None:
        """Tell what differs from what was known."""
        found = [each["metadata"] for each in items]
        self._ledger.listed(found)
        before = self._known
        self._known = {_key(metadata): (metadata["resourceVersion"], self._owner_of(metadata)) for metadata in found}
        if self.attempted.is_set():
            keys = [key for key in before.keys() | self._known.keys() if before.get(key) != self._known.get(key)]
            self._tell(*(state[key][1] for key in keys for state in (before, self._known) if key in state))
        self.attempted.set()

    def shown(self, item: Mapping[str, Any], deleted: bool) -> None:
        """Tell whose that was, and is."""
        metadata = item["metadata"]
        key, owner = _key(metadata), self._owner_of(metadata)
        _, before = self._known.pop(key, ("", None))
        if not deleted:
            self._known[key] = (metadata["resourceVersion"], owner)
        self._ledger.shown(metadata, deleted, lambda: self._tell(before, owner))

    def lost(self, why: str) -> None:
        """Nothing is known of what happens now."""
        self._ledger.lost()
        self.attempted.set()

    def _tell(self, *owners: Ref | None) -> None:
        for owner in dict.fromkeys(owners):
            if owner is not None:
                self._notify(owner)


def _key(metadata: Mapping[str, Any]) -> tuple[str, str]:
    return metadata.get("namespace", ""), metadata["name"]
