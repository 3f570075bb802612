"""A small HTTP load generator: keep-alive connections that replay signed requests and check every answer.

Requests are signed before the clock starts, so that the generator costs little beside the server it shares the machine
with. Loops are bounded in time. Latencies are in seconds, sizes in bytes.
"""

import selectors
import socket
import statistics
import time
from dataclasses import dataclass, field


@dataclass
class Result:
    """What one run measured."""

    requests: int
    seconds: float
    latencies: list[float] = field(default_factory=list[float])

    @property
    def rate(self) -> float:
        """Requests a second."""
        return self.requests / self.seconds

    def percentile(self, share: float) -> float:
        """Latency that `share` of the requests stayed under."""
        return statistics.quantiles(self.latencies, n=1000)[round(share * 1000) - 1]


class _Connection:
    """One keep-alive connection with one request in flight."""

    def __init__(self, address: tuple[str, int]) -> None:
        self.socket = socket.create_connection(address)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buffer = bytearray()
        self.expected = -1
        self.sent_at = 0.0

    def send(self, request: bytes) -> None:
        self.buffer.clear()
        self.expected = -1
        self.sent_at = time.perf_counter()
        self.socket.sendall(request)

    def receive(self, head: bool) -> bool:
        """Take what arrived; True when the answer is whole."""
        data = self.socket.recv(262144)
        if not data:
            raise ConnectionError("the server closed the connection: " + self.buffer[:300].decode("latin-1"))
        self.buffer += data
        if self.expected < 0:
            end = self.buffer.find(b"\r\n\r\n")
            if end < 0:
                return False
            if self.buffer[9:12] not in (b"200", b"204", b"206"):
                raise AssertionError("unexpected answer: " + self.buffer[:800].decode("latin-1"))
            start = self.buffer.lower().find(b"\r\ncontent-length:", 0, end)
            length = (
                int(self.buffer[start + 17 : self.buffer.find(b"\r\n", start + 2)]) if start >= 0 and not head else 0
            )
            self.expected = end + 4 + length
        return len(self.buffer) >= self.expected


def run(
    host: str, port: int, requests: list[bytes], connections: int, seconds: float, body: bytes | None = None
) -> Result:
    """Replay `requests` in turn over `connections` for `seconds`; each GET's body must equal `body` when given."""
    selector = selectors.DefaultSelector()
    pool = [_Connection((host, port)) for _ in range(connections)]
    turn = 0
    latencies: list[float] = []
    started = time.perf_counter()
    for connection in pool:
        selector.register(connection.socket, selectors.EVENT_READ, connection)
        connection.send(requests[turn % len(requests)])
        turn += 1
    head = requests[0].startswith(b"HEAD")
    while (now := time.perf_counter()) - started < seconds:
        for key, _ in selector.select(1):
            connection: _Connection = key.data
            if not connection.receive(head):
                continue
            latencies.append(time.perf_counter() - connection.sent_at)
            if body is not None and not connection.buffer.endswith(body):
                raise AssertionError("the answer's body is not what was stored")
            connection.send(requests[turn % len(requests)])
            turn += 1
    for connection in pool:
        connection.socket.close()
    selector.close()
    return Result(len(latencies), now - started, latencies)
