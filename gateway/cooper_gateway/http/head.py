"""The header section of a request: strict framing over the raw bytes, then llhttp's own strict parse.

Request smuggling lives on two parsers that understand the same bytes differently. So whatever could be read in two
ways is refused here, also where a standard lets a recipient repair it; only one section at a time is given to llhttp,
and the body's length is decided here alone.

Header values are bytes on the wire, and stay so: they are read as Latin-1, which loses nothing, and written back as
Latin-1. A client that sends UTF-8 gets the same UTF-8 back.
"""

import re
import sys
from functools import lru_cache
from typing import Final

import httptools
import msgspec

from cooper_gateway.http.limits import HttpLimits
from cooper_gateway.protocol.errors import S3Error

# RFC 9112, 2.3: "HTTP-version is case-sensitive." Anything but these two is refused.
_VERSIONS: Final = {"HTTP/1.1": 1, "HTTP/1.0": 0}

# RFC 9112, 3.2: origin-form is an absolute path and an optional query; RFC 3986 leaves only visible ASCII, and no `#`.
_TARGET_BYTES: Final = bytes(byte for byte in range(0x21, 0x7F) if byte != ord("#"))
_NO_CONTROLS: Final = bytes((0x09, *range(0x20, 0x7F), *range(0x80, 0x100)))
_TOKEN: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_HOST: Final = re.compile(r"[A-Za-z0-9._~%-]{1,255}(?::\d{0,5})?|\[[0-9A-Fa-f:.]+\](?::\d{0,5})?")

#: Headers that decide who asks, for what, or how long the body is: a second one is refused, never merged.
_SINGLE: Final = frozenset(
    {
        "authorization",
        "content-length",
        "content-md5",
        "content-type",
        "date",
        "expect",
        "host",
        "range",
        "transfer-encoding",
    }
)
_SINGLE_PREFIXES: Final = ("x-amz-", "x-cooper-", "if-")
_NO_CALLBACKS: Final = object()


class Head(msgspec.Struct, gc=False):
    """A header section that can be read in one way only."""

    method: str
    target: bytes  # origin-form, raw
    minor: int  # HTTP/1.<minor>
    headers: dict[str, str]  # lower case names
    length: int  # of the body as framed, in bytes; 0 when there is none or it is chunked
    chunked: bool
    keep_alive: bool
    expect_continue: bool


def malformed(message: str) -> S3Error:
    """The answer to bytes that are not one well-formed request."""
    return S3Error("InvalidRequest", f"Malformed HTTP request: {message}.")


def find_head_end(data: bytes, start: int, limits: HttpLimits) -> int:
    """Where the section that begins at `start` ends; 0 when it is not complete. Raises S3Error when it never can be."""
    end = data.find(b"\r\n\r\n", start, start + limits.header_bytes)
    if end >= 0:
        return end + 4
    if len(data) - start >= limits.header_bytes:
        raise S3Error("RequestHeaderSectionTooLarge")
    # A section with bare line feeds would never end: say so now instead of after the time-out.
    if data.count(b"\n") != data.count(b"\r\n"):
        raise malformed("a line ends in a bare line feed")
    return 0


def parse_head(section: bytes, limits: HttpLimits) -> Head:
    """Read a whole header section, its final empty line included. Raises S3Error when anything in it is ambiguous."""
    lines = section[:-4].decode("latin-1").split("\r\n")
    _check_controls(section, len(lines) + 1)
    if len(lines) - 1 > limits.header_count:
        raise S3Error("RequestHeaderSectionTooLarge", f"More than {limits.header_count} headers.")
    parts = lines[0].split(" ")
    if len(parts) != 3:
        raise malformed("the request line is not `METHOD target HTTP/1.1`")
    method, target, version = parts
    minor = _VERSIONS.get(version)
    if minor is None:
        raise malformed("the version is not HTTP/1.1 or HTTP/1.0")
    if target[:1] != "/" or method == "CONNECT":
        # "authority-form … is only used for CONNECT"; absolute-form is for proxies, and a second place for a host.
        raise malformed("the request target must be a path that begins with a slash")
    raw_target = target.encode("latin-1")
    if raw_target.translate(None, _TARGET_BYTES):
        raise S3Error("InvalidURI", "The path has bytes that must be percent-encoded.")
    _validate(section)
    headers = _fields(lines[1:])
    host = headers.get("host")
    # RFC 9112, 3.2: 400 "to any HTTP/1.1 request message that lacks a Host header field and to any request message that
    # contains more than one Host header field line or a Host header field with an invalid field value".
    if host is None:
        if minor == 1:
            raise malformed("the Host header is missing")
    else:
        _check_host(host)
    length, chunked = _body_framing(headers, minor)
    connection = headers.get("connection")
    keep_alive = minor == 1 if connection is None else _keep_alive(connection, minor)
    expect_continue = minor == 1 and "expect" in headers and headers["expect"].lower() == "100-continue"
    return Head(method, raw_target, minor, headers, length, chunked, keep_alive, expect_continue)


