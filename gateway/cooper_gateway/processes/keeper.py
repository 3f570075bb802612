"""Keeps one child running: starts it, learns whether it is ready, and starts it again whenever it ends.

loading --begin--> starting --ready--> ready --ends--> pause --> starting --ready--> ready ...
                   |                                   ^         |
                   |ends or refuses                    +---------+ ends or refuses: what hindered it may be mended
                   v
  failed (a child that was never ready is not tried again: the gateway does not start)
"""

import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from typing import Final

import msgspec

from cooper_gateway.processes.handover import Handover, Report

log = logging.getLogger(__name__)

#: A child that was ready this long before it ended is started again at once.
_HEALTHY_SECONDS: Final = 1.0
_FIRST_PAUSE_SECONDS: Final = 0.1
_LONGEST_PAUSE_SECONDS: Final = 5.0
#: How long a child has to end after SIGKILL; more would be a kernel that does not answer.
_KILL_SECONDS: Final = 5.0
#: glibc has an arena for each thread that allocates, up to eight to a core, and most of it lies there unused: 5 MiB in
#: a worker. A variable that is set counts more.
_ALLOCATOR: Final = {"MALLOC_ARENA_MAX": "2"}


class Keeper:
    """One child and the thread that keeps it running."""

    def __init__(self, handover: Handover, inherited: Sequence[int]) -> None:
        """`inherited` are the descriptors that the child gets beside the standard three."""
        self._handover = handover
        self._inherited = tuple(inherited)
        self._process: subprocess.Popen[bytes] | None = None
        self._stopping = False
        self._lock = threading.Lock()  # of _process and _stopping together: nothing is started once stopping
        self._wake = threading.Event()
        self._begun = threading.Event()  # it is to be told its part
        self._decided = threading.Event()  # the first start has succeeded or failed
        self._problem: str | None = "is starting"
        self._restarts = 0
        self._thread = threading.Thread(target=self._keep, name=f"keeper of {self.name}", daemon=True)

    @property
    def name(self) -> str:
        """The child's name, as its log lines have it."""
        return self._handover.name

    @property
    def role(self) -> str:
        """The child's role, as metrics have it."""
        return self._handover.role

    @property
    def restarts(self) -> int:
        """How often the child had to be started again."""
        return self._restarts

    @property
    def pid(self) -> int | None:
        """The running child's process id."""
        process = self._process
        return None if process is None else process.pid

    @property
    def problem(self) -> str | None:
        """Why the child does not do its work right now, in words that follow its name; None when it does."""
        return self._problem

    def load(self) -> None:
        """Start the process, which loads what it needs and waits for its part."""
        self._thread.start()

    def begin(self) -> None:
        """Tell it its part, now and whenever it is started again. `wait` tells how it went."""
        self._begun.set()

    def wait(self, seconds: float) -> str | None:
        """Wait for the first start: None when the child is ready, else why it is not."""
        return self._problem if self._decided.wait(seconds) else f"was not ready within {seconds:.0f} s"

    def ask_to_end(self) -> None:
        """Send SIGTERM, and start the child no more."""
        with self._lock:
            self._stopping = True
            if self._process is not None:
                self._process.terminate()
        self._begun.set()
        self._wake.set()

    def end(self, grace: float) -> None:
        """Return when the child is gone; after `grace` seconds it is killed."""
        self.ask_to_end()
        if self._thread.ident is None:
            return  # it was never loaded: something failed before
        self._thread.join(grace)
        with self._lock:
            if self._process is not None:
                log.warning("%s did not end within %.0f s and is killed", self.name, grace)
                self._process.kill()
        self._thread.join(_KILL_SECONDS)

    def _keep(self) -> None:
        pause = 0.0
        while not self._stopping:
            lived = self._run_once()
            if self._stopping:
                break
            if not self._decided.is_set():
                self._decided.set()
                break
            pause = min(max(2 * pause, _FIRST_PAUSE_SECONDS), _LONGEST_PAUSE_SECONDS)
            if lived >= _HEALTHY_SECONDS:
                pause = 0.0
            log.warning("%s %s; starting it again in %.1f s", self.name, self._problem, pause)
            self._restarts += 1
            self._wake.wait(pause)

    def _run_once(self) -> float:
        """Start the child and wait until it ends. Returns for how many seconds it was ready."""
        try:
            process = self._spawn()
        except OSError as error:
            self._problem = f"cannot be started: {error.strerror}"
            return 0.0
        if process is None:
            return 0.0
        report = _read_report(process)
        ready_at = time.monotonic()
        if report is not None and report.refused is None:
            self._problem = None
            self._decided.set()
        status = _describe(process.wait())
        with self._lock:
            self._process = None
        refused = None if report is None else report.refused
        lived = time.monotonic() - ready_at if self._problem is None else 0.0
        self._problem = f"ended ({status})" if refused is None else f"cannot start: {refused}"
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                pipe.close()
        return lived

    def _spawn(self) -> "subprocess.Popen[bytes] | None":
        """Start the child and hand over; None when it is not to run any more. Raises OSError."""
        with self._lock:
            if self._stopping:
                return None
            process = subprocess.Popen(
                [sys.executable, "-m", "cooper_gateway.main", self._handover.role],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                pass_fds=self._inherited,
                bufsize=0,
                env=_ALLOCATOR | os.environ,
                process_group=0,  # a Ctrl-C at the terminal is the supervisor's business
            )
            self._process = process
        self._begun.wait()
        try:
            assert process.stdin is not None
            process.stdin.write(self._handover.to_line())
        except BrokenPipeError:
            pass  # it is dead already; its status tells why
        return process


def _read_report(process: "subprocess.Popen[bytes]") -> Report | None:
    """The child's report; None when it ended without one."""
    assert process.stdout is not None
    try:
        return msgspec.json.decode(process.stdout.readline(), type=Report)
    except msgspec.MsgspecError:
        return None


def _describe(status: int) -> str:
    if status >= 0:
        return f"exit status {status}"
    try:
        return f"signal {signal.Signals(-status).name}"
    except ValueError:  # a real-time signal has no name
        return f"signal {-status}"
