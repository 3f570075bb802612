"""The access log: one JSON object a line, of each request that was refused and of a share of the others.

A worker hands lines to a thread of its own: whoever reads the log slowly holds up no request. What does not fit into
the queue is dropped, and counted. All workers of a replica write to one descriptor. They do not mix: a write has whole
lines, and no more bytes than a pipe takes in one piece.
"""

import os
import random
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Final

import msgspec

from cooper_gateway.http.finished import Finished
from cooper_gateway.protocol.dates import to_timestamp

#: "Writes of {PIPE_BUF} or fewer bytes shall be atomic" (POSIX, write); this is Linux's.
_AT_ONCE: Final = 4096
#: Lines that wait.
_MOST_WAITING: Final = 10_000
#: Characters of what a client chooses.
_LONGEST_KEY: Final = 400
_LONGEST_AGENT: Final = 200
_FIRST_REFUSAL: Final = 400  # the least status


class Line(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """What is told of a request. Nothing secret: no query, no signature, no headers but one."""

    time: str
    request_id: str
    status: int
    error: str = ""
    method: str = ""
    operation: str = "-"
    bucket: str = ""
    key: str = ""  # the object's name, shortened where it is long
    access_key_id: str = ""  # of the key that signed; empty: nobody did
    claimed_access_key_id: str = ""  # of a signature that was not found right
    address: str = ""
    user_agent: str = ""
    received: int = 0  # bytes of the bodies
    sent: int = 0
    milliseconds: float = 0.0


class AccessLog:
    """Writes to a descriptor until `close`. `share` of the requests that were not refused is told, from 0 to 1."""

    def __init__(
        self,
        descriptor: int,
        share: float = 1.0,
        clock: Callable[[], float] = time.time,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._descriptor = descriptor
        self._share = share
        self._clock = clock
        self._chance = chance
        self._waiting: deque[bytes] = deque()
        self._more = threading.Event()
        self._closed = False
        self.dropped = 0
        self._thread = threading.Thread(target=self._write, name="access log", daemon=True)
        self._thread.start()

    def note(self, finished: Finished) -> None:
        """Tell of a request, if it is told of."""
        if finished.status < _FIRST_REFUSAL and self._share < 1 and self._chance() >= self._share:
            return
        if len(self._waiting) >= _MOST_WAITING:
            self.dropped += 1
            return
        self._waiting.append(_encoded(line_of(finished, self._clock())))
        self._more.set()

    def close(self, seconds: float = 1.0) -> None:
        """Write what waits, for some seconds at most."""
        self._closed = True
        self._more.set()
        self._thread.join(seconds)

    def _write(self) -> None:
        while self._waiting or not self._closed:
            self._more.wait()
            self._more.clear()
            while self._waiting:
                try:
                    _write_whole(self._descriptor, self._some())
                except OSError:  # a disk that is full, a reader that has gone: requests go on
                    self.dropped += 1

    def _some(self) -> bytes:
        """Lines that can be written at once."""
        lines = self._waiting
        taken = [lines.popleft()]
        size = len(taken[0])
        while lines and size + len(lines[0]) <= _AT_ONCE:
            size += len(lines[0])
            taken.append(lines.popleft())
        return b"".join(taken)


def line_of(finished: Finished, now: float) -> Line:
    """What is told. `now` is in Unix seconds, when it ended."""
    line = Line(
        to_timestamp(round(now * 1000)),
        finished.request_id,
        finished.status,
        finished.error,
        operation=finished.operation,
        address=finished.peer,
        received=finished.received,
        sent=finished.sent,
        milliseconds=round(finished.seconds * 1000, 3),
    )
    request = finished.request
    if request is None:
        return line
    return msgspec.structs.replace(
        line,
        method=request.method,
        bucket=request.bucket or "",
        key=(request.name or b"").decode(errors="replace")[:_LONGEST_KEY],
        access_key_id=request.signer,
        claimed_access_key_id="" if request.signer else request.claimed_signer,
        user_agent=request.headers.get("user-agent", "")[:_LONGEST_AGENT],
    )


def _encoded(line: Line) -> bytes:
    encoded = msgspec.json.encode(line) + b"\n"
    if len(encoded) <= _AT_ONCE:
        return encoded
    # Control characters take six bytes each: of what is made of these the rest is told.
    return msgspec.json.encode(msgspec.structs.replace(line, key="", user_agent="")) + b"\n"


def _write_whole(descriptor: int, data: bytes) -> None:
    while data:
        data = data[os.write(descriptor, data) :]