def _check_controls(section: bytes, lines: int) -> None:
    """Refuse control characters, but for tabs and for line ends that are CR LF.

    RFC 9112, 2.2: "A recipient of such a bare CR MUST consider that element to be invalid"; here bare LF alike.
    """
    controls = section.translate(None, _NO_CONTROLS)
    # As many CR LF as `lines` says were cut at, and no other CR or LF: so none is bare.
    if controls != b"\r\n" * lines:
        if controls.translate(None, b"\r\n"):
            raise malformed("a header has a NUL byte or another control character")
        raise malformed("a line ends in a bare line feed or carriage return")


def _validate(section: bytes) -> None:
    """llhttp's judgement. It needs no callbacks: what it accepts is cut up by `_fields` in one way only."""
    # A parser of its own per section (0.5 µs): nothing of an earlier request can leak into this one.
    try:
        httptools.HttpRequestParser(_NO_CALLBACKS).feed_data(section)
    except httptools.HttpParserUpgrade:
        pass  # "A server MAY ignore a received Upgrade header field" (RFC 9110, 7.8)
    except httptools.HttpParserError as error:
        raise malformed(str(error) or "it could not be parsed") from None


def _fields(lines: list[str]) -> dict[str, str]:
    """Header lines as a dictionary, names in lower case. llhttp has seen that each has a colon. Raises S3Error."""
    headers = {_field_name(name): value.strip(" \t") for name, _, value in [line.partition(":") for line in lines]}
    return headers if len(headers) == len(lines) else _merged_fields(lines)


def _merged_fields(lines: list[str]) -> dict[str, str]:
    """The same where a header is repeated: an error, or its values joined with a comma (RFC 9110, 5.3)."""
    headers: dict[str, str] = {}
    for line in lines:
        spelled, _, value = line.partition(":")
        name = _field_name(spelled)
        value = value.strip(" \t")
        if name in headers:
            if name in _SINGLE or name.startswith(_SINGLE_PREFIXES):
                raise malformed(f"the header {name} is there more than once")
            value = f"{headers[name]},{value}"
        headers[name] = value
    return headers


@lru_cache(256)  # a client spells its headers alike in every request
def _field_name(spelled: str) -> str:
    # RFC 9112, 5.1: "No whitespace is allowed between the field name and colon"; 5.2: "A server that receives an
    # obs-fold … MUST either reject the message … or replace": such a line begins with white space.
    if not _TOKEN.fullmatch(spelled):
        raise malformed("a header's name is not a token, or the header is folded over several lines")
    return sys.intern(spelled.lower())


@lru_cache(256)  # what raises is not kept
def _check_host(value: str) -> None:
    if not _HOST.fullmatch(value):
        raise malformed("the Host header is not a host name or address")


def _body_framing(headers: dict[str, str], minor: int) -> tuple[int, bool]:
    """(length, chunked). Two ways to tell a body's length are one too many."""
    coding = headers.get("transfer-encoding")
    declared = headers.get("content-length")
    if coding is not None:
        if declared is not None:
            raise malformed("both Content-Length and Transfer-Encoding are there")
        if minor == 0 or coding.lower() != "chunked":
            raise malformed("the only Transfer-Encoding is `chunked`, and only in HTTP/1.1")
        return 0, True
    if declared is None:
        return 0, False
    # RFC 9110, 8.6: Content-Length = 1*DIGIT. str.isdigit alone would take other scripts' digits.
    if not (declared.isascii() and declared.isdigit() and len(declared) <= 18):
        raise malformed("Content-Length is not a number of bytes")
    return int(declared), False


def _keep_alive(connection: str, minor: int) -> bool:
    options = {option.strip() for option in connection.lower().split(",")}
    if "close" in options:
        return False
    return minor == 1 or "keep-alive" in options
