"""Where the gateways behind a Service listen, and when that is not known."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from cooper_operator.cluster import kubernetes_endpoints
from cooper_operator.cluster.kubernetes_api import KubernetesApi
from cooper_operator.cluster.kubernetes_endpoints import EndpointSlices, ServiceEndpoint
from unit.cluster.faulty_api import Script, status

FORBIDDEN = (403, status(403, "Forbidden", "cannot list resource endpointslices"))
TWO_PORTS = [{"name": "metrics", "port": 9100}, {"name": "s3", "port": 9000}]


def endpoint(*addresses: str, **conditions: Any) -> dict[str, Any]:
    return {"addresses": list(addresses), "conditions": conditions}


def part(name: str, *endpoints: dict[str, Any], service: str = "gateways", **changes: Any) -> dict[str, Any]:
    labels = {"kubernetes.io/service-name": service} if service else {}
    metadata = {"namespace": "cooper", "name": name, "resourceVersion": "5", "labels": labels}
    ports = [{"name": "s3", "port": 9000}]
    return {"metadata": metadata, "addressType": "IPv4", "ports": ports, "endpoints": list(endpoints), **changes}


def listing(*items: dict[str, Any]) -> tuple[int, Any]:
    return 200, {"metadata": {"resourceVersion": "7"}, "items": list(items)}


def event(kind: str, item: dict[str, Any]) -> bytes:
    return json.dumps({"type": kind, "object": item}).encode() + b"\n"


class Following:
    """Runs through a script until that has nothing more to say."""

    def __init__(self, script: Script, api: KubernetesApi) -> None:
        self.script = script
        self.told: list[str] = []
        self.slices = EndpointSlices(api, "cooper", self.told.append)

    async def through(self, *answers: Any) -> EndpointSlices:
        """The slices while the script's last answer, a watch, is open."""
        self.script.answers.extend([*answers, (503, b"the script is at its end")])
        task = asyncio.create_task(self.slices.run())
        async with asyncio.timeout(5):
            while len(self.script.asked) <= len(answers):
                await asyncio.sleep(0.01)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        return self.slices


@pytest.fixture
async def following(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Following]:
    monkeypatch.setattr(kubernetes_endpoints, "_FIRST_PAUSE", 0.01)
    script = Script(tmp_path)
    async with script.serving() as api:
        yield Following(script, api)


def of(slices: EndpointSlices, service: str = "gateways", port: str = "s3") -> tuple[ServiceEndpoint, ...]:
    return slices.of(service, port).endpoints


async def test_not_known_before_the_first_list(following: Following) -> None:
    assert "not been listed" in following.slices.of("gateways", "s3").unknown


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (endpoint("10.0.0.1", ready=True), True),
        (endpoint("10.0.0.1"), True),
        (endpoint("10.0.0.1", ready=None), True),
        (endpoint("10.0.0.1", ready=False, serving=True, terminating=True), False),
        (endpoint("10.0.0.1", ready=False), False),
    ],
)
async def test_endpoint_that_is_not_ready_is_there_all_the_same(
    following: Following, found: dict[str, Any], expected: bool
) -> None:
    slices = await following.through(listing(part("a", found)))
    assert of(slices) == (ServiceEndpoint("10.0.0.1", 9000, expected),)


async def test_slices_of_one_service_are_put_together_and_those_of_others_left_out(following: Following) -> None:
    parts = [
        part("a", endpoint("10.0.0.1"), ports=TWO_PORTS),
        part("b", endpoint("10.0.0.2"), ports=[{"name": "", "port": 9009}]),
        part("c", endpoint("fd00::1"), addressType="IPv6"),
        part("d", endpoint("gateway.example.com"), addressType="FQDN"),
        part("e", endpoint("10.0.0.5"), service="another"),
        part("f", endpoint("10.0.0.6"), service=""),
    ]
    slices = await following.through(listing(*parts))
    found = [(each.host, each.port) for each in of(slices)]
    assert found == [("10.0.0.1", 9000), ("10.0.0.2", 9009), ("fd00::1", 9000)]
    assert [each.host for each in of(slices, "another")] == ["10.0.0.5"]


async def test_changes_are_followed_and_told_by_service(following: Following) -> None:
    moved = part("a", endpoint("10.0.0.1"), service="another")
    changes = [
        event("ADDED", part("b", endpoint("10.0.0.2"))),
        event("MODIFIED", moved),
        event("DELETED", part("b")),
        event("BOOKMARK", {"metadata": {"resourceVersion": "90"}}),
    ]
    slices = await following.through(listing(part("a", endpoint("10.0.0.1"))), changes)
    assert of(slices) == ()
    assert [each.host for each in of(slices, "another")] == ["10.0.0.1"]
    assert following.told[:4] == ["gateways", "gateways", "another", "gateways"]


async def test_service_without_replicas_is_told_from_no_service(following: Following) -> None:
    slices = await following.through(listing(part("a", endpoints=None)))
    slices._unknown = ""  # as it is while the watch is open
    assert slices.of("gateways", "s3").unknown == ""
    assert "create it, or name the gateways' Service" in slices.of("nowhere", "s3").unknown


async def test_a_port_that_is_not_there_is_no_absence_of_replicas(following: Following) -> None:
    slices = await following.through(listing(part("a", endpoint("10.0.0.1"), ports=TWO_PORTS)))
    slices._unknown = ""
    assert "no port named web" in slices.of("gateways", "web").unknown


@pytest.mark.parametrize("failure", [FORBIDDEN, (500, status(500, "InternalError", "etcd has no leader"))])
async def test_what_cannot_be_listed_or_followed_is_not_known(following: Following, failure: Any) -> None:
    slices = await following.through(listing(part("a", endpoint("10.0.0.1"))), failure)
    assert slices.of("gateways", "s3").unknown
    assert [each.host for each in of(slices)] == ["10.0.0.1"]  # who is known is asked all the same
