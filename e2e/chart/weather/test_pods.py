"""Pods are killed, their node is drained and restarts: what was acknowledged is there when they are back."""

import asyncio
import itertools
import time

import pytest

from e2e.chart.release import FULL_NAME, Release
from e2e.chart.weather.conftest import Trials
from e2e.chart.weather.trial import Trial
from e2e.kind.cluster import Cluster
from e2e.kind.nodes import Nodes

pytestmark = pytest.mark.asyncio(loop_scope="session")

_GATEWAY = f"{FULL_NAME}-gateway-0"


async def test_pods_are_killed_at_random(busy: Trials, release: Release, nodes: Nodes, soak: bool) -> None:
    done: list[str] = []
    async with busy() as going_on:
        blows = list(itertools.product(("operator", "gateway"), ("killed", "deleted", "deleted at once")))
        blows *= 4 if soak else 1
        going_on.dice.shuffle(blows)
        for component, how in blows[: None if soak else 4]:
            acting = asyncio.create_task(going_on.work(6, pause=0.2))
            await asyncio.sleep(going_on.dice.uniform(0, 3))
            done.append(await _strike(going_on, release, nodes, component, how))
            await acting
        await release.until_rolled_out()
    print(", ".join(done))


async def _strike(going_on: Trial, release: Release, nodes: Nodes, component: str, how: str) -> str:
    """What befell a Pod, in words."""
    pods = {name: each for name, each in (await release.pods(component)).items() if _runs(each)}
    if not pods:
        return f"no {component} ran"
    name = going_on.dice.choice(sorted(pods))
    if how == "killed" and not _restarts(pods[name]):  # the kubelet puts off the second restart, and each more
        await asyncio.to_thread(nodes.kill_pod, pods[name])
        return f"{component} killed"
    at_once = ("--grace-period=0", "--force") if how != "deleted" else ()
    await release.kubectl("-n", release.namespace, "delete", "pod", name, *at_once)
    return f"{component} deleted{' at once' if at_once else ''}"


async def test_the_gateway_s_node_is_drained(busy: Trials, release: Release) -> None:
    """Its volume is of that node: it goes to no other, also where there is one, and waits until this takes it again."""
    before = (await release.pods("gateway"))[_GATEWAY]
    node = before["spec"]["nodeName"]
    async with busy() as going_on:
        selector = "--pod-selector=app.kubernetes.io/component=gateway"
        await release.kubectl("drain", node, selector, "--delete-emptydir-data", "--timeout=60s")
        try:
            await release.until("jsonpath={.status.phase}=Pending", f"pod/{_GATEWAY}", release.namespace)
            await going_on.work(5)
            waiting = (await release.pods("gateway"))[_GATEWAY]
        finally:
            await release.kubectl("uncordon", node)
        took = await going_on.until_served()
        await release.until_rolled_out()
    assert _unscheduled(waiting)
    after = (await release.pods("gateway"))[_GATEWAY]
    assert after["metadata"]["uid"] != before["metadata"]["uid"]
    assert after["spec"]["nodeName"] == node
    print(f"drained: {_unscheduled(waiting)}; served {took:.1f} s after the node took it again")


async def test_each_node_restarts(busy: Trials, release: Release, cluster: Cluster, nodes: Nodes) -> None:
    async with busy() as going_on:
        for node in cluster.nodes:
            await going_on.work(10)
            began = time.monotonic()
            await asyncio.to_thread(nodes.restart, node)
            answers = time.monotonic()
            await going_on.until_served()
            served = time.monotonic()
            await release.until_rolled_out()
            await going_on.work(10)
            await going_on.settle()
            print(f"the API server answers {answers - began:.1f} s after {node} began to restart", end="; ")
            print(f"served again after {served - began:.1f} s")


def _unscheduled(pod: dict) -> str:
    """Why the scheduler found no node for it."""
    conditions = pod["status"].get("conditions", ())
    found = [each for each in conditions if each["type"] == "PodScheduled" and each["status"] == "False"]
    return found[0]["message"] if found else ""


def _runs(pod: dict) -> bool:
    return any("running" in each["state"] for each in pod["status"].get("containerStatuses", ()))


def _restarts(pod: dict) -> int:
    return sum(each["restartCount"] for each in pod["status"]["containerStatuses"])
