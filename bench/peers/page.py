"""The page of docs/benchmarks: tables of what was measured, and plots. The words around them are people's.

What was measured lies beside the page as JSON, so that some loads or servers can be measured anew and the others stay.
"""

import json
import os
import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from tabulate import tabulate

from bench.pages import replace
from bench.peers.generator import Measured
from bench.peers.servers import SERVERS
from bench.peers.table import Sample, Samples, Taken, ratio
from bench.plots import bars

OURS: Final = "cooper"
#: What is shown of the loads on few objects and of listings, in this order.
LOADS: Final = (
    *("get-4k-1", "get-4k", "get-4k-256", "put-4k-1", "put-4k", "put-4k-256", "get-64m", "put-64m", "multipart-1g"),
    *("range-4k", "head", "delete", "mixed", "list-1000-1", "list-1000", "delimiter-list-1", "delimiter-list"),
)
_MANY: Final = ("get-4k", "put-4k", "range-4k", "head", "mixed")


def write(path: Path, taken: Samples, missing: Mapping[str, str]) -> None:
    """Write what was measured into the page, over what was there of the same loads and servers."""
    kept = path.with_suffix(".json")
    samples = load(kept) if kept.exists() else {}
    for name, by_server in taken.items():
        samples.setdefault(name, {}).update({server: list(each) for server, each in by_server.items()})
    kept.write_text(_text(_told(samples)))
    for name, text in tables(samples).items():
        replace(path, name, text)
    absent = [f"{name} was not measured: {why}." for name, why in missing.items() if name not in _servers(samples)]
    replace(path, "missing", "\n\n".join(absent) or f"All were measured, on {os.cpu_count()} cores.")
    _plots(path, samples)


def load(path: Path) -> Taken:
    """What was measured before."""

    def sample(told: dict[str, Any]) -> Sample:
        return Sample(**{**told, "measured": Measured(**told["measured"])})

    found: dict[str, dict[str, list[dict[str, Any]]]] = json.loads(path.read_text())
    return {
        name: {server: [sample(each) for each in all_] for server, all_ in by.items()} for name, by in found.items()
    }


def _told(samples: Samples) -> dict[str, dict[str, list[dict[str, Any]]]]:
    return {
        name: {server: [_rounded(asdict(each)) for each in taken] for server, taken in by.items()}
        for name, by in samples.items()
    }


def _text(told: dict[str, dict[str, list[dict[str, Any]]]]) -> str:
    """JSON, with a line for each load and server."""
    loads = [
        f' "{name}": {{\n' + ",\n".join(f'  "{server}": {json.dumps(taken)}' for server, taken in by.items()) + "\n }"
        for name, by in told.items()
    ]
    return "{\n" + ",\n".join(loads) + "\n}\n"


def _rounded(told: dict[str, Any]) -> dict[str, Any]:
    """Numbers to six digits after the point: more says nothing."""
    return {
        name: _rounded(value) if isinstance(value, dict) else round(value, 6) if isinstance(value, float) else value
        for name, value in told.items()
    }


def tables(samples: Samples) -> dict[str, str]:
    """The page's tables by name."""
    peers = [name for name in _servers(samples) if name != OURS]
    every = _servers(samples)
    return {
        "ratios": _table(samples, peers, lambda by, name: str(ratio(by[OURS], by[name])) if OURS in by else ""),
        "rates": _table(samples, every, lambda by, name: _number(_median(by[name], _rate))),
        "latencies": _table(
            samples, every, lambda by, name: f"{_median(by[name], _p50):.2f} / {_median(by[name], _p99):.2f}"
        ),
        "first-bytes": _table(samples, every, lambda by, name: f"{_median(by[name], _first_byte):.2f}"),
        "processors": _table(samples, every, lambda by, name: f"{_median(by[name], _cpu):.3f}"),
        "memory": _table(samples, every, lambda by, name: f"{max(map(_memory, by[name])):.0f}"),
    }


def _table(samples: Samples, servers: Sequence[str], cell: Callable[[Mapping[str, Sequence[Sample]], str], str]) -> str:
    """A row for each load, a column for each server."""
    rows = [
        [name, *(cell(samples[name], server) if server in samples[name] else "" for server in servers)]
        for name in LOADS
        if name in samples
    ]
    align = ["left", *("right" for _ in servers)]
    return tabulate(rows, headers=["load", *servers], tablefmt="github", disable_numparse=True, colalign=align)


def _servers(samples: Samples) -> list[str]:
    there = {server for by in samples.values() for server in by}
    return [name for name in SERVERS if name in there]


def _median(taken: Sequence[Sample], figure: Callable[[Sample], float]) -> float:
    return statistics.median(map(figure, taken))


def _number(value: float) -> str:
    """With three digits that count."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _rate(sample: Sample) -> float:
    return sample.measured.rate


def _p50(sample: Sample) -> float:
    return sample.measured.p50 * 1000


def _p99(sample: Sample) -> float:
    return sample.measured.p99 * 1000


def _first_byte(sample: Sample) -> float:
    return sample.measured.first_byte_p99 * 1000


def _cpu(sample: Sample) -> float:
    return sample.cpu / sample.measured.requests * 1000


def _memory(sample: Sample) -> float:
    return sample.memory / 2**20


def _plots(path: Path, samples: Samples) -> None:
    """Bars beside each other: what is small is measured many times, what is large by its mean."""
    servers = [name for name in _servers(samples) if name != "nginx"]

    def plot(suffix: str, title: str, loads: Iterable[str], figure: Callable[[Sequence[Sample]], float]) -> None:
        there = [name for name in loads if name in samples]
        series = {
            server: [figure(samples[name][server]) if server in samples[name] else None for name in there]
            for server in servers
        }
        bars(path.with_suffix(suffix), title, there, series)

    plot(".rates.svg", "Requests a second at 32 connections", _MANY, lambda taken: _median(taken, _rate))
    plot(
        ".first-byte.svg",
        "Time to first byte, p99, ms, 32 connections",
        _MANY,
        lambda taken: _median(taken, _first_byte),
    )
    plot(".memory.svg", "Memory under load, MiB", LOADS, lambda taken: max(map(_memory, taken)))
    plot(".processors.svg", "Processors' time a request, ms", _MANY, lambda taken: _median(taken, _cpu))
