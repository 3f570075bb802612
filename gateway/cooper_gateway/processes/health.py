"""The health and metrics port: /livez, /readyz and /metrics over plain HTTP, on a thread of the supervisor."""

import errno
import socketserver
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler
from typing import Final

from cooper_gateway.processes.errors import GatewayStartError, PortInUse

_TEXT: Final = "text/plain; charset=utf-8"
_PROMETHEUS: Final = "text/plain; version=0.0.4; charset=utf-8"

#: path -> answer: status, content type, body.
Answer = tuple[int, str, bytes]
Pages = dict[str, Callable[[], Answer]]


def livez() -> Answer:
    """Alive: this thread answers."""
    return 200, _TEXT, b"ok\n"


def readyz(problems: list[str]) -> Answer:
    """Ready when there is no problem; otherwise each problem on a line."""
    if problems:
        return 503, _TEXT, "".join(f"{problem}\n" for problem in problems).encode()
    return 200, _TEXT, b"ok\n"


def metrics(text: bytes) -> Answer:
    """The metrics page."""
    return 200, _PROMETHEUS, text


class _Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 64
    pages: Pages


class _Handler(BaseHTTPRequestHandler):
    server: _Server  # pyright: ignore[reportIncompatibleVariableOverride]
    timeout = 5.0  # seconds; nobody may hold a thread by saying nothing
    server_version = "Cooper"
    sys_version = ""

    def do_GET(self) -> None:
        """Answer with the page of that path."""
        page = self.server.pages.get(self.path.partition("?")[0])
        status, content_type, body = page() if page else (404, _TEXT, b"no such page\n")
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing: a scrape every few seconds is no news."""


class HealthServer:
    """Serves the pages until `stop`."""

    def __init__(self, host: str, port: int, pages: Pages) -> None:
        """Bind (port 0: any free one). Raises PortInUse, GatewayStartError."""
        try:
            self._server = _Server((host, port), _Handler)
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                raise PortInUse(host, port, "metrics port") from None
            raise GatewayStartError(f"the metrics port {port} on {host} cannot be used: {error.strerror}") from None
        self._server.pages = pages
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.1,), name="health", daemon=True)

    @property
    def port(self) -> int:
        """The port that it listens on."""
        return int(self._server.server_address[1])

    def start(self) -> None:
        """Begin to answer."""
        self._thread.start()

    def stop(self) -> None:
        """Answer no more and close the port."""
        if self._thread.is_alive():
            self._server.shutdown()
            self._thread.join()
        self._server.server_close()
