"""What a child counts: plain numbers in memory, written to its own small file in the run folder each second.

The supervisor reads the files when it is asked for metrics. So counting costs a request half a microsecond, a child
needs no metrics library, and a child that is killed takes at most a second of counts with it: its successor goes on
from the file.
"""

import os
from bisect import bisect_left
from typing import Final

import msgspec

from cooper_gateway.http.finished import Finished

#: Upper bounds in seconds. The last bucket, without a bound, is implied.
LATENCY_BOUNDS: Final = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 60.0)


class Latency(msgspec.Struct):
    """How long one operation took: how many in each bucket, and the sum in seconds."""

    buckets: list[int] = msgspec.field(default_factory=lambda: [0] * (len(LATENCY_BOUNDS) + 1))
    seconds: float = 0.0


class Measurements(msgspec.Struct):
    """Everything one child has counted. Gauges are of this instant; the rest only grows, also over restarts."""

    requests: dict[str, dict[int, int]] = {}  # operation -> status -> count
    errors: dict[str, dict[str, int]] = {}  # operation -> S3's code -> count
    latencies: dict[str, Latency] = {}
    received: int = 0  # bytes of request bodies
    sent: int = 0  # bytes of response bodies
    counts: dict[str, int] = {}
    gauges: dict[str, float] = {}
    trouble: str = ""  # what hinders this child right now, a clause; empty when nothing does

    def observe(self, finished: Finished) -> None:
        """Count one finished request."""
        operation, status = finished.operation, finished.status
        if finished.error:
            codes = self.errors.setdefault(operation, {})
            codes[finished.error] = codes.get(finished.error, 0) + 1
        statuses = self.requests.get(operation)
        if statuses is None:
            statuses = self.requests[operation] = {}
            self.latencies[operation] = Latency()
        statuses[status] = statuses.get(status, 0) + 1
        latency = self.latencies[operation]
        latency.buckets[bisect_left(LATENCY_BOUNDS, finished.seconds)] += 1
        latency.seconds += finished.seconds
        self.received += finished.received
        self.sent += finished.sent


class MeasurementsFile:
    """One child's file. It is on tmpfs: writing it costs some microseconds and no disk."""

    def __init__(self, folder: str, label: str) -> None:
        self._path = f"{folder}/{label}.json"

    def load(self) -> Measurements:
        """What a predecessor counted, and its gauges until they are set anew; nothing when there was none."""
        try:
            with open(self._path, "rb") as file:
                return msgspec.json.decode(file.read(), type=Measurements)
        except (OSError, msgspec.MsgspecError):
            return Measurements()

    def save(self, measurements: Measurements) -> None:
        """Write them, at once for any reader. A full tmpfs costs only the metrics."""
        draft = self._path + ".new"
        try:
            with open(draft, "wb", opener=_private) as file:
                file.write(msgspec.json.encode(measurements))
            os.replace(draft, self._path)
        except OSError:
            return


def read_all(folder: str) -> dict[str, Measurements]:
    """All children's measurements by their label. A file that cannot be read is left out."""
    found: dict[str, Measurements] = {}
    try:
        names = sorted(name for name in os.listdir(folder) if name.endswith(".json"))
    except OSError:
        return found
    for name in names:
        try:
            with open(f"{folder}/{name}", "rb") as file:
                found[name.removesuffix(".json")] = msgspec.json.decode(file.read(), type=Measurements)
        except (OSError, msgspec.MsgspecError):
            continue
    return found


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)
