"""A release of the chart, used as its users do."""

import asyncio
import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any

from e2e.chart.helm import CHART, Helm
from e2e.kubectl import Kubectl
from e2e.system.system import manifest
from support.rig import s3_client

NAME = "s3"


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
        """`kubectl wait`."""
        within = ("-n", namespace) if namespace else ()
        await self.kubectl(*within, "wait", "--for=condition=Ready", what, f"--timeout={seconds}s")

    async def get(self, what: str, namespace: str = "") -> dict[str, Any]:
        """An object."""
        within = ("-n", namespace) if namespace else ()
        return json.loads(await self.kubectl(*within, "get", what, "-o", "json"))

    async def leader(self) -> str:
        """The Pod of the operator that leads."""
        lease = await self.get("lease/cooper-operator", self.namespace)
        return lease["spec"]["holderIdentity"].rpartition("_")[0]

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
        done = "--for=jsonpath={.status.phase}=Succeeded"
        await self.kubectl("-n", namespace, "wait", done, f"pod/try-{secret}", "--timeout=60s")
        said = await self.kubectl("-n", namespace, "logs", f"try-{secret}")
        await self.kubectl("-n", namespace, "delete", "pod", f"try-{secret}", "--wait=false")
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
            *("port-forward", f"service/{NAME}-cooper-gateway", ":9000", "--address=127.0.0.1"),
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
