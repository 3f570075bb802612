"""A real Chromium without a screen, driven over a pair of pipes by its own protocol (Chrome DevTools Protocol).

Each message is JSON that ends with a NUL. Nothing but the standard library is needed for it, and the browser ends when
whoever started it does, since its pipe closes then.
"""

import json
import os
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from clients.aws import clean_env
from e2e.kind import host
from e2e.kind.steps import StepFailed
from support.artefacts import locked

_SECONDS: Final = 30.0  # for any answer of the browser, of a busy machine too
_NAMES: Final = ("chromium", "chromium-browser", "google-chrome")
#: It reads commands from descriptor 3 and writes answers to descriptor 4.
_ON_PIPES: Final = """
import os, sys
to_read, to_write = (os.dup(int(each)) for each in sys.argv[1:3])
while to_read < 5 or to_write < 5:
    to_read, to_write = os.dup(to_read), os.dup(to_write)
os.dup2(to_read, 3)
os.dup2(to_write, 4)
os.execv(sys.argv[3], sys.argv[3:])
"""
#: Every name that a test has leads to this machine, and no other name anywhere: nothing leaves it.
_RESOLVER: Final = "MAP *.example.com 127.0.0.1, MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"
_OPTIONS: Final = (
    "--headless=new",
    "--remote-debugging-pipe",
    "--no-sandbox",  # which root cannot have
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-features=HttpsUpgrades",  # the tests' servers speak plain HTTP
    "--no-first-run",
    "--no-proxy-server",
    f"--host-resolver-rules={_RESOLVER}",
)


class PageError(Exception):
    """What the page's script threw."""


def program() -> str:
    """The browser of this machine; Debian's is installed where there is none. Raises StepFailed."""
    if (found := _found()) is None:
        if not host.can_install():
            raise StepFailed("there is no chromium, and installing one takes root on Debian")
        with locked("kind"):
            host.install_packages(("chromium",))
        found = _found()
    if found is None:
        raise StepFailed("chromium was installed and is not on PATH")
    return found


def _found() -> str | None:
    return next((path for path in map(shutil.which, _NAMES) if path is not None), None)


class Page:
    """A tab. Its cache and its cookies are its own."""

    def __init__(self, browser: "Browser", context: str) -> None:
        self._browser = browser
        target = browser.call("Target.createTarget", url="about:blank", browserContextId=context)["targetId"]
        self._session: str = browser.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        self._call("Page.enable")

    def go(self, url: str) -> str | None:
        """Open an address and wait until all of it is loaded; None, or why the browser shows nothing of it."""
        failure = self._call("Page.navigate", url=url).get("errorText")
        if failure is None:
            self.run(
                "if (document.readyState !== 'complete') await new Promise(done => addEventListener('load', done))"
            )
        return failure

    def run(self, script: str, **values: object) -> Any:
        """What a script returns; it is the body of an async function with these variables. Raises PageError."""
        names, given = ", ".join(values), ", ".join(map(json.dumps, values.values()))
        expression = f"(async ({names}) => {{ {script} }})({given})"
        done = self._call("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True)
        if "exceptionDetails" in done:
            raise PageError(done["exceptionDetails"].get("exception", {}).get("description", str(done)))
        return done["result"].get("value")

    def _call(self, method: str, **parameters: object) -> dict[str, Any]:
        return self._browser.call(method, self._session, **parameters)


class Browser:
    """A running one."""

    def __init__(self, commands: int, answers: int, log: Path) -> None:
        self._commands, self._answers, self._log = commands, answers, log
        self._received = bytearray()
        self._searched = 0  # bytes of it in which no message ends
        self._last = 0
        self._contexts: list[str] = []

    def page(self) -> Page:
        """A new empty one."""
        self._contexts.append(self.call("Target.createBrowserContext")["browserContextId"])
        return Page(self, self._contexts[-1])

    def close_pages(self) -> None:
        """All of them: each has processes of its own."""
        while self._contexts:
            self.call("Target.disposeBrowserContext", browserContextId=self._contexts.pop())

    def call(self, method: str, session: str | None = None, **parameters: object) -> dict[str, Any]:
        """The result of a command. What the browser tells without being asked is passed over."""
        self._last += 1
        message = {"id": self._last, "method": method, "params": parameters}
        if session is not None:
            message["sessionId"] = session
        os.write(self._commands, json.dumps(message).encode() + b"\0")
        deadline = time.monotonic() + _SECONDS
        while (answer := self._next(deadline)).get("id") != self._last:
            pass
        assert "error" not in answer, f"{method}: {answer['error']}"
        return answer["result"]

    def _next(self, deadline: float) -> dict[str, Any]:
        while (end := self._received.find(b"\0", self._searched)) < 0:
            self._searched = len(self._received)
            ready, _, _ = select.select([self._answers], [], [], max(0.0, deadline - time.monotonic()))
            chunk = os.read(self._answers, 1 << 20) if ready else b""
            assert chunk, f"the browser does not answer; its log ends:\n{self._log.read_text()[-3000:]}"
            self._received += chunk
        message = self._received[:end]
        del self._received[: end + 1]
        self._searched = 0
        return json.loads(message)


@contextmanager
def running(chromium: str, home: Path) -> Generator[Browser]:
    """A browser with nothing in its profile, which ends with the block."""
    (to_read, commands), (answers, to_write) = os.pipe(), os.pipe()
    log = home / "chromium.log"
    options = [*_OPTIONS, f"--user-data-dir={home / 'profile'}"]
    command = [sys.executable, "-c", _ON_PIPES, str(to_read), str(to_write), chromium, *options]
    with log.open("ab") as out:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            env=clean_env(),
            pass_fds=(to_read, to_write),
            start_new_session=True,
        )
    os.close(to_read)
    os.close(to_write)
    browser = Browser(commands, answers, log)
    try:
        yield browser
    finally:
        os.close(commands)  # which ends it
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait(10)
        os.close(answers)
