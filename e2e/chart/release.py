"""A release of the chart, used as its users do."""

import asyncio
import json
import re
import secrets
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any

from e2e.chart.helm import CHART, Helm
from e2e.kubectl import Kubectl
from e2e.system.server import values as values_of
from e2e.system.system import manifest
from support.rig import s3_client

NAME = "s3"
FULL_NAME = f"{NAME}-cooper"


class Release:
    """One release in a namespace of its own."""

    def __init__(self, helm: Helm, kubectl: Kubectl, kubeconfig: Path, namespace: str, image: str) -> None:
        repository, _, tag = image.rpartition(":")
        self.kubectl = kubectl
        self.namespace = namespace
        self.values: dict[str, Any] = {
            "image": {"repository": repository, "tag": tag},
            "gateway": {"persistence": {"size": "1Gi"}},
        }
        self._there = False
        self._helm = helm
        self._kubeconfig = kubeconfig

    async def helm(self, *arguments: str, values: dict[str, Any] | None = None) -> str:
        """helm in the release's namespace."""
        return await asyncio.to_thread(self._helm, *arguments, "--namespace", self.namespace, values=values)

    async def install(self, **changes: Any) -> None:
        """Install or upgrade, and wait until every Pod is ready."""
        # The kinds may have come otherwise, as other tests bring them.
        wait = ("--wait", "--timeout=3m", "--take-ownership")
        what = "upgrade" if self._there else "install"
        await self.helm(what, NAME, str(CHART), *wait, values=self.values | changes)
        self._there = True

    async def uninstall(self) -> None:
        """Take it away; what outlives it stays."""
        await self.helm("uninstall", NAME, "--ignore-not-found", "--wait", "--timeout=2m")
        self._there = False

    async def apply(self, kind: str, namespace: str, name: str, **spec: Any) -> None:
        """`kubectl apply` of a resource."""
        await self.kubectl("apply", "-f", "-", manifest=manifest(kind, namespace, name, spec))

    async def until_ready(self, what: str, namespace: str = "", seconds: int = 60) -> None:
        """`kubectl wait` until it is Ready."""
        await self.until("condition=Ready", what, namespace, seconds)

    async def until(self, holds: str, what: str, namespace: str = "", seconds: int = 60) -> None:
        """`kubectl wait`."""
        within = ("-n", namespace) if namespace else ()
        await self.kubectl(*within, "wait", f"--for={holds}", what, f"--timeout={seconds}s")

    async def get(self, what: str, namespace: str = "") -> dict[str, Any]:
        """An object."""
        within = ("-n", namespace) if namespace else ()
        return json.loads(await self.kubectl(*within, "get", what, "-o", "json"))

    async def secret(self, namespace: str, name: str) -> dict[str, str]:
        """What a Secret holds."""
        return values_of(await self.get(f"secret/{name}", namespace))

    async def holder(self) -> str:
        """Who holds the Lease, as it names itself; empty: nobody."""
        lease = await self.get("lease/cooper-operator", self.namespace)
        return lease["spec"].get("holderIdentity") or ""

    async def leader(self) -> str:
        """The Pod of the operator that leads."""
        return (await self.holder()).rpartition("_")[0]

    async def pods(self, component: str = "operator,gateway") -> dict[str, dict[str, Any]]:
        """Its Pods by name, those that are going left out."""
        selector = f"app.kubernetes.io/instance={NAME},app.kubernetes.io/component in ({component})"
        found = json.loads(await self.kubectl("-n", self.namespace, "get", "pods", "-l", selector, "-o", "json"))
        items = [each for each in found["items"] if "deletionTimestamp" not in each["metadata"]]
        return {each["metadata"]["name"]: each for each in items}

    async def until_rolled_out(self) -> None:
        """Wait until all Pods are there and ready, as the latest templates have them."""
        for what in ("deployment/{}-operator", "statefulset/{}-gateway"):
            name = what.format(FULL_NAME)
            await self.kubectl("-n", self.namespace, "rollout", "status", name, "--timeout=180s")

    async def node_endpoint(self) -> str:
        """Where this machine reaches the gateway, whose Service is one of type NodePort: on the node that it is on."""
        service = await self.get(f"service/{FULL_NAME}-gateway", self.namespace)
        (gateway,) = (await self.pods("gateway")).values()
        node = await self.get(f"node/{gateway['spec']['nodeName']}")
        (address,) = [each["address"] for each in node["status"]["addresses"] if each["type"] == "InternalIP"]
        return f"http://{address}:{service['spec']['ports'][0]['nodePort']}"

    async def try_linked(self, namespace: str, secret: str, image: str, **env: str) -> str:
        """Run a Pod that has a Secret by envFrom, and as files in /secret, and tries it; what it says once it has
        succeeded."""
        container = {
            "name": "check",
            "image": image,
            "args": ["check"],
            "envFrom": [{"secretRef": {"name": secret}}],
            "env": [{"name": name, "value": value} for name, value in env.items()],
            "volumeMounts": [{"name": "secret", "mountPath": "/secret", "readOnly": True}],
        }
        volumes = [{"name": "secret", "secret": {"secretName": secret}}]
        spec = {"containers": [container], "volumes": volumes, "restartPolicy": "Never"}
        pod = manifest("Pod", namespace, f"try-{secret}", spec, "v1")
        await self.kubectl("create", "-f", "-", manifest=pod)
        return await self.said(namespace, f"try-{secret}")

    async def said(self, namespace: str, pod: str) -> str:
        """What a Pod says once it has succeeded. It is taken away."""
        await self.until("jsonpath={.status.phase}=Succeeded", f"pod/{pod}", namespace)
        said = await self.kubectl("-n", namespace, "logs", pod)
        await self.kubectl("-n", namespace, "delete", "pod", pod, "--wait=false")
        return said

    @asynccontextmanager
    async def client(self, credentials: dict[str, str]) -> AsyncIterator[Any]:
        """boto3 with these values, through `kubectl port-forward`."""
        async with self.forwarded() as port:
            with NamedTemporaryFile("w") as bundle:
                values = {**credentials, "ENDPOINT": f"http://127.0.0.1:{port}"}
                if "CA_BUNDLE" in credentials:  # where a certificate is made, it is for localhost as well
                    bundle.write(credentials["CA_BUNDLE"])
                    bundle.flush()
                    values |= {"ENDPOINT": f"https://localhost:{port}", "CA_BUNDLE": bundle.name}
                yield s3_client(values, retries={"max_attempts": 3})

    @asynccontextmanager
    async def forwarded(self) -> AsyncIterator[int]:
        """A port of this machine that leads to the gateway."""
        program, _, kubeconfig = str(self._kubeconfig.parent / "kubectl"), "", str(self._kubeconfig)
        forward = await asyncio.create_subprocess_exec(
            *(program, "--kubeconfig", kubeconfig, "-n", self.namespace),
            *("port-forward", f"service/{FULL_NAME}-gateway", ":9000", "--address=127.0.0.1"),
            stdout=asyncio.subprocess.PIPE,
        )
        assert forward.stdout is not None
        try:
            async with asyncio.timeout(20):
                line = (await forward.stdout.readline()).decode()
            found = re.search(r"127\.0\.0\.1:(\d+) ->", line)
            assert found is not None, line
            yield int(found[1])
        finally:
            forward.terminate()
            await forward.wait()


