"""The pages of the tests: empty ones, of whichever host name a browser asks for, and what they do."""

import base64
import threading
from collections.abc import Generator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final

from e2e.browser.chromium import Page

#: What a page sees of an answer, or why the browser let it have none.
_FETCH: Final = """
try {
    const answer = await fetch(url, init);
    const headers = Object.fromEntries(answer.headers);
    return {status: answer.status, type: answer.type, headers, text: await answer.text()};
} catch (error) {
    return {refused: String(error)};
}
"""


_PICTURE: Final = """
const image = new Image();
if (cors) image.crossOrigin = 'anonymous';
image.src = url;
return await new Promise(done => { image.onload = () => done(image.width); image.onerror = () => done(null); });
"""
#: One pixel.
PNG: Final = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)


def picture(page: Page, url: str, cors: bool = False) -> int | None:
    """The width of a picture that the page shows; None where it cannot. With `cors` it could be read, too."""
    return page.run(_PICTURE, url=url, cors=cors)


def fetch(page: Page, url: str, method: str = "GET", **init: object) -> dict[str, Any]:
    """`status`, `headers` and `text` as the page sees them; `refused` where the browser lets it have nothing."""
    return page.run(_FETCH, url=url, init={"method": method, **init})


class _EmptyPage(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        body = b"<!doctype html><title>page</title>"
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


@contextmanager
def served() -> Generator[int]:
    """The port at which every path of every host is an empty page."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _EmptyPage)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()
        thread.join(10)
