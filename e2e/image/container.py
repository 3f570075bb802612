"""A container as a careful cluster runs it: nothing can be written but the data, and there are no capabilities."""

import subprocess
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from typing import Final

from e2e.kind.steps import output

HARDENED: Final = ("--read-only", "--cap-drop=ALL", "--security-opt=no-new-privileges")
_S3: Final = 9000


def once(image: str, *command: str, options: Sequence[str] = ()) -> subprocess.CompletedProcess[str]:
    """Run a command without network until it ends."""
    docker = ["docker", "run", "--rm", *HARDENED, "--network=none", *options, image, *command]
    return subprocess.run(docker, capture_output=True, text=True, timeout=120)


class Container:
    """One that serves S3 on a port of this machine."""

    def __init__(self, identity: str) -> None:
        self._identity = identity
        self.endpoint = "http://" + output(["docker", "port", identity, str(_S3)]).split()[0]

    def read(self, path: str) -> str:
        """A file's content. Raises StepFailed while it is not there."""
        return output(["docker", "exec", self._identity, "cat", path])

    def running(self) -> bool:
        """Whether its program runs."""
        return output(["docker", "inspect", "--format", "{{.State.Running}}", self._identity]).strip() == "true"

    def log(self) -> str:
        """What its program printed."""
        return subprocess.run(
            ["docker", "logs", self._identity], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        ).stdout

    def stop(self) -> int:
        """SIGTERM, and SIGKILL half a minute later; the program's exit status."""
        output(["docker", "stop", "--time", "30", self._identity])
        return int(output(["docker", "inspect", "--format", "{{.State.ExitCode}}", self._identity]))


@contextmanager
def serving(image: str, *command: str, options: Sequence[str] = ()) -> Generator[Container]:
    """Run a command that serves S3 on port 9000, and remove the container after."""
    published = ["--detach", f"--publish=127.0.0.1::{_S3}"]
    identity = output(["docker", "run", *published, *HARDENED, *options, image, *command]).strip()
    try:
        yield Container(identity)
    finally:
        output(["docker", "rm", "--force", identity])


@contextmanager
def volume() -> Generator[str]:
    """The name of a new volume, which is removed after."""
    name = output(["docker", "volume", "create"]).strip()
    try:
        yield name
    finally:
        output(["docker", "volume", "rm", name])
