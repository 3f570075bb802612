"""Adapters under test, behind one harness: what people do to a cluster besides what the operator does."""

import asyncio
import hashlib
import hmac
import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Protocol

import yaml

from cooper_operator.cluster.folder import FolderCluster
from cooper_operator.cluster.memory import MemoryCluster
from cooper_operator.cluster.port import Cluster, Ref

API = "cooper.dev/v1alpha1"
KEY_ID = "AKIAAAAAAAAAAAAAAAAA"
CREDENTIALS = {"ACCESS_KEY": KEY_ID, "SECRET_KEY": "abc/+=", "ENDPOINT": "http://127.0.0.1:9000"}
#: With values of several lines.
FILES = {"credentials": "[default]\nregion = local\ns3 =\n  a = b\n", "rclone.conf": "[cooper]\ntype = s3\n"}


def bucket(name: str = "photos", namespace: str = "default", **spec: Any) -> dict[str, Any]:
    metadata = {"name": name, "namespace": namespace}
    return {"apiVersion": API, "kind": "Bucket", "metadata": metadata, "spec": spec}


def access_key(name: str = "photos", owner: Any = None, **spec: Any) -> dict[str, Any]:
    metadata: dict[str, Any] = {"name": name, "namespace": "default"}
    if owner:
        reference = {"apiVersion": API, "kind": owner["kind"], "name": owner["metadata"]["name"]}
        metadata["ownerReferences"] = [{**reference, "uid": owner["metadata"]["uid"], "controller": True}]
    spec = {"grants": [{"bucket": "photos"}]} | spec
    return {"apiVersion": API, "kind": "AccessKey", "metadata": metadata, "spec": spec}


def region(name: str = "local", **spec: Any) -> dict[str, Any]:
    return {"apiVersion": API, "kind": "Region", "metadata": {"name": name}, "spec": {"tag": "us-east-1"} | spec}


class FakeBox:
    """Seals well enough for tests: a keystream from a fresh nonce, and a MAC over it all and the context."""

    def __init__(self, key: bytes = b"k" * 32) -> None:
        self._key = key

    def seal(self, plaintext: bytes, context: bytes) -> bytes:
        nonce = os.urandom(16)
        body = nonce + self._stream(nonce, plaintext)
        return self._mac(body, context) + body

    def open(self, sealed: bytes, context: bytes) -> bytes:
        if not hmac.compare_digest(sealed[:32], self._mac(sealed[32:], context)):
            raise ValueError("not sealed by this key")
        return self._stream(sealed[32:48], sealed[48:])

    def _stream(self, nonce: bytes, data: bytes) -> bytes:
        stream = hashlib.shake_256(self._key + nonce).digest(len(data))
        return bytes(a ^ b for a, b in zip(data, stream, strict=True))

    def _mac(self, body: bytes, context: bytes) -> bytes:
        return hmac.digest(self._key, len(context).to_bytes(4) + context + body, "sha256")


