"""Where the replicas behind a Service listen, from its EndpointSlices."""

from typing import Any

import pytest

from cooper_operator.cluster.endpoints import ServiceEndpoint, ServiceEndpoints, put_together, slice_of
from unit.cluster.cluster_harness import endpoint, endpoint_slice

S3 = {"name": "s3", "port": 9000, "protocol": "TCP"}
METRICS = {"name": "metrics", "port": 9100, "protocol": "TCP"}


def found(*slices: dict[str, Any], port: str = "s3") -> ServiceEndpoints:
    return put_together([slice_of(each) for each in slices], port)


def listed(*slices: dict[str, Any], port: str = "s3") -> list[str]:
    """Host and port of each; none is left out."""
    together = found(*slices, port=port)
    assert together.unknown == ""
    return [f"{each.host} {each.port}" for each in together.endpoints]


READINESS = [
    ({"ready": True, "serving": True, "terminating": False}, True),
    ({}, True),
    ({"ready": None}, True),
    ({"ready": False}, False),
    ({"ready": False, "serving": True, "terminating": True}, False),
    ({"ready": False, "serving": False, "terminating": True}, False),
]


@pytest.mark.parametrize(("conditions", "ready"), READINESS)
def test_endpoint_that_is_not_ready_is_there_all_the_same(conditions: dict[str, Any], ready: bool) -> None:
    expected = (ServiceEndpoint("10.0.0.1", 9000, ready),)
    assert found(endpoint_slice("a", endpoint("10.0.0.1", **conditions))) == ServiceEndpoints(expected)
    without = {name: value for name, value in endpoint("10.0.0.1").items() if name != "conditions"}
    assert found(endpoint_slice("a", without)).endpoints[0].ready


@pytest.mark.parametrize(
    ("ports", "wanted", "expected"),
    [
        ([S3], "s3", ["10.0.0.1 9000"]),
        ([S3], "web", ["10.0.0.1 9000"]),  # the only one
        ([{"name": "", "port": 9009}], "s3", ["10.0.0.1 9009"]),
        ([{"port": 9009}], "s3", ["10.0.0.1 9009"]),
        ([METRICS, S3], "s3", ["10.0.0.1 9000"]),
        ([METRICS, S3], "metrics", ["10.0.0.1 9100"]),
    ],
)
def test_port_is_the_one_of_that_name_or_the_only_one(ports: Any, wanted: str, expected: list[str]) -> None:
    assert listed(endpoint_slice("a", endpoint("10.0.0.1"), ports=ports), port=wanted) == expected


@pytest.mark.parametrize("empty", [{}, {"endpoints": None}, {"endpoints": [], "ports": None}, {"ports": [METRICS, S3]}])
def test_slice_without_endpoints_says_that_there_are_none(empty: dict[str, Any]) -> None:
    assert found(endpoint_slice("a", **empty), port="web") == ServiceEndpoints(())


@pytest.mark.parametrize(
    ("odd", "text"),
    [
        ({"ports": [METRICS, {"name": "web", "port": 1}]}, "EndpointSlice b of Service gateways has no port named s3"),
        ({"ports": []}, "has no port named s3"),
        ({"ports": None}, "has no port named s3"),
        ({"ports": [{"name": "s3", "port": None}]}, "has no port named s3"),
        ({"addressType": "FQDN"}, "EndpointSlice b of Service gateways has names, and not addresses"),
    ],
)
def test_endpoint_that_cannot_be_placed_makes_the_list_incomplete(odd: dict[str, Any], text: str) -> None:
    """However many others there are: a gateway that is left out would be taken for one that is gone."""
    together = found(endpoint_slice("a", endpoint("10.0.0.1")), endpoint_slice("b", endpoint("10.0.0.2"), **odd))
    assert [each.host for each in together.endpoints] == ["10.0.0.1"]
    assert text in together.unknown


def test_slices_are_put_together() -> None:
    slices = [
        endpoint_slice("a", endpoint("10.0.0.1"), endpoint("10.0.0.2")),
        endpoint_slice("b", endpoint("10.0.0.3"), ports=[{"name": "s3", "port": 9009}]),
        endpoint_slice("c", endpoint("fd00::1"), addressType="IPv6"),
    ]
    assert listed(*slices) == ["10.0.0.1 9000", "10.0.0.2 9000", "10.0.0.3 9009", "fd00::1 9000"]


def test_replica_with_addresses_of_both_kinds_is_one_replica() -> None:
    """It may listen on one of them only."""
    slices = [
        endpoint_slice("a", endpoint("fd00::1", pod="pod-1"), endpoint("fd00::2", pod="pod-2"), addressType="IPv6"),
        endpoint_slice("b", endpoint("10.0.0.1", pod="pod-1")),
    ]
    assert listed(*slices) == ["10.0.0.1 9000", "fd00::2 9000"]
    assert listed(*reversed(slices)) == ["10.0.0.1 9000", "fd00::2 9000"]


@pytest.mark.parametrize("pods", [("pod-1", "pod-1"), ("old-pod", "new-pod"), (None, None)])
def test_address_in_two_slices_is_one_endpoint_and_ready_if_any_says_so(pods: tuple[str | None, str | None]) -> None:
    """As while it is moved, or where one Pod takes over from another on the network of its node."""
    for ready in (False, True):
        slices = [
            endpoint_slice("a", endpoint("10.0.0.1", pod=pods[0], ready=ready)),
            endpoint_slice("b", endpoint("10.0.0.1", pod=pods[1], ready=not ready)),
        ]
        expected = ServiceEndpoint("10.0.0.1", 9000, True, pods[0 if ready else 1] or "")
        assert found(*slices).endpoints == (expected,)
