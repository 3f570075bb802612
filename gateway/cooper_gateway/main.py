"""`python -m cooper_gateway.main ROLE`: the entry of every process of a gateway.

supervisor [FILE]   run a gateway; its settings as JSON from FILE, or from standard input
committer | watcher | worker    started by a supervisor, which hands everything over on standard input
verifier            started by `cooper store verify`, in the same way
"""

import logging
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

import msgspec

from cooper_gateway.config import GatewayConfig


def _committer() -> int:
    from cooper_gateway.processes.child import run_child
    from cooper_gateway.processes.committer_process import commit

    return run_child(commit)


def _watcher() -> int:
    from cooper_gateway.processes.child import run_child
    from cooper_gateway.processes.watcher import watch

    return run_child(watch)


def _worker() -> int:
    from cooper_gateway.processes.child import run_child
    from cooper_gateway.processes.worker import work

    return run_child(work)


def _verifier() -> int:
    from cooper_gateway.processes.verifying import verify

    return verify()


#: role -> what runs it. Each imports what it needs and no more: memory counts in every process.
_CHILDREN: Final[dict[str, Callable[[], int]]] = {
    "committer": _committer,
    "watcher": _watcher,
    "worker": _worker,
    "verifier": _verifier,
}


def supervise(source: str | None) -> int:
    """Run a gateway with settings from a file, or from standard input. Returns the process's exit status."""
    from cooper_gateway.processes import logs
    from cooper_gateway.processes.errors import GatewayStartError

    logs.set_up("supervisor")
    log = logging.getLogger("cooper_gateway.supervisor")
    _hold_signals()
    try:
        text = sys.stdin.buffer.read() if source is None else Path(source).read_bytes()
        config = msgspec.json.decode(text, type=GatewayConfig)
    except OSError as error:
        log.error("the settings %s cannot be read: %s", source, error.strerror)
        return 2
    except msgspec.MsgspecError as error:
        log.error("the settings %s are not valid: %s", source or "on standard input", error)
        return 2
    try:
        serve(config)
    except GatewayStartError as error:
        log.error("%s", error)
        return 1
    return 0


def serve(config: GatewayConfig) -> None:
    """Run a gateway until SIGTERM or SIGINT. Raises GatewayStartError when it cannot start."""
    signals = _hold_signals()
    from cooper_gateway.native import kind
    from cooper_gateway.processes.supervisor import Supervisor

    log = logging.getLogger("cooper_gateway.supervisor")
    supervisor = Supervisor(config)
    supervisor.start()
    secure = " over TLS" if config.tls_cert else ""
    if kind() == "pure":
        log.info("this package is without its native module: reads and listings take more of the processor's time")
    log.info("serving S3%s on port %d, metrics and health on port %d", secure, supervisor.port, supervisor.metrics_port)
    log.info("stopping: %s", signal.Signals(signal.sigwait(signals)).name)
    supervisor.stop()


def _hold_signals() -> set[signal.Signals]:
    """Block what ends a gateway, from the first moment on: one that comes during the start ends it after the start."""
    signals = {signal.SIGTERM, signal.SIGINT}
    signal.pthread_sigmask(signal.SIG_BLOCK, signals)
    return signals


def main(arguments: list[str]) -> int:
    """Run the role that the command line names. Returns the process's exit status."""
    match arguments:
        case ["supervisor"]:
            return supervise(None)
        case ["supervisor", file]:
            return supervise(file)
        case [role] if role in _CHILDREN:
            return _CHILDREN[role]()
        case _:
            sys.stderr.write(f"{__doc__}\n")
            return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
