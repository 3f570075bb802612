"""Following a collection: what there is, and then every change of it.

    list ──version──► watch ──however it ended──► pause, list again

No watch goes on from where another ended: a server whose state was restored from a backup answers a version that lies
in its future with silence.
"""

import asyncio
import logging
import random
from collections.abc import Sequence
from typing import Any, Final, Protocol

from cooper_operator.cluster.kubernetes_api import Collection, KubernetesApi
from cooper_operator.cluster.port import ClusterError

log = logging.getLogger(__name__)

_FIRST_PAUSE: Final = 0.2
_LONGEST_PAUSE: Final = 30.0


class Follower(Protocol):
    """Who is told of a collection."""

    def listed(self, items: Sequence[dict[str, Any]]) -> None:
        """This is all there is."""
        ...

    def shown(self, item: dict[str, Any], deleted: bool) -> None:
        """An object was added or changed, or is gone."""
        ...

    def lost(self, why: str) -> None:
        """Nothing is shown until the next list. `why` is empty where a watch ended by itself, which each does."""
        ...


async def follow(
    api: KubernetesApi, of: Collection, follower: Follower, *, longest_pause: float = _LONGEST_PAUSE
) -> None:
    """Tell `follower` until cancelled. `longest_pause` is that between two attempts, in seconds."""
    pause = _FIRST_PAUSE
    while True:
        why = ""
        try:
            listing = await api.list(of)
            follower.listed(listing.items)
            async for event in api.watch(of, listing.version):
                pause = _FIRST_PAUSE
                if event["type"] != "BOOKMARK":
                    follower.shown(event["object"], event["type"] == "DELETED")
        except ClusterError as error:
            why = str(error)
            log.warning("the watch broke and is begun anew in %.1f s: %s", pause, error)
        except Exception as error:
            why = f"{of.about}: {type(error).__name__}"
            log.exception("the watch of %s failed; it is begun anew in %.1f s", of.about, pause)
        finally:
            follower.lost(why)
        await asyncio.sleep(pause * (0.5 + random.random() / 2))
        pause = min(pause * 2, longest_pause)
