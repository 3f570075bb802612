"""Puts what a source found into the records table, and tells what is wrong: the only writer of the table."""

from collections.abc import Callable
from contextlib import suppress
from logging import Logger
from typing import Final

from cooper_crds.names import region_record_name
from cooper_crds.records import Record, RegionRecord
from cooper_gateway.processes.measurements import Measurements
from cooper_gateway.processes.mirroring import MirrorKeeper
from cooper_gateway.records.last_verified import LastVerified
from cooper_gateway.records.source import Holdings, Reading
from cooper_gateway.records.table import Changes, TableFull, TableWriter

#: The name of the file that `LastVerified` keeps, in the data folder.
STAMP_FILE: Final = "records-verified"


class Intake:
    """Takes readings. With a mirror, each is on disk before it is in the table. Implements the source's port."""

    def __init__(
        self,
        writer: TableWriter,
        last: LastVerified,
        keeper: MirrorKeeper | None,
        holdings: Holdings,
        region: str,
        log: Logger,
        measurements: Measurements,
        noun: str = "record file",
        publish: Callable[[], None] = lambda: None,
    ) -> None:
        """`noun` is what a record lies in; `publish` makes the measurements known."""
        self._writer = writer
        self._last = last
        self._keeper = keeper
        self._holdings = holdings
        self._region_name = region_record_name(region)
        self._log = log
        self._measurements = measurements
        self._noun = noun
        self._publish = publish
        self._told: set[str] = set()  # reasons, since the records could be read last
        self._stamp_trouble = ""
        self._region_missed = False

    def begin(self, now: float) -> None:
        """What is known before the source is read: this boot's table, else the mirror, else only when that was."""
        stamp = self._writer.verified_at()  # there is one when only the watcher was restarted
        if stamp is None:
            stamp = self._last.read(now) if self._keeper is None else self._restore(self._keeper, now)
        self._measurements.gauges["records_verified_at"] = stamp
        self._writer.apply({}, stamp)
        self._measure()
        self._publish()

    def take(self, reading: Reading) -> bool:
        """Make it effective, on disk first; False when it does not fit into the table.

        Then at least its changes of records that are there are made: no key stays in force for want of room.
        """
        found = [record for record in reading.changes.values() if record is not None]
        changes = self._writer.difference(found) if reading.complete else reading.changes
        if self._keeper is not None:
            self._keeper.before(changes, found if reading.complete else None)
        try:
            self._writer.apply(changes, reading.verified_at)
        except TableFull as error:
            if self._keeper is not None:
                self._keeper.undone()
            self._measurements.gauges["records_table_full"] = 1
            self._take_present(changes)
            self.failed(str(error))
            return False
        if self._keeper is not None:
            self._keeper.after(self._writer.records)
        self._tell(reading)
        if reading.verified_at is not None:
            self._stamped(reading.verified_at)
        self._measure()
        self._publish()
        return True

    def failed(self, reason: str) -> None:
        """Tell once why the records cannot be read; they stay as they were."""
        if reason not in self._told:
            self._told.add(reason)
            self._log.error("%s; the records stay as they were", reason)
        self._measurements.trouble = reason
        self._measure()
        self._publish()

    def _measure(self) -> None:
        gauges = self._measurements.gauges
        gauges["records_table_bytes"], gauges["records_table_limit_bytes"] = self._writer.size()

    def _take_present(self, changes: Changes) -> None:
        with suppress(TableFull):
            if self._writer.apply_to_present(changes) and self._keeper is not None:
                self._keeper.after(self._writer.records)

    def _restore(self, keeper: MirrorKeeper, now: float) -> float:
        """Fill the table from the mirror; how old it is, 0 when there is none that can be used."""
        records = keeper.load()
        if records is None:
            return 0.0
        stamp = self._last.read(now)
        try:
            self._writer.replace_all(records.values(), stamp)
        except TableFull as error:
            self.failed(str(error))
            return 0.0
        self._measurements.gauges["records"] = len(records)
        self._know_region(records.get(self._region_name))
        age = f"known {max(0.0, now - stamp):.0f} s ago" if stamp else "known at a time that is not known"
        self._log.info("%d records are taken from the mirror, %s", len(records), age)
        return stamp

    def _stamped(self, at: float) -> None:
        if self._told:
            self._log.info("the records can be read again")
            self._told.clear()
            self._measurements.trouble = ""
        self._measurements.gauges["records_table_full"] = 0
        self._measurements.gauges["records_verified_at"] = at
        if self._keeper is not None and not self._keeper.sound:
            return  # a stamp would make an old mirror look younger than it is
        try:
            self._last.write(at)
            self._stamp_trouble = ""
        except OSError as error:
            if self._stamp_trouble != str(error):
                self._log.warning("the time of the records' last reading cannot be kept: %s", error)
            self._stamp_trouble = str(error)

    def _tell(self, reading: Reading) -> None:
        for name, reason in reading.broken.items():
            self._log.error("%s %s is left out, which denies what it grants: %s", self._noun, name, reason)
        for name in reading.mended:
            self._log.info("%s %s is not broken any more", self._noun, name)
        gauges = self._measurements.gauges
        gauges["records"] = self._holdings.usable
        gauges["records_broken"] = self._holdings.broken
        there = self._holdings.has(self._region_name)
        gauges["records_region"] = int(there)
        if not there and not self._region_missed:
            name = self._region_name.removeprefix(region_record_name(""))
            self._log.warning("there is no record of the Region %s yet: every request is answered 503", name)
        elif there and self._region_missed:
            self._log.info("the Region's record is there")
        self._region_missed = not there
        self._know_region(reading.changes.get(self._region_name))

    def _know_region(self, region: Record | None) -> None:
        if isinstance(region, RegionRecord):
            self._measurements.gauges["records_region"] = 1
            self._measurements.gauges["records_max_age"] = region.max_record_age