class Clock:
    """A clock that tests move."""

    def __init__(self, now: float = 1_700_000_000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


class Harness(Protocol):
    """What the suite needs of an adapter besides the port."""

    @property
    def cluster(self) -> Cluster: ...
    async def apply(self, manifest: dict[str, Any]) -> None: ...
    async def remove(self, ref: Ref) -> None: ...
    async def set_credentials(self, namespace: str, name: str, data: dict[str, str]) -> None: ...
    async def remove_credentials(self, namespace: str, name: str) -> None: ...
    async def damage_record(self, name: str) -> None: ...


class MemoryHarness:
    def __init__(self) -> None:
        self.cluster = MemoryCluster()

    async def apply(self, manifest: dict[str, Any]) -> None:
        await self.cluster.apply(manifest)

    async def remove(self, ref: Ref) -> None:
        obj = await self.cluster.get(ref)
        assert obj
        await self.cluster.delete(ref, obj["metadata"]["uid"])

    async def set_credentials(self, namespace: str, name: str, data: dict[str, str]) -> None:
        self.cluster.set_credentials(namespace, name, data)

    async def remove_credentials(self, namespace: str, name: str) -> None:
        self.cluster.remove_credentials(namespace, name)

    async def damage_record(self, name: str) -> None:
        self.cluster.damage_record(name)


class FolderHarness:
    """A folder cluster with clocks that tests move."""

    def __init__(self, root: Path) -> None:
        self.resources = root / "resources"
        self.state = root / "state"
        self.credentials = root / "credentials"
        self.resources.mkdir()
        self.clock = Clock()
        self.monotonic = Clock(100.0)
        self.cluster = self.make()

    def make(self, box: FakeBox | None = None) -> FolderCluster:
        return FolderCluster(self.resources, self.state, self.credentials, box or FakeBox(), self.clock, self.monotonic)

    async def reopen(self, box: FakeBox | None = None) -> None:
        """What a crash and a restart do: everything that was only in memory is gone."""
        await self.cluster.close()
        self.cluster = self.make(box)

    def write(self, path: str, *manifests: dict[str, Any]) -> Path:
        file = self.resources / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(yaml.safe_dump_all(manifests))
        return file

    def settle(self, seconds: float = 2.0) -> None:
        """Look, let time pass, look again."""
        self.cluster.refresh()
        self.monotonic.now += seconds
        self.cluster.refresh()

    @property
    def problems(self) -> list[str]:
        self.cluster.refresh()
        return [str(problem) for problem in self.cluster.problems]

    async def apply(self, manifest: dict[str, Any]) -> None:
        metadata = manifest["metadata"]
        self.write(self._file(manifest["kind"], metadata.get("namespace", ""), metadata["name"]), manifest)
        self.cluster.refresh()

    async def remove(self, ref: Ref) -> None:
        (self.resources / self._file(ref.kind, ref.namespace, ref.name)).unlink()
        self.settle()

    async def set_credentials(self, namespace: str, name: str, data: dict[str, str]) -> None:
        file = self.credentials / namespace / f"{name}.env"
        file.parent.mkdir(parents=True, exist_ok=True)
        header = file.read_text().splitlines()[:1] if file.exists() else []
        file.write_text("\n".join([*header, *(f"{key}={value}" for key, value in data.items())]) + "\n")
        self.cluster.refresh()

    async def remove_credentials(self, namespace: str, name: str) -> None:
        (self.credentials / namespace / f"{name}.env").unlink()
        self.cluster.refresh()

    async def damage_record(self, name: str) -> None:
        (self.state / "records" / f"{name}.json").write_text("{")
        self.cluster.refresh()

    @staticmethod
    def _file(kind: str, namespace: str, name: str) -> str:
        return f"{kind}-{namespace}-{name}.yaml"


async def eventually(check: Callable[[], Awaitable[bool]], seconds: float = 5.0) -> None:
    """Wait until a check holds: a real cluster collects garbage and tells changes a little later."""
    async with asyncio.timeout(seconds):
        while not await check():
            await asyncio.sleep(0.01)


def endpoint(address: str, pod: str | None = None, **conditions: Any) -> dict[str, Any]:
    """An endpoint of an EndpointSlice: of a Pod with that UID."""
    target = {} if pod is None else {"targetRef": {"kind": "Pod", "name": pod, "uid": pod}}
    return {"addresses": [address], "conditions": conditions, **target}


def endpoint_slice(name: str, *endpoints: dict[str, Any], service: str = "gateways", **changes: Any) -> dict[str, Any]:
    """An EndpointSlice as the API shows it."""
    labels = {"kubernetes.io/service-name": service} if service else {}
    metadata = {"namespace": "cooper", "name": name, "resourceVersion": "5", "labels": labels}
    ports = [{"name": "s3", "port": 9000, "protocol": "TCP"}]
    return {"metadata": metadata, "addressType": "IPv4", "ports": ports, "endpoints": list(endpoints), **changes}
