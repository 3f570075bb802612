"""How a key reaches its user: in a Secret, or once, sealed to a key that only he has."""

from typing import Annotated, Any, Final, Literal

from pydantic import Field

from cooper_crds.fields import AccessKeyId
from cooper_crds.meta import Model
from cooper_crds.sealing import Recipient

_RULE: Final = "once must be given with delivery Once"
#: The rule of an AccessKey's spec, in CEL.
DELIVERY_RULE: Final[dict[str, Any]] = {"rule": "self.delivery != 'Once' || has(self.once)", "message": _RULE}


class Once(Model):
    """Whom a key is for."""

    recipient: Annotated[
        Recipient,
        Field(
            description="X25519 public key that the credentials are sealed to, as `cooper key new` prints it: base64 "
            "of 32 bytes."
        ),
    ]


class SealedKey(Model):
    """A key that was delivered once."""

    access_key_id: Annotated[AccessKeyId, Field(description="Id of the key that is inside.")]
    recipient: Annotated[Recipient, Field(description="The public key that it is sealed to.")]
    content: Annotated[
        str,
        Field(
            min_length=32,
            max_length=32,
            pattern=r"^[0-9a-f]{32}$",
            description="Tells what else is inside from what else there could be: a digest of all but the secret key.",
        ),
    ]
    sealed: Annotated[
        str,
        Field(
            min_length=1,
            max_length=128 << 10,
            pattern=r"^[A-Za-z0-9+/]+=*$",
            description="The credentials, sealed to the recipient (RFC 9180): `cooper key open` opens them.",
        ),
    ]


DeliveryKind = Annotated[
    Literal["Secret", "Once"],
    Field(
        description="How the key reaches its user. Secret: in a Secret of this namespace. Once: in status, sealed to "
        "the public key in once.recipient, so that nobody else can read it; there is no Secret then, and secretName "
        "and restart have no effect."
    ),
]
OnceField = Annotated[Once | None, Field(description="Whom the key is for, with delivery Once.")]


def check_delivery(delivery: str, once: Once | None) -> None:
    """The same for the models. Raises ValueError."""
    if delivery == "Once" and once is None:
        raise ValueError(_RULE)
