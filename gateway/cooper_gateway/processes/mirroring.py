"""When the mirror is written: before what it says takes effect. One that cannot be written must not say anything."""

import time
from collections.abc import Callable, Iterable
from logging import Logger
from typing import Final

from cooper_crds.records import Record
from cooper_gateway.records.mirror import Mirror, MirrorDamaged
from cooper_gateway.records.table import Changes, record_name

#: The mirror's name in the data folder.
MIRROR_FILE: Final = "records-mirror"
#: A mirror that could not be written is tried again this often, in seconds.
_RETRY_SECONDS: Final = 30.0


class MirrorKeeper:
    """Keeps one mirror. What goes wrong with it is told once, and never keeps records from taking effect."""

    def __init__(self, mirror: Mirror, log: Logger, clock: Callable[[], float] = time.monotonic) -> None:
        self._mirror = mirror
        self._log = log
        self._clock = clock
        self._trouble = ""
        self._next_try = 0.0

    @property
    def sound(self) -> bool:
        """Whether the mirror says what the table says."""
        return self._mirror.writable

    def load(self) -> dict[str, Record] | None:
        """The records of the mirror; None when there is none that can be used."""
        try:
            return self._mirror.load()
        except MirrorDamaged as error:
            self._log.error("the mirror of the records is not used, and will be made anew: %s", error)
            return None

    def before(self, changes: Changes, everything: Iterable[Record] | None) -> None:
        """Write down changes that are about to take effect; `everything`: all records that there will be then."""
        try:
            if self._mirror.writable:
                if changes:
                    self._mirror.append(changes)
            elif everything is not None:
                self._write_whole((record_name(record), record) for record in everything)
        except OSError as error:
            self._give_up(error)

    def after(self, everything: Callable[[], Iterable[tuple[str, Record]]]) -> None:
        """What was written has taken effect: make the mirror anew when that is due."""
        if self._mirror.writable and not self._mirror.overgrown:
            return
        if not self._mirror.writable and self._clock() < self._next_try:
            return
        try:
            self._write_whole(everything())
        except OSError as error:
            self._give_up(error)

    def undone(self) -> None:
        """What was written did not take effect: the mirror is ahead, until all records are known anew."""
        self._mirror.close()

    def _write_whole(self, records: Iterable[tuple[str, Record]]) -> None:
        self._mirror.replace(records)
        if self._trouble:
            self._log.info("the mirror of the records is written again")
            self._trouble = ""

    def _give_up(self, error: OSError) -> None:
        self._next_try = self._clock() + _RETRY_SECONDS
        if self._trouble != str(error):
            self._trouble = str(error)
            self._log.error(
                "the mirror of the records cannot be written: %s; until it can, a restart needs their source", error
            )
        try:
            self._mirror.discard()
        except OSError as failure:
            self._log.error("the old mirror of the records cannot be removed: %s; remove it", failure)
