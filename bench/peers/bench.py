"""Servers that stand, and what is measured of them."""

import shutil
import threading
import time
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from bench.peers import build, servers, table
from bench.peers.loads import LARGE, LARGE_NAMES, Bodies, Under, large_puts, puts, small_names
from bench.peers.servers import Server, cpu_of, memory
from bench.peers.table import AnyLoad, Sample

_LOOK: Final = 0.25  # seconds between two looks at the memory
_SETTLE: Final = 0.2  # seconds for what a server catches up with once it runs again


class Bench:
    """Runs loads. Those servers that are not at their turn are halted."""

    def __init__(self, folder: Path, seconds: float, samples: table.Taken, large: int = LARGE) -> None:
        self._folder = folder
        self._seconds = seconds
        self._program = build.load()
        self._bodies = Bodies(folder, large)
        self._samples = samples

    def under(self, server: Server) -> Under:
        """What a load is run with on that server."""
        return Under(server, self._bodies, self._program, self._folder, self._seconds)

    def fill(self, server: Server) -> None:
        """Put what is read later."""
        if server.keys is None:
            _files(server.folder / "data" / server.bucket, self._bodies)
            return
        under = self.under(server)
        for requests in (puts(under.maker), large_puts(under.maker)):
            under.send(requests, 4, once=True)

    def run(self, there: Sequence[Server], loads: Sequence[AnyLoad], rounds: int) -> None:
        """All loads on all servers, round by round, each time in another order."""
        for turn in range(rounds):
            for number, load in enumerate(loads):
                for server in rotated(there, turn + number):
                    if server.keys or load.plain:
                        self.measure(load, server)

    def measure(self, load: AnyLoad, server: Server) -> None:
        """One load on one server, once."""
        self.resume(server)
        under = self.under(server)
        load.prepare(under)
        before = cpu_of(server.pid)
        with _peak(server) as peak:
            measured = load.measure(under)
        sample = Sample(measured, cpu_of(server.pid) - before, max(peak))
        self._samples.setdefault(load.name, {}).setdefault(server.name, []).append(sample)
        self.halt(server)

    def halt(self, server: Server) -> None:
        """Keep it from running."""
        servers.halt(server)

    def resume(self, server: Server) -> None:
        """Let it run again."""
        servers.resume(server)
        time.sleep(_SETTLE)


def _files(folder: Path, bodies: Bodies) -> None:
    """The same objects as plain files."""
    for name, body in [(each, "small") for each in small_names()] + [(each, "large") for each in LARGE_NAMES]:
        (folder / name).parent.mkdir(exist_ok=True)
        shutil.copy(bodies.paths[body], folder / name)


@contextmanager
def _peak(server: Server) -> Generator[list[int]]:
    """Looks at its memory while it is loaded."""
    seen = [memory(server)]
    over = threading.Event()

    def look() -> None:
        while not over.wait(_LOOK):
            seen.append(memory(server))

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield seen
    finally:
        over.set()
        thread.join()


def rotated(there: Sequence[Server], turn: int) -> list[Server]:
    """The servers in another order each time, so that none is always the first."""
    first = turn % len(there)
    return [*there[first:], *there[:first]]
