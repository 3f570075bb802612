"""What the store costs with little in it and with much: it must grow with what is asked for, not with what is stored.

A committer of its own and a store as a worker has it. One bucket is filled to each number of objects in turn, then
others are made beside it; after each step the same things are asked for. Prints a table, and with `--into` writes it
into the page of docs/benchmarks, with its plot.
"""

import argparse
import asyncio
import os
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tabulate import tabulate

sys.path.insert(0, str(Path(__file__).parent.parent))
sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

from bench.pages import replace
from bench.plots import plot
from cooper_gateway.storage.embedded import EmbeddedStore
from cooper_gateway.storage.index import open_readonly
from cooper_gateway.storage.layout import Layout
from cooper_gateway.storage.port import NO_CONDITIONS, Attributes, BucketRef, Guard
from support.artefacts import root
from support.process_tree import anonymous_memory
from support.store_process import CommitterProcess, config_in

OBJECTS: Final = (1_000, 100_000, 1_000_000)
BUCKETS: Final = (10, 10_000)
FOLDERS: Final = 1_000  # the first part of names: as many common prefixes there are, at each number of objects
BODY: Final = b"a small object, whose size is not what is looked at here" * 2
_MAP: Final = 64 << 30
_IN_FLIGHT: Final = 512
_GUARD: Final = Guard("AKIABENCH", "s3:PutObject")
_TELLS: Final = 100_000


