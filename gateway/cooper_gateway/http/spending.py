"""What requests of keys cost, where the Region limits that."""

import math
import time
from collections.abc import Callable

from cooper_crds.probes import PROBE, is_probe_mark, marker_of
from cooper_crds.records import Rates
from cooper_gateway.access.directory import Directory
from cooper_gateway.access.meters import Meters, room
from cooper_gateway.access.principals import KeyHolder
from cooper_gateway.protocol.errors import S3Error
from cooper_gateway.protocol.messages import Request

#: Of a worker that is told of no others: it is by itself.
_FEW_SETS = 64
#: Seconds' worth of bytes that count before they have moved.
_ANNOUNCED = 2


class Spending:
    """The bytes of one request. What is announced counts before it moves, two seconds' worth at most; beyond that what
    has moved, which is told each second and in the end. A length is soon said: who has a link could hold up its key for
    hours by it."""

    __slots__ = ("_announced", "_clock", "_key_id", "_meters", "_rates")

    def __init__(self, meters: Meters, key_id: str, rates: Rates, clock: Callable[[], float]) -> None:
        self._meters = meters
        self._key_id = key_id
        self._rates = rates
        self._clock = clock
        self._announced = 0

    def announce(self, count: int) -> None:
        """So many bytes are about to move."""
        if self._rates.bytes is not None:
            count = min(count, _ANNOUNCED * self._rates.bytes)
        self._announced += count
        self._meters.spend(self._key_id, self._rates, count, self._clock())

    def progress(self, moved: int) -> None:
        """So many bytes have moved until now."""
        if moved > self._announced:
            self.settle(moved)

    def settle(self, moved: int) -> None:
        """So many bytes have moved, and no more will."""
        more, self._announced = moved - self._announced, moved
        self._meters.spend(self._key_id, self._rates, more, self._clock())


class Tolls:
    """Admits requests by what their keys have spent. One per worker."""

    def __init__(self, meters: Meters | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        """`clock` is the same for all workers."""
        self._meters = meters or Meters(memoryview(bytearray(room(1, _FEW_SETS))), 0, 1, b"")
        self._clock = clock

    def admit(self, request: Request, holder: KeyHolder, rates: Rates, directory: Directory) -> Spending | None:
        """Count a request that is allowed otherwise, before anything of its body is asked for; None: it costs nothing.
        Raises S3Error SlowDown."""
        key = holder.key
        if key.system or _is_probe(request, key.access_key_id, directory):
            return None
        wait = self._meters.admit(key.access_key_id, rates, self._clock())
        if wait:
            seconds = math.ceil(wait)
            raise S3Error(
                "SlowDown",
                f"This access key may {_in_words(rates)} here. Try again in {seconds} s.",
                Retry_After=str(seconds),
            )
        return None if rates.bytes is None else Spending(self._meters, key.access_key_id, rates, self._clock)


def _in_words(rates: Rates) -> str:
    requests = "" if rates.requests is None else f"make {rates.requests} requests"
    moved = "" if rates.bytes is None else f"send and receive {rates.bytes} bytes"
    return f"{' and '.join(filter(None, (requests, moved)))} a second"


def _is_probe(request: Request, key_id: str, directory: Directory) -> bool:
    """Whether the operator asks with this key. The header was signed, as all of its kind must be."""
    value = request.headers.get(PROBE)
    if value is None:
        return False
    maker = directory.key(marker_of(value))
    if maker is None or not maker.system or maker.state != "Active":
        return False
    return is_probe_mark(value, maker, key_id, request.headers.get("x-amz-date", ""))
