"""Which gateways are behind a Service, as that changes, and when it is not known."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from cooper_operator.cluster import kubernetes_following
from cooper_operator.cluster.kubernetes_api import KubernetesApi
from cooper_operator.cluster.kubernetes_endpoints import EndpointSlices
from unit.cluster.cluster_harness import endpoint, endpoint_slice
from unit.cluster.faulty_api import OPEN, Script, status

FORBIDDEN = (403, status(403, "Forbidden", "cannot list resource endpointslices"))
FAILED = (500, status(500, "InternalError", "etcd has no leader"))
EXPIRED = [b'{"type":"ERROR","object":{"kind":"Status","reason":"Expired","message":"too old","code":410}}\n']
ONE = endpoint_slice("a", endpoint("10.0.0.1"))
TWO = endpoint_slice("b", endpoint("10.0.0.2"))


def listing(*items: dict[str, Any]) -> tuple[int, Any]:
    return 200, {"metadata": {"resourceVersion": "7"}, "items": list(items)}


def event(kind: str, item: dict[str, Any]) -> bytes:
    return json.dumps({"type": kind, "object": item}).encode() + b"\n"


class Following:
    """Slices that are followed through a script."""

    def __init__(self, script: Script, api: KubernetesApi) -> None:
        self.script = script
        self.told: list[str] = []
        self.now = 1000.0
        self.slices = EndpointSlices(api, "cooper", self.told.append, lambda: self.now)

    @asynccontextmanager
    async def through(self, *answers: Any) -> AsyncIterator[EndpointSlices]:
        """While the last of the answers lasts: a watch that is open, or a failure again and again."""
        self.script.answers.extend(answers)
        task = asyncio.create_task(self.slices.run())
        try:
            async with asyncio.timeout(5):
                while len(self.script.asked) < len(answers):
                    await asyncio.sleep(0.005)
            await asyncio.sleep(0.05)  # what was answered is on its way
            yield self.slices
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


@pytest.fixture
async def following(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Following]:
    monkeypatch.setattr(kubernetes_following, "_FIRST_PAUSE", 0.01)
    script = Script(tmp_path)
    async with script.serving() as api:
        yield Following(script, api)


def hosts(slices: EndpointSlices, service: str = "gateways") -> list[str]:
    return [each.host for each in slices.of(service, "s3").endpoints]


def unknown(slices: EndpointSlices, service: str = "gateways", port: str = "s3") -> str:
    return slices.of(service, port).unknown


async def test_nothing_is_known_before_the_first_list(following: Following) -> None:
    assert "in namespace cooper have not been listed yet" in unknown(following.slices)


async def test_what_is_listed_is_all_there_is_and_is_told(following: Following) -> None:
    others = [endpoint_slice("c", endpoint("10.0.0.5"), service="another"), endpoint_slice("d", service="")]
    async with following.through(listing(ONE, TWO, *others), [OPEN]) as slices:
        assert (hosts(slices), unknown(slices)) == (["10.0.0.1", "10.0.0.2"], "")
        assert (hosts(slices, "another"), unknown(slices, "another")) == (["10.0.0.5"], "")
        assert following.told == ["gateways", "another"]


async def test_service_without_replicas_is_told_from_no_service(following: Following) -> None:
    async with following.through(listing(endpoint_slice("a")), [OPEN]) as slices:
        assert (hosts(slices), unknown(slices)) == ([], "")
        assert "no Service nowhere with EndpointSlices in namespace cooper: create it" in unknown(slices, "nowhere")


async def test_port_that_is_not_there_is_no_absence_of_replicas(following: Following) -> None:
    ports = [{"name": "s3", "port": 9000}, {"name": "metrics", "port": 9100}]
    async with following.through(listing(endpoint_slice("a", endpoint("10.0.0.1"), ports=ports)), [OPEN]) as slices:
        assert unknown(slices) == ""
        assert "no port named web" in unknown(slices, port="web")


async def test_changes_are_followed_and_told_by_service_and_what_changes_nothing_is_not(following: Following) -> None:
    unready = endpoint_slice("a", endpoint("10.0.0.1", ready=False))
    touched = {**unready, "metadata": {**unready["metadata"], "resourceVersion": "11", "annotations": {"a": "b"}}}
    steps = [
        (event("ADDED", TWO), ["gateways"]),
        (event("MODIFIED", unready), ["gateways"]),
        (event("MODIFIED", touched), []),
        (event("MODIFIED", endpoint_slice("a", endpoint("10.0.0.1"), service="another")), ["gateways", "another"]),
        (event("DELETED", TWO), ["gateways"]),
        (event("BOOKMARK", {"metadata": {"resourceVersion": "90"}}), []),
        (event("DELETED", endpoint_slice("e", service="another")), ["another"]),
    ]
    async with following.through(listing(ONE), [*(line for line, _ in steps), OPEN]) as slices:
        assert hosts(slices, "another") == ["10.0.0.1"]
        # The last slice is gone, and with it its Service: whether its replicas are, too, nobody can say.
        assert "no Service gateways" in unknown(slices)
        assert following.told == ["gateways", *(name for _, names in steps for name in names)]


@pytest.mark.parametrize("end", [EXPIRED, FAILED, FORBIDDEN, [b'{"type":"ADD'], [b"{}\n"]])
async def test_after_a_watch_that_broke_nothing_is_known_until_the_next_list(following: Following, end: Any) -> None:
    async with following.through(listing(ONE), end, FAILED) as slices:
        async with asyncio.timeout(5):
            while "it is not known which gateways there are" not in unknown(slices):
                await asyncio.sleep(0.01)
        assert hosts(slices) == ["10.0.0.1"]  # who is known is asked all the same
    # A request of the first run may be on its way, and is not to take an answer of the second.
    asked = -1
    while asked != len(following.script.asked):
        asked = len(following.script.asked)
        await asyncio.sleep(0.3)
    following.script.answers.clear()
    following.script.asked.clear()
    following.told.clear()
    async with following.through(listing(ONE), [OPEN]) as slices:
        async with asyncio.timeout(5):
            while unknown(slices):
                await asyncio.sleep(0.01)
        assert hosts(slices) == ["10.0.0.1"]
        assert following.told == ["gateways"]  # nothing changed, and still it came to be known


async def test_what_is_not_known_is_so_for_the_moment_at_first(following: Following) -> None:
    def standing() -> tuple[bool, bool]:
        found = following.slices.of("gateways", "s3")
        return found.told, found.soon

    assert standing() == (False, True)
    following.now += 301
    assert standing() == (False, False)
    async with following.through(listing(ONE), FAILED, FORBIDDEN) as slices:
        async with asyncio.timeout(5):
            while not unknown(slices):
                await asyncio.sleep(0.01)
        assert standing() == (False, True)
        following.now += 299
        await asyncio.sleep(0.1)  # it fails again and again
        assert standing() == (False, True)
        following.now += 2
        assert standing() == (False, False)
    following.script.answers.clear()
    async with following.through(listing(ONE), [OPEN]) as slices:
        async with asyncio.timeout(5):
            while unknown(slices):
                await asyncio.sleep(0.01)
        assert standing() == (True, False)


async def test_watch_that_ends_by_itself_leaves_known_what_is_known(
    following: Following, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kubernetes_following, "_FIRST_PAUSE", 60.0)
    async with following.through(listing(ONE), [event("ADDED", TWO)]) as slices:
        assert (hosts(slices), unknown(slices)) == (["10.0.0.1", "10.0.0.2"], "")


async def test_what_was_missed_between_two_watches_is_told(following: Following) -> None:
    same, gone = endpoint_slice("c", service="same"), endpoint_slice("d", service="gone")
    unready = endpoint_slice("a", endpoint("10.0.0.1", ready=False))
    async with following.through(listing(ONE, same, gone), [], listing(unready, same), [OPEN]):
        assert following.told == ["gateways", "same", "gone", "gateways", "gone"]


@pytest.mark.parametrize("failure", [FORBIDDEN, FAILED, (200, {"metadata": {"resourceVersion": "7"}, "items": [{}]})])
async def test_list_that_fails_says_nothing(following: Following, failure: Any) -> None:
    async with following.through(failure) as slices:
        assert unknown(slices)
        assert following.told == []
