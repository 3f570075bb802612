"""Limits of the HTTP layer: sizes in bytes, times in seconds. Tests make them small."""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class HttpLimits:
    """What one connection may hold and how long it may take."""

    header_bytes: int = 16 << 10  # the whole header section, request line included
    header_count: int = 100
    header_seconds: float = 15.0  # from a request's first byte to its last header
    handshake_seconds: float = 5.0  # of TLS, where that is spoken
    handshakes: int = 3_000  # at a time, per worker: 50 KiB each
    idle_seconds: float = 75.0  # a kept-alive connection with nothing to do
    body_seconds: float = 60.0  # a body that brings less than `body_progress` in this time is given up:
    body_progress: int = 60 << 10  # less than 1 KiB/s, so that nobody holds a connection and a file for next to nothing
    write_seconds: float = 60.0  # a reader that takes less than `least_progress` in this time is cut
    least_progress: int = 1 << 10
    queue_bytes: int = 256 << 10  # high-water mark of a body's queue
    write_bytes: int = 128 << 10  # high-water mark of the transport's write buffer; a stream's pieces are larger
    pipelined_bytes: int = 64 << 10  # later requests that wait while one is answered
    linger_bytes: int = 64 << 10  # of a refused body, read and dropped so that the client sees the answer
    linger_seconds: float = 2.0
    # Readers that stall hold what was read for them, about half a MiB each. As long as they are few they have
    # `write_seconds`; of more than `stalled` those that have stalled longest, and for `crowded_seconds`, are cut; of
    # more than `most_stalled` the longest stalled at once.
    stalled: int = 256
    most_stalled: int = 1024
    crowded_seconds: float = 5.0  # to take half a MiB; with 3 of 4 connections in use, also to send a header section
    connections: int = 20_000  # per worker; one more is answered SlowDown and closed
    tls_connections: int = 5_000  # in place of that over TLS: 30 KiB each


DEFAULT_LIMITS: Final = HttpLimits()
