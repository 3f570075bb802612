"""Settings that cannot be: what refuses them says why, and what ran before runs on."""

import asyncio
import time

import pytest

from e2e.chart.helm import CHART
from e2e.chart.release import FULL_NAME, NAME, Release
from e2e.chart.weather.conftest import Trials
from e2e.system.system import manifest

pytestmark = pytest.mark.asyncio(loop_scope="session")

_KEK = "secret/kek-local"
_GATEWAY = f"{FULL_NAME}-gateway-0"


async def test_a_region_s_value_that_is_none_ends_the_roll_out(release: Release) -> None:
    """Helm cannot tell; the new operator does, and the former ones work on."""
    before = await release.pods("operator")
    region = {"spec": {"maxRecordAge": "1s"}}
    await release.helm("upgrade", NAME, str(CHART), values=release.values | {"region": region})
    try:
        said = await _until_logged(release, "maxRecordAge")
        print(f"\nit says: {said}")
        assert said.startswith("Error: the manifest /etc/cooper/region.yaml: ")
        assert set(before) <= set(await release.pods("operator"))
    finally:
        await release.install()
    assert await release.leader() in await release.pods("operator")


async def test_two_default_regions(release: Release) -> None:
    spec = {"tag": "eu-north-1", "default": True, "endpoints": {"internal": "http://elsewhere.example.com"}}
    await release.kubectl("apply", "-f", "-", manifest=manifest("Region", "", "second", spec))
    try:
        reason = '{.status.conditions[?(@.type=="Ready")].reason}'
        await release.until(f"jsonpath={reason}=DefaultRegionAmbiguous", "region/local")
        (ready,) = [
            each for each in (await release.get("region/local"))["status"]["conditions"] if each["type"] == "Ready"
        ]
        print(f"\nit says: {ready['message']}")
    finally:
        await release.kubectl("delete", "region", "second")
    await release.until_ready("region/local")


async def test_the_key_s_secret_is_missing(busy: Trials, release: Release) -> None:
    """The gateway waits for it, says so, and goes on by itself when it is back."""
    kept = await release.get(_KEK, release.namespace)
    kept["metadata"] = {"name": "kek-local", "namespace": release.namespace}
    async with busy() as going_on:
        await release.kubectl("-n", release.namespace, "delete", _KEK)
        await release.kubectl("-n", release.namespace, "delete", "pod", _GATEWAY)
        said = await _until_logged(release, "put the Secret back", "gateway", "key")
        print(f"it says: {said}")
        await release.kubectl("apply", "-f", "-", manifest=kept)
        began = time.monotonic()
        await going_on.until_served()
        print(f"served {time.monotonic() - began:.1f} s after it was put back")


async def _until_logged(release: Release, text: str, component: str = "operator", container: str = "") -> str:
    """The line with that text in the log of any Pod, of a container that ended as well."""
    which = ("-c", container) if container else ()
    async with asyncio.timeout(60):
        while True:
            for pod in await release.pods(component):
                for former in ((), ("--previous",)):
                    for line in await _lines(release, pod, *which, *former):
                        if text in line:
                            return line
            await asyncio.sleep(0.5)


async def _lines(release: Release, pod: str, *options: str) -> list[str]:
    try:
        return (await release.kubectl("-n", release.namespace, "logs", pod, "--tail=5", *options)).splitlines()
    except AssertionError:
        return []  # there is no container yet, or none before it
