"""What thousands of AccessKeys cost on a real API server: as they come, at a restart, at rest, and when one is revoked.

Makes a kind cluster of its own, named `bench`, and deletes it. For each number of keys in turn: those that are new are
made while no operator runs, and then it is started; it is restarted where all is well; single keys are made and revoked
meanwhile and after. All of it shares this machine: two gateways with stores of their own, the API server and etcd too.
"""

import argparse
import asyncio
import json
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import aiohttp
from tabulate import tabulate

sys.path.insert(0, str(Path(__file__).parent.parent))
sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

from bench.looks import refused, until
from bench.operator_keys import BUCKETS, Bench, run_all, values
from bench.pace import Pace
from bench.plots import plot
from cooper_operator.cluster.kubernetes_api import KubernetesApi
from cooper_operator.cluster.kubernetes_connection import Connection, from_kubeconfig
from cooper_operator.cluster.kubernetes_objects import core_path, kind_path
from e2e.kind.cluster import Cluster
from e2e.kubectl import Kubectl
from e2e.system.s3 import S3
from e2e.system.system import System, Write, manifest
from support.gateway_rig import Gateway
from support.operator_rig import OperatorProcess
from support.process_tree import memory_of

SINGLE = 100  # keys that are made and revoked one by one, at most
TENANT = "bench-scale"


@dataclass(frozen=True)
class Row:
    """What was measured at one number of keys. Seconds, bytes, and counts."""

    keys: int
    cold_per_second: float
    cold_pace: float  # of the machine meanwhile, see Pace
    bare_per_second: float
    bare_pace: float
    writes_per_key: float
    resync: float
    resync_writes: int
    new_in_resync: tuple[float, float]  # p50, p99
    new: tuple[float, float]
    revoked: tuple[float, float]
    operator_memory: int
    gateway_memory: int  # of the larger one

    @property
    def ratio(self) -> float:
        """Of the bare client's rate."""
        return self.cold_per_second / self.bare_per_second


