"""Reports events. None is worth failing for: what cannot be reported is logged and left out.

So are events of what is well where thousands of resources come at a time: each is a write as dear as the Secret that it
tells of, and conditions say the same. What is wrong is always reported.
"""

import logging
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Any, Final

from cooper_operator.cluster.kubernetes_api import KubernetesApi
from cooper_operator.cluster.kubernetes_errors import Terminating
from cooper_operator.cluster.kubernetes_events import event_name, event_namespace, new_event, repeat_patch
from cooper_operator.cluster.kubernetes_objects import core_path
from cooper_operator.cluster.port import AlreadyExists, ClusterError, Conflict, NotFound, Object

log = logging.getLogger(__name__)

#: How many of the latest events are remembered, so that a repeat costs one request.
_KNOWN: Final = 1000
_ATTEMPTS: Final = 3
#: Events of what is well: how many may come at once, and how many a second on.
_AT_ONCE: Final = 200
_A_SECOND: Final = 5.0


class EventRecorder:
    """`clock` gives Unix seconds, `monotonic` those of a clock that nobody sets."""

    def __init__(
        self, api: KubernetesApi, clock: Callable[[], float], monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._api = api
        self._clock = clock
        self._routine = _Allowance(monotonic)
        self._known: OrderedDict[tuple[str, str], Mapping[str, Any]] = OrderedDict()

    async def emit(self, about: Object, type_: str, reason: str, message: str) -> None:
        """Create the event, or count a repeat on the one that is there."""
        if type_ == "Normal" and not self._routine.take():
            return
        place = (event_namespace(about), event_name(about, type_, reason, message))
        try:
            for _ in range(_ATTEMPTS):
                try:
                    self._remember(
                        place, await self._write(place, new_event(about, type_, reason, message, self._clock()))
                    )
                    return
                except AlreadyExists:
                    self._remember(place, await self._api.get(core_path("events", *place), "the event"))
                except (Conflict, NotFound):
                    self._known.pop(place, None)
        except Terminating:
            log.debug("event %s about %s was left out: its namespace is being deleted", reason, "/".join(place))
        except ClusterError as error:
            log.warning("event %s about %s was left out: %s", reason, "/".join(place), error)

    async def _write(self, place: tuple[str, str], event: Mapping[str, Any]) -> Mapping[str, Any]:
        known = self._known.get(place)
        if known is None:
            return await self._api.create(core_path("events", place[0]), "the event", event)
        return await self._api.patch(core_path("events", *place), "the event", repeat_patch(known, self._clock()))

    def _remember(self, place: tuple[str, str], event: Mapping[str, Any]) -> None:
        version = event["metadata"]["resourceVersion"]
        self._known[place] = {"metadata": {"resourceVersion": version}, "count": event.get("count")}
        self._known.move_to_end(place)
        if len(self._known) > _KNOWN:
            self._known.popitem(last=False)


class _Allowance:
    """`_AT_ONCE` at a time, and `_A_SECOND` on. What was left out meanwhile is logged as a number."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._left, self._at = float(_AT_ONCE), monotonic()
        self._refused = 0

    def take(self) -> bool:
        """Whether one more may be reported."""
        now = self._monotonic()
        self._left = min(_AT_ONCE, self._left + (now - self._at) * _A_SECOND)
        self._at = now
        if self._left < 1:
            self._refused += 1
            return False
        self._left -= 1
        if self._left >= _AT_ONCE / 2 and self._refused:
            log.info("%d events of what is well were left out: too many came at a time", self._refused)
            self._refused = 0
        return True
