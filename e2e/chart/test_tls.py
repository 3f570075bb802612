"""The chart installed with TLS that the operator makes: delivered, linked, and renewed while clients work."""

import asyncio
import base64
import json
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from cryptography import x509

from cooper_operator.certificates.x509 import Pair, new_certificate
from e2e.chart.helm import Helm
from e2e.chart.release import NAME, Release, installed, team
from e2e.chart.served import POD, SECRET, have_kubelet_look, renewed_while_a_client_works
from e2e.kubectl import Kubectl

pytestmark = pytest.mark.asyncio(loop_scope="module")

_DAY = 86400.0


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def release(charts: Helm, kubectl: Kubectl, kubeconfig: Path, pod_image: str) -> AsyncIterator[Release]:
    """One for all tests here."""
    gateway = {"persistence": {"size": "1Gi"}, "tls": {"mode": "generated"}}
    async with installed(charts, kubectl, kubeconfig, pod_image, gateway=gateway) as release:
        yield release


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def tenant(release: Release) -> AsyncIterator[str]:
    """A namespace of an application team, with the Bucket `photos`."""
    async with team(release) as name:
        await release.apply("Bucket", name, "photos", bucketName=f"{name}-photos")
        await release.until_ready("bucket/photos", name)
        yield name
        async with release.client(await release.secret(name, "photos")) as s3:
            for found in s3.list_objects_v2(Bucket=f"{name}-photos").get("Contents", ()):
                s3.delete_object(Bucket=f"{name}-photos", Key=found["Key"])


async def test_a_linked_pod_does_the_main_job(release: Release, tenant: str, pod_image: str) -> None:
    values = await release.secret(tenant, "photos")
    made = await release.secret(release.namespace, SECRET)
    assert values["ENDPOINT"] == f"https://{NAME}-cooper-gateway.{release.namespace}.svc:9000"
    assert values["CA_BUNDLE"] == made["ca.crt"]
    assert (await release.get("region/local"))["spec"]["caBundle"] == made["ca.crt"]
    said = await release.try_linked(tenant, "photos", pod_image, CA_BUNDLE="/secret/CA_BUNDLE")
    assert said.splitlines()[-1] == "deleted it"


async def test_helm_test_does_the_main_job(release: Release) -> None:
    assert "deleted it" in await release.helm("test", NAME, "--timeout=2m", "--logs")


async def test_the_key_of_the_authority_is_not_in_the_gateways_pod(release: Release) -> None:
    authority = await release.secret(release.namespace, f"{SECRET}-ca")
    assert authority["tls.key"] not in str(await release.secret(release.namespace, SECRET))
    listed = await release.kubectl("-n", release.namespace, "exec", POD, "-c", "gateway", "--", "ls", "/tls")
    assert listed.split() == ["tls.crt", "tls.key"]


async def test_a_certificate_is_renewed_and_no_request_fails(release: Release, tenant: str) -> None:
    values = await release.secret(tenant, "photos")
    await renewed_while_a_client_works(release, values, lambda: _age(release))
    assert await release.secret(tenant, "photos") == values


async def test_another_authority_reaches_everybody(release: Release, tenant: str) -> None:
    before = await release.secret(tenant, "photos")
    await release.kubectl("-n", release.namespace, "delete", "secret", SECRET, f"{SECRET}-ca")
    began = time.monotonic()
    async with asyncio.timeout(30):
        while (await release.get("region/local"))["spec"]["caBundle"] == before["CA_BUNDLE"]:
            await asyncio.sleep(0.2)
    made = await release.secret(release.namespace, SECRET)
    await have_kubelet_look(release)
    # Delivered when the gateway serves what it is for, as everything is that is delivered.
    async with asyncio.timeout(60):
        while (values := await release.secret(tenant, "photos"))["CA_BUNDLE"] != made["ca.crt"]:
            await asyncio.sleep(0.2)
    print(f"\nanother authority was delivered after {time.monotonic() - began:.1f} s")
    assert {**values, "CA_BUNDLE": ""} == {**before, "CA_BUNDLE": ""}
    async with release.client(values) as s3:
        s3.put_object(Bucket=values["BUCKET"], Key="kept", Body=b"kept")
    await release.until_ready("bucket/photos", tenant)


async def _age(release: Release) -> str:
    """Put a certificate into the Secret that is due: by the same authority, for the same names. Returned is that."""
    made = await release.secret(release.namespace, SECRET)
    authority = await release.secret(release.namespace, f"{SECRET}-ca")
    names = x509.load_pem_x509_certificate(made["tls.crt"].encode()).extensions.get_extension_for_class(
        x509.SubjectAlternativeName
    )
    hosts = names.value.get_values_for_type(x509.DNSName)
    aged = new_certificate(Pair(authority["tls.crt"], authority["tls.key"]), hosts, time.time() - 250 * _DAY)
    data = {"tls.crt": aged.certificate, "tls.key": aged.key}
    encoded = {key: base64.b64encode(value.encode()).decode() for key, value in data.items()}
    await release.kubectl("-n", release.namespace, "patch", f"secret/{SECRET}", "-p", json.dumps({"data": encoded}))
    return aged.certificate
