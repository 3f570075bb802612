"""Events about resources, kept with counts: a repeat raises the count of the event that is there."""

from collections import OrderedDict
from dataclasses import dataclass, replace
from typing import Final, Literal

from cooper_operator.cluster.port import Ref

EventType = Literal["Normal", "Warning"]
MAX_EVENTS: Final = 1000


@dataclass(frozen=True, slots=True)
class Event:
    """One event. Times are Unix seconds."""

    about: Ref
    uid: str
    type: EventType
    reason: str
    message: str
    first_seen: float
    last_seen: float
    count: int = 1


class EventLog:
    """The latest events, oldest first; the one that was longest not seen goes when there are `MAX_EVENTS`."""

    def __init__(self) -> None:
        self._events: OrderedDict[tuple[Ref, str, str, str, str], Event] = OrderedDict()

    def record(self, about: Ref, uid: str, type_: EventType, reason: str, message: str, now: float) -> None:
        """Add an event, or count it when the same one is there."""
        key = (about, uid, type_, reason, message)
        known = self._events.pop(key, None)
        if known is None:
            self._events[key] = Event(about, uid, type_, reason, message, now, now)
        else:
            self._events[key] = replace(known, last_seen=now, count=known.count + 1)
        if len(self._events) > MAX_EVENTS:
            self._events.popitem(last=False)

    def about(self, ref: Ref) -> list[Event]:
        """Events about one resource, the longest unseen first."""
        return [event for event in self._events.values() if event.about == ref]

    def all(self) -> list[Event]:
        """All events, the longest unseen first."""
        return list(self._events.values())
