"""A real `cooper operator`, as a user starts it."""

import os
import re
import signal
import subprocess
import urllib.error
import urllib.request
from pathlib import Path

from clients.aws import clean_env
from support.rig import COOPER, eventually


class OperatorProcess:
    """One operator; it may be started several times. Use as a context manager."""

    def __init__(self, log: Path, *options: str) -> None:
        self.log = log
        self.options = options
        self.process: subprocess.Popen[bytes] | None = None
        self._said_before = 0  # in the log

    def start(self) -> "OperatorProcess":
        """Start it; `wait_until_leading` waits until it works."""
        self.forget()
        with self.log.open("ab") as log:
            command = [*COOPER, "operator", "--metrics-port", "0", *self.options]
            self.process = subprocess.Popen(command, stdout=log, stderr=log, env=clean_env())
        return self

    def wait_until_leading(self, seconds: float = 40) -> None:
        """Wait until it has got the Lease."""
        eventually("the operator's lead", lambda: self._says("leading, as process"), seconds, pause=0.05)

    def wait_until_waiting(self, seconds: float = 40) -> None:
        """Wait until it has seen that another one leads."""
        eventually("the operator's waiting", lambda: self._says("this operator waits"), seconds, pause=0.05)

    def page(self, path: str) -> tuple[int, str]:
        """Status and text of a page of the metrics port."""
        port = re.findall(r"metrics and health on port (\d+)", self.log.read_text())[-1]
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as response:
                return response.status, response.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    def forget(self) -> None:
        """Have only what it says from now on count."""
        self._said_before = len(self.log.read_text()) if self.log.exists() else 0

    def signal(self, number: int) -> None:
        """Send it a signal."""
        assert self.process is not None
        os.kill(self.process.pid, number)

    def _says(self, what: str) -> bool:
        assert self.process is not None
        text = self.log.read_text()[self._said_before :]
        assert self.process.poll() is None, text
        return what in text

    def stop(self) -> int:
        """SIGTERM; the exit status."""
        assert self.process is not None
        if self.process.poll() is None:
            self.process.terminate()
        return self.process.wait(20)

    def kill(self) -> None:
        """`kill -9`."""
        self.signal(signal.SIGKILL)
        assert self.process is not None
        self.process.wait(20)

    def __enter__(self) -> "OperatorProcess":
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()
