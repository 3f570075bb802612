"""Credentials sealed to a public key: what `delivery: Once` puts into status, and only the recipient can open.

RFC 9180, base mode: DHKEM(X25519, HKDF-SHA256), HKDF-SHA256, AES-256-GCM. The text is base64 of the encapsulated key
and the ciphertext, whose plaintext is a JSON object of the values, as a Secret would hold them.
"""

import base64
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, Final

import msgspec
from pydantic import AfterValidator, Field

from cooper_crds.patterns import text

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey

#: The points that have the same secret in common with everybody (RFC 7748, 6.1), since their order is at most 8. Below
#: 2^255 these seven numbers stand for them; the highest bit does not count, so that each has two forms.
_PRIME: Final = 2**255 - 19
_ORDER_EIGHT: Final = (
    0x00B8495F16056286FDB1329CEB8D09DA6AC49FF1FAE35616AEB8413B7C7AEBE0,
    0x57119FD0DD4E22D8868E1C58C45C44045BEF839C55B1D0B1248C50A3BC959C5F,
)
_SMALL: Final = tuple(
    base64.b64encode((point | high).to_bytes(32, "little")).decode()
    for point in (0, 1, *_ORDER_EIGHT, _PRIME - 1, _PRIME, _PRIME + 1)
    for high in (0, 1 << 255)
)
#: Base64 of 32 bytes.
_RECIPIENT: Final = r"^[A-Za-z0-9+/]{42}[AEIMQUYcgkosw048]=$"
_LENGTH: Final = 44
_NO_RECIPIENT: Final = (
    "must be an X25519 public key: base64 of its 32 bytes, 44 characters. `cooper key new` makes a pair and prints it"
)
SHARED_BY_ALL: Final = "must not be one of the points of the curve that have the same secret in common with everybody"
_PURPOSE: Final = b"cooper.dev/v1alpha1 once "


class SealedError(ValueError):
    """What cannot be opened, or sealed, and why. Never carries what is inside."""


def seal(recipient: str, access_key_id: str, data: Mapping[str, str]) -> str:
    """Seal the values of a key so that only the recipient can read them, and only as that key's.

    Raises SealedError when the recipient is none.
    """
    plaintext = msgspec.json.encode(data)
    try:
        sealed = _suite().encrypt(plaintext, _public_key(recipient), info=_PURPOSE + access_key_id.encode())
    except ValueError:
        raise SealedError(_NO_RECIPIENT) from None
    return base64.b64encode(sealed).decode()


def open_sealed(private_key: "X25519PrivateKey", access_key_id: str, sealed: str) -> dict[str, str]:
    """What was sealed. Raises SealedError when it was sealed to another key, for another one, or is damaged."""
    from cryptography.exceptions import InvalidTag

    try:
        content = base64.b64decode(sealed, validate=True)
        plaintext = _suite().decrypt(content, private_key, info=_PURPOSE + access_key_id.encode())
        return msgspec.json.decode(plaintext, type=dict[str, str])
    except (ValueError, InvalidTag):
        raise SealedError("it was sealed to another public key, or is damaged") from None


def recipient_of(private_key: "X25519PrivateKey") -> str:
    """The public key to name as the recipient."""
    return base64.b64encode(private_key.public_key().public_bytes_raw()).decode()


def _suite() -> Any:
    # Imported here: a gateway that starts is not to wait for it.
    from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite

    return Suite(KEM.X25519, KDF.HKDF_SHA256, AEAD.AES_256_GCM)


def _public_key(recipient: str) -> "X25519PublicKey":
    """Raises ValueError when it is none."""
    from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PublicKey

    return X25519PublicKey.from_public_bytes(base64.b64decode(recipient, validate=True))


def _recipient(value: str) -> str:
    """Refuse what nothing can be sealed to: some points of the curve have the same secret in common with everybody. An
    API server knows them by name, so that no resource is there that nobody can read."""
    if not re.fullmatch(_RECIPIENT[1:-1], value):
        raise ValueError(_NO_RECIPIENT)
    try:
        seal(value, "", {})
    except SealedError:
        raise ValueError(_NO_RECIPIENT) from None
    return value


#: An X25519 public key (RFC 7748).
Recipient = Annotated[
    str,
    Field(min_length=_LENGTH, max_length=_LENGTH),
    AfterValidator(_recipient),
    text(
        _RECIPIENT,
        _NO_RECIPIENT,
        _LENGTH,
        shortest=_LENGTH,
        rules=[{"rule": f"!(self in {list(_SMALL)})".replace("'", '"'), "message": SHARED_BY_ALL}],
    ),
]