@asynccontextmanager
async def team(release: Release, kinds: str = "bucket,accesskey") -> AsyncIterator[str]:
    """A namespace of an application team. Resources of these `kinds` go before it does."""
    name = f"team-{secrets.token_hex(4)}"
    await release.kubectl("create", "namespace", name)
    yield name
    await release.kubectl("-n", name, "delete", kinds, "--all", "--timeout=60s")
    await release.kubectl("delete", "namespace", name, "--timeout=120s")


@asynccontextmanager
async def installed(
    helm: Helm, kubectl: Kubectl, kubeconfig: Path, image: str, **values: Any
) -> AsyncIterator[Release]:
    """Installed with two operators, where only the most restricted Pods may run; taken away with all it had."""
    namespace = f"chart-{secrets.token_hex(4)}"
    release = Release(helm, kubectl, kubeconfig, namespace, image)
    release.values |= values
    await kubectl("create", "namespace", namespace)
    await kubectl("label", "namespace", namespace, "pod-security.kubernetes.io/enforce=restricted")
    try:
        began = time.monotonic()
        await release.install()
        await release.until_ready("region/local")
        print(f"\nhelm install until all is ready: {time.monotonic() - began:.1f} s")
        yield release
    finally:  # also what was not wholly installed: its operator would disturb all tests to come
        await release.uninstall()
        await kubectl("delete", "region", "local", "--ignore-not-found")
        await kubectl("delete", "namespace", namespace, "--timeout=120s")