class Scale:
    """A system that grows."""

    def __init__(self, system: System, api: KubernetesApi, cluster: Cluster, pace: Pace) -> None:
        self.system = system
        self.api = api
        self.cluster = cluster
        self.pace = pace
        self.there = 0
        self._single = 0

    async def begin(self) -> None:
        """The tenant and his Buckets."""
        await self.system.tenant(TENANT)
        spec = {"credentials": {"enabled": False}}
        await self.system.apply(*(manifest("Bucket", TENANT, f"bucket-{n}", spec) for n in range(BUCKETS)))
        for n in range(BUCKETS):
            await self.system.wait(f"bucket/bucket-{n}", TENANT)

    async def grow(self, keys: int, bare: int) -> Row:
        """Measure at this number of keys. `bare`: how many of them the bare client is given beside."""
        cold, cold_pace, writes, events = await self._cold(keys)
        _tell(f"{keys} keys: {cold:.1f} Ready/s, {writes:.2f} writes a key")
        resync, resync_writes, meanwhile = await self._resync()
        _tell(f"{keys} keys: looked at in {resync:.1f} s with {resync_writes} writes")
        new, revoked = await self._one_by_one(SINGLE)
        operator = _memory(self.system.operator)
        gateway = max(map(_memory, self.system.gateways))
        await asyncio.to_thread(self.system.operator.stop)
        first = self.pace.taken
        beside = await Bench(self.system, self.api, bare).bare(events, f"bench-bare-{keys}")
        bare_pace = self.pace.since(first)
        await self.system.kubectl("delete", "namespace", f"bench-bare-{keys}", "--wait=false")
        figures = (_percentiles(meanwhile), _percentiles(new), _percentiles(revoked))
        rates = (cold, cold_pace, beside, bare_pace)
        return Row(keys, *rates, writes, resync, resync_writes, *figures, operator, gateway)

    async def at_rest(self, seconds: float) -> Counter[str]:
        """What is written while nobody does anything, the Lease aside."""
        await self._restarted()
        await self._looked_at(self.there)
        await asyncio.sleep(60)  # what the bare client left is taken away
        before = len(await self.system.writes(self.cluster))
        await asyncio.sleep(seconds)
        written = (await self.system.writes(self.cluster))[before:]
        return Counter(each.what for each in written if not each.what.endswith(" leases"))

    async def _cold(self, keys: int) -> tuple[float, float, float, float]:
        """Keys Ready a second, the pace meanwhile, the operator's writes for each, and the events among those."""
        await asyncio.to_thread(self.system.operator.stop)
        path = kind_path("AccessKey", TENANT)
        made = (manifest("AccessKey", TENANT, f"key-{n:06}", _granting(n)) for n in range(self.there, keys))
        await run_all(self.api.create(path, "a key", each) for each in made)
        audited, more = len(await self.system.writes(self.cluster)), keys - self.there
        self.there = keys
        self.system.operator.start()
        await asyncio.to_thread(self.system.operator.wait_until_leading)
        began, first = time.monotonic(), self.pace.taken
        await Bench(self.system, self.api, self.there).until_ready(TENANT, more)
        took, pace = time.monotonic() - began, self.pace.since(first)
        await asyncio.sleep(1)  # the last events
        written = [each for each in (await self.system.writes(self.cluster))[audited:] if _counts(each)]
        return more / took, pace, len(written) / more, len([each for each in written if "events" in each.what]) / more

    async def _resync(self) -> tuple[float, int, list[float]]:
        """Seconds from the start of the process until everything was looked at; writes; and, of a second restart, how
        long keys take that come meanwhile."""
        before = await self._restarted()
        began = time.monotonic()
        await self._looked_at(self.there + BUCKETS)
        took = time.monotonic() - began
        written = (await self.system.writes(self.cluster))[before:]
        await self._restarted()
        await asyncio.to_thread(self.system.operator.wait_until_leading)
        looking = asyncio.create_task(self._looked_at(self.there + BUCKETS))
        meanwhile: list[float] = []
        while not looking.done():
            meanwhile.append((await self._new_key())[1])
        await looking
        return took, len([each for each in written if _counts(each)]), meanwhile

    async def _restarted(self) -> int:
        """How many writes there were before."""
        await asyncio.to_thread(self.system.operator.stop)
        before = len(await self.system.writes(self.cluster))
        self.system.operator.start()
        return before

    async def _looked_at(self, resources: int) -> None:
        """Until so many looks have ended and nobody waits."""
        await asyncio.to_thread(self.system.operator.wait_until_leading)
        while True:
            _, text = await asyncio.to_thread(self.system.operator.page, "/metrics")
            looks = sum(values(text, "cooper_operator_reconcile_seconds_count"))
            if looks >= resources and sum(values(text, "cooper_operator_queue_depth")) == 0:
                return
            await asyncio.sleep(0.2)

    async def _one_by_one(self, count: int) -> tuple[list[float], list[float]]:
        """From apply to Ready, and from revocation to refusal by every gateway."""
        new: list[float] = []
        revoked: list[float] = []
        async with aiohttp.ClientSession() as session:
            for _ in range(count):
                name, took = await self._new_key()
                new.append(took)
                key = await self.system.credentials(TENANT, name)
                at = [S3(session, each.endpoint, key) for each in self.system.gateways]
                assert all([await each.accepted() for each in at]), f"{name} is Ready and does not work"
                began = time.monotonic()
                path = f"{kind_path('AccessKey', TENANT)}/{name}"
                await self.api.patch(path, name, {"spec": {"state": "Revoked"}})
                for each in at:
                    await until(lambda each=each: refused(each))
                revoked.append(time.monotonic() - began)
        return new, revoked

    async def _new_key(self) -> tuple[str, float]:
        """Its name, and seconds from its creation until it is Ready and its Secret is there."""
        self._single += 1
        name = f"single-{self._single:06}"
        path = kind_path("AccessKey", TENANT)
        began = time.monotonic()
        await self.api.create(path, name, manifest("AccessKey", TENANT, name, _granting(self._single)))

        async def ready() -> bool:
            conditions = (await self.api.get(f"{path}/{name}", name)).get("status", {}).get("conditions", [])
            return any(each["type"] == "Ready" and each["status"] == "True" for each in conditions)

        await until(ready)
        took = time.monotonic() - began
        await self.api.get(core_path("secrets", TENANT, name), name)
        return name, took


def _tell(text: str) -> None:
    """What is known by now: the rest takes minutes, and may fail."""
    print(text, file=sys.stderr, flush=True)


def _granting(number: int) -> dict[str, Any]:
    return {"grants": [{"bucket": f"bucket-{number % BUCKETS}"}]}


def _counts(write: Write) -> bool:
    """All but the Lease, and what Buckets hold, which is asked now and then, whatever else happens."""
    return write.what not in ("update leases", "update buckets/status")


def _memory(of: OperatorProcess | Gateway) -> int:
    """Bytes of a program's processes."""
    assert of.process is not None
    return memory_of(of.process.pid)


