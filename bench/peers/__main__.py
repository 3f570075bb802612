"""Cooper against its peers: the same signed load on each, one at a time, interleaved and repeated.

Every answer is compared with what it has to be while it is measured. Prints `LOAD RATIO` for each load, which is
Cooper's requests a second over versitygw's, and a table.
"""

import argparse
import os
import shutil
import sys
import tempfile
import threading
from collections.abc import Generator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tabulate import tabulate

from bench.peers import build, servers, table
from bench.peers.generator import Plan, run
from bench.peers.loads import LARGE_NAMES, QUICK, Bodies, Load, Maker, large_puts, puts, small_names
from bench.peers.servers import Server, cpu_of, memory
from bench.peers.table import Sample
from support.artefacts import root

_LOOK = 0.25  # seconds between two looks at the memory


class Bench:
    """Servers that stand, and what was measured of them."""

    def __init__(self, folder: Path, seconds: float) -> None:
        self._folder = folder
        self._seconds = seconds
        self._program = build.load()
        self._bodies = Bodies(folder)
        self.samples: dict[str, dict[str, list[Sample]]] = {}

    def fill(self, server: Server) -> None:
        """Put what is read later."""
        if server.keys is None:
            _files(self._folder / server.name / "data" / server.bucket, self._bodies)
            return
        maker = Maker(server, self._bodies)
        for requests in (puts(maker), large_puts(maker)):
            run(self._program, Plan(server.port, 4, 120, requests, self._bodies.paths, once=True), self._folder)

    def measure(self, load: Load, server: Server) -> None:
        """One load on one server, once."""
        requests = load.requests(Maker(server, self._bodies))
        plan = Plan(server.port, load.connections, self._seconds, requests, self._bodies.paths)
        before = cpu_of(server.pid)
        with _peak(server) as peak:
            measured = run(self._program, plan, self._folder)
        sample = Sample(measured, cpu_of(server.pid) - before, max(peak))
        self.samples.setdefault(load.name, {}).setdefault(server.name, []).append(sample)


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


def main() -> None:
    """Build, run, print."""
    parser = argparse.ArgumentParser(prog="bench.peers", description=__doc__)
    parser.add_argument("--seconds", type=float, default=0.7, help="of each load on each server in each round")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--loads", nargs="+", choices=[each.name for each in QUICK], help="only these")
    parser.add_argument("--folder", type=Path, default=root(), help="where the data lies: on a real disk")
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    loads = [each for each in QUICK if not options.loads or each.name in options.loads]
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-", dir=options.folder)))
        there: list[Server] = []
        bench = Bench(folder, options.seconds)
        for name, make in (("cooper", servers.Cooper), ("versitygw", servers.versitygw), ("nginx", servers.nginx)):
            (folder / name).mkdir()
            server: Server = make(folder / name)
            stack.callback(server.stop)
            server.start()
            bench.fill(server)
            there.append(server)
        for turn in range(options.rounds):
            for number, load in enumerate(loads):
                for server in rotated(there, turn + number):
                    if server.keys or load.plain:
                        bench.measure(load, server)
        _show(bench)


def _show(bench: Bench) -> None:
    print(tabulate(table.rows(bench.samples, "cooper"), headers=table.HEADERS, disable_numparse=True), file=sys.stderr)
    print(f"{os.cpu_count()} cores; CPU ms: of the server for each request; MiB: at most, under load", file=sys.stderr)
    print("\n".join(table.lines(bench.samples, "cooper", "versitygw")))


if __name__ == "__main__":
    main()
