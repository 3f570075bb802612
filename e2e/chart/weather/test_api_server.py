"""The API server is away, and knows nothing of former versions when it is back: every watch is to begin anew."""

import asyncio
import json
import time

import pytest

from e2e.chart.release import Release
from e2e.chart.weather.conftest import Trials
from e2e.kind.cluster import Cluster
from e2e.kind.nodes import Nodes

pytestmark = pytest.mark.asyncio(loop_scope="session")

_WATCHED = ("/apis/cooper.dev/v1alpha1/accesskeys", "/api/v1/secrets")


async def test_the_api_server_is_away_and_has_forgotten(
    busy: Trials, release: Release, cluster: Cluster, nodes: Nodes, soak: bool
) -> None:
    before = await _restarts(release)
    async with busy() as going_on:
        watched = {path: await _version(release, path) for path in _WATCHED}
        await going_on.work(6)
        began = time.monotonic()
        away = cluster.api_server_away()
        await asyncio.to_thread(away.__enter__)
        try:
            revision = await asyncio.to_thread(nodes.compact)
            await asyncio.sleep((60 if soak else 10) - (time.monotonic() - began))
        finally:
            await asyncio.to_thread(away.__exit__, None, None, None)
        print(f"the API server was away for {time.monotonic() - began:.0f} s, and knows nothing of before {revision}")
        assert {path: await _answer(release, *each) for path, *each in _each(watched)} == dict.fromkeys(watched, 410)
        await going_on.work(12)
        await going_on.settle()
    assert going_on.load.failures == [], "S3 is served all the while"
    assert await _restarts(release) == before, "nothing ends because the API server does"


def _each(watched: dict[str, str]) -> list[tuple[str, str, str]]:
    return [(path, path, version) for path, version in watched.items()]


async def _version(release: Release, path: str) -> str:
    """Of a collection as it is: where a watch goes on from."""
    listing = await release.kubectl("get", "--raw", f"{path}?limit=1")
    return json.loads(listing)["metadata"]["resourceVersion"]


async def _answer(release: Release, path: str, version: str) -> int:
    """What a watch from that version is told first: a code."""
    said = await release.kubectl("get", "--raw", f"{path}?watch=1&resourceVersion={version}&timeoutSeconds=1")
    event = json.loads(said.splitlines()[0])
    return event["object"].get("code", 200)


async def _restarts(release: Release) -> dict[str, tuple[str, int]]:
    """UID and restarts of each Pod."""
    return {
        name: (pod["metadata"]["uid"], sum(each["restartCount"] for each in pod["status"]["containerStatuses"]))
        for name, pod in (await release.pods()).items()
    }
