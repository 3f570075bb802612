"""The supervisor of one replica: lock, run folder, sockets, children, health. The children do all the work.

It is embedded: `cooper up` runs it beside the operator, `python -m cooper_gateway.main supervisor` by itself. It
handles no signals and needs no event loop.
"""

import logging
import os
import shlex
import socket
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from typing import Final

import msgspec

from cooper_gateway.access.meters import room
from cooper_gateway.config import GatewayConfig
from cooper_gateway.http.certificate import CertificateError, ServingCertificate
from cooper_gateway.processes import health
from cooper_gateway.processes.errors import CertificateUnusable, GatewayStartError
from cooper_gateway.processes.handover import Handover, Role
from cooper_gateway.processes.health import HealthServer
from cooper_gateway.processes.keeper import Keeper
from cooper_gateway.processes.listening import close_all, listen
from cooper_gateway.processes.lock import StoreLock
from cooper_gateway.processes.measurements import Measurements, read_all
from cooper_gateway.processes.metrics import GatewayCollector, State, disk_of, render
from cooper_gateway.processes.run_dir import RunDir
from cooper_gateway.records.source import MAX_SKEW_SECONDS
from cooper_gateway.records.table import open_for_writing

log = logging.getLogger(__name__)

#: Opening a store after a crash collects its garbage, which may take a while.
_START_SECONDS: Final = 120.0
#: In the order in which they begin, and how many seconds they have to end. The committer is the first: it creates or
#: checks the key-encryption key, which all others need. A worker has this after what requests in progress get.
_ROLES: Final[dict[Role, float]] = {"committer": 5.0, "watcher": 5.0, "worker": 2.0}
#: The committer makes its socket under a name that ends in its process id.
_LONGEST_PID: Final = 1 << 22
#: Until a region's record says otherwise (RegionRecord.max_record_age).
_DEFAULT_MAX_AGE_SECONDS: Final = 86400.0


