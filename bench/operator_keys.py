"""How fast keys become Ready on a real API server, beside a bare client that makes the same writes with no operator.

Makes a kind cluster of its own, named `bench`, and deletes it. API server, etcd, two gateways and the operator share
the machine, so the ratio of the two rates says more than either: the bare client is what the API server itself allows.
"""

import argparse
import asyncio
import base64
import json
import secrets
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

from tabulate import tabulate

sys.path.insert(0, str(Path(__file__).parent.parent))
sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

from cooper_crds.fields import timestamp
from cooper_operator.cluster.kubernetes_api import Collection, KubernetesApi
from cooper_operator.cluster.kubernetes_connection import Connection, from_kubeconfig
from cooper_operator.cluster.kubernetes_objects import core_path, kind_path
from e2e.kind.cluster import Cluster
from e2e.kubectl import Kubectl
from e2e.system.system import System, manifest

BUCKETS = 10
CONCURRENCY = 16
FINALIZER = "cooper.dev/finalizer"
#: Seconds between looks at the operator's page.
_PAUSE = 0.2


class Bench:
    """One run on one cluster."""

    def __init__(self, system: System, api: KubernetesApi, keys: int) -> None:
        self.system = system
        self.api = api
        self.keys = keys

    async def operator(self) -> tuple[float, Counter[str]]:
        """Keys Ready a second from a start with all of them waiting, and the operator's writes for all."""
        tenant = await self.system.tenant("bench-operator")
        buckets = [
            manifest("Bucket", tenant, f"bucket-{n}", {"credentials": {"enabled": False}}) for n in range(BUCKETS)
        ]
        await self.system.apply(*buckets)
        await self.system.wait("bucket/bucket-0", tenant)
        await asyncio.to_thread(self.system.operator.stop)
        await self._create_keys(tenant)
        audited = len(self._audit())
        self.system.operator.start()
        await asyncio.to_thread(self.system.operator.wait_until_leading)
        began = time.monotonic()
        await self.until_ready(tenant, self.keys)
        took = time.monotonic() - began
        await asyncio.sleep(1)  # the last events
        await asyncio.to_thread(self.system.operator.stop)
        return self.keys / took, self._writes(audited)

    async def bare(self, events: float, namespace: str = "bench-bare") -> float:
        """Keys a second for a client that makes the same writes for each, one after the other. `events`: how many the
        operator made for a key; it leaves some out where many keys come at a time."""
        tenant = await self.system.tenant(namespace)
        await self._create_keys(tenant)
        objects = (await self.api.list(Collection(kind_path("AccessKey", tenant), "keys"))).items
        began = time.monotonic()
        tells = [int((n + 1) * events) > int(n * events) for n in range(len(objects))]
        await run_all(self._write_like_the_operator(tenant, *each) for each in zip(objects, tells, strict=True))
        return self.keys / (time.monotonic() - began)

    async def _create_keys(self, tenant: str) -> None:
        path = kind_path("AccessKey", tenant)
        grants = [{"grants": [{"bucket": f"bucket-{n % BUCKETS}"}]} for n in range(self.keys)]
        made = (manifest("AccessKey", tenant, f"key-{n:05}", spec) for n, spec in enumerate(grants))
        await run_all(self.api.create(path, "a key", each) for each in made)

    async def until_ready(self, tenant: str, new: int) -> None:
        """Wait until so many keys became Ready, and see that all of the namespace are. Its own watch would cost the
        API server and this machine as much as a part of what is measured: the operator's page is asked instead."""
        while await self._told_ready() < new:
            await asyncio.sleep(_PAUSE)
        found = (await self.api.list(Collection(kind_path("AccessKey", tenant), "keys"))).items
        assert sum(map(_is_ready, found)) >= self.keys, "the operator tells of more keys than are Ready"

    async def _told_ready(self) -> float:
        _, page = await asyncio.to_thread(self.system.operator.page, "/metrics")
        return sum(values(page, "cooper_operator_settle_seconds_count", kind="AccessKey", state="Ready"))

    async def _write_like_the_operator(self, tenant: str, obj: dict[str, Any], tells: bool) -> None:
        name = obj["metadata"]["name"]
        path = f"{kind_path('AccessKey', tenant)}/{name}"
        obj["metadata"]["finalizers"] = [FINALIZER]
        obj["metadata"].pop("managedFields", None)
        obj = await self.api.replace(path, name, obj)
        value = base64.b64encode(secrets.token_bytes(300)).decode()
        record = {"metadata": {"name": f"{tenant}-{name}"}, "type": "cooper.dev/bare", "data": {"record.json": value}}
        await self.api.create(core_path("secrets", self.system.namespace), name, record)
        data = dict.fromkeys(("ACCESS_KEY", "SECRET_KEY", "ENDPOINT", "REGION", "BUCKET"), value[:64])
        await self.api.create(core_path("secrets", tenant), name, {"metadata": {"name": name}, "data": data})
        obj["status"] = {"state": "Active", "secretName": name, "conditions": _conditions(obj)}
        obj["metadata"].pop("managedFields", None)
        await self.api.replace(f"{path}/status", name, obj)
        if tells:
            await self.api.create(core_path("events", tenant), name, _event(obj))

    def _audit(self) -> list[str]:
        return Cluster("bench").audit_log().splitlines()

    def _writes(self, since: int) -> Counter[str]:
        events = [json.loads(line) for line in self._audit()[since:]]
        account = f"system:serviceaccount:{self.system.namespace}:operator"
        return Counter(
            "/".join(filter(None, (each["objectRef"]["resource"], each["objectRef"].get("subresource"))))
            for each in events
            if each["user"]["username"] == account and each["stage"] == "ResponseComplete"
        )


