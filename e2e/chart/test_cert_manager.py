"""The chart installed with TLS by cert-manager, which is there with its own controllers."""

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from e2e.chart.cert_manager import AUTHORITY, ISSUER, NAMESPACE, cert_manager, renew
from e2e.chart.helm import Helm
from e2e.chart.release import FULL_NAME, NAME, Release, installed, team
from e2e.chart.served import SECRET, have_kubelet_look, renewed_while_a_client_works
from e2e.kubectl import Kubectl

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.soak]


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def release(
    charts: Helm, kubectl: Kubectl, kubeconfig: Path, pod_image: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Release]:
    """One for all tests here."""
    issuer = {"issuerRef": {"kind": "ClusterIssuer", "name": ISSUER}}
    gateway = {"persistence": {"size": "1Gi"}, "tls": {"mode": "certManager", "certManager": issuer}}
    log = tmp_path_factory.mktemp("cert-manager") / "cert-manager.log"
    async with (
        cert_manager(kubectl, kubeconfig, log),
        installed(charts, kubectl, kubeconfig, pod_image, gateway=gateway) as release,
    ):
        yield release


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def tenant(release: Release) -> AsyncIterator[str]:
    """A namespace of an application team, with the Bucket `photos`."""
    async with team(release) as name:
        await release.apply("Bucket", name, "photos", bucketName=f"{name}-photos")
        await release.until_ready("bucket/photos", name)
        yield name
        async with release.client(await release.secret(name, "photos")) as s3:
            s3.delete_object(Bucket=f"{name}-photos", Key="kept")


async def test_a_linked_pod_does_the_main_job(release: Release, tenant: str, pod_image: str) -> None:
    await _until_trusted(release, tenant)
    values = await release.secret(tenant, "photos")
    assert values["ENDPOINT"] == f"https://{FULL_NAME}-gateway.{release.namespace}.svc:9000"
    said = await release.try_linked(tenant, "photos", pod_image, CA_BUNDLE="/secret/CA_BUNDLE")
    assert said.splitlines()[-1] == "deleted it"
    assert "deleted it" in await release.helm("test", NAME, "--timeout=2m", "--logs")


async def test_a_certificate_is_renewed_and_no_request_fails(release: Release, tenant: str) -> None:
    values = await release.secret(tenant, "photos")
    await renewed_while_a_client_works(release, values, lambda: _renew(release))
    assert await release.secret(tenant, "photos") == values


async def test_another_authority_reaches_everybody(release: Release, tenant: str, pod_image: str) -> None:
    """cert-manager issues nothing anew for that: whom to trust changes with the certificate's next renewal."""
    before = await release.secret(NAMESPACE, AUTHORITY)
    await renew(release.kubectl, NAMESPACE, AUTHORITY)
    async with asyncio.timeout(30):
        while await release.secret(NAMESPACE, AUTHORITY) == before:
            await asyncio.sleep(0.2)
    await release.until_ready(f"clusterissuer/{ISSUER}")
    former = await _renew(release)
    async with asyncio.timeout(30):
        while (await release.secret(release.namespace, SECRET))["tls.crt"] == former:
            await asyncio.sleep(0.2)
    began = time.monotonic()
    await have_kubelet_look(release)
    await _until_trusted(release, tenant)
    print(f"\nanother authority was delivered {time.monotonic() - began:.1f} s after the certificate was renewed")
    said = await release.try_linked(tenant, "photos", pod_image, CA_BUNDLE="/secret/CA_BUNDLE")
    assert said.splitlines()[-1] == "deleted it"


async def _until_trusted(release: Release, tenant: str) -> None:
    """Wait until the authority that signs is in what is delivered."""
    authority = (await release.secret(NAMESPACE, AUTHORITY))["tls.crt"]
    async with asyncio.timeout(90):
        while (await release.secret(tenant, "photos"))["CA_BUNDLE"] != authority:
            await asyncio.sleep(0.2)
    assert (await release.get("region/local"))["spec"]["caBundle"] == authority
    assert (await release.secret(release.namespace, SECRET))["ca.crt"] == authority


async def _renew(release: Release) -> str:
    """Begin it; the former certificate."""
    former = (await release.secret(release.namespace, SECRET))["tls.crt"]
    await renew(release.kubectl, release.namespace, f"{FULL_NAME}-gateway")
    return former
