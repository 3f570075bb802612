"""Where a request comes from, whom it is believed of, and what a key may do from there."""

import uuid

import msgspec
import pytest

from cooper_crds.actions import DELETE_OBJECT, GET_OBJECT, PUT_OBJECT
from cooper_gateway.access.authorize import authorize, recheck
from cooper_gateway.access.networks import origin, within
from cooper_gateway.access.principals import KeyHolder
from unit.access.test_authorize import BUCKET, CUT_OFF, DATA, NOW, Records, key

OFFICE = ("192.0.2.0/24", "2001:db8::/32")
TRUSTED = ("10.0.0.0/8", "fd00::/8")


@pytest.mark.parametrize(
    ("address", "inside"),
    [
        ("192.0.2.0", True),
        ("192.0.2.255", True),
        ("192.0.3.0", False),
        ("::ffff:192.0.2.7", True),
        ("::ffff:192.0.3.7", False),
        ("2001:db8::1", True),
        ("2001:db8::1%eth0", True),
        ("2001:db9::1", False),
        ("", False),
        ("office", False),
        ("192.0.2.7, 192.0.2.8", False),
        ("192.0.2.7/32", False),
    ],
)
def test_which_addresses_are_within(address: str, inside: bool) -> None:
    assert within(address, OFFICE) is inside


@pytest.mark.parametrize(
    ("peer", "forwarded", "trusted", "client"),
    [
        ("192.0.2.7", "", (), "192.0.2.7"),
        ("192.0.2.7", "10.1.1.1", (), "192.0.2.7"),
        ("192.0.2.7", "10.1.1.1", TRUSTED, "192.0.2.7"),  # nobody's word for it but the client's own
        ("10.0.0.1", "", TRUSTED, "10.0.0.1"),
        ("10.0.0.1", "192.0.2.7", TRUSTED, "192.0.2.7"),
        ("::ffff:10.0.0.1", "192.0.2.7", TRUSTED, "192.0.2.7"),
        ("10.0.0.1", "2001:db8::1", TRUSTED, "2001:db8::1"),
        ("10.0.0.1", "203.0.113.9, 192.0.2.7", TRUSTED, "192.0.2.7"),  # what stands before is the client's invention
        ("10.0.0.1", "203.0.113.9, 192.0.2.7, 10.0.0.2", TRUSTED, "192.0.2.7"),
        ("10.0.0.1", "192.0.2.7,fd00::2 ,10.0.0.3", TRUSTED, "192.0.2.7"),
        ("10.0.0.1", "10.0.0.3,10.0.0.2", TRUSTED, "10.0.0.3"),
        ("10.0.0.1", "192.0.2.7, unknown", TRUSTED, ""),
        ("10.0.0.1", "192.0.2.7, 10.0.0.2:443", TRUSTED, ""),
        ("10.0.0.1", " , ", TRUSTED, "10.0.0.1"),
        ("", "192.0.2.7", TRUSTED, ""),
    ],
)
def test_a_proxy_is_believed_when_it_is_trusted(
    peer: str, forwarded: str, trusted: tuple[str, ...], client: str
) -> None:
    assert origin(peer, forwarded, trusted) == client


BOUND = key(GET_OBJECT, PUT_OBJECT, networks=OFFICE)
FROM = {"192.0.2.7": None, "192.0.3.7": "NetworkNotAllowed", "": "NetworkNotAllowed"}


@pytest.mark.parametrize(("address", "answer"), FROM.items())
def test_a_key_is_bound_to_its_networks(address: str, answer: str | None) -> None:
    holder = KeyHolder(BOUND, address)
    assert authorize(holder, GET_OBJECT, "photos", BUCKET, NOW) == answer
    assert authorize(holder, None, None, None, NOW) == answer  # not even its buckets' names
    records = Records({"AKIA1": BOUND}, {"photos": BUCKET})
    data = uuid.UUID(DATA).bytes
    assert recheck(records, "AKIA1", address, PUT_OBJECT, data, (b"name",), NOW) == answer


@pytest.mark.parametrize("address", FROM)
def test_what_is_refused_anyway_is_told_from_everywhere(address: str) -> None:
    """The operator sees from where it is, whether a revocation holds."""
    holder = KeyHolder(BOUND, address)
    assert authorize(holder, DELETE_OBJECT, "photos", BUCKET, NOW) == "AccessDenied"
    assert authorize(holder, GET_OBJECT, "photos", None, NOW) == "NoSuchBucket"
    assert authorize(holder, GET_OBJECT, "photos", CUT_OFF, NOW) == "KeyAccessRevoked"
    revoked = msgspec.structs.replace(BOUND, state="Revoked")
    assert authorize(KeyHolder(revoked, address), None, None, None, NOW) == "KeyAccessRevoked"