def _percentiles(found: list[float]) -> tuple[float, float]:
    """The median, and the 99th percentile: of fewer than a hundred the longest."""
    ordered = sorted(found)
    return statistics.median(ordered), ordered[min(len(ordered) - 1, len(ordered) * 99 // 100)]


def _table(rows: list[Row]) -> str:
    def ms(of: tuple[float, float]) -> str:
        return f"{of[0] * 1000:.0f} / {of[1] * 1000:.0f} ms"

    def mib(of: int) -> str:
        return f"{of / (1 << 20):.0f} MiB"

    lines: list[tuple[str, Callable[[Row], str]]] = [
        ("Ready/s from cold", lambda row: f"{row.cold_per_second:.0f}"),
        ("of a bare client's rate", lambda row: f"{row.ratio:.2f}"),
        (
            "pace of the machine, then and with the bare client",
            lambda row: f"{row.cold_pace:.2f} / {row.bare_pace:.2f}",
        ),
        ("writes a key", lambda row: f"{row.writes_per_key:.2f}"),
        ("restart until all was looked at", lambda row: f"{row.resync:.1f} s"),
        ("writes then, the Lease aside", lambda row: str(row.resync_writes)),
        ("new key meanwhile, p50 / p99", lambda row: ms(row.new_in_resync)),
        ("new key, p50 / p99", lambda row: ms(row.new)),
        ("revoked everywhere, p50 / p99", lambda row: ms(row.revoked)),
        ("memory of the operator", lambda row: mib(row.operator_memory)),
        ("memory of a gateway", lambda row: mib(row.gateway_memory)),
    ]
    cells = [[what, *(shown(row) for row in rows)] for what, shown in lines]
    return tabulate(cells, headers=["AccessKeys", *(f"{row.keys:,}" for row in rows)], tablefmt="github")


def _draw(rows: list[Row], output: Path) -> None:
    """Growth with the number of keys, in two plots beside the figures."""
    keys = [row.keys for row in rows]
    rates = {"operator": [row.cold_per_second for row in rows], "bare client": [row.bare_per_second for row in rows]}
    plot(output.with_suffix(".rates.svg"), "Keys a second, from cold", "AccessKeys", keys, rates)
    memory = {
        "operator": [row.operator_memory / (1 << 20) for row in rows],
        "one gateway": [row.gateway_memory / (1 << 20) for row in rows],
    }
    plot(output.with_suffix(".memory.svg"), "Memory, MiB", "AccessKeys", keys, memory)


async def _main(sizes: list[int], bare: int, rest: float, workers: int, home: Path, output: Path | None) -> None:
    cluster = Cluster("bench")
    kubeconfig = cluster.direct_kubeconfig(home / "kubeconfig")
    kubectl = Kubectl(cluster.kubectl, kubeconfig)
    system = System(kubectl, kubeconfig, home, "bench", cluster.gateway_address, ("--workers", str(workers)))
    api = KubernetesApi(Connection(from_kubeconfig(kubeconfig)))
    rows: list[Row] = []
    pace = Pace()
    try:
        async with pace.sampled():
            await system.start()
            scale = Scale(system, api, cluster, pace)
            await scale.begin()
            for size in sizes:
                rows.append(await scale.grow(size, min(bare, size)))
                print(_table(rows), flush=True)
                if output is not None:
                    output.with_suffix(".json").write_text(json.dumps([asdict(row) for row in rows], indent=2))
                    _draw(rows, output)
            if rest:
                print(f"\nwritten in {rest:.0f} s at rest: {dict(await scale.at_rest(rest))}")
    finally:
        await api.close()
        system.abandon()


def main() -> None:
    """Make the cluster, run, print, delete the cluster."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--keys", type=int, nargs="+", default=[1000, 3000, 10000])
    parser.add_argument("--bare", type=int, default=1000, help="keys that the bare client makes at each size, at most")
    parser.add_argument("--rest", type=float, default=600, help="seconds of rest in the end")
    parser.add_argument("--workers", type=int, default=4, help="of each gateway")
    parser.add_argument(
        "--output", type=Path, help="files for the figures and plots, without what their names end with"
    )
    options = parser.parse_args()
    cluster = Cluster("bench")
    cluster.up()
    try:
        with tempfile.TemporaryDirectory(prefix="cooper-bench-") as folder:
            asyncio.run(_main(options.keys, options.bare, options.rest, options.workers, Path(folder), options.output))
    finally:
        cluster.down()


if __name__ == "__main__":
    main()
