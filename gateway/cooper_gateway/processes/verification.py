"""Having a store verified: by a process beside the gateway that runs, or with the store to itself when none does."""

import contextlib
import os
import selectors
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator, Iterator
from typing import Final

import msgspec

from cooper_gateway.processes.errors import GatewayStartError
from cooper_gateway.processes.lock import StoreLock, holder_of
from cooper_gateway.processes.verifying import Order
from cooper_gateway.storage.layout import Layout
from cooper_gateway.storage.verification.findings import (
    At,
    Damage,
    Done,
    Failed,
    Finding,
    Plan,
    decode,
)

_MOST_CRASHES: Final = 20
_RECONNECT: Final = 15.0  # seconds that a committer has to come back
_PAUSE: Final = 0.1
_END: Final = 5.0  # seconds that the process has to end
#: Ends that a page of the index can bring about: it is cut off or cannot be read, or what it says leads nowhere.
_OF_DAMAGE: Final = frozenset({"SIGSEGV", "SIGBUS", "SIGABRT", "SIGFPE", "SIGILL"})
_BEYOND: Final = b"\xff" * 64  # no data id is greater


class CannotVerify(Exception):
    """The store cannot be verified from here: the reason, and what to do."""


@contextlib.contextmanager
def access(data_dir: str, run_dir: str, command: str = "cooper store verify") -> Generator["Access"]:
    """A store to read: beside who has it open, or under its lock, for this command. Raises CannotVerify."""
    try:
        there, holder = Layout(data_dir).holds_data(), holder_of(data_dir)
    except OSError as error:
        raise CannotVerify(f"{data_dir} cannot be read: {error.strerror}") from None
    if not there:
        raise CannotVerify(f"{data_dir} holds no store: name the data folder of `cooper up` or `cooper gateway`")
    if holder is not None:
        link = _connect(f"{run_dir}/committer.sock")
        if link is None:
            raise CannotVerify(
                f"{data_dir} is in use by {holder}, which cannot be reached from here: run this where that runs (on "
                "Kubernetes with `kubectl exec`) and as the same user, or try again when it has started"
            )
        shared = Access(run_dir, link=link)
        try:
            yield shared
        finally:
            shared.close()
        return
    try:
        lock = StoreLock(data_dir, command)
    except GatewayStartError as error:
        raise CannotVerify(str(error)) from None
    try:
        with tempfile.TemporaryDirectory(prefix="cooper-store-") as own:
            yield Access(own, lock=lock)
    finally:
        lock.release()


class Access:
    """How a store is reached. `run_dir` is where readers say what they read."""

    def __init__(self, run_dir: str, link: socket.socket | None = None, lock: StoreLock | None = None) -> None:
        self.run_dir = run_dir
        self._link = link
        self._lock = lock

    @property
    def link(self) -> socket.socket | None:
        """The connection to the committer, which ends with it."""
        return self._link

    @property
    def inherited(self) -> list[int]:
        """Descriptors that a process that reads the store gets: with the lock, where this is who holds it."""
        return [] if self._lock is None else [self._lock.fileno()]

    def reconnect(self) -> None:
        """The committer is gone: wait for the next one. Raises CannotVerify."""
        self.close()
        deadline = time.monotonic() + _RECONNECT
        while time.monotonic() < deadline:
            self._link = _connect(f"{self.run_dir}/committer.sock")
            if self._link is not None:
                return
            time.sleep(_PAUSE)
        raise CannotVerify("the gateway ended while its store was verified: try again")

    def close(self) -> None:
        """Let go of the connection."""
        if self._link is not None:
            self._link.close()
            self._link = None


def findings(order: Order, access: Access) -> Iterator[Finding]:
    """Everything that a verification finds. Raises CannotVerify.

    A process that a damaged index ends is started again behind what it could not read.
    """
    told: set[Damage] = set()
    planned = False
    for _ in range(_MOST_CRASHES):
        last: At | None = None
        with _Process(order, access) as process:
            for finding in process.findings():
                if isinstance(finding, At):
                    last = finding
                elif isinstance(finding, Failed):
                    raise CannotVerify(finding.reason)
                elif isinstance(finding, Damage):
                    if finding not in told:
                        told.add(finding)
                        yield finding
                elif not isinstance(finding, Plan) or not planned:
                    planned = planned or isinstance(finding, Plan)
                    yield finding
                if isinstance(finding, Done):
                    return
        how = process.how_it_ended()
        if how not in _OF_DAMAGE:
            raise CannotVerify(f"the process that reads ended before it was done ({how}): try again")
        if last is None:
            yield Damage("IndexUnreadable", f"opening it ended the process that did so ({how})")
            yield Done()
            return
        after = f" after {last.key!r}" if last.key and last.data_id else ""
        detail = f"{last.step}{after}: reading it ended the process that did so ({how})"
        yield Damage("IndexUnreadable", detail, last.data_id)
        begin = bytes.fromhex(last.data_id) or (_BEYOND if planned else b"")
        skipped = [*order.skipped, (last.data_id, last.step)]
        order = msgspec.structs.replace(order, begin=begin, skipped=skipped)
    yield Damage("IndexUnreadable", "there are more places that cannot be read: the rest was not looked at")
    yield Done()


class _Process:
    """A process that verifies."""

    def __init__(self, order: Order, access: Access) -> None:
        self._order = order
        self._access = access

    def __enter__(self) -> "_Process":
        self._process = subprocess.Popen(
            [sys.executable, "-m", "cooper_gateway.main", "verifier"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            pass_fds=self._access.inherited,
            process_group=0,  # Ctrl-C is for the process that started it, with whose end it ends
        )
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.write(msgspec.json.encode(self._order) + b"\n")
            self._process.stdin.flush()
        return self

    def __exit__(self, *_: object) -> None:
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with contextlib.suppress(BrokenPipeError):
                    pipe.close()
        try:
            self._process.wait(_END)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def how_it_ended(self) -> str:
        """Its end, in words."""
        status = self._process.returncode
        return f"exit status {status}" if status >= 0 else signal.Signals(-status).name

    def findings(self) -> Iterator[Finding]:
        """What it tells, until it ends. Raises CannotVerify when the gateway ends meanwhile."""
        assert self._process.stdout is not None
        output, rest = self._process.stdout.fileno(), b""
        while True:
            if not self._wait(output):
                self._access.reconnect()
                continue
            piece = os.read(output, 1 << 16)
            if not piece:
                return
            *lines, rest = (rest + piece).split(b"\n")
            for line in lines:
                yield decode(line)

    def _wait(self, output: int) -> bool:
        """Wait for something to read. False when it is that the committer is gone."""
        with selectors.DefaultSelector() as selector:
            selector.register(output, selectors.EVENT_READ)
            link = self._access.link
            if link is not None:
                selector.register(link, selectors.EVENT_READ)
            ready = {key.fd for key, _ in selector.select()}
        return output in ready


def _connect(path: str) -> socket.socket | None:
    """A connection to the committer; None when there is none. It is not written to: being there is all that it says."""
    link = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_CLOEXEC)
    try:
        link.connect(path)
    except OSError:
        link.close()
        return None
    return link
