"""What the gateway counts, in Prometheus' text form: children's files and the supervisor's own numbers together."""

import os
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from cooper_gateway.processes.measurements import LATENCY_BOUNDS, Measurements

#: Gauges that children keep, and what they mean. A gauge that is not listed is not shown.
_GAUGES: Final = {
    "connections": "Open connections of clients.",
    "records": "Records in use.",
    "records_broken": "Records that are there and cannot be used; what they grant is denied.",
    "records_table_bytes": "Bytes that the records take in the table, which lies in memory.",
    "records_table_limit_bytes": "Bytes that they may take: by the table's limit, and by what is left in /dev/shm.",
    "records_table_full": "1 when the records do not fit into the table.",
    "records_api_reachable": "1 when the Kubernetes API's last answer about records was a good one.",
    "records_clock_skew_seconds": "How far the Kubernetes API's clock is ahead of this one.",
}
#: The same of which the least of all children is shown, and not the sum.
_LEAST: Final = {
    "certificate_expiration_timestamp_seconds": "When the certificate that is served with expires, since the epoch.",
}
#: Counters that children keep, in the same way.
_COUNTS: Final = {
    "access_log_dropped": "Lines of the access log that were not written, since nobody took them.",
    "commits": "Transactions of the store's index, each synced once.",
    "committed_writes": "Writes in those transactions: over the commits, how many share a sync.",
    "records_relists": "Complete lists of records from the Kubernetes API.",
    "records_watch_restarts": "Watches of records that had ended by themselves and were resumed.",
    "traces_dropped": "Spans of traces that were not delivered, since no collector took them.",
}


@dataclass(frozen=True, slots=True)
class State:
    """The supervisor's own numbers."""

    ready: bool
    record_age: float  # seconds
    restarts: Mapping[str, int]  # role -> how often
    disk: tuple[int, int] | None = None  # bytes that are free for the store, and all bytes, of the disk with the data


def disk_of(path: str) -> tuple[int, int] | None:
    """Bytes that are free, and all bytes, of the disk that a folder lies on; None when it does not tell."""
    try:
        found = os.statvfs(path)
    except OSError:
        return None
    return found.f_bavail * found.f_frsize, found.f_blocks * found.f_frsize


class GatewayCollector(Collector):
    """Gathers at each scrape. `children` gives measurements by label, `state` the supervisor's own."""

    def __init__(self, children: Callable[[], Mapping[str, Measurements]], state: Callable[[], State]) -> None:
        self._children = children
        self._state = state

    def collect(self) -> Iterator[Metric]:
        """All families."""
        children = self._children()
        yield from _requests(children)
        yield from _gauges(children)
        yield from _counts(children)
        yield from _supervisor(self._state())


def render(collector: GatewayCollector) -> bytes:
    """The text that Prometheus reads."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(collector)
    return generate_latest(registry)


def _requests(children: Mapping[str, Measurements]) -> Iterator[Metric]:
    counts = CounterMetricFamily("cooper_requests", "Finished requests.", labels=("operation", "status"))
    for (operation, status), count in _request_counts(children).items():
        counts.add_metric((operation, str(status)), count)
    yield counts
    errors = CounterMetricFamily(
        "cooper_request_errors", "Requests that were answered with an error, by its code.", labels=("operation", "code")
    )
    for (operation, code), count in _error_counts(children).items():
        errors.add_metric((operation, code), count)
    yield errors
    latencies = HistogramMetricFamily(
        "cooper_request_seconds", "Time from a request's head to the end of its answer.", labels=("operation",)
    )
    for operation, (buckets, seconds) in _request_latencies(children).items():
        latencies.add_metric((operation,), _cumulative(buckets), seconds)
    yield latencies
    for name, help_text, total in (
        ("cooper_received_bytes", "Bytes of request bodies.", sum(child.received for child in children.values())),
        ("cooper_sent_bytes", "Bytes of response bodies.", sum(child.sent for child in children.values())),
    ):
        yield CounterMetricFamily(name, help_text, value=total)


def _error_counts(children: Mapping[str, Measurements]) -> Counter[tuple[str, str]]:
    counts: Counter[tuple[str, str]] = Counter()
    for child in children.values():
        for operation, codes in child.errors.items():
            counts.update({(operation, code): count for code, count in codes.items()})
    return counts


def _request_counts(children: Mapping[str, Measurements]) -> dict[tuple[str, int], int]:
    counts: dict[tuple[str, int], int] = {}
    for child in children.values():
        for operation, statuses in child.requests.items():
            for status, count in statuses.items():
                counts[operation, status] = counts.get((operation, status), 0) + count
    return counts


def _request_latencies(children: Mapping[str, Measurements]) -> dict[str, tuple[list[int], float]]:
    latencies: dict[str, tuple[list[int], float]] = {}
    for child in children.values():
        for operation, latency in child.latencies.items():
            buckets, seconds = latencies.get(operation, ([0] * len(latency.buckets), 0.0))
            summed = [one + other for one, other in zip(buckets, latency.buckets, strict=True)]
            latencies[operation] = (summed, seconds + latency.seconds)
    return latencies


def _cumulative(buckets: list[int]) -> list[tuple[str, float]]:
    total = 0
    rows: list[tuple[str, float]] = []
    for bound, count in zip((*map(str, LATENCY_BOUNDS), "+Inf"), buckets, strict=True):
        total += count
        rows.append((bound, total))
    return rows


def _gauges(children: Mapping[str, Measurements]) -> Iterator[Metric]:
    for together, gauges in ((sum, _GAUGES), (min, _LEAST)):
        for name, help_text in gauges.items():
            if values := [child.gauges[name] for child in children.values() if name in child.gauges]:
                yield GaugeMetricFamily(f"cooper_{name}", help_text, value=together(values))


def _counts(children: Mapping[str, Measurements]) -> Iterator[Metric]:
    for name, help_text in _COUNTS.items():
        if any(name in child.counts for child in children.values()):
            total = sum(child.counts.get(name, 0) for child in children.values())
            yield CounterMetricFamily(f"cooper_{name}", help_text, value=total)


def _supervisor(state: State) -> Iterator[Metric]:
    yield GaugeMetricFamily("cooper_ready", "1 when this replica can serve.", value=int(state.ready))
    yield GaugeMetricFamily(
        "cooper_record_age_seconds", "Seconds since the records were last read completely.", value=state.record_age
    )
    if state.disk is not None:
        free, size = state.disk
        yield GaugeMetricFamily("cooper_disk_free_bytes", "Bytes that are free on the disk with the data.", value=free)
        yield GaugeMetricFamily("cooper_disk_size_bytes", "Bytes that the disk with the data has.", value=size)
    restarts = CounterMetricFamily("cooper_process_restarts", "Processes started again.", labels=("role",))
    for role, count in state.restarts.items():
        restarts.add_metric((role,), count)
    yield restarts
