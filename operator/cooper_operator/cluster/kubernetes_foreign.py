"""Follows single Secrets that are not ours and stand in somebody's way: nobody else would tell when one goes.

Each is watched by its name, as kubelets watch those that they mount. A follower lasts for a while after it was last
asked for, so that nobody has to end it; there are few at a time, and who is refused one looks again by himself.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from cooper_operator.cluster.kubernetes_api import Collection, KubernetesApi
from cooper_operator.cluster.kubernetes_ledgers import Metadata, NoLedger
from cooper_operator.cluster.kubernetes_objects import core_path
from cooper_operator.cluster.kubernetes_watch import OwnerWatch
from cooper_operator.cluster.port import Ref

#: Seconds. Whoever waits looks again, and asks again, at least every 30 s.
LASTS: Final = 90.0
#: Each is a stream of its own from the API server.
AT_MOST: Final = 64


@dataclass(slots=True)
class _Follower:
    name: str
    watch: OwnerWatch
    task: asyncio.Task[None]
    end: asyncio.TimerHandle


class ForeignSecrets:
    """`notify` is told of who waits for a Secret's name, when the Secret is gone."""

    def __init__(self, api: KubernetesApi, notify: Callable[[Ref], None]) -> None:
        self._api = api
        self._notify = notify
        self._followers: dict[Ref, _Follower] = {}

    async def follow(self, waiting: Ref, name: str) -> None:
        """Follow the Secret of that name in the namespace of `waiting`. What happens to it from now on is told."""
        found = self._followers.get(waiting)
        if found is not None and found.name != name:
            self._end(waiting)
            found = None
        if found is None and len(self._followers) >= AT_MOST:
            return
        found = found or self._begin(waiting, name)
        found.end.cancel()
        found.end = self._end_later(waiting)
        await found.watch.attempted.wait()

    async def close(self) -> None:
        """End all."""
        tasks = [follower.task for follower in self._followers.values()]
        for waiting in list(self._followers):
            self._end(waiting)
        await asyncio.gather(*tasks, return_exceptions=True)

    def _begin(self, waiting: Ref, name: str) -> _Follower:
        path, selector = core_path("secrets", waiting.namespace), {"fieldSelector": f"metadata.name={name}"}
        of = Collection(path, f"Secret {waiting.namespace}/{name}", selector, metadata_only=True)
        watch = OwnerWatch(self._api, of, lambda metadata: waiting, self._notify, _OnlyTheEnd())
        task = asyncio.create_task(watch.run())
        self._followers[waiting] = follower = _Follower(name, watch, task, self._end_later(waiting))
        return follower

    def _end_later(self, waiting: Ref) -> asyncio.TimerHandle:
        return asyncio.get_running_loop().call_later(LASTS, self._end, waiting)

    def _end(self, waiting: Ref) -> None:
        follower = self._followers.pop(waiting)
        follower.end.cancel()
        follower.task.cancel()


class _OnlyTheEnd(NoLedger):
    """A foreign Secret that only changed is still in the way."""

    def shown(self, metadata: Metadata, deleted: bool, tell: Callable[[], None]) -> None:
        """Worth telling when it is gone."""
        if deleted:
            tell()
