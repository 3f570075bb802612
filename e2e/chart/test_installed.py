"""The chart installed: Cooper in Pods, used, troubled, upgraded, taken away and installed again."""

import asyncio
import re
import statistics
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from e2e.chart.helm import CHART, Helm
from e2e.chart.release import FULL_NAME, NAME, Release, installed, team
from e2e.kubectl import Kubectl
from e2e.system.system import manifest
from support.rig import error_code

pytestmark = pytest.mark.asyncio(loop_scope="module")


CLIENTS = """
aws --version
echo hello | aws s3 cp - "s3://$BUCKET/dir/hello.txt"
aws s3 ls "s3://$BUCKET/dir/"
aws s3 cp "s3://$BUCKET/dir/hello.txt" -
python3 -c '
import os, boto3
s3, name = boto3.client("s3"), os.environ["BUCKET"]
s3.put_object(Bucket=name, Key="boto3", Body=b"by boto3")
print(s3.get_object(Bucket=name, Key="boto3")["Body"].read().decode(), s3.meta.endpoint_url)
s3.delete_objects(Bucket=name, Delete={"Objects": [{"Key": key} for key in ("boto3", "dir/hello.txt")]})
'
"""


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def release(charts: Helm, kubectl: Kubectl, kubeconfig: Path, pod_image: str) -> AsyncIterator[Release]:
    """One for all tests here."""
    async with installed(charts, kubectl, kubeconfig, pod_image) as release:
        yield release


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def tenant(release: Release) -> AsyncIterator[str]:
    """A namespace of an application team, with the Bucket `photos`, which holds an object."""
    async with team(release) as name:
        await release.apply("Bucket", name, "photos", bucketName=f"{name}-photos")
        await release.until_ready("bucket/photos", name)
        async with release.client(await release.secret(name, "photos")) as s3:
            s3.put_object(Bucket=f"{name}-photos", Key="kept", Body=b"kept")
        yield name
        async with release.client(await release.secret(name, "photos")) as s3:
            s3.delete_object(Bucket=f"{name}-photos", Key="kept")


async def _is_kept(release: Release, tenant: str, values: dict[str, str]) -> None:
    """The object is there, and the key that was delivered before works as it is."""
    assert await release.secret(tenant, "photos") == values
    async with release.client(values) as s3:
        assert s3.get_object(Bucket=values["BUCKET"], Key="kept")["Body"].read() == b"kept"


async def test_helm_test_does_the_main_job(release: Release) -> None:
    said = await release.helm("test", NAME, "--timeout=2m", "--logs")
    assert said.count("Succeeded") >= 1
    assert "deleted it" in said


async def test_a_pod_that_is_linked_to_a_secret_needs_nothing_else(
    release: Release, tenant: str, pod_image: str
) -> None:
    said = await release.try_linked(tenant, "photos", pod_image)
    assert said.splitlines()[-1] == "deleted it"
    values = await release.secret(tenant, "photos")
    assert values["ENDPOINT"] == f"http://{FULL_NAME}-gateway.{release.namespace}.svc:9000"


async def test_stock_clients_need_the_secret_and_no_flag(release: Release, tenant: str, client_image: str) -> None:
    """All is applied at once: the Pod starts by itself as soon as there is a Secret."""
    spec = {"bucketName": f"{tenant}-aws", "credentials": {"secretProfiles": ["Cooper", "AWS"]}}
    bucket = manifest("Bucket", tenant, "aws", spec)
    linked = {"image": client_image, "command": ["sh", "-ec", CLIENTS], "envFrom": [{"secretRef": {"name": "aws"}}]}
    container = {"name": "clients", **linked}
    pod = manifest("Pod", tenant, "clients", {"containers": [container], "restartPolicy": "Never"}, "v1")
    began = time.monotonic()
    await release.kubectl("apply", "-f", "-", manifest={"apiVersion": "v1", "kind": "List", "items": [pod, bucket]})
    said = (await release.said(tenant, "clients")).splitlines()
    print(f"\nkubectl apply until aws-cli and boto3 are done: {time.monotonic() - began:.1f} s", *said, sep="\n")
    endpoint = f"http://{FULL_NAME}-gateway.{release.namespace}.svc:9000"
    assert said[-2:] == ["hello", f"by boto3 {endpoint}"]


async def test_how_long_keys_take(release: Release, tenant: str, pytestconfig: pytest.Config) -> None:
    took: list[float] = []
    for number in range(50 if pytestconfig.getoption("--soak") else 5):
        began = time.monotonic()
        await release.apply("AccessKey", tenant, f"key-{number}", grants=[{"bucket": "photos"}])
        await release.until_ready(f"accesskey/key-{number}", tenant)
        took.append(time.monotonic() - began)
    print(f"\nkubectl apply and wait, with Pods: median {statistics.median(took):.2f} s, worst {max(took):.2f} s")


