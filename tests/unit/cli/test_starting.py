"""What commands that start a gateway say of addresses."""

import pytest

from cooper_cli.starting import option_for, reached_at, url
from cooper_gateway.config import GatewayConfig
from cooper_gateway.processes.errors import AddressUnusable, GatewayStartError, PortInUse, StoreLocked

ENDPOINTS = {
    "127.0.0.1": "http://127.0.0.1:9000",
    "localhost": "http://localhost:9000",
    "::1": "http://[::1]:9000",
    "0.0.0.0": "http://127.0.0.1:9000",
    "::": "http://127.0.0.1:9000",
    "": "http://127.0.0.1:9000",
}


@pytest.mark.parametrize("host", ENDPOINTS)
def test_the_endpoint_of_an_address(host: str) -> None:
    assert url(reached_at(host), 9000) == ENDPOINTS[host]


ERRORS = {
    " with --data": StoreLocked("held"),
    " with --port": PortInUse("127.0.0.1", 9000),
    " with --metrics-port": PortInUse("127.0.0.1", 9100),
    " with --host": AddressUnusable("192.0.2.1", "why"),
    "": GatewayStartError("other"),
}


@pytest.mark.parametrize("option", ERRORS)
def test_an_error_names_the_option_that_mends_it(option: str) -> None:
    config = GatewayConfig("local", "data", "run", "records", "kek", port=9000, metrics_port=9100)
    assert option_for(ERRORS[option], config) == option
