"""What the operator counts and times, for Prometheus. Times are seconds."""

import time
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Final

from prometheus_client import CollectorRegistry, Gauge, Histogram, generate_latest
from prometheus_client import Counter as Counted
from prometheus_client.core import CounterMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from cooper_operator.cluster.port import Object, Ref
from cooper_operator.reconcile.reading import is_settled, section

_WORK: Final = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0)
_WAITS: Final = (0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0, 300.0, 1000.0)


class Telemetry:
    """One of these for the whole process: it goes on counting when another operator leads meanwhile.

    `calls` counts requests to the API server by verb and plural. `clock` is monotonic.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self.calls: Counter[tuple[str, str]] = Counter()
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(_Calls(self.calls))
        self.leading = Gauge("cooper_operator_leading", "1 while this operator leads.", registry=self._registry)
        self._depth = Gauge(
            "cooper_operator_queue_depth", "Resources that wait to be looked at.", registry=self._registry
        )
        self._age = Gauge(
            "cooper_operator_queue_age_seconds",
            "How long the resource has waited that has waited longest. Routine looks are not counted.",
            registry=self._registry,
        )
        self._reconciles = Histogram(
            "cooper_operator_reconcile_seconds",
            "Looks at resources. Result: settled, or retry when something is waited for or failed.",
            ("kind", "result"),
            buckets=_WORK,
            registry=self._registry,
        )
        self._settles = Histogram(
            "cooper_operator_settle_seconds",
            "From when a change was seen until a resource was Ready, or Revoked. What waits for its user counts, too.",
            ("kind", "state"),
            buckets=_WAITS,
            registry=self._registry,
        )
        self._answered = Counted(
            "cooper_operator_requests_over_s3",
            "Buckets that clients had made or deleted over S3 (done), and those that they were refused.",
            ("operation", "result"),
            registry=self._registry,
        )
        for operation in ("CreateBucket", "DeleteBucket"):  # a rate needs to have seen none
            for result in ("done", "refused"):
                self._answered.labels(operation, result)
        self._since: dict[Ref, tuple[int, float]] = {}  # of what is not settled: generation, and when it was seen

    def follow_queue(self, depth: Callable[[], int], age: Callable[[], float]) -> None:
        """Show what these tell as the queue's length, and as the age of what waits in it."""
        self._depth.set_function(depth)
        self._age.set_function(age)

    def reconciled(self, ref: Ref, *, retry: bool, seconds: float) -> None:
        """A resource was looked at."""
        self._reconciles.labels(ref.kind, "retry" if retry else "settled").observe(seconds)

    def answered(self, operation: str, result: str) -> None:
        """What a client asked for over S3 was done, or refused."""
        self._answered.labels(operation, result).inc()

    def saw(self, ref: Ref, obj: Object | None) -> None:
        """A resource as it is by now; None: it is gone, or nothing is known of it."""
        if obj is None or "deletionTimestamp" in obj["metadata"]:
            self._since.pop(ref, None)
            return
        generation: int = obj["metadata"].get("generation", 0)
        began = self._since.get(ref)
        if not is_settled(obj):
            if began is None or began[0] != generation:
                self._since[ref] = generation, self._clock()
            return
        if began is not None:
            del self._since[ref]
            self._settles.labels(ref.kind, _state(obj)).observe(self._clock() - began[1])

    def forget(self) -> None:
        """Somebody else leads: what is not settled is his."""
        self._since.clear()
        self.follow_queue(lambda: 0, lambda: 0.0)

    def text(self) -> bytes:
        """The page that Prometheus reads."""
        return generate_latest(self._registry)


class _Calls(Collector):
    def __init__(self, calls: Counter[tuple[str, str]]) -> None:
        self._calls = calls

    def collect(self) -> Iterator[Metric]:
        """Requests by verb and resource."""
        found = CounterMetricFamily(
            "cooper_operator_api_requests", "Requests to the API server.", labels=("verb", "resource")
        )
        for labels, count in list(self._calls.items()):
            found.add_metric(labels, count)
        yield found


def _state(obj: Object) -> str:
    ready = any(each["type"] == "Ready" and each["status"] == "True" for each in section(obj, "status")["conditions"])
    return "Ready" if ready else "Revoked"
