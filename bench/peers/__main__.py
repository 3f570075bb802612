"""Cooper against its peers: the same signed load on each, one at a time, interleaved and repeated.

Every answer is compared with what it has to be while it is measured. Prints a table, and `LOAD RATIO` for each load:
Cooper's requests a second over versitygw's.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

from tabulate import tabulate

from bench.peers import build, listed, page, table
from bench.peers.bench import Bench
from bench.peers.loads import FULL, QUICK
from bench.peers.multipart import Multipart
from bench.peers.servers import SERVERS, Make, Server
from support.artefacts import root

_QUICK_SERVERS = ("cooper", "versitygw", "nginx")


def main() -> None:
    """Build, run, print."""
    options = _options()
    options.folder.mkdir(parents=True, exist_ok=True)
    makes, missing = _there(options.servers)
    samples: table.Taken = {}
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-", dir=options.folder)))
        bench = Bench(folder, options.seconds, samples)
        loads = QUICK if options.quick else (*FULL, Multipart())
        wanted = [each for each in loads if not options.loads or each.name in options.loads]
        if wanted:
            _basic(bench, makes, folder, wanted, options.rounds)
        if not options.quick:
            wanted = [each for each in listed.loads(options.listed) if not options.loads or each.name in options.loads]
            if wanted:
                _listings(bench, makes, options.keep or folder / "listed", wanted, options)
    _show(samples)
    for name, why in missing.items():
        print(f"{name} was not measured: {why}", file=sys.stderr)
    if options.into:
        page.write(options.into, samples, missing)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench.peers", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="less than a minute: versitygw and nginx, few objects")
    parser.add_argument("--seconds", type=float, help="of each load on each server in each round")
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--loads", nargs="+", help="only these")
    parser.add_argument("--servers", nargs="+", choices=SERVERS, help="only these")
    parser.add_argument("--folder", type=Path, default=root(), help="where the data lies: on a real disk")
    parser.add_argument("--listed", type=int, default=1_000_000, help="objects of the bucket that is listed")
    parser.add_argument("--keep", type=Path, help="where filled buckets are kept for the next time")
    parser.add_argument("--into", type=Path, help="the page that the figures are written into")
    options = parser.parse_args()
    options.seconds = options.seconds or (0.7 if options.quick else 2.0)
    options.rounds = options.rounds or (1 if options.quick else 3)
    options.servers = options.servers or (_QUICK_SERVERS if options.quick else tuple(SERVERS))
    return options


def _there(names: tuple[str, ...]) -> tuple[dict[str, Make], dict[str, str]]:
    """What can be measured, and why the others cannot."""
    makes: dict[str, Make] = {}
    missing: dict[str, str] = {}
    for name in names:
        try:
            build.of(name)
            makes[name] = SERVERS[name]
        except build.Missing as error:
            missing[name] = str(error)
        except subprocess.CalledProcessError as error:
            missing[name] = f"it could not be built: {error}"
    return makes, missing


def _basic(bench: Bench, makes: dict[str, Make], folder: Path, loads: list[table.AnyLoad], rounds: int) -> None:
    """The loads on a few objects: all servers stand, and one of them runs at a time."""
    with ExitStack() as stack:
        there: list[Server] = []
        for name, make in makes.items():
            (folder / name).mkdir()
            server = make(folder / name)
            stack.callback(server.stop)
            server.start()
            bench.fill(server)
            bench.halt(server)
            there.append(server)
        bench.run(there, loads, rounds)


def _listings(
    bench: Bench, makes: dict[str, Make], folder: Path, loads: list[table.AnyLoad], options: argparse.Namespace
) -> None:
    """The listings of much."""
    with ExitStack() as stack:
        there: list[Server] = []
        for name, make in makes.items():
            if name == "nginx":
                continue
            (folder / name).mkdir(parents=True, exist_ok=True)
            server = make(folder / name)
            stack.callback(server.stop)
            server.start()
            listed.fill(bench.under(server), options.listed)
            bench.halt(server)
            there.append(server)
        bench.run(there, loads, options.rounds)


def _show(samples: table.Taken) -> None:
    print(tabulate(table.rows(samples, "cooper"), headers=table.HEADERS, disable_numparse=True), file=sys.stderr)
    print(f"{os.cpu_count()} cores; CPU ms: of the server for each request; MiB: at most, under load", file=sys.stderr)
    print("\n".join(table.lines(samples, "cooper", "versitygw")))


if __name__ == "__main__":
    main()
