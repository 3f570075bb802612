"""Certificates that the operator makes: when, what they say, in which Secrets, and whose are left alone."""

import base64
import copy
import ssl
import time
from contextlib import suppress
from typing import Any

import pytest

from cooper_crds.pem import blocks_of
from cooper_operator.certificates.renewal import (
    AUTHORITY_LIFE,
    BACKDATED,
    CERTIFICATE_LIFE,
    Found,
    why_new_authority,
    why_new_certificate,
)
from cooper_operator.certificates.secret import ServingSecret
from cooper_operator.certificates.x509 import Pair, found_in, new_authority, new_certificate
from cooper_operator.cluster.port import AlreadyExists, Conflict, NotFound
from support.tls import context_with

NOW = 1_800_000_000.0
DAY = 86400.0
HOSTS = ("s3.example.com", "*.s3.svc", "10.0.0.1", "::1")
GOOD = Found(NOW, NOW + 300 * DAY, frozenset(HOSTS))

#: What is there, the time, and why another one is made.
CERTIFICATES = {
    "none": (None, NOW, "there is none that can be read"),
    "new": (GOOD, NOW, ""),
    "just before two thirds": (GOOD, NOW + 200 * DAY - 1, ""),
    "two thirds": (GOOD, NOW + 200 * DAY, "two thirds of its life are over"),
    "long over": (GOOD, NOW + 900 * DAY, "two thirds of its life are over"),
    "of the future": (GOOD, NOW - 1, "it is of the future, by this clock"),
    "for one host more": (
        Found(NOW, NOW + 300 * DAY, frozenset((*HOSTS, "x"))),
        NOW,
        f"it is to be for {', '.join(HOSTS)}",
    ),
    "for one less": (Found(NOW, NOW + 300 * DAY, frozenset(HOSTS[1:])), NOW, f"it is to be for {', '.join(HOSTS)}"),
    "nobody trusts it": (
        Found(NOW, NOW + 300 * DAY, frozenset(HOSTS), False),
        NOW,
        "its authority is another one by now",
    ),
}


@pytest.mark.parametrize("case", CERTIFICATES)
def test_when_a_certificate_is_made(case: str) -> None:
    found, now, why = CERTIFICATES[case]
    assert why_new_certificate(found, HOSTS, now) == why
    if case not in ("for one host more", "for one less", "nobody trusts it"):
        assert why_new_authority(found, now) == why


def test_what_is_made_is_good_at_once_and_until_two_thirds_of_its_life() -> None:
    authority = new_authority(NOW)
    pair = new_certificate(authority, HOSTS, NOW)
    for found, life in (
        (found_in(authority), AUTHORITY_LIFE),
        (found_in(pair, [authority.certificate]), CERTIFICATE_LIFE),
    ):
        assert found is not None
        assert (found.not_before, found.not_after) == (NOW - BACKDATED, NOW - BACKDATED + life)
    assert why_new_authority(found_in(authority), NOW) == ""
    assert why_new_certificate(found_in(pair, [authority.certificate]), HOSTS, NOW) == ""


def test_a_pair_is_told_from_what_is_none() -> None:
    authority, other = new_authority(NOW), new_authority(NOW)
    pair = new_certificate(authority, HOSTS, NOW)
    trusted = found_in(pair, [other.certificate])
    assert trusted is not None
    assert not trusted.trusted
    for wrong in (
        Pair("", ""),
        Pair(pair.certificate, authority.key),
        Pair("x", pair.key),
        Pair(pair.certificate, "x"),
    ):
        assert found_in(wrong, [authority.certificate]) is None
    assert pair.key not in repr(pair)


@pytest.mark.parametrize("host", ["s3.example.com", "photos.s3.svc", "10.0.0.1", "::1"])
def test_the_strictest_client_takes_it_for_its_hosts(host: str) -> None:
    shake_hands(host)


def test_and_for_no_other() -> None:
    with pytest.raises(ssl.SSLCertVerificationError, match="Hostname mismatch"):
        shake_hands("example.com")