def name_of(number: int) -> bytes:
    """Each in another folder than the one before: what is new comes in everywhere."""
    return b"%03d/%07d" % (number % FOLDERS, number // FOLDERS)


@dataclass(frozen=True)
class Row:
    """What was measured at one size. Seconds, bytes, counts."""

    objects: int
    buckets: int
    first_page: float
    page_within: float
    delimiter: float
    get: float
    put: float
    puts_together: float  # a second
    delete: float
    start: float  # until a request is answered, after a stop
    start_again: float  # the same after kill -9
    index: int  # bytes in use
    memory: int  # of the committer's own


class Bench:
    """A store, and the committer that writes it."""

    def __init__(self, folder: Path) -> None:
        self.committer = CommitterProcess(config_in(folder, map_size=_MAP))
        self.bucket = BucketRef(os.urandom(16), "bench")
        self.store = self._open()
        self._chance = random.Random(1)
        self.objects = self.buckets = self._index = 0

    def _open(self) -> EmbeddedStore:
        return EmbeddedStore(self.committer.config, self.committer.keyring, asyncio.get_running_loop())

    async def put(self, bucket: BucketRef, name: bytes) -> None:
        """Store an object, as the gateway does."""
        writer = self.store.writer(bucket, len(BODY))
        await writer.write(BODY)
        segment = await writer.finish()
        await self.store.put(bucket, name, segment, "0" * 32, Attributes({}, {}), None, NO_CONDITIONS, _GUARD)

    async def fill(self, objects: int) -> None:
        """Have so many objects in the bucket."""
        began, first = time.monotonic(), self.objects
        numbers = range(first, objects)
        await together((self.put(self.bucket, name_of(each)) for each in numbers), len(numbers))
        self.objects = max(objects, first)
        if len(numbers):
            rate = len(numbers) / (time.monotonic() - began)
            print(f"{self.objects:,} objects, {rate:,.0f} a second", file=sys.stderr, flush=True)

    async def make_buckets(self, buckets: int) -> None:
        """Have so many buckets, each with an object."""
        more = range(max(self.buckets, 1), buckets)
        refs = [BucketRef(os.urandom(16), f"b{number}") for number in more]
        await together((self.put(ref, b"object") for ref in refs), len(refs))
        self.buckets = max(buckets, self.buckets)

    async def measured(self) -> Row:
        """Ask for the same things."""
        store, bucket = self.store, self.bucket
        names = [name_of(self._chance.randrange(self.objects)) for _ in range(1_000)]

        async def page(after: bytes) -> None:
            found = await store.list_objects(bucket, b"", b"", after, 1_000)
            assert after or len(found.entries) == 1_000

        async def folders() -> None:
            found = await store.list_objects(bucket, b"", b"/", b"", 1_000)
            assert len(found.prefixes) == FOLDERS

        async def get(name: bytes) -> None:
            found = store.peek(bucket, name, 0, len(BODY))
            assert found is not None
            assert found[1] == BODY

        new = [b"new/%d" % number for number in range(200)]
        first_page = await typical([b""] * 40, page)
        within = await typical(names[:40], page)
        delimiter = await typical([b""] * 40, lambda _: folders())
        got = await typical(names, get)
        put = await typical(new, lambda name: self.put(bucket, name))
        delete = await typical(new, lambda name: store.delete(bucket, [name], _GUARD))
        began = time.perf_counter()
        await together((self.put(bucket, name_of(each % self.objects)) for each in range(4_000)), 4_000)
        puts = 4_000 / (time.perf_counter() - began)
        memory = anonymous_memory(self.committer.process.pid)
        return Row(
            self.objects,
            self.buckets,
            first_page,
            within,
            delimiter,
            got,
            put,
            puts,
            delete,
            await self._restart(self.committer.stop),
            await self._restart(self.committer.kill),
            self._index,
            memory,
        )

    async def _restart(self, end: Callable[[], None]) -> float:
        """Seconds that a start takes, with Python's own, until an object is read and another written."""
        await self.store.close()
        end()
        self._index = self._index_in_use()
        began = time.perf_counter()
        self.committer.start()
        self.store = self._open()
        found = self.store.peek(self.bucket, name_of(0), 0, len(BODY))
        assert found is not None
        await self.put(self.bucket, name_of(0))
        return time.perf_counter() - began

    def _index_in_use(self) -> int:
        index = open_readonly(Layout(self.committer.config.data_dir), _MAP)
        assert index is not None
        pages, size = index.env.info()["last_pgno"] + 1, index.env.stat()["psize"]
        index.env.close()
        return pages * size

    async def close(self) -> None:
        """Stop everything."""
        await self.store.close()
        self.committer.stop()


async def together(work: Iterable[Awaitable[None]], count: int) -> None:
    """Do all of it, many at a time."""
    there = iter(work)
    done = 0

    async def worker() -> None:
        nonlocal done
        for each in there:
            await each
            done += 1
            if done % _TELLS == 0:
                print(f"{done:,} of {count:,}", file=sys.stderr, flush=True)

    await asyncio.gather(*(worker() for _ in range(_IN_FLIGHT)))


async def typical(given: Sequence[bytes], ask: Callable[[bytes], Awaitable[None]]) -> float:
    """The median of the seconds that it takes."""
    taken: list[float] = []
    for each in given:
        began = time.perf_counter()
        await ask(each)
        taken.append(time.perf_counter() - began)
    return statistics.median(taken)


def table(rows: Sequence[Row]) -> str:
    """A column for each size."""

    def line(name: str, told: Callable[[Row], str]) -> list[str]:
        return [name, *(told(row) for row in rows)]

    lines = [
        line("buckets", lambda row: f"{row.buckets:,}"),
        line("1,000 names, from the first", lambda row: f"{row.first_page * 1000:.2f} ms"),
        line("1,000 names, from anywhere", lambda row: f"{row.page_within * 1000:.2f} ms"),
        line("1,000 common prefixes", lambda row: f"{row.delimiter * 1000:.2f} ms"),
        line("get", lambda row: f"{row.get * 1e6:.0f} µs"),
        line("put, alone", lambda row: f"{row.put * 1000:.2f} ms"),
        line("puts a second, 512 at a time", lambda row: f"{row.puts_together:,.0f}"),
        line("delete, alone", lambda row: f"{row.delete * 1000:.2f} ms"),
        line("start, after a stop", lambda row: f"{row.start:.2f} s"),
        line("start, after kill -9", lambda row: f"{row.start_again:.2f} s"),
        line("index", lambda row: f"{row.index / 2**20:,.0f} MiB"),
        line("index, for each object", lambda row: f"{row.index / row.objects:,.0f} bytes"),
        line("memory of the committer's own", lambda row: f"{row.memory / 2**20:.0f} MiB"),
    ]
    headers = ["objects in one bucket", *(f"{row.objects:,}" for row in rows)]
    return tabulate(
        lines, headers=headers, tablefmt="github", disable_numparse=True, colalign=["left"] + ["right"] * len(rows)
    )


def write(page: Path, rows: Sequence[Row]) -> None:
    """Put it into the page, and the plot beside it."""
    replace(page, "figures", table(rows))
    few = [row for row in rows if row.buckets == rows[0].buckets]
    series = {
        "1,000 names": [row.page_within * 1000 for row in few],
        "1,000 common prefixes": [row.delimiter * 1000 for row in few],
        "put, alone": [row.put * 1000 for row in few],
        "get": [row.get * 1000 for row in few],
    }
    plot(page.with_suffix(".times.svg"), "Milliseconds", "objects in one bucket", [row.objects for row in few], series)


async def run(folder: Path, objects: Sequence[int], buckets: Sequence[int]) -> list[Row]:
    """All sizes: objects grow first, then buckets."""
    bench = Bench(folder)
    rows: list[Row] = []
    try:
        await bench.make_buckets(buckets[0])
        for each in objects:
            await bench.fill(each)
            rows.append(await bench.measured())
        for more in buckets[1:]:
            await bench.make_buckets(more)
            rows.append(await bench.measured())
    finally:
        await bench.close()
    return rows


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--objects", type=int, nargs="+", default=OBJECTS)
    parser.add_argument("--buckets", type=int, nargs="+", default=BUCKETS)
    parser.add_argument("--folder", type=Path, default=root(), help="where the store lies: on a real disk")
    parser.add_argument("--into", type=Path, help="the page that the figures are written into")
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="bench-store-", dir=options.folder) as folder:
        rows = asyncio.run(run(Path(folder), options.objects, options.buckets))
    print(table(rows))
    print(f"{os.cpu_count()} cores")
    if options.into:
        write(options.into, rows)


if __name__ == "__main__":
    main()
