"""What a client says of an object besides its bytes: read from a request's headers, and shown in a response's."""

import re
from base64 import b64decode, b64encode
from binascii import a2b_qp
from typing import Final

from cooper_gateway.operations.call import Call
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

#: An encoded word (RFC 2047, 2), read in one pass: neither its text nor its charset contains a question mark.
_WORD: Final = re.compile(r"=\?([A-Za-z0-9_-]{1,20})\?([bBqQ])\?([^?\s]*)\?=")
#: Charsets that a word may name. A client's is not looked up among Python's: of those that it lacks it keeps the names.
_CHARSETS: Final = {name: name for name in ("utf-8", "us-ascii", "iso-8859-1", "iso-8859-15", "windows-1252")}
_BROKEN_QUOTE: Final = re.compile("=(?![0-9A-Fa-f]{2})")
#: What metadata in words may be longer than the text that they stand for: in quotes three bytes are one.
_LARGEST_WORDS: Final = 4
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
    if "=?" not in value or not value.isascii():
        return value
    parts: list[str] = []
    end = 0
    for word in _WORD.finditer(value):
        text = _text_of(*word.groups())
        if text is None:
            return value
        between = value[end : word.start()]
        if not end or not between.isspace():  # "white space between adjacent encoded-words is not displayed"
            parts.append(between)
        parts.append(text)
        end = word.end()
    return "".join(parts).encode().decode("latin-1") + value[end:]


def _text_of(charset: str, encoding: str, text: str) -> str | None:
    """What a word stands for; None where it cannot be read."""
    codec = _CHARSETS.get(charset.lower())
    if codec is None or (encoding in "qQ" and _BROKEN_QUOTE.search(text)):
        return None
    try:
        raw = b64decode(text, validate=True) if encoding in "bB" else a2b_qp(text, header=True)
        return raw.decode(codec)
    except ValueError:  # not base64, or not of that charset
        return None


def encoded_words(value: str) -> str:
    """Metadata as it is told: what is UTF-8 and not ASCII in encoded words; other bytes as they came."""
    try:
        text = value.encode("latin-1").decode()
    except UnicodeDecodeError:
        return value
    return f"=?UTF-8?B?{b64encode(text.encode()).decode()}?="


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
    sent = sum(len(value) for name, value in headers.items() if name.startswith(METADATA_PREFIX))
    if sent > _LARGEST_WORDS * max_metadata_size:  # before anything of it is decoded
        raise _too_much(sent, max_metadata_size)
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
        raise _too_much(size, max_metadata_size)
    return Attributes(stored, metadata)


def attributes_of(call: Call) -> Attributes:
    """The attributes that a call's headers give its object; they are read once. Raises S3Error."""
    if call.attributes is None:
        call.attributes = read_attributes(call.request.headers, call.region.max_metadata_size)
    return call.attributes


def _too_much(size: int, most: int) -> S3Error:
    return S3Error(
        "MetadataTooLarge", f"The x-amz-meta-* headers have {size} bytes in total; this region allows {most}."
    )


def attribute_headers(attributes: Attributes) -> dict[str, str]:
    """The response headers that show an object's attributes."""
    stored = attributes.headers
    headers = {"Content-Type": stored.get("content-type", DEFAULT_CONTENT_TYPE)}
    for name, value in stored.items():
        headers[STORED_HEADERS[name]] = value
    for name, value in attributes.metadata.items():
        headers[METADATA_PREFIX + name] = value if value.isascii() else encoded_words(value)
    return headers
