"""Credentials sealed to a public key: opened by its holder, as that key's, and by nobody else."""

import base64
import json
import re

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from pydantic import TypeAdapter

from cooper_crds.manifest import ManifestError, parse
from cooper_crds.sealing import Recipient, SealedError, open_sealed, recipient_of, seal

MINE, THEIRS = (X25519PrivateKey.from_private_bytes(bytes([each] * 32)) for each in (1, 2))
VALUES = {"ACCESS_KEY": "AKIA1", "SECRET_KEY": "s" * 40, "CA_BUNDLE": "é\n"}
SEALED = seal(recipient_of(MINE), "AKIA1", VALUES)


def test_the_recipient_opens_it() -> None:
    assert open_sealed(MINE, "AKIA1", SEALED) == VALUES
    assert seal(recipient_of(MINE), "AKIA1", VALUES) != SEALED


@pytest.mark.parametrize("at", range(0, len(base64.b64decode(SEALED)), 7))
def test_what_was_changed_is_not_opened(at: int) -> None:
    content = bytearray(base64.b64decode(SEALED))
    content[at] ^= 1
    with pytest.raises(SealedError):
        open_sealed(MINE, "AKIA1", base64.b64encode(content).decode())


@pytest.mark.parametrize(
    ("who", "of", "sealed"),
    [
        (THEIRS, "AKIA1", SEALED),
        (MINE, "AKIA2", SEALED),
        (MINE, "AKIA1", SEALED[:-8]),
        (MINE, "AKIA1", ""),
        (MINE, "AKIA1", "no base64"),
        (MINE, "AKIA1", base64.b64encode(bytes(32)).decode()),
    ],
)
def test_nobody_else_opens_it_and_not_as_anything_else(who: X25519PrivateKey, of: str, sealed: str) -> None:
    with pytest.raises(SealedError, match="another public key, or is damaged"):
        open_sealed(who, of, sealed)


#: Public keys that have the same secret in common with everybody (RFC 7748, 6.1: an all-zero output), and no keys.
BAD = {
    "zero": bytes(32),
    "one": bytes([1, *bytes(31)]),
    "of order eight": bytes.fromhex("e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800"),
    "short": bytes(31),
    "long": bytes(33),
}


def test_the_api_server_knows_all_points_that_nothing_can_be_sealed_to() -> None:
    schema = TypeAdapter(Recipient).json_schema()
    (rule,) = schema["x-kubernetes-validations"]
    named = json.loads(rule["rule"].removeprefix("!(self in ").removesuffix(")"))
    assert len(set(named)) == 14
    for recipient in named:
        assert re.fullmatch(schema["pattern"], recipient)
        with pytest.raises(SealedError):
            seal(recipient, "AKIA1", VALUES)
    for case in ("zero", "one", "of order eight"):
        assert base64.b64encode(BAD[case]).decode() in named


@pytest.mark.parametrize("case", BAD)
def test_a_recipient_that_is_none_is_refused(case: str) -> None:
    recipient = base64.b64encode(BAD[case]).decode()
    with pytest.raises(SealedError, match="must be an X25519 public key"):
        seal(recipient, "AKIA1", VALUES)
    spec = {"grants": [{"bucket": "photos"}], "delivery": "Once", "once": {"recipient": recipient}}
    meta = {"name": "a", "namespace": "default"}
    with pytest.raises(ManifestError, match=r"spec\.once\.recipient"):
        parse({"apiVersion": "cooper.dev/v1alpha1", "kind": "AccessKey", "metadata": meta, "spec": spec})
