"""The watcher: records folder in, records table out; the only writer of the table."""

import os
import signal
import time
from collections.abc import Callable
from typing import Final, NoReturn

from cooper_crds.names import region_record_name
from cooper_crds.records import RegionRecord
from cooper_gateway.processes.child import Child
from cooper_gateway.processes.measurements import Measurements, MeasurementsFile
from cooper_gateway.records.folder import FolderUnreadable, Reading, RecordsFolder
from cooper_gateway.records.folder_events import FolderEvents
from cooper_gateway.records.last_verified import LastVerified
from cooper_gateway.records.table import TableFull, TableWriter, open_for_writing

#: The whole folder is read this often, whatever the kernel says: a silent watch proves nothing.
RELIST_SECONDS: Final = 2.0
#: A relist may take this part of the time at most; a very large folder is read less often.
_RELIST_SHARE: Final = 0.1

STAMP_FILE: Final = "records-verified"


class Watcher:
    """Keeps the table as the folder is. `clock` gives Unix seconds."""

    def __init__(
        self,
        folder: RecordsFolder,
        writer: TableWriter,
        last: LastVerified,
        child: Child,
        measurements: Measurements,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._folder = folder
        self._writer = writer
        self._last = last
        self._child = child
        self._measurements = measurements
        self._clock = clock
        self._region_name = region_record_name(child.handover.config.region)
        self._complete = False  # whether the table holds what the folder's memory says
        self._trouble = ""
        self._stamp_trouble = ""
        measurements.gauges["records_verified_at"] = first = self._first_stamp()
        writer.apply({}, first)

    def relist(self) -> None:
        """Read the whole folder and stamp the table. What goes wrong is logged and changes nothing."""
        began = self._clock()
        try:
            if not self._complete:
                self._folder.forget()
            reading = self._folder.read_all(began)
            if self._complete:
                self._writer.apply(reading.changes, began)
            else:
                self._writer.replace_all([record for record in reading.changes.values() if record is not None], began)
            self._writer.tidy()
        except (FolderUnreadable, TableFull) as error:
            self._fail(error)
            return
        self._complete = True
        self._tell(reading)
        self._stamped(began)

    def update(self, file_names: set[str]) -> None:
        """Read these files now. What goes wrong is logged and changes nothing."""
        if not self._complete:
            self.relist()
            return
        try:
            reading = self._folder.read_files(file_names, self._clock())
            self._writer.apply(reading.changes, None)
        except (FolderUnreadable, TableFull) as error:
            self._fail(error)
            return
        self._tell(reading)

    def _first_stamp(self) -> float:
        """Of this boot's table when there is one (the watcher was restarted), else of the one before."""
        return self._writer.verified_at() or self._last.read(self._clock())

    def _stamped(self, began: float) -> None:
        if self._trouble:
            self._child.log.info("the records can be read again")
            self._trouble = ""
        gauges = self._measurements.gauges
        gauges["records_verified_at"] = began
        gauges["records_table_full"] = 0
        try:
            self._last.write(began)
            self._stamp_trouble = ""
        except OSError as error:
            if self._stamp_trouble != str(error):
                self._child.log.warning("the time of the records' last reading cannot be kept: %s", error)
            self._stamp_trouble = str(error)

    def _fail(self, error: FolderUnreadable | TableFull) -> None:
        self._complete = False
        self._measurements.gauges["records_table_full"] = int(isinstance(error, TableFull))
        if self._trouble != str(error):
            self._trouble = str(error)
            self._child.log.error("%s; the records stay as they were", error)

    def _tell(self, reading: Reading) -> None:
        for name, reason in reading.broken.items():
            self._child.log.error("record file %s is left out, which denies what it grants: %s", name, reason)
        for name in reading.mended:
            self._child.log.info("record file %s is not broken any more", name)
        gauges = self._measurements.gauges
        gauges["records"] = self._folder.usable
        gauges["records_broken"] = self._folder.broken
        gauges["records_region"] = int(self._folder.has(self._region_name))
        region = reading.changes.get(self._region_name)
        if isinstance(region, RegionRecord):
            gauges["records_max_age"] = region.max_record_age


def watch(child: Child) -> NoReturn:
    """The watcher process: relist now and again, and what the kernel says in between."""
    signal.signal(signal.SIGTERM, _exit)
    config = child.handover.config
    file = MeasurementsFile(f"{config.run_dir}/metrics", child.handover.label)
    measurements = file.load()
    watcher = Watcher(
        RecordsFolder(config.records_dir, child.keyring()),
        TableWriter(open_for_writing(config.table_path, config.table_size), child.table_box()),
        LastVerified(f"{config.data_dir}/{STAMP_FILE}"),
        child,
        measurements,
    )
    events: FolderEvents | None = None
    while True:
        if events is None:  # before the relist: nothing that happens after it is missed
            events = _events(config.records_dir)
        began = time.monotonic()
        watcher.relist()
        file.save(measurements)
        child.ready()
        pause = max(RELIST_SECONDS, (time.monotonic() - began) / _RELIST_SHARE)
        events = _follow(watcher, events, began + pause, lambda: file.save(measurements))


def _follow(
    watcher: Watcher, events: FolderEvents | None, until: float, save: Callable[[], None]
) -> FolderEvents | None:
    """Pass on what the kernel says until it is time to relist. None: there is nothing that could be watched."""
    while (left := until - time.monotonic()) > 0:
        if events is None:
            time.sleep(left)
            break
        names = events.wait(left)
        if names is None:
            events.close()
            return None
        if names:
            watcher.update(names)
            save()
    return events


def _events(path: str) -> FolderEvents | None:
    try:
        return FolderEvents(path)
    except OSError:
        return None  # not there, or no watch is left: the relist alone has to do


def _exit(*_: object) -> NoReturn:
    os._exit(0)  # a transaction that was not committed is no part of the table
