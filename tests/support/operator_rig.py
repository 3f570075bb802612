"""A real `cooper operator`, as a user starts it."""

import os
import signal
import subprocess
from pathlib import Path

from clients.aws import clean_env
from support.rig import COOPER, eventually


class OperatorProcess:
    """One operator; it may be started several times. Use as a context manager."""

    def __init__(self, log: Path, *options: str) -> None:
        self.log = log
        self.options = options
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> "OperatorProcess":
        """Start it; `wait_until_leading` waits until it works."""
        with self.log.open("ab") as log:
            command = [*COOPER, "operator", *self.options]
            self.process = subprocess.Popen(command, stdout=log, stderr=log, env=clean_env())
        return self

    def wait_until_leading(self, seconds: float = 40) -> None:
        """Wait until the latest start has got the Lease."""
        eventually("the operator's lead", self._leads, seconds, pause=0.05)

    def _leads(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, self.log.read_text()
        return f"leading, as process {self.process.pid}" in self.log.read_text()

    def stop(self) -> int:
        """SIGTERM; the exit status."""
        assert self.process is not None
        if self.process.poll() is None:
            self.process.terminate()
        return self.process.wait(20)

    def kill(self) -> None:
        """`kill -9`."""
        assert self.process is not None
        os.kill(self.process.pid, signal.SIGKILL)
        self.process.wait(20)

    def __enter__(self) -> "OperatorProcess":
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()
