"""What the rounds measured, as ratios."""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from bench.peers.generator import Measured
from bench.peers.loads import Under


class AnyLoad(Protocol):
    """What is measured: see `Load`."""

    @property
    def name(self) -> str: ...

    @property
    def plain(self) -> bool: ...

    def prepare(self, under: Under) -> None: ...

    def measure(self, under: Under) -> Measured: ...


@dataclass(frozen=True)
class Sample:
    """One load on one server in one round. Seconds of the server's processors for each request, and bytes."""

    measured: Measured
    cpu: float
    memory: int


@dataclass(frozen=True)
class Ratio:
    """Of rounds that lie beside each other: the median, and between what they lie."""

    median: float
    least: float
    most: float

    def __str__(self) -> str:
        return f"{self.median:.2f} ({self.least:.2f} to {self.most:.2f})"


Samples = Mapping[str, Mapping[str, Sequence[Sample]]]  # by load, by server, a sample for each round
Taken = dict[str, dict[str, list[Sample]]]  # the same while it grows


def ratio(ours: Sequence[Sample], theirs: Sequence[Sample]) -> Ratio:
    """How many times as many requests a second, round by round."""
    each = [one.measured.rate / other.measured.rate for one, other in zip(ours, theirs, strict=True)]
    return Ratio(statistics.median(each), min(each), max(each))


def lines(samples: Samples, ours: str, other: str) -> list[str]:
    """`get-4k RATIO` for each load that both served."""
    both = {load: by for load, by in samples.items() if {ours, other} <= by.keys()}
    return [f"{load} {ratio(by[ours], by[other]).median:.2f}" for load, by in both.items()]


def rows(samples: Samples, ours: str) -> list[list[str]]:
    """A row for each load and server: rate, ratio with its spread, latencies, the processors' time, memory."""
    found: list[list[str]] = []
    for load, by_server in samples.items():
        for server, taken in by_server.items():
            compared = server != ours and ours in by_server
            found.append([load, server, *_figures(taken), str(ratio(by_server[ours], taken)) if compared else ""])
    return found


HEADERS = ["load", "server", "requests/s", "p50 ms", "p99 ms", "first byte p99 ms", "CPU ms", "MiB", "Cooper is times"]


def _figures(taken: Sequence[Sample]) -> list[str]:
    rate = statistics.median(each.measured.rate for each in taken)
    times = [
        statistics.median(getattr(each.measured, name) for each in taken) * 1000
        for name in ("p50", "p99", "first_byte_p99")
    ]
    cpu = statistics.median(each.cpu / each.measured.requests for each in taken) * 1000
    memory = max(each.memory for each in taken) / 2**20
    return [f"{rate:,.1f}", *(f"{each:.2f}" for each in times), f"{cpu:.3f}", f"{memory:.0f}"]
