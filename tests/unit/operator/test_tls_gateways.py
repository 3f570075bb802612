"""Probes over TLS: who is believed to be a gateway, what is said of who is not, and that changes are taken up."""

import asyncio
from collections.abc import AsyncIterator, Callable

import msgspec
import pytest

from cooper_crds.records import RegionRecord
from cooper_operator.gateways.http import HttpGateways
from cooper_operator.gateways.port import GatewayUnavailable
from support.tls import authority, context_with, serving
from unit.operator.test_http_gateways import BUCKET, KEY, SYSTEM, FakeGateway, knows, roster

NAME = "s3.cooper.svc"
REGION = RegionRecord("local", "us-east-1", tls_name=NAME, ca_bundle=authority().certificate)


@pytest.fixture
async def gateway() -> AsyncIterator[FakeGateway]:
    """It has a certificate for NAME, and none for the address that it is reached at."""
    gateway = FakeGateway(2)
    gateway.tls = context_with(serving(NAME))
    gateway.answer = knows({0, 1}, "photos")
    await gateway.start()
    yield gateway
    await gateway.stop()


@pytest.fixture
async def gateways(gateway: FakeGateway) -> AsyncIterator[HttpGateways]:
    gateways = HttpGateways(lambda _: roster(gateway), lambda: SYSTEM)
    yield gateways
    await gateways.close()


def changed(**fields: str) -> RegionRecord:
    return msgspec.structs.replace(REGION, **fields)


async def test_a_gateway_is_known_by_its_name_and_whom_the_region_trusts(gateways: HttpGateways) -> None:
    assert (await gateways.prove_works(REGION, KEY, ["photos"])).complete


REFUSED: dict[str, tuple[Callable[[], RegionRecord], str]] = {
    "another name": (
        lambda: changed(tls_name="example.com"),
        "its certificate is refused by the Region's caBundle: Hostname mismatch, certificate is not valid for "
        "'example.com'",
    ),
    "another authority": (
        lambda: changed(ca_bundle=authority("another").certificate),
        "its certificate is refused by the Region's caBundle: ",
    ),
    "nobody that the system knows": (
        lambda: changed(ca_bundle=""),
        "its certificate is refused by the system's certificates, as the Region has no caBundle: ",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
async def test_one_that_is_not_known_proves_nothing_and_is_sent_nothing(
    gateway: FakeGateway, gateways: HttpGateways, case: str
) -> None:
    region, said = REFUSED[case]
    for proof in (await gateways.prove_works(region(), KEY, ["photos"]), await gateways.prove_denied(region(), KEY)):
        assert (proof.proven, proof.complete) == (0, False)
        assert f"1 of 1 workers of 127.0.0.1:{gateway.port} cannot be reached ({said}" in proof.waiting_for
    with pytest.raises(GatewayUnavailable, match=r"no gateway of Region local answers \(127.0.0.1:\d+: its cert"):
        await gateways.usage(region(), BUCKET)
    assert gateway.requests == []


async def test_one_without_tls_proves_nothing_where_that_is_spoken() -> None:
    plain = FakeGateway(1)
    plain.answer = knows({0}, "photos")
    await plain.start()
    gateways = HttpGateways(lambda _: roster(plain), lambda: SYSTEM)
    assert not (await gateways.prove_works(REGION, KEY, ["photos"])).complete
    assert plain.requests == []
    await gateways.close()
    await plain.stop()


async def test_one_with_tls_proves_nothing_where_it_is_not_spoken(gateway: FakeGateway, gateways: HttpGateways) -> None:
    assert not (await gateways.prove_works(changed(tls_name=""), KEY, ["photos"])).complete
    assert gateway.requests == []


async def test_settings_that_change_are_taken_up_and_connections_of_before_go(
    gateway: FakeGateway, gateways: HttpGateways
) -> None:
    assert (await gateways.prove_works(REGION, KEY, ["photos"])).complete
    before = [writer for writers in gateway.live.values() for writer in writers]
    assert not (await gateways.prove_works(changed(tls_name="example.com"), KEY, ["photos"])).complete
    async with asyncio.timeout(5):
        while not all(writer.is_closing() for writer in before):
            await asyncio.sleep(0.01)
    assert (await gateways.prove_works(REGION, KEY, ["photos"])).complete


async def test_one_that_is_trusted_again_has_returned(gateways: HttpGateways) -> None:
    assert not (await gateways.prove_denied(changed(tls_name="example.com"), KEY)).complete
    assert not await gateways.returned()
    assert (await gateways.prove_works(REGION, KEY, ["photos"])).complete