class Supervisor:
    """One replica's gateway. `start` and `stop` are called once each, from one thread."""

    def __init__(self, config: GatewayConfig, command: str | None = None) -> None:
        """`command` is what a second opener of the data folder is told; by default this process's command line."""
        self._config = config
        self._command = command or shlex.join([os.path.basename(sys.argv[0]), *sys.argv[1:]])
        self._stack = ExitStack()
        self._keepers: list[Keeper] = []

    @property
    def config(self) -> GatewayConfig:
        """The settings in effect: with the ports that were chosen, once started."""
        return self._config

    @property
    def port(self) -> int:
        """The port that S3 is served on."""
        return self._config.port

    @property
    def metrics_port(self) -> int:
        """The port of metrics and health."""
        return self._config.metrics_port

    def start(self) -> None:
        """Start everything and return when it serves.

        Raises GatewayStartError (StoreLocked, PortInUse) with the reason; then nothing is left running.
        """
        try:
            self._start()
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Let requests in progress end (`drain`), then end all children and remove the run folder. Idempotent."""
        self._stack.close()
        self._keepers = []

    def alive(self) -> bool:
        """Whether every child is running and ready right now."""
        return bool(self._keepers) and all(keeper.problem is None for keeper in self._keepers)

    def problems(self) -> list[str]:
        """Why the gateway cannot serve as it should right now, a sentence each; empty when it can."""
        if not self._keepers:
            return ["the gateway is not running"]
        found = [f"{keeper.name} {problem}" for keeper in self._keepers if (problem := keeper.problem)]
        return found + self._record_problems()

    def pids(self) -> dict[str, int]:
        """Process ids of the running children, by name."""
        return {keeper.name: pid for keeper in self._keepers if (pid := keeper.pid) is not None}

    def _start(self) -> None:
        self._check_certificate()
        lock = StoreLock(self._config.data_dir, self._command)
        self._stack.callback(lock.release)
        run_dir = RunDir(self._config.run_dir, f"{os.path.basename(self._config.committer_path)}.{_LONGEST_PID}")
        self._stack.callback(run_dir.remove)
        os.mkdir(self._metrics_dir, 0o700)
        sockets = listen(self._config.host, self._config.port, self._config.workers)
        self._stack.callback(close_all, sockets)
        server = self._health_server()
        self._stack.callback(server.stop)
        self._config = msgspec.structs.replace(self._config, port=sockets[0].getsockname()[1], metrics_port=server.port)
        open_for_writing(self._config.table_path, self._config.table_size).close()  # readers need it to be there
        server.start()
        self._keepers = self._make_keepers(lock, sockets)
        for role, grace in _ROLES.items():  # the last one begun ends first
            drain = self._config.drain if role == "worker" else 0.0
            self._stack.callback(_stop_all, self._of(role), drain + grace)
        for keeper in self._keepers:
            keeper.load()
        for role in _ROLES:
            self._launch(role)

    def _check_certificate(self) -> None:
        """Tell now what every worker would."""
        if not self._config.tls_cert:
            return
        try:
            ServingCertificate(self._config.tls_cert, self._config.tls_key)
        except CertificateError as error:
            raise CertificateUnusable(f"{error}. Mend that, or name others") from None

    def _make_keepers(self, lock: StoreLock, sockets: Sequence[socket.socket]) -> list[Keeper]:
        boot_key = os.urandom(32)
        log, meters = self._access_log(), self._meters(len(sockets))
        held = lock.fileno()  # a child that outlives its supervisor, by however little, keeps the folder locked
        return [
            Keeper(Handover("committer", self._config, boot_key), [held]),
            Keeper(Handover("watcher", self._config, boot_key), [held]),
            *(
                Keeper(
                    Handover("worker", self._config, boot_key, index, len(sockets), listener.fileno(), log, meters),
                    [held, listener.fileno(), meters, *([] if log < 0 else [log])],
                )
                for index, listener in enumerate(sockets, 1)
            ),
        ]

    def _access_log(self) -> int:
        """The descriptor that the access log goes to; -1 where there is none. Raises GatewayStartError."""
        path = self._config.access_log
        if not path:
            return -1
        if path == "-":
            return os.dup(sys.stdout.fileno())  # a child has something else there
        try:
            return os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o640)
        except OSError as error:
            raise GatewayStartError(f"the access log {path} cannot be written: {error.strerror}") from None

    def _meters(self, workers: int) -> int:
        """The descriptor of the memory in which workers tell one another what keys have spent. It is none until it is
        written to, lies on no file system that could be full, and outlives a worker."""
        made = os.memfd_create("cooper meters")
        self._stack.callback(os.close, made)
        os.ftruncate(made, room(workers))
        return made

    def _of(self, role: Role) -> list[Keeper]:
        return [keeper for keeper in self._keepers if keeper.role == role]

    def _launch(self, role: Role) -> None:
        """Have the children of a role begin together, and wait until all are ready."""
        keepers = self._of(role)
        for keeper in keepers:
            keeper.begin()
        for keeper in keepers:
            problem = keeper.wait(_START_SECONDS)
            if problem is not None:
                raise GatewayStartError(f"the gateway's {keeper.name} {problem}")

    @property
    def _metrics_dir(self) -> str:
        return f"{self._config.run_dir}/metrics"

    def _health_server(self) -> HealthServer:
        collector = GatewayCollector(lambda: read_all(self._metrics_dir), self._state)
        pages: health.Pages = {
            "/livez": health.livez,
            "/readyz": lambda: health.readyz(self.problems()),
            "/metrics": lambda: health.metrics(render(collector)),
        }
        return HealthServer(self._config.metrics_host, self._config.metrics_port, pages)

    def _record_problems(self) -> list[str]:
        watcher = self._watcher()
        found: list[str] = []
        if not watcher.gauges.get("records_region"):
            found.append(f"there is no record of the Region {self._config.region} yet: requests are refused")
        age, limit = self._record_age()
        if age > limit:
            seen = f"have not been read for {age:.0f} s" if age < time.time() / 2 else "have never been read"
            found.append(f"the records {seen}; after {limit:.0f} s requests are refused")
        if found and watcher.trouble:
            found.append(watcher.trouble)
        skew = watcher.gauges.get("records_clock_skew_seconds", 0.0)
        if abs(skew) > MAX_SKEW_SECONDS:
            found.append(f"the Kubernetes API's clock is {skew:+.0f} s from this machine's: set the wrong one right")
        return found

    def _record_age(self) -> tuple[float, float]:
        """How old the records are and may be, in seconds."""
        gauges = self._watcher().gauges
        return (
            max(0.0, time.time() - gauges.get("records_verified_at", 0.0)),
            gauges.get("records_max_age", _DEFAULT_MAX_AGE_SECONDS),
        )

    def _watcher(self) -> Measurements:
        return read_all(self._metrics_dir).get("watcher") or Measurements()

    def _state(self) -> State:
        restarts: dict[str, int] = {}
        for keeper in self._keepers:
            restarts[keeper.role] = restarts.get(keeper.role, 0) + keeper.restarts
        age = self._record_age()[0]
        return State(not self.problems(), age, restarts, disk_of(self._config.data_dir))


def _stop_all(keepers: Sequence[Keeper], grace: float) -> None:
    for keeper in keepers:
        keeper.ask_to_end()
    for keeper in keepers:
        keeper.end(grace)
