"""The port between where records come from and what takes them in: what changed, what is broken, as of when.

A source (a folder of files, Secrets of a cluster) yields readings; an intake puts them into the table.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Final, Protocol

from cooper_crds.records import Record, concerns

#: With clocks further apart, ages and expiries mean something else here than where records are written.
MAX_SKEW_SECONDS: Final = 60.0


class SourceUnreadable(Exception):
    """The source could not be read: nothing is known, least of all that a record is gone."""


@dataclass(slots=True)
class Reading:
    """What a source found different from what it said before."""

    changes: dict[str, Record | None] = field(default_factory=dict[str, Record | None])  # None: gone or unusable
    broken: dict[str, str] = field(default_factory=dict[str, str])  # newly broken file or object -> reason
    mended: list[str] = field(default_factory=list[str])  # what was broken and is not any more
    complete: bool = False  # the changes are all records that there are
    verified_at: float | None = None  # Unix seconds: with these changes, the source is known as it was then


class Holdings(Protocol):
    """What a source holds right now."""

    @property
    def usable(self) -> int:
        """How many records are there."""
        ...

    @property
    def broken(self) -> int:
        """How many are there and cannot be used."""
        ...

    def has(self, name: str) -> bool:
        """Whether the record of that name is there and can be used."""
        ...


class Intake(Protocol):
    """Where a source's readings go."""

    def take(self, reading: Reading) -> bool:
        """Make it effective; False when it could not be: the next reading must be a complete one."""
        ...

    def failed(self, reason: str) -> None:
        """Tell that the source cannot be read. Nothing changes but the records' age."""
        ...


class Ledger:
    """Which records a source has for a Region, and which are broken: told once per change. Implements `Holdings`.

    Those of other Regions are as if they were not there: a gateway honours no key whose revocation it is not asked
    about.
    """

    def __init__(self, region: str, shown: Callable[[str], str] = str) -> None:
        """`shown` makes a record's name that of the file or object it lies in, which is what people look for."""
        self._region = region
        self._shown = shown
        self._broken: dict[str, str] = {}
        self._usable: set[str] = set()

    @property
    def broken(self) -> int:
        """How many are there and cannot be used."""
        return len(self._broken)

    @property
    def usable(self) -> int:
        """How many records are there."""
        return len(self._usable)

    def has(self, name: str) -> bool:
        """Whether the record of that name is there and can be used."""
        return name in self._usable

    def forget(self) -> None:
        """Forget the usable ones: the next reading is a complete one and names them all."""
        self._usable.clear()

    def others(self, names: Iterable[str]) -> set[str]:
        """Names that are known here and are not among `names`."""
        return (self._usable | self._broken.keys()).difference(names)

    def found(self, name: str, record: Record, reading: Reading) -> None:
        """The record is there, as this."""
        if not concerns(record, self._region):
            self.gone(name, reading)
            return
        self._mend(name, reading)
        self._usable.add(name)
        reading.changes[name] = record

    def unusable(self, name: str, reason: str, reading: Reading) -> None:
        """Something of that name is there and grants nothing."""
        if self._broken.get(name) != reason:
            reading.broken[self._shown(name)] = reason
        self._broken[name] = reason
        self._drop(name, reading)

    def gone(self, name: str, reading: Reading) -> None:
        """Nothing of that name is there."""
        self._mend(name, reading)
        self._drop(name, reading)

    def _mend(self, name: str, reading: Reading) -> None:
        if self._broken.pop(name, None):
            reading.mended.append(self._shown(name))

    def _drop(self, name: str, reading: Reading) -> None:
        if name in self._usable:
            self._usable.discard(name)
            reading.changes[name] = None
