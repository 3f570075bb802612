"""Operators elect their leader on a real API server, with the operator's rights. Most times are shorter than usual."""

import asyncio
import json
import secrets
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from cooper_crds.kubernetes import LEASE
from cooper_operator.cluster.kubernetes_api import KubernetesApi
from cooper_operator.cluster.kubernetes_connection import Connection, from_kubeconfig
from cooper_operator.cluster.kubernetes_lease import Leadership, LeadershipLost, identity
from cooper_operator.cluster.lease import Settings
from cooper_operator.cluster.port import Conflict
from e2e.accounts import account_kubeconfig
from e2e.kubectl import Kubectl
from e2e.operator.rights import operator_rights

SETTINGS = Settings(duration=3, renew_deadline=2.0, retry_period=0.5)
#: Seconds that a busy machine may take for what is done at once.
SLACK = 1.0
WRITTEN_BY_HAND = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": LEASE}}


@pytest.fixture(scope="module")
def lease_kubeconfig(kubectl: Kubectl, kubeconfig: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """With the operator's rights in a namespace of the tests' own; the file's name is the namespace's."""
    namespace = f"lease-{secrets.token_hex(4)}"
    manifests = operator_rights(namespace)
    path = tmp_path_factory.mktemp("lease") / namespace
    asyncio.run(kubectl("create", "namespace", namespace))
    try:
        asyncio.run(kubectl("apply", "-f", "-", manifest=manifests))
        yield asyncio.run(account_kubeconfig(kubectl, kubeconfig, manifests["items"][0]["metadata"], path))
    finally:
        asyncio.run(kubectl("delete", "--ignore-not-found", "-f", "-", manifest=manifests))
        asyncio.run(kubectl("delete", "namespace", namespace, "--wait=false"))


class Election:
    """The Lease of a namespace, and candidates for it."""

    def __init__(self, kubectl: Kubectl, kubeconfig: Path, namespace: str) -> None:
        self.kubectl = kubectl
        self.namespace = namespace
        self.api = KubernetesApi(Connection(from_kubeconfig(kubeconfig)))

    def candidate(self, settings: Settings = SETTINGS, **clocks: Any) -> Leadership:
        return Leadership(self.api, self.namespace, identity(), settings, **clocks)

    @asynccontextmanager
    async def running(self, candidate: Leadership) -> AsyncIterator[asyncio.Task[None]]:
        """A candidate that leads whenever it can, until it crashes."""

        async def run() -> None:
            await candidate.acquire()
            await candidate.hold()

        task = asyncio.create_task(run())
        try:
            yield task
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def lease(self) -> dict[str, Any]:
        return json.loads(await self.kubectl("get", "lease", LEASE, "-n", self.namespace, "-o", "json"))

    async def by_hand(self, *arguments: str, manifest: Any = None) -> None:
        await self.kubectl(*arguments, "-n", self.namespace, manifest=manifest)


@pytest.fixture
async def election(kubectl: Kubectl, lease_kubeconfig: Path) -> AsyncIterator[Election]:
    election = Election(kubectl, lease_kubeconfig, lease_kubeconfig.name)
    yield election
    await election.api.close()
    await election.by_hand("delete", "lease", LEASE, "--ignore-not-found")


async def leads(candidate: Leadership, within: float) -> float:
    """How long until it leads."""
    begun = time.monotonic()
    async with asyncio.timeout(within):
        while not candidate.is_leader:
            await asyncio.sleep(0.02)
    return time.monotonic() - begun


async def test_one_leads_and_another_takes_over_what_is_released_or_not_renewed(election: Election) -> None:
    a, b, c = (election.candidate() for _ in range(3))
    async with election.running(a) as leading:
        await leads(a, SLACK)
        async with election.running(b):
            await asyncio.sleep(SETTINGS.duration + 1)
            assert (a.is_leader, b.is_leader) == (True, False)
            leading.cancel()
            await asyncio.gather(leading, return_exceptions=True)
            await a.release()
            assert not a.is_leader
            await leads(b, SETTINGS.retry_period + SLACK)
            waiting = asyncio.create_task(c.acquire())
            await asyncio.sleep(1)
    await asyncio.wait_for(waiting, SETTINGS.duration + SETTINGS.retry_period + SLACK)
    assert not b.is_leader
    spec = (await election.lease())["spec"]
    assert spec["leaseTransitions"] == 2
    assert spec["leaseDurationSeconds"] == SETTINGS.duration


async def test_leader_with_the_default_times_writes_every_two_seconds(election: Election) -> None:
    a, b = election.candidate(Settings()), election.candidate(Settings())
    async with election.running(a), election.running(b):
        await asyncio.sleep(1)
        election.api.calls.clear()
        await asyncio.sleep(20)
        calls = dict(election.api.calls)
    assert (await election.lease())["spec"]["leaseTransitions"] == 0
    assert calls.keys() == {("GET", "leases"), ("PUT", "leases")}
    assert 8 <= calls["PUT", "leases"] <= 10


async def test_clocks_that_differ_by_an_hour_change_nothing(election: Election) -> None:
    def clock() -> float:
        return time.time() + 3600

    a, b = election.candidate(), election.candidate(clock=clock, monotonic=lambda: time.monotonic() + 3600)
    async with election.running(a):
        await leads(a, SLACK)
        async with election.running(b):
            await asyncio.sleep(SETTINGS.duration * 2)
            assert (a.is_leader, b.is_leader) == (True, False)


@pytest.mark.parametrize("spec", [None, {}, {"holderIdentity": "", "leaseDurationSeconds": 1}])
async def test_of_many_that_race_one_wins(election: Election, spec: Any) -> None:
    for _ in range(5):
        candidates = [election.candidate() for _ in range(6)]
        if spec is not None:
            await election.by_hand("create", "-f", "-", manifest=WRITTEN_BY_HAND | {"spec": spec})
        tasks = [asyncio.create_task(each.acquire()) for each in candidates]
        await asyncio.wait(tasks, timeout=5, return_when=asyncio.FIRST_COMPLETED)
        await asyncio.sleep(0.2)
        assert sum(each.is_leader for each in candidates) == 1
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await election.by_hand("delete", "lease", LEASE)


async def test_stolen_one_is_noticed_with_the_next_renewal(election: Election) -> None:
    a = election.candidate()
    async with election.running(a) as leading:
        await leads(a, SLACK)
        await election.by_hand("patch", "lease", LEASE, "--type=merge", "-p", '{"spec": {"holderIdentity": "thief"}}')
        with pytest.raises(LeadershipLost, match="thief holds it"):
            await asyncio.wait_for(leading, SETTINGS.retry_period + SLACK)
        assert not a.is_leader
    assert (await election.lease())["spec"]["holderIdentity"] == "thief"


async def test_deleted_one_is_made_anew_by_its_leader_only(election: Election) -> None:
    a, b = election.candidate(), election.candidate()
    async with election.running(a):
        await leads(a, SLACK)
        async with election.running(b):
            await asyncio.sleep(1)
            for _ in range(3):
                await election.by_hand("delete", "lease", LEASE)
                await asyncio.sleep(1)
                assert (a.is_leader, b.is_leader) == (True, False)


async def test_late_write_to_one_that_was_deleted_does_not_make_it_again(election: Election) -> None:
    """The API server makes a Lease that a PUT finds absent, unless the PUT tells its UID."""
    await election.candidate().acquire()
    path = f"/apis/coordination.k8s.io/v1/namespaces/{election.namespace}/leases/{LEASE}"
    found = await election.api.get(path, "the Lease")
    await election.by_hand("delete", "lease", LEASE)
    with pytest.raises(Conflict):
        await election.api.replace(path, "the Lease", found)


async def test_missing_right_is_told_with_what_to_do(
    kubectl: Kubectl, election: Election, kubeconfig: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    account = {"name": "powerless", "namespace": election.namespace}
    await kubectl("create", "serviceaccount", account["name"], "-n", account["namespace"])
    path = await account_kubeconfig(kubectl, kubeconfig, account, tmp_path / "kubeconfig")
    other = Election(kubectl, path, election.namespace)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(other.candidate().acquire(), 2)
    await other.api.close()
    told = [each.getMessage() for each in caplog.records]
    assert len(told) == 1
    assert 'cannot get resource "leases"' in told[0]
    assert told[0].endswith("Cooper lacks this right: grant it, as the chart's roles do")


async def test_missing_namespace_is_told(kubectl: Kubectl, kubeconfig: Path, caplog: pytest.LogCaptureFixture) -> None:
    election = Election(kubectl, kubeconfig, f"absent-{secrets.token_hex(4)}")
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(election.candidate().acquire(), 2)
    await election.api.close()
    told = [each.getMessage() for each in caplog.records]
    assert len(told) == 1
    assert f'namespaces "{election.namespace}" not found' in told[0]
