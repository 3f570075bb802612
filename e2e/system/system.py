"""Cooper on a cluster with its programs as processes of this machine: an operator and two gateways.

The gateways listen on this machine's address in the cluster's network, and are found as any others: by a Service, to
which EndpointSlices name them. Each has a store of its own, so a bucket's objects are where they were put.
"""

import asyncio
import base64
import json
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from e2e.accounts import account_kubeconfig
from e2e.kind.cluster import Cluster
from e2e.kubectl import Kubectl
from e2e.operator.rights import gateway_rights, operator_rights
from support.gateway_rig import Gateway
from support.operator_rig import OperatorProcess
from support.rig import s3_client

REGION: Final = "local"
TAG: Final = "eu-local-1"
_CRDS: Final = Path(__file__).parents[2] / "charts" / "cooper" / "files" / "crds"


@dataclass(frozen=True)
class Write:
    """`what` was done, as `update buckets/status`, and with which object: `namespace/name`."""

    what: str
    about: str


class System:
    """Start it with `start`; `stop` leaves the cluster as it was."""

    def __init__(
        self,
        kubectl: Kubectl,
        kubeconfig: Path,
        home: Path,
        namespace: str,
        address: str,
        gateway_options: tuple[str, ...] = (),
    ) -> None:
        self.kubectl = kubectl
        self.kubeconfig = kubeconfig
        self.home = home
        self.namespace = namespace
        self.address = address
        self._gateway_options = gateway_options
        self.gateways: list[Gateway] = []
        self.operator: OperatorProcess
        self._tenants: list[str] = []
        self._leaving: list[str] = []
        self._running = ExitStack()

    async def start(self) -> "System":
        """Make namespace, rights, Service and default Region; start the programs and wait until all work."""
        await self.kubectl.define(_CRDS)
        await self.kubectl("create", "namespace", self.namespace)
        await self._start_gateways()
        await self._publish()
        await self._start_operator()
        await self.apply(self.region())
        await self.kubectl("wait", "--for=condition=Ready", f"region/{REGION}", "--timeout=60s")
        return self

    async def stop(self) -> None:
        """Remove everything while the operator still runs, then stop the programs."""
        try:
            if self._tenants:
                await self.kubectl("delete", "namespace", *self._tenants, "--timeout=300s", "--ignore-not-found")
            if self._leaving:
                gone = (f"namespace/{name}" for name in self._leaving)
                await self.kubectl("wait", "--for=delete", *gone, "--timeout=300s")
            await self.kubectl("delete", "region", REGION, "--timeout=30s", "--ignore-not-found")
        finally:
            self._running.close()
            await self.kubectl("delete", "namespace", self.namespace, "--wait=false")
            await self.kubectl("delete", "clusterrole,clusterrolebinding", self.namespace, "--ignore-not-found")

    def abandon(self) -> None:
        """Stop the programs only: the cluster goes as a whole."""
        self._running.close()

    # What users do

    def region(self, **spec: Any) -> dict[str, Any]:
        """The default Region; Secrets carry the first gateway's address."""
        service = {"name": "gateways"}
        wanted = {"tag": TAG, "default": True, "service": service, "endpoints": {"internal": self.gateways[0].endpoint}}
        return manifest("Region", "", REGION, {**wanted, **spec})

    async def tenant(self, name: str) -> str:
        """A namespace of a tenant."""
        await self.kubectl("create", "namespace", name)
        self._tenants.append(name)
        return name

    async def leave(self, name: str) -> None:
        """A tenant's namespace begins to go."""
        self._tenants.remove(name)
        self._leaving.append(name)
        await self.kubectl("delete", "namespace", name, "--wait=false", "--ignore-not-found")

    async def former_tenants_settled(self) -> None:
        """Wait until nothing is left of who left that the operator has to do with."""
        query = ("get", "buckets,accesskeys", "-A", "-o", "jsonpath={.items[*].metadata.namespace}")
        async with asyncio.timeout(300):
            while not set(self._leaving).isdisjoint((await self.kubectl(*query)).split()):
                await asyncio.sleep(0.3)

    @asynccontextmanager
    async def api_server_away(self, cluster: Cluster) -> AsyncIterator[float]:
        """The API server is gone, and ready again afterwards. Gives the time since when nobody has got an answer.

        Nobody may be about to leave: an API server that just came back does not list our kinds at first, and a
        namespace that goes meanwhile leaves what is in it behind for ever.
        """
        await self.former_tenants_settled()
        away = cluster.api_server_away()
        await asyncio.to_thread(away.__enter__)
        try:
            yield time.monotonic()
        finally:
            await asyncio.to_thread(away.__exit__, None, None, None)

    async def apply(self, *manifests: dict[str, Any]) -> str:
        """`kubectl apply`."""
        return await self.kubectl("apply", "-f", "-", manifest={"apiVersion": "v1", "kind": "List", "items": manifests})

    async def edit(self, kind: str, namespace: str, name: str, spec: Mapping[str, Any]) -> None:
        """`kubectl patch` of fields of a spec."""
        await self.kubectl("-n", namespace, "patch", kind, name, "--type=merge", "-p", json.dumps({"spec": spec}))

    async def wait(self, what: str, namespace: str, condition: str = "Ready", seconds: int = 30) -> None:
        """`kubectl wait` for a condition."""
        await self.kubectl("-n", namespace, "wait", f"--for=condition={condition}", what, f"--timeout={seconds}s")

    async def get(self, kind: str, namespace: str, name: str) -> dict[str, Any] | None:
        """An object, or None when it is not there."""
        within = ("-n", namespace) if namespace else ()
        found = await self.kubectl(*within, "get", kind, name, "-o", "json", "--ignore-not-found")
        return json.loads(found) if found else None

    async def writes(self, cluster: Cluster) -> list[Write]:
        """All that the operator wrote so far."""
        account = f"system:serviceaccount:{self.namespace}:operator"
        lines = (await asyncio.to_thread(cluster.audit_log)).splitlines()
        found = [_write(event["verb"], event["objectRef"]) for event in map(json.loads, lines) if _by(event) == account]
        assert found, "the API server notes no writes of service accounts: the cluster is an old one, make it anew"
        return found

    async def credentials(self, namespace: str, name: str) -> dict[str, str]:
        """The values of a Secret."""
        found = await self.get("secret", namespace, name)
        assert found is not None, f"there is no Secret {namespace}/{name}"
        return {key: base64.b64decode(value).decode() for key, value in found["data"].items()}

    async def events(self, namespace: str) -> list[tuple[str, str, str]]:
        """Object, reason and message of each event of a namespace, oldest first."""
        found = json.loads(await self.kubectl("-n", namespace, "get", "events", "-o", "json"))["items"]
        found.sort(key=lambda each: each["metadata"]["creationTimestamp"])
        about = [f"{each['involvedObject']['kind']}/{each['involvedObject']['name']}" for each in found]
        return [(who, each["reason"], each["message"]) for who, each in zip(about, found, strict=True)]

    def clients(self, credentials: Mapping[str, str]) -> list[Any]:
        """boto3 with a Secret's values, at each gateway."""
        return [s3_client({**credentials, "ENDPOINT": each.endpoint}) for each in self.gateways]

    # The programs

    async def _start_gateways(self) -> None:
        path = self.home / "gateway.kubeconfig"
        await self._grant("gateway", gateway_rights(self.namespace), path)
        for number in (1, 2):
            self.gateways.append(self._running.enter_context(self.gateway(f"gateway-{number}")))

    def gateway(self, name: str, region: str = REGION) -> Gateway:
        """Another gateway with a store of its own. It is neither started nor published."""
        home = self.home / name
        home.mkdir()
        options = (
            "--kubeconfig",
            str(self.home / "gateway.kubeconfig"),
            "--namespace",
            self.namespace,
            *self._gateway_options,
        )
        return Gateway(home, *options, host=self.address, region=region)

    async def _start_operator(self) -> None:
        path = self.home / "operator.kubeconfig"
        await self._grant("operator", operator_rights(self.namespace), path)
        options = ("--kubeconfig", str(path), "--namespace", self.namespace)
        self.operator = self._running.enter_context(OperatorProcess(self.home / "operator.log", *options))
        await asyncio.to_thread(self.operator.wait_until_leading)

    async def _grant(self, account: str, manifests: dict[str, Any], path: Path) -> None:
        await self.kubectl("apply", "-f", "-", manifest=manifests)
        metadata = {"name": account, "namespace": self.namespace}
        await account_kubeconfig(self.kubectl, self.kubeconfig, metadata, path)

    async def _publish(self) -> None:
        """A slice for each gateway: they do not share a port."""
        await self.apply(self._service("gateways"))
        for number, gateway in enumerate(self.gateways, 1):
            await self.apply(self.slice(number, gateway))

    async def serve(self, gateway: Gateway, service: str) -> None:
        """Start a gateway, and publish it behind a Service of its own."""
        await asyncio.to_thread(self._running.enter_context, gateway)
        await self.apply(self._service(service), self.slice(1, gateway, service))

    def _service(self, name: str) -> dict[str, Any]:
        """A Service without selector: no Pods are behind it."""
        return manifest("Service", self.namespace, name, {"ports": [{"name": "s3", "port": 9000}]}, version="v1")

    def slice(self, number: int, gateway: Gateway, service: str = "gateways", *, ready: bool = True) -> dict[str, Any]:
        """The EndpointSlice that names a gateway."""
        metadata = {
            "name": f"{service}-{number}",
            "namespace": self.namespace,
            "labels": {"kubernetes.io/service-name": service},
        }
        return {
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": metadata,
            "addressType": "IPv4",
            "ports": [{"name": "s3", "port": gateway.port}],
            "endpoints": [{"addresses": [self.address], "conditions": {"ready": ready}}],
        }


def _by(event: Mapping[str, Any]) -> str:
    return event["user"]["username"] if event["stage"] == "ResponseComplete" else ""


def _write(verb: str, about: Mapping[str, str]) -> Write:
    resource = "/".join(filter(None, (about["resource"], about.get("subresource"))))
    return Write(f"{verb} {resource}", f"{about.get('namespace', '')}/{about.get('name', '')}")


def manifest(
    kind: str, namespace: str, name: str, spec: Mapping[str, Any], version: str = "cooper.dev/v1alpha1"
) -> dict[str, Any]:
    """A resource as a user writes it."""
    metadata = {"name": name, **({"namespace": namespace} if namespace else {})}
    return {"apiVersion": version, "kind": kind, "metadata": metadata, "spec": dict(spec)}
