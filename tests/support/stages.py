"""What the operator's model is played on: a cluster, what people do to it, and a view of it that is not the operator's.

What people do never fails: what a cluster does not take is left out, as people see it.
"""

import asyncio
import itertools
import random
from collections.abc import Callable, Mapping, Set
from typing import Any, Protocol

from cooper_crds.records import KeyRecord, Record
from cooper_operator.cluster.objects import ref_of
from cooper_operator.cluster.port import Credentials, Object, Ref
from cooper_operator.cluster.recollection import Recollection
from support.lagging_gateways import Log

#: A resource's spec as somebody wants it instead; None: it is left as it is.
Edit = Callable[[Mapping[str, Any]], dict[str, Any] | None]


class Stage(Protocol):
    """See above."""

    log: Log
    #: Set it to a reason to make every call of the operator's raise Unavailable.
    unavailable: str | None
    #: Whether the watch tells what the operator wrote itself; if not, nothing resyncs.
    echoes: bool
    #: To be called after each change of resources that people asked for.
    changed: Callable[[], None]

    # An operator's lives

    def open(self, dead: asyncio.Event) -> tuple[Any, Recollection]:
        """The port for an operator that starts, and what it remembers. `dead` is set once that operator has died.

        A call can raise `disk_crashes.Crash`: the operator died within it.
        """
        ...

    async def close(self) -> None:
        """The operator's process is gone, with all that it had in memory."""
        ...

    # What people do

    async def apply(self, manifest: Object) -> None:
        """Make a resource, or give the one that is there this spec."""
        ...

    async def delete(self, ref: Ref) -> None:
        """Delete a resource."""
        ...

    async def recall(self, ref: Ref) -> None:
        """Put back the manifest of one that is being deleted."""
        ...

    async def annotate(self, ref: Ref, key: str, value: str) -> None:
        """Annotate a resource."""
        ...

    async def edit_all(self, edit: Edit) -> None:
        """Give everything that people can edit another spec."""
        ...

    def set_credentials(self, namespace: str, name: str, data: Mapping[str, str]) -> None:
        """Edit credentials behind the operator's back, or make ones that are not its own."""
        ...

    def remove_credentials(self, namespace: str, name: str) -> None:
        """Remove credentials, whosever they are."""
        ...

    async def leave_record(self, name: str, record: Record) -> bool:
        """A record that an operator left which was killed; returns whether there was none of that name."""
        ...

    def damage_record(self, name: str) -> None:
        """Make a record unreadable."""
        ...

    def drop_record(self, name: str) -> None:
        """Delete a record."""
        ...

    async def happen(self, what: str, *how: Any) -> None:
        """What can happen here and not elsewhere."""
        ...

    async def settle(self) -> None:
        """Mend all that keeps the operator from its work."""
        ...

    # What there is

    def objects(self) -> list[dict[str, Any]]:
        """All resources."""
        ...

    def uids(self) -> Set[str]:
        """UIDs of all resources."""
        ...

    def records(self) -> dict[str, Record | None]:
        """All records by name; None: it cannot be read."""
        ...

    def stored(self, name: str) -> Record | None:
        """A record as it is; None when it is gone or cannot be read."""
        ...

    def credentials(self) -> dict[tuple[str, str], Credentials]:
        """All credentials, whosever they are, by namespace and name."""
        ...

    def home_of(self, namespace: str) -> str:
        """What the port calls the UID of a namespace."""
        ...

    def versions(self) -> dict[str, str]:
        """A version of everything that the operator writes, but the record of its own key."""
        ...

    def faults(self) -> list[str]:
        """What is not as people asked for, once everything has come to rest."""
        ...


#: Makes a stage. Gets what chance there is, and the clock, which gives Unix seconds.
StageMaker = Callable[[random.Random, Callable[[], float]], Stage]


def numbered_uids() -> Callable[[], str]:
    """UIDs that are the same in every run."""
    numbers = itertools.count(1)
    return lambda: f"00000000-0000-4000-8000-{next(numbers):012d}"


def is_system(record: Record | None) -> bool:
    """Whether it is of the operator's own key."""
    return isinstance(record, KeyRecord) and record.system


def resource_versions(objects: list[dict[str, Any]]) -> dict[str, str]:
    """Versions of resources."""
    return {str(ref_of(obj)): obj["metadata"]["resourceVersion"] for obj in objects}