def shake_hands(host: str) -> None:
    """In memory, with a client as Python 3.13 makes them. Raises SSLCertVerificationError when that refuses."""
    authority = new_authority(time.time())
    client = ssl.create_default_context(cadata=authority.certificate)
    client.verify_flags |= ssl.VerifyFlags.VERIFY_X509_STRICT
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    server = context_with(new_certificate(authority, HOSTS, time.time()))
    ends = [
        client.wrap_bio(to_client, to_server, server_hostname=host),
        server.wrap_bio(to_server, to_client, server_side=True),
    ]
    for end in ends * 3:
        with suppress(ssl.SSLWantReadError):
            end.do_handshake()
    assert ends[0].version() == "TLSv1.3"


class Secrets:
    """An API server that has Secrets only."""

    def __init__(self) -> None:
        self.held: dict[str, dict[str, Any]] = {}
        self.writes = 0

    async def get(self, path: str, about: str) -> dict[str, Any]:
        name = path.rpartition("/")[2]
        if name not in self.held:
            raise NotFound(about)
        return copy.deepcopy(self.held[name])

    async def create(self, path: str, about: str, body: dict[str, Any]) -> None:
        name = body["metadata"]["name"]
        if name in self.held:
            raise AlreadyExists(about)
        self._put(name, body)

    async def patch(self, path: str, about: str, body: dict[str, Any]) -> None:
        found = self.held[path.rpartition("/")[2]]
        if found["metadata"]["resourceVersion"] != body["metadata"]["resourceVersion"]:
            raise Conflict(about)
        self._put(found["metadata"]["name"], {**found, "data": {**found["data"], **body["data"]}})

    def _put(self, name: str, body: dict[str, Any]) -> None:
        self.writes += 1
        self.held[name] = {**body, "metadata": {**body["metadata"], "resourceVersion": str(self.writes)}}

    def text(self, name: str, key: str) -> str:
        return base64.b64decode(self.held[name]["data"][key]).decode()

    def pair(self, name: str) -> Pair:
        return Pair(self.text(name, "tls.crt"), self.text(name, "tls.key"))


@pytest.fixture
def secrets() -> Secrets:
    return Secrets()


async def look(secrets: Secrets, now: float = NOW, hosts: tuple[str, ...] = HOSTS) -> str:
    return await ServingSecret("tls", hosts).authorities(secrets, "cooper", now)  # type: ignore[arg-type]


async def test_both_are_made_once(secrets: Secrets) -> None:
    trusted = await look(secrets)
    assert {name: held["type"] for name, held in secrets.held.items()} == dict.fromkeys(
        ("tls-ca", "tls"), "kubernetes.io/tls"
    )
    assert trusted == secrets.text("tls-ca", "tls.crt") == secrets.text("tls", "ca.crt")
    assert secrets.text("tls-ca", "tls.key") not in str(
        [secrets.text("tls", key) for key in secrets.held["tls"]["data"]]
    )
    for now in (NOW, NOW + 243 * DAY - BACKDATED):
        assert await look(secrets, now) == trusted
    assert secrets.writes == 2


async def test_a_certificate_is_renewed_by_the_same_authority(secrets: Secrets) -> None:
    trusted, before = await look(secrets), secrets.pair("tls")
    now = NOW + CERTIFICATE_LIFE * 2 / 3
    assert await look(secrets, now) == trusted
    assert secrets.pair("tls") != before
    assert why_new_certificate(found_in(secrets.pair("tls"), [trusted]), HOSTS, now) == ""
    assert secrets.writes == 3


async def test_it_is_renewed_for_other_hosts(secrets: Secrets) -> None:
    trusted = await look(secrets)
    assert await look(secrets, hosts=("other",)) == trusted
    found = found_in(secrets.pair("tls"), [trusted])
    assert found is not None
    assert found.names == {"other"}


async def test_an_address_is_the_same_however_it_is_written(secrets: Secrets) -> None:
    for hosts in (("FD00:0::1", "x"), ("FD00:0::1", "x"), ("fd00::1", "x")):
        await look(secrets, hosts=hosts)
    found = found_in(secrets.pair("tls"))
    assert found is not None
    assert found.names == {"fd00::1", "x"}
    assert secrets.writes == 2


