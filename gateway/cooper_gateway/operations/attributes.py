"""What a client says of an object besides its bytes: read from a request's headers, and shown in a response's."""

import re
from email.errors import HeaderParseError
from email.header import Header, decode_header, make_header
from typing import Final

from cooper_gateway.protocol.errors import S3Error
from cooper_gateway.storage.port import Attributes

#: Headers that are stored with an object, and how a response spells them.
STORED_HEADERS: Final = {
    "cache-control": "Cache-Control",
    "content-disposition": "Content-Disposition",
    "content-encoding": "Content-Encoding",
    "content-language": "Content-Language",
    "content-type": "Content-Type",
    "expires": "Expires",
}
#: "Content-Type: A standard MIME type describing the format of the contents." What S3 assumes when there is none:
DEFAULT_CONTENT_TYPE: Final = "binary/octet-stream"
METADATA_PREFIX: Final = "x-amz-meta-"

#: A header is never folded: no value has so many characters.
_ONE_LINE: Final = 1 << 20
#: An encoded word that says it is base64 and is not: a reader would leave out what it does not know.
_BROKEN_WORD: Final = re.compile(r"=\?[^?\s]{1,64}\?[bB]\?(?![A-Za-z0-9+/]*={0,2}\?=)")
#: Longest value in which encoded words are looked for. What has many beginnings of them and no end is read from each.
_LONGEST_WORDS: Final = 8 << 10
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")


def check_value(name: str, value: str) -> str:
    """`value` if it may stand in a header, else InvalidArgument: a line break would let a client write headers."""
    if _CONTROL.search(value):
        raise S3Error("InvalidArgument", f"{name} holds a control character.")
    return value


def decoded_words(value: str) -> str:
    """Metadata as it is kept: encoded words (RFC 2047) as the text that they stand for, in UTF-8.

    "the provided Unicode string is examined for non-US-ASCII characters. Values of such headers are character decoded
    as per RFC 2047 before storing and encoded as per RFC 2047 to make them mail-safe before returning." (Amazon S3 User
    Guide, working with object metadata). What is no such word, or of a charset that is not known, stays as it came.
    """
    if "=?" not in value or len(value) > _LONGEST_WORDS or not value.isascii() or _BROKEN_WORD.search(value):
        return value
    try:
        return str(make_header(decode_header(value))).encode().decode("latin-1")
    except (HeaderParseError, LookupError, ValueError):
        return value


def encoded_words(value: str) -> str:
    """Metadata as it is told: what is UTF-8 and not ASCII in encoded words; other bytes as they came."""
    try:
        text = value.encode("latin-1").decode()
    except UnicodeDecodeError:
        return value
    return Header(text, "utf-8", maxlinelen=_ONE_LINE).encode(linesep="", maxlinelen=_ONE_LINE)


def _stored_encoding(value: str) -> str:
    """Content-Encoding without `aws-chunked`, which describes the transfer and not the object.

    "Amazon S3 stores the resulting object without the aws-chunked value in the content-encoding header."
    """
    codings = [coding.strip() for coding in value.split(",")]
    return ",".join(coding for coding in codings if coding and coding.lower() != "aws-chunked")


def _check_encryption(headers: dict[str, str]) -> None:
    """Raise NotImplemented when KMS is asked for: objects are encrypted with Cooper's own keys, always."""
    if headers.get("x-amz-server-side-encryption", "AES256") != "AES256":
        raise S3Error("NotImplemented", "x-amz-server-side-encryption: only AES256 is implemented.")


def read_attributes(headers: dict[str, str], max_metadata_size: int) -> Attributes:
    """The attributes that a request's headers give an object. Raises S3Error.

    "The size of user-defined metadata is measured by taking the sum of the number of bytes in the UTF-8 encoding of
    each key and value."
    """
    _check_encryption(headers)
    stored: dict[str, str] = {}
    metadata: dict[str, str] = {}
    size = 0
    for name, value in headers.items():
        if name in STORED_HEADERS:
            kept = _stored_encoding(value) if name == "content-encoding" else value
            if kept:
                stored[name] = check_value(name, kept)
        elif name.startswith(METADATA_PREFIX):
            key, value = name[len(METADATA_PREFIX) :], decoded_words(value)
            size += len(key) + len(value)  # header text is Latin-1: one character is one byte
            metadata[key] = check_value(name, value)
    if size > max_metadata_size:
        raise S3Error(
            "MetadataTooLarge",
            f"The x-amz-meta-* headers have {size} bytes in total; this region allows {max_metadata_size}.",
        )
    return Attributes(stored, metadata)


def attribute_headers(attributes: Attributes) -> dict[str, str]:
    """The response headers that show an object's attributes."""
    stored = attributes.headers
    headers = {"Content-Type": stored.get("content-type", DEFAULT_CONTENT_TYPE)}
    for name, value in stored.items():
        headers[STORED_HEADERS[name]] = value
    for name, value in attributes.metadata.items():
        headers[METADATA_PREFIX + name] = value if value.isascii() else encoded_words(value)
    return headers
