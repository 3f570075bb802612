"""cert-manager: its controllers as a program beside the cluster, built from its Go module."""

import asyncio
import datetime
import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

from e2e.chart.kinds import CERT_MANAGER, of_cert_manager
from e2e.kind.binaries import go
from e2e.kind.steps import run, step
from e2e.kubectl import ESTABLISHED, Kubectl
from e2e.system.system import manifest
from support.artefacts import cached

#: A ClusterIssuer that has an authority's key; that is in a Secret of this namespace, by a Certificate of its own.
ISSUER: Final = "internal"
AUTHORITY: Final = "authority"
NAMESPACE: Final = "cert-manager"
_API: Final = "cert-manager.io/v1"


@asynccontextmanager
async def cert_manager(kubectl: Kubectl, kubeconfig: Path, log: Path) -> AsyncIterator[None]:
    """While this lasts it works in all namespaces, and `ISSUER` signs."""
    program = cached("cert-manager", sorted(CERT_MANAGER.iterdir()), _build) / "cert-manager"
    definitions = {"apiVersion": "v1", "kind": "List", "items": of_cert_manager()}
    await kubectl("create", "namespace", NAMESPACE)
    try:
        await kubectl("apply", "--server-side", "-f", "-", manifest=definitions)
        await kubectl("wait", ESTABLISHED, "-f", "-", "--timeout=30s", manifest=definitions)
        with log.open("wb") as out:
            command = (program, "--kubeconfig", kubeconfig, "--cluster-resource-namespace", NAMESPACE)
            process = await asyncio.create_subprocess_exec(*command, stdout=out, stderr=out)
        try:
            await kubectl("apply", "-f", "-", manifest={"apiVersion": "v1", "kind": "List", "items": _issuers()})
            await kubectl("wait", "--for=condition=Ready", f"clusterissuer/{ISSUER}", "--timeout=60s")
            yield
        finally:
            if process.returncode is None:
                process.terminate()
            await process.wait()
    finally:
        await kubectl("delete", "--ignore-not-found", "--timeout=60s", "-f", "-", manifest=definitions)
        await kubectl("delete", "namespace", NAMESPACE, "--timeout=60s")


async def renew(kubectl: Kubectl, namespace: str, certificate: str) -> None:
    """Have a Certificate issued anew, as `cmctl renew` does."""
    now = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    issuing = {"type": "Issuing", "status": "True", "reason": "ManuallyTriggered", "lastTransitionTime": now}
    patch = json.dumps([{"op": "add", "path": "/status/conditions/-", "value": issuing}])
    what = ("-n", namespace, "patch", "certificate", certificate, "--subresource=status", "--type=json")
    await kubectl(*what, "-p", patch)


def _build(folder: Path) -> None:
    with step("building cert-manager"):
        command = [go(), "build", "-trimpath", "-ldflags", "-s -w", "-o", folder / "cert-manager", "."]
        run("build", command, cwd=CERT_MANAGER, env={**os.environ, "CGO_ENABLED": "0"})


def _issuers() -> list[dict[str, Any]]:
    """One that signs for itself signs the authority, whose key the other one has."""
    authority = {
        "isCA": True,
        "commonName": "an authority of the tests",
        "secretName": AUTHORITY,
        "privateKey": {"algorithm": "ECDSA", "size": 256},
        "issuerRef": {"kind": "ClusterIssuer", "name": "itself"},
    }
    return [
        manifest("ClusterIssuer", "", "itself", {"selfSigned": {}}, _API),
        manifest("Certificate", NAMESPACE, AUTHORITY, authority, _API),
        manifest("ClusterIssuer", "", ISSUER, {"ca": {"secretName": AUTHORITY}}, _API),
    ]
