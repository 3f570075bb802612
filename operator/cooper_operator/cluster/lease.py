"""What a Lease says (coordination.k8s.io/v1), and what a candidate does about it. Pure.

absent ──create──► ours ──renew──► ours
nobody's, or another's that was not renewed for its duration ──take──► ours
another's ──wait──► …

Another's Lease has ended once it was seen unchanged for its duration by our own monotonic clock. The times in it are
those of another machine's clock: they are for people, and only that they change matters.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, Literal, cast

#: `leaseTransitions` is an int32.
_MAX_TRANSITIONS: Final = 2**31 - 1
#: "LeaseDurationSeconds: 1" is what client-go leaves behind (leaderelection.go, release).
_RELEASED_DURATION: Final = 1

Action = Literal["create", "take", "renew", "wait"]


@dataclass(frozen=True, slots=True)
class Settings:
    """Seconds. The defaults are those of Kubernetes' own components (client-go, leaderelection.go).

    `duration`: how long others wait for a renewal before they take the Lease. `renew_deadline`: how long a leader
    believes in a renewal, counted from when it was sent. The difference is what clocks may differ in speed over that
    time. `retry_period`: between two attempts.
    """

    duration: int = 15
    renew_deadline: float = 10.0
    retry_period: float = 2.0

    def __post_init__(self) -> None:
        if not 0 < self.retry_period < self.renew_deadline < self.duration:
            raise ValueError(f"a Lease needs 0 < retry_period < renew_deadline < duration, and this is {self}")

    @property
    def request_timeout(self) -> float:
        """One request that hangs leaves time for another, as client-go has it (resourcelock, NewFromKubeconfig)."""
        return self.renew_deadline / 2


@dataclass(frozen=True, slots=True)
class Lease:
    """A Lease as it was found. `holder`: '' is nobody, None is somebody whom it does not tell."""

    metadata: Mapping[str, Any]
    holder: str | None
    duration: int | None
    acquired: str | None
    renewed: str
    transitions: int

    @property
    def version(self) -> int:
        """Grows with each write, whoever makes it, as etcd's revisions do. 0: it is no number."""
        text: str = self.metadata["resourceVersion"]
        return int(text) if text.isascii() and text.isdigit() else 0

    @property
    def given_up(self) -> bool:
        """Whether who held it gave it up himself, at the end of his work. One that somebody else emptied keeps its
        duration, and who held it may not know yet."""
        return self.holder == "" and self.duration == _RELEASED_DURATION

    @property
    def mark(self) -> tuple[Any, ...]:
        """Changes with each renewal."""
        return self.holder, self.renewed, self.metadata["resourceVersion"]


@dataclass(frozen=True, slots=True)
class Sight:
    """The Lease as it was seen last (None: it is absent), and the monotonic time at which others no longer hold it."""

    lease: Lease | None
    free_at: float


def lease_of(found: Mapping[str, Any]) -> Lease | None:
    """Read what the API server returned; None when that is no object at a version, which could not be written."""
    metadata = _mapping(found.get("metadata"))
    if metadata is None or not isinstance(metadata.get("resourceVersion"), str):
        return None
    kept = {name: value for name, value in metadata.items() if name != "managedFields"}
    told = found.get("spec")
    spec: Mapping[str, Any] | None = {} if told is None else _mapping(told)
    if spec is None:
        return Lease(kept, None, None, None, repr(told), 0)
    holder = spec.get("holderIdentity")
    return Lease(
        kept,
        "" if holder is None else _text(holder),
        _positive(spec.get("leaseDurationSeconds")),
        _text(spec.get("acquireTime")),
        repr(spec.get("renewTime")),
        _positive(spec.get("leaseTransitions")) or 0,
    )


def see(before: Sight | None, found: Lease | None, identity: str, settings: Settings, now: float) -> Sight:
    """What is known once `found` was received at monotonic time `now`.

    An absent one that another held was deleted by somebody, and its holder may not know yet: he is given his time.
    """
    if found is None:
        return Sight(None, now if before is None else before.free_at)
    if before is not None and before.lease is not None and before.lease.mark == found.mark:
        return before
    held = found.holder not in ("", identity)
    return Sight(found, now + (found.duration or settings.duration) if held else now)


def decide(sight: Sight, identity: str, now: float) -> Action:
    """What a candidate may do at monotonic time `now`."""
    if sight.lease is not None and sight.lease.holder == identity:
        return "renew"
    if now < sight.free_at:
        return "wait"
    return "create" if sight.lease is None else "take"


def held_by(lease: Lease | None, action: Action, identity: str, settings: Settings, clock: float) -> dict[str, Any]:
    """The spec with which `identity` holds a Lease. `clock`: seconds since the epoch."""
    now = _micro_time(clock)
    acquired = lease.acquired if lease is not None and action == "renew" else None
    transitions = 0 if lease is None else lease.transitions + (action == "take")
    return {
        "holderIdentity": identity,
        "leaseDurationSeconds": settings.duration,
        "acquireTime": acquired or now,
        "renewTime": now,
        "leaseTransitions": min(transitions, _MAX_TRANSITIONS),
    }


def released(lease: Lease, clock: float) -> dict[str, Any]:
    """The spec of a Lease that nobody holds any longer. `clock`: seconds since the epoch."""
    now = _micro_time(clock)
    return {
        "holderIdentity": "",
        "leaseDurationSeconds": _RELEASED_DURATION,
        "acquireTime": now,
        "renewTime": now,
        "leaseTransitions": lease.transitions,
    }


def _micro_time(clock: float) -> str:
    """MicroTime is "RFC3339 with micro-second precision" (apimachinery, meta/v1)."""
    return datetime.fromtimestamp(clock, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _mapping(value: object) -> Mapping[str, Any] | None:
    return cast(Mapping[str, Any], value) if isinstance(value, Mapping) else None


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _positive(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else None