def _conditions(obj: dict[str, Any]) -> list[dict[str, Any]]:
    """As long as the operator's."""
    same = {
        "reason": "KeyWorks",
        "message": "the key works and is delivered",
        "lastTransitionTime": timestamp(time.time()),
    }
    types = {"Ready": "True", "Delivered": "True", "Revoked": "False"}
    return [{"type": type_, "status": status, **same} for type_, status in types.items()]


def _event(obj: dict[str, Any]) -> dict[str, Any]:
    metadata, at = obj["metadata"], timestamp(time.time())
    return {
        "metadata": {"name": f"{metadata['name']}.{secrets.token_hex(8)}", "namespace": metadata["namespace"]},
        "involvedObject": {"kind": "AccessKey", "name": metadata["name"], "namespace": metadata["namespace"]},
        "type": "Normal",
        "reason": "KeyWorks",
        "message": "the key works and is delivered",
        "firstTimestamp": at,
        "lastTimestamp": at,
    }


def _is_ready(obj: dict[str, Any]) -> bool:
    conditions = obj.get("status", {}).get("conditions", [])
    return any(each["type"] == "Ready" and each["status"] == "True" for each in conditions)


def values(page: str, name: str, **labels: str) -> list[float]:
    """Samples of a metric that have these labels, among others."""
    wanted = [f'{label}="{value}"' for label, value in labels.items()]
    lines = [line for line in page.splitlines() if line.startswith((f"{name}{{", f"{name} "))]
    return [float(line.rpartition(" ")[2]) for line in lines if all(each in line for each in wanted)]


async def run_all(coroutines: Any) -> None:
    """Run all, `CONCURRENCY` at a time, as the operator does."""
    waiting = iter(coroutines)

    async def work() -> None:
        for coroutine in waiting:
            await coroutine

    await asyncio.gather(*(work() for _ in range(CONCURRENCY)))


async def _main(keys: int, home: Path) -> None:
    cluster = Cluster("bench")
    kubeconfig = cluster.direct_kubeconfig(home / "kubeconfig")
    system = System(Kubectl(cluster.kubectl, kubeconfig), kubeconfig, home, "bench", cluster.gateway_address)
    api = KubernetesApi(Connection(from_kubeconfig(kubeconfig)))
    try:
        await system.start()
        bench = Bench(system, api, keys)
        rate, writes = await bench.operator()
        bare = await bench.bare(writes["events"] / keys)
        rows = [["operator", f"{rate:.0f}"], ["bare client", f"{bare:.0f}"], ["ratio", f"{rate / bare:.2f}"]]
        print(tabulate(rows, headers=[f"{keys:,} keys", "Ready/s"], tablefmt="plain"))
        print(f"writes a key: {sum(writes.values()) / keys:.2f}")
        print(tabulate(writes.most_common(), headers=["written", "times"], tablefmt="plain"))
    finally:
        await api.close()
        system.abandon()


def main() -> None:
    """Make the cluster, run, print, delete the cluster."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--keys", type=int, default=1000)
    options = parser.parse_args()
    cluster = Cluster("bench")
    cluster.up()
    try:
        with tempfile.TemporaryDirectory(prefix="cooper-bench-") as folder:
            asyncio.run(_main(options.keys, Path(folder)))
    finally:
        cluster.down()


if __name__ == "__main__":
    main()
