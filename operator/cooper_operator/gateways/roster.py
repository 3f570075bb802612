"""Which gateways a Region has: told by whoever knows, each time it is asked for."""

from dataclasses import dataclass

Address = tuple[str, int]


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where one replica listens. One that is not `ready` may still serve: clients may know its address."""

    host: str
    port: int
    ready: bool = True

    @property
    def address(self) -> Address:
        """Host and port."""
        return self.host, self.port


@dataclass(frozen=True, slots=True)
class Roster:
    """The replicas of a Region's gateway. `unknown`: why others may be there that are not listed; empty: none are.

    A list that is known and empty says that no gateway is there. One that is not known says nothing of the kind.
    """

    endpoints: tuple[Endpoint, ...] = ()
    unknown: str = ""

    @property
    def ready(self) -> tuple[Endpoint, ...]:
        """Those that clients are sent to."""
        return tuple(each for each in self.endpoints if each.ready)

    @property
    def addresses(self) -> frozenset[Address]:
        """Where they listen."""
        return frozenset(each.address for each in self.endpoints)

    @property
    def ready_first(self) -> tuple[Endpoint, ...]:
        """All of them, in the order in which to look for one that answers."""
        return tuple(sorted(self.endpoints, key=lambda each: not each.ready))