async def test_whose_authority_is_not_trusted_has_that_put_right(secrets: Secrets) -> None:
    """It signs everything: somebody who took it out of the list would have it sign, and nobody believe it, for ever."""
    trusted, other = await look(secrets), new_authority(NOW).certificate
    for left in ("", other, other + trusted):
        secrets.held["tls-ca"]["data"]["ca.crt"] = base64.b64encode(left.encode()).decode()
        assert set(blocks_of(await look(secrets))) == {trusted, *blocks_of(left)}
        writes = secrets.writes
        held = await look(secrets)
        assert secrets.writes == writes
        assert held == secrets.text("tls", "ca.crt") == secrets.text("tls-ca", "ca.crt")
        assert why_new_certificate(found_in(secrets.pair("tls"), blocks_of(held)), HOSTS, NOW) == ""


async def test_an_authority_that_is_renewed_is_trusted_beside_the_former_one(secrets: Secrets) -> None:
    former = await look(secrets)
    now = NOW + AUTHORITY_LIFE * 2 / 3 - CERTIFICATE_LIFE / 3
    await look(secrets, now)
    certificate = secrets.pair("tls")
    later = NOW + AUTHORITY_LIFE * 2 / 3
    trusted = await look(secrets, later)
    assert blocks_of(trusted) == [secrets.text("tls-ca", "tls.crt"), former]
    assert secrets.pair("tls") == certificate  # who was told of the former authority only has time to be told again
    assert secrets.text("tls", "ca.crt") == trusted
    await look(secrets, later + CERTIFICATE_LIFE)
    by_new = found_in(secrets.pair("tls"), blocks_of(trusted)[:1])
    assert by_new is not None
    assert by_new.trusted
    much_later = later + AUTHORITY_LIFE * 2 / 3
    assert former not in await look(secrets, much_later)


@pytest.mark.parametrize("name", ["tls", "tls-ca"])
async def test_what_is_lost_or_damaged_is_made_anew(secrets: Secrets, name: str) -> None:
    first = await look(secrets)
    del secrets.held[name]
    second = await look(secrets)
    assert (second == first) == (name == "tls")
    secrets.held[name]["data"]["tls.key"] = base64.b64encode(b"damaged").decode()
    third = await look(secrets)
    found = found_in(secrets.pair("tls"), blocks_of(third))
    assert why_new_certificate(found, HOSTS, NOW) == ""
    assert third == secrets.text("tls", "ca.crt") == secrets.text("tls-ca", "ca.crt")


@pytest.mark.parametrize("name", ["tls", "tls-ca"])
async def test_what_somebody_else_made_is_left_alone_and_said_once(
    secrets: Secrets, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    theirs = {
        "tls.crt": "",
        "tls.key": "",
        "ca.crt": base64.b64encode(new_authority(NOW).certificate.encode()).decode(),
    }
    await secrets.create("", "", {"metadata": {"name": name}, "data": theirs})
    held, serving = copy.deepcopy(secrets.held), ServingSecret("tls", HOSTS)
    for _ in range(3):
        trusted = await serving.authorities(secrets, "cooper", NOW)  # type: ignore[arg-type]
        assert trusted == (secrets.text("tls", "ca.crt") if name == "tls" else "")
    assert secrets.held == held
    said = f"Secret cooper/{name} is there and was not made by Cooper: it is left alone"
    assert [each.getMessage() for each in caplog.records if each.levelname == "WARNING"] == [said]


async def test_that_of_somebody_else_is_only_read(secrets: Secrets, caplog: pytest.LogCaptureFixture) -> None:
    serving, authority = ServingSecret("tls"), new_authority(NOW).certificate
    assert await serving.authorities(secrets, "cooper", NOW) == ""  # type: ignore[arg-type]

    async def read(content: str | None) -> str:
        data = {} if content is None else {"ca.crt": base64.b64encode(content.encode()).decode()}
        secrets.held["tls"] = {"metadata": {"name": "tls"}, "data": data}
        return await serving.authorities(secrets, "cooper", NOW)  # type: ignore[arg-type]

    assert await read(None) == ""
    assert await read(f"# ours\n{authority}") == authority
    assert caplog.records == []
    assert await read("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n") == ""
    assert ["so it is not used" in each.getMessage() for each in caplog.records] == [True]
    assert secrets.writes == 0
