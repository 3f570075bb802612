"""Which gateways a Region has: told by whoever knows, each time it is asked for."""

from dataclasses import dataclass

from cooper_operator.gateways.connection import authority

Address = tuple[str, int]


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where one replica listens. One that is not `ready` may still serve: clients may know its address."""

    host: str
    port: int
    ready: bool = True
    name: str = ""  # by which people know it, where it has one

    @property
    def address(self) -> Address:
        """Host and port."""
        return self.host, self.port

    @property
    def shown(self) -> str:
        """What it is called in messages."""
        return self.name or authority(self.host, self.port)


@dataclass(frozen=True, slots=True)
class Roster:
    """The replicas of a Region's gateway. `unknown`: why others may be there that are not listed; empty: none are.

    A list that is known and empty says that no gateway is there. One that is not known says nothing of the kind.
    `told` False: there is no list; `soon`: for the moment only, and what was said of it before may stand.
    """

    endpoints: tuple[Endpoint, ...] = ()
    unknown: str = ""
    told: bool = True
    soon: bool = False

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
