"""What a gateway makes of many records: until all are known, of one that changes, of one that is revoked; memory.

Makes a kind cluster of its own, named `bench`, and deletes it. The records lie there as Secrets, as an operator writes
them; the gateway and the API server share this machine.
"""

import argparse
import asyncio
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
from tabulate import tabulate

sys.path.insert(0, str(Path(__file__).parent.parent))
sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

from bench.looks import refused, until
from bench.operator_keys import run_all
from cooper_crds.records import KeyRecord, Record
from cooper_crds.stored import StoredRecord
from cooper_gateway.records.table import record_name
from cooper_operator.cluster.kubernetes import KubernetesCluster
from cooper_operator.cluster.kubernetes_api import KubernetesApi
from cooper_operator.cluster.kubernetes_connection import Connection, from_kubeconfig
from cooper_operator.cluster.kubernetes_objects import core_path
from cooper_operator.cluster.kubernetes_records import new_record_secret
from e2e.gateway.records import usable_key
from e2e.kind.cluster import Cluster
from e2e.system.s3 import S3
from support.gateway_rig import Gateway
from support.process_tree import memory_of
from support.records_fixtures import bucket, region
from support.rig import eventually

NAMESPACE = "bench-records"
SINGLE = 50  # records that are changed, and revoked, one by one
_LISTED = "records are listed and in use"  # as the gateway's log says it


@dataclass(frozen=True)
class Row:
    """What was measured at one number of records: seconds, bytes."""

    records: int
    listed: float  # from the start of the process until all are in use
    mirrored: float  # the same where the mirror is there
    changed: list[float]
    revoked: list[float]
    memory: int
    mirror: int


class Records:
    """Those of one namespace, which grow in number."""

    def __init__(self, api: KubernetesApi, cluster: KubernetesCluster) -> None:
        self._api = api
        self._cluster = cluster
        self.there = 0

    async def begin(self) -> None:
        """The namespace, its Region and bucket."""
        await self._api.create("/api/v1/namespaces", NAMESPACE, {"metadata": {"name": NAMESPACE}})
        for each in (region(), bucket()):
            await self._create(each)

    async def grow(self, count: int) -> None:
        """Have so many keys."""
        await run_all(self._create(usable_key(serial)) for serial in range(self.there + 1, count + 1))
        self.there = count
        await self._cluster.list_records()  # tells the revision, which gateways read up to

    async def change(self, serial: int, **changes: Any) -> KeyRecord:
        """Write a key's record anew, as an operator does: revision included."""
        wanted = usable_key(serial, **changes)
        found = await self._cluster.get_record(record_name(wanted))
        assert isinstance(found, StoredRecord)
        await self._cluster.update_record(found, wanted)
        return wanted

    async def _create(self, record: Record) -> None:
        name = record_name(record)
        await self._api.create(core_path("secrets", NAMESPACE), name, new_record_secret(NAMESPACE, name, record))


async def _measure(records: Records, gateway: Gateway) -> Row:
    listed, mirrored = await asyncio.to_thread(_started, gateway), await asyncio.to_thread(_started, gateway)
    # A gateway that starts from its mirror serves by it, and lists all records anew: of what changes it learns then.
    before = gateway.log.read_text().count(_LISTED)
    gateway.start()
    eventually("the list", lambda: gateway.log.read_text().count(_LISTED) > before and gateway.ready, seconds=300)
    changed: list[float] = []
    revoked: list[float] = []
    async with aiohttp.ClientSession() as session:
        for serial in range(1, SINGLE + 1):
            key = usable_key(serial)
            values = {"ACCESS_KEY": key.access_key_id, "SECRET_KEY": key.secret_key, "REGION": "eu-local-1"}
            old = S3(session, gateway.endpoint, values)
            new = S3(session, gateway.endpoint, {**values, "SECRET_KEY": "n" * 40})
            assert await _works(old)
            began = time.monotonic()
            await records.change(serial, secret_key="n" * 40)
            await until(lambda new=new: _works(new))
            changed.append(time.monotonic() - began)
            began = time.monotonic()
            await records.change(serial, secret_key="n" * 40, state="Revoked")
            await until(lambda new=new: refused(new))
            revoked.append(time.monotonic() - began)
            await records.change(serial)
    assert gateway.process is not None
    memory, mirror = memory_of(gateway.process.pid), (gateway.data / "records-mirror").stat().st_size
    await asyncio.to_thread(gateway.stop)
    (gateway.data / "records-mirror").unlink()
    return Row(records.there, listed, mirrored, changed, revoked, memory, mirror)


async def _works(key: S3) -> bool:
    return not await key.problem([])


def _started(gateway: Gateway) -> float:
    """Seconds until all records are in use."""
    began = time.monotonic()
    with gateway:
        eventually("readiness", lambda: gateway.ready, seconds=600, pause=0.02)
        return time.monotonic() - began


def _table(rows: list[Row]) -> str:
    def ms(of: list[float]) -> str:
        return f"{statistics.median(of) * 1000:.0f} / {max(of) * 1000:.0f} ms"

    lines: list[tuple[str, Callable[[Row], str]]] = [
        ("start until all are in use", lambda row: f"{row.listed:.2f} s"),
        ("the same, from its mirror", lambda row: f"{row.mirrored:.2f} s"),
        ("one changed, median / worst", lambda row: ms(row.changed)),
        ("one revoked, median / worst", lambda row: ms(row.revoked)),
        ("memory of all its processes", lambda row: f"{row.memory / (1 << 20):.0f} MiB"),
        ("mirror on disk", lambda row: f"{row.mirror / (1 << 20):.0f} MiB"),
    ]
    cells = [[what, *(shown(row) for row in rows)] for what, shown in lines]
    return tabulate(cells, headers=["records of keys", *(f"{row.records:,}" for row in rows)], tablefmt="github")


async def _main(sizes: list[int], workers: int, home: Path, kubeconfig: Path) -> None:
    api = KubernetesApi(Connection(from_kubeconfig(kubeconfig)))
    records = Records(api, KubernetesCluster(api, namespace=NAMESPACE))
    options = ("--kubeconfig", str(kubeconfig), "--namespace", NAMESPACE, "--workers", str(workers))
    gateway = Gateway(home, *options)
    rows: list[Row] = []
    try:
        await records.begin()
        for size in sizes:
            began = time.monotonic()
            await records.grow(size)
            print(f"{size} records were written in {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)
            rows.append(await _measure(records, gateway))
            print(_table(rows), flush=True)
    finally:
        await api.close()
        if gateway.process is not None:
            gateway.stop()


def main() -> None:
    """Make the cluster, run, print, delete the cluster."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--records", type=int, nargs="+", default=[1_000, 10_000, 100_000])
    parser.add_argument("--workers", type=int, default=4, help="of the gateway")
    options = parser.parse_args()
    cluster = Cluster("bench")
    cluster.up()
    try:
        with tempfile.TemporaryDirectory(prefix="cooper-bench-") as folder:
            home = Path(folder)
            kubeconfig = cluster.direct_kubeconfig(home / "kubeconfig")
            asyncio.run(_main(options.records, options.workers, home, kubeconfig))
    finally:
        cluster.down()


if __name__ == "__main__":
    main()
