"""Parameters that the listings share: limits, encoding, and the opaque continuation token."""

import base64
import binascii
import hashlib
from typing import Final

from cooper_gateway.operations.markup import name_text
from cooper_gateway.protocol.errors import S3Error
from cooper_gateway.protocol.xml import escape_each, url_encode_each, url_encoded

#: "MaxKeys: Sets the maximum number of keys returned in the response. By default, the action returns up to 1,000."
MAX_KEYS: Final = 1000
_MAX_INT: Final = 2**31 - 1
_TOKEN_VERSION: Final = b"\x01"
_DIGEST_BYTES: Final = 4


def read_number(query: dict[str, str], parameter: str, default: int, least: int = 0, most: int = _MAX_INT) -> int:
    """A whole number of the query. Raises InvalidArgument."""
    given = query.get(parameter) or str(default)
    if not (given.isascii() and given.isdigit() and len(given) <= 10) or not least <= int(given) <= most:
        raise S3Error("InvalidArgument", f"{parameter} must be a whole number from {least} to {most}.")
    return int(given)


def read_limit(query: dict[str, str], parameter: str, most: int, least: int = 0) -> int:
    """How many entries a page may have: what the query asks for, and at most `most`."""
    return min(read_number(query, parameter, most, least), most)


def wants_url_encoding(query: dict[str, str]) -> bool:
    """Whether names are to be percent-encoded in the XML. Raises InvalidArgument."""
    encoding = query.get("encoding-type")
    if encoding is not None and encoding != "url":
        raise S3Error("InvalidArgument", "encoding-type must be url.")
    return encoding is not None


def shown(name: bytes, url: bool) -> str:
    """A name as XML text, percent-encoded when the client asked for it (then any name survives an XML 1.0 parser)."""
    return url_encoded(name) if url else name_text(name)


def shown_each(names: list[bytes], url: bool) -> list[str]:
    """The same of a whole page."""
    return url_encode_each(names) if url else escape_each([name.decode() for name in names])


def _digest(position: bytes) -> bytes:
    return hashlib.blake2b(position, digest_size=_DIGEST_BYTES, person=b"continuation").digest()


def make_token(position: bytes) -> str:
    """A continuation token: the position, versioned, with a digest that tells a damaged token."""
    return base64.urlsafe_b64encode(_TOKEN_VERSION + _digest(position) + position).decode()


def read_token(token: str) -> bytes:
    """The position of a continuation token. Raises InvalidArgument."""
    try:
        raw = base64.b64decode(token.encode("ascii"), altchars=b"-_", validate=True)
    except (UnicodeEncodeError, binascii.Error):
        raw = b""
    digest, position = raw[1 : 1 + _DIGEST_BYTES], raw[1 + _DIGEST_BYTES :]
    if raw[:1] != _TOKEN_VERSION or digest != _digest(position):
        raise S3Error("InvalidArgument", "The continuation token provided is incorrect.")
    return position
