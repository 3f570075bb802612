"""What every child does first and last: take the handover, watch the life line, say when it is ready."""

import hashlib
import mmap
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from logging import Logger
from typing import Final

import msgspec
from setproctitle import setproctitle

from cooper_gateway.access.meters import Meters, room
from cooper_gateway.crypto.derivation import Deriver
from cooper_gateway.crypto.keyring import Keyring, KeyringError
from cooper_gateway.processes import logs
from cooper_gateway.processes.errors import Refusal
from cooper_gateway.processes.handover import Handover, Report, read_handover
from cooper_gateway.records.table import RecordsTable, open_for_reading

#: The status of a child that a restart would not help (EX_CONFIG of sysexits.h).
REFUSED_STATUS: Final = 78

#: How long a child may tidy up once its supervisor is gone.
_ORPHAN_SECONDS: Final = 1.0


class Child:
    """A child process: its handover, its log, and its one report to the supervisor."""

    def __init__(self, handover: Handover, log: Logger, report: int) -> None:
        self.handover = handover
        self.log = log
        self._report = report

    def ready(self) -> None:
        """Tell the supervisor that this process does its work from now on."""
        self._send(Report())

    def refuse(self, reason: str) -> None:
        """Tell the supervisor why this process ends before it was ready. After `ready` it says nothing."""
        self._send(Report(refused=reason))

    def keyring(self) -> Keyring:
        """The key-encryption key, which the committer has made or checked before any other child is started."""
        try:
            return Keyring.load(self.handover.config.kek_file)
        except FileNotFoundError:
            raise Refusal(f"the key-encryption key {self.handover.config.kek_file} is missing") from None
        except KeyringError as error:
            raise Refusal(str(error)) from None

    def table_box(self) -> Deriver:
        """What seals the rows of the records table."""
        return Deriver(self.handover.boot_key, b"cooper/records-table/1")

    def records(self) -> RecordsTable:
        """The records table, to read."""
        config = self.handover.config
        env = open_for_reading(config.table_path, config.table_size)
        return RecordsTable(env, self.table_box(), config.region)

    def meters(self) -> Meters:
        """What keys have spent, shared with the other workers; the mapping lasts as long as the process does."""
        handover = self.handover
        memory = mmap.mmap(handover.meters, room(handover.count))
        # What it costs to find two keys that share a set is known to nobody who does not know this.
        secret = hashlib.blake2b(b"cooper/meters/1", key=handover.boot_key).digest()
        return Meters(memoryview(memory), handover.index - 1, handover.count, secret)

    def _send(self, report: Report) -> None:
        if self._report < 0:
            return
        try:
            os.write(self._report, msgspec.json.encode(report) + b"\n")
            os.close(self._report)
        except BrokenPipeError:
            pass  # the supervisor is gone: the life line ends this process in a moment
        self._report = -1


def run_child(main: Callable[[Child], None]) -> int:
    """Run a child's `main` until it returns or the supervisor is gone. Returns the process's exit status."""
    # Ctrl-C reaches the whole foreground group; the supervisor alone decides in which order its children end.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # A supervisor that waits for its signals has them blocked, and the mask is inherited.
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    # What a library prints must not be taken for the report.
    report = os.dup(1)
    os.dup2(2, 1)
    try:
        handover = read_handover(0)
    except ValueError as error:
        print(f"cooper gateway: {error}", file=sys.stderr)  # noqa: T201 - there is no role to log under yet
        return 2
    setproctitle(f"cooper {handover.name}")
    child = Child(handover, logs.set_up(handover.name), report)
    threading.Thread(target=watch_life_line, name="life line", daemon=True).start()
    try:
        main(child)
    except Refusal as error:
        child.log.error("cannot start: %s", error)
        child.refuse(str(error))
        return REFUSED_STATUS
    except Exception as error:
        child.log.exception("ended by an error")
        child.refuse(f"{type(error).__name__}: {error}")
        return 1
    return 0


def watch_life_line() -> None:
    """End this process when standard input ends: its other end closes with the supervisor, however that dies."""
    while os.read(0, 4096):
        pass
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(_ORPHAN_SECONDS)
    os._exit(1)
