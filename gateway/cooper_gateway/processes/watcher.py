"""The watcher: records source in, records table out."""

import time
from collections.abc import Callable
from typing import Final, NoReturn

from cooper_gateway.processes.child import Child
from cooper_gateway.processes.intake import STAMP_FILE, Intake
from cooper_gateway.processes.measurements import Measurements, MeasurementsFile
from cooper_gateway.records.folder import FolderUnreadable, RecordsFolder
from cooper_gateway.records.folder_events import FolderEvents
from cooper_gateway.records.last_verified import LastVerified
from cooper_gateway.records.table import TableWriter, open_for_writing

#: The whole folder is read this often, whatever the kernel says: a silent watch proves nothing.
RELIST_SECONDS: Final = 2.0
#: A relist may take this part of the time at most; a very large folder is read less often.
_RELIST_SHARE: Final = 0.1


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
        publish: Callable[[], None] = lambda: None,
    ) -> None:
        self._folder = folder
        self._clock = clock
        self._complete = False  # whether the table holds what the folder's memory says
        region = child.handover.config.region
        self._intake = Intake(writer, last, None, folder, region, child.log, measurements, publish=publish)
        self._intake.begin(clock())

    def relist(self) -> None:
        """Read the whole folder and stamp the table. What goes wrong is logged and changes nothing."""
        began = self._clock()
        if not self._complete:
            self._folder.forget()
        try:
            reading = self._folder.read_all(began)
        except FolderUnreadable as error:
            self._fail(error)
            return
        reading.complete, reading.verified_at = not self._complete, began
        self._complete = self._intake.take(reading)

    def update(self, file_names: set[str]) -> None:
        """Read these files now. What goes wrong is logged and changes nothing."""
        if not self._complete:
            self.relist()
            return
        try:
            reading = self._folder.read_files(file_names, self._clock())
        except FolderUnreadable as error:
            self._fail(error)
            return
        self._complete = self._intake.take(reading)

    def _fail(self, error: FolderUnreadable) -> None:
        self._complete = False
        self._intake.failed(str(error))


def watch(child: Child) -> None:
    """The watcher process, on the source that the settings name."""
    settings = child.handover.config.kubernetes
    if settings is None:
        watch_folder(child)
    from cooper_gateway.processes.kubernetes_watcher import watch_kubernetes  # its client costs memory

    watch_kubernetes(child, settings)


def watch_folder(child: Child) -> NoReturn:
    """Relist now and again, and what the kernel says in between.

    SIGTERM simply kills it, at any instant: a transaction that was not committed is no part of the table.
    """
    config = child.handover.config
    file = MeasurementsFile(f"{config.run_dir}/metrics", child.handover.label)
    measurements = file.load()
    watcher = Watcher(
        RecordsFolder(config.records_dir, child.keyring(), config.region),
        TableWriter(open_for_writing(config.table_path, config.table_size), child.table_box()),
        LastVerified(f"{config.data_dir}/{STAMP_FILE}"),
        child,
        measurements,
        publish=lambda: file.save(measurements),
    )
    events: FolderEvents | None = None
    while True:
        if events is None:  # before the relist: nothing that happens after it is missed
            events = _events(config.records_dir)
        began = time.monotonic()
        watcher.relist()
        child.ready()
        pause = max(RELIST_SECONDS, (time.monotonic() - began) / _RELIST_SHARE)
        events = _follow(watcher, events, began + pause)


def _follow(watcher: Watcher, events: FolderEvents | None, until: float) -> FolderEvents | None:
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
    return events


def _events(path: str) -> FolderEvents | None:
    try:
        return FolderEvents(path)
    except OSError:
        return None  # not there, or no watch is left: the relist alone has to do
