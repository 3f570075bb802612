"""What a client says of an object besides its bytes: read from a request's headers, and shown in a response's."""

import re
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

_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")


def check_value(name: str, value: str) -> str:
    """`value` if it may stand in a header, else InvalidArgument: a line break would let a client write headers."""
    if _CONTROL.search(value):
        raise S3Error("InvalidArgument", f"{name} holds a control character.")
    return value


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
            key = name[len(METADATA_PREFIX) :]
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
        headers[METADATA_PREFIX + name] = value
    return headers
