"""Runs the load generator (`load/main.go`): what it is told and what it measured."""

import json
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any


class WrongAnswers(Exception):
    """A server answered otherwise than it had to while it was measured; the message has the first such answer."""


@dataclass(frozen=True)
class Request:
    """A request as it goes over the wire, and what its answer has to be; see `Request` of the generator."""

    head: str
    status: int = 200
    size: int = -1
    send: str = ""
    body: str = ""
    from_: int = 0
    etag: str = ""
    counts: Mapping[str, int] = field(default_factory=dict[str, int])

    def told(self) -> dict[str, Any]:
        """As the generator reads it."""
        return {name.rstrip("_"): value for name, value in asdict(self).items()}


@dataclass(frozen=True)
class Plan:
    """What the generator does. Bodies are files, by the names that requests have for them."""

    port: int
    connections: int
    seconds: float
    requests: Sequence[Request]
    bodies: Mapping[str, Path] = field(default_factory=dict[str, Path])
    once: bool = False


@dataclass(frozen=True)
class Measured:
    """What one run measured. Seconds and bytes; `cpu` is the generator's own."""

    requests: int
    errors: int
    first_error: str
    reconnects: int
    seconds: float
    received: int
    sent: int
    p50: float
    p99: float
    first_byte_p99: float
    cpu: float

    @property
    def rate(self) -> float:
        """Requests a second."""
        return self.requests / self.seconds


def parse(text: str) -> Measured:
    """What the generator printed. Raises WrongAnswers."""
    found = Measured(**json.loads(text))
    if found.errors:
        raise WrongAnswers(f"{found.errors} of {found.errors + found.requests} answers were wrong: {found.first_error}")
    if not found.requests:
        raise WrongAnswers("there was no answer")
    return found


def run(program: Path, plan: Plan, folder: Path) -> Measured:
    """Run it. Raises WrongAnswers, and CalledProcessError when answers did not come."""
    file = folder / "plan.json"
    told = {
        "address": f"127.0.0.1:{plan.port}",
        "connections": plan.connections,
        "seconds": plan.seconds,
        "once": plan.once,
        "bodies": {name: str(path) for name, path in plan.bodies.items()},
        "requests": [request.told() for request in plan.requests],
    }
    file.write_text(json.dumps(told))
    limit = plan.seconds + 90
    done = subprocess.run([program, file], stdout=subprocess.PIPE, text=True, check=True, timeout=limit)
    return parse(done.stdout)