async def test_what_the_dashboard_shows_is_told(release: Release, tenant: str) -> None:
    """By the Pods together: of the operators only the one that leads has looked at anything."""
    told: set[str] = set()
    for pod in (await release.get("pods", release.namespace))["items"]:
        for port in (each for container in pod["spec"]["containers"] for each in container.get("ports", ())):
            if port["name"] == "metrics":
                address = f"{release.namespace}/pods/{pod['metadata']['name']}:{port['containerPort']}"
                page = await release.kubectl("get", "--raw", f"/api/v1/namespaces/{address}/proxy/metrics")
                told |= set(re.findall(r"^(cooper_\w+)", page, re.MULTILINE))
    dashboard = (CHART / "files" / "dashboards" / "cooper.json").read_text()
    asked = set(re.findall(r"cooper_\w+", dashboard))
    assert len(asked) > 15
    assert asked - told == set()


async def test_another_operator_takes_over(release: Release, tenant: str) -> None:
    leader = await release.leader()
    await release.kubectl("-n", release.namespace, "delete", "pod", leader, "--grace-period=0", "--force")
    began = time.monotonic()
    await release.apply("AccessKey", tenant, "after", grants=[{"bucket": "photos"}])
    await release.until_ready("accesskey/after", tenant)
    assert await release.leader() != leader
    print(f"\nthe leader's Pod was killed; a key that was applied then: {time.monotonic() - began:.1f} s")


async def test_a_gateway_that_is_killed_comes_back_with_all_it_had(release: Release, tenant: str) -> None:
    values, pod = await release.secret(tenant, "photos"), f"{FULL_NAME}-gateway-0"
    await release.kubectl("-n", release.namespace, "delete", "pod", pod, "--grace-period=0", "--force")
    await _until_served(release, pod)
    await _is_kept(release, tenant, values)


async def test_an_upgrade_changes_settings_and_loses_nothing(release: Release, tenant: str) -> None:
    values, secret = await release.secret(tenant, "photos"), "secret/kek-local"
    key = (await release.get(secret, release.namespace))["data"]
    await release.install(region={"tag": "us-east-1", "spec": {"maxRecordAge": "1h"}})
    async with asyncio.timeout(30):
        while (await release.get("region/local"))["spec"]["maxRecordAge"] != "1h":
            await asyncio.sleep(0.2)
    assert (await release.get(secret, release.namespace))["data"] == key
    await _is_kept(release, tenant, values)


async def test_what_is_uninstalled_and_installed_again_goes_on(release: Release, tenant: str, kubectl: Kubectl) -> None:
    values = await release.secret(tenant, "photos")
    await release.uninstall()
    what = ("get", "pods,deployments,statefulsets,services", "-o", "name")
    async with asyncio.timeout(60):  # the Pod of `helm test` is kept for its log
        while (await kubectl("-n", release.namespace, *what)).split() != [f"pod/{NAME}-cooper-test"]:
            await asyncio.sleep(0.5)
    assert await release.secret(tenant, "photos") == values
    await release.install(watchNamespaces=[tenant])
    await _is_kept(release, tenant, values)
    await release.apply("AccessKey", tenant, "again", grants=[{"bucket": "photos"}])
    await release.until_ready("accesskey/again", tenant)
    await release.apply("Bucket", "default", "elsewhere")
    await asyncio.sleep(2)
    assert "status" not in await release.get("bucket/elsewhere", "default")  # not served, nor is there a right to
    await kubectl("-n", "default", "delete", "bucket", "elsewhere")


async def test_a_key_that_is_lost_is_not_replaced(release: Release, tenant: str, kubectl: Kubectl) -> None:
    """A store that was written with a key is never opened, and never begun anew, with another."""
    secret, pod = "secret/kek-local", f"{FULL_NAME}-gateway-0"
    kept = await release.get(secret, release.namespace)
    await kubectl("-n", release.namespace, "patch", secret, "--type=json", "-p", '[{"op":"remove","path":"/data"}]')
    await kubectl("-n", release.namespace, "delete", "pod", pod, "--grace-period=0", "--force")
    async with asyncio.timeout(60):
        while "holds no key, and the store" not in await _log(release, pod):
            await asyncio.sleep(0.5)
    kept["metadata"] = {"name": "kek-local", "namespace": release.namespace}
    await kubectl("apply", "--server-side", "--force-conflicts", "-f", "-", manifest=kept)
    await kubectl("-n", release.namespace, "delete", "pod", pod, "--grace-period=0", "--force")
    await _until_served(release, pod)
    async with release.client(await release.secret(tenant, "photos")) as s3:
        assert error_code(lambda: s3.get_object(Bucket=f"{tenant}-photos", Key="missing")) == "NoSuchKey"


async def _log(release: Release, pod: str) -> str:
    try:
        return await release.kubectl("-n", release.namespace, "logs", pod, "-c", "key", "--tail=5")
    except AssertionError:
        return ""  # there is no container yet


async def _until_served(release: Release, pod: str) -> None:
    async with asyncio.timeout(120):
        while True:
            try:
                await release.until_ready(f"pod/{pod}", release.namespace, 5)
                return
            except AssertionError:
                await asyncio.sleep(0.5)
