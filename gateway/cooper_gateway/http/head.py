"""The header section of a request: strict framing over the raw bytes, then llhttp's own strict parse.

Request smuggling lives on two parsers that understand the same bytes differently. So whatever could be read in two
ways is refused here, also where a standard lets a recipient repair it; only one section at a time is given to llhttp,
and the body's length is decided here alone.

Header values are bytes on the wire, and stay so: they are read as Latin-1, which loses nothing, and written back as
Latin-1. A client that sends UTF-8 gets the same UTF-8 back.
"""

import re
from typing import Final

import httptools
import msgspec

from cooper_gateway.http.limits import HttpLimits
from cooper_gateway.protocol.errors import S3Error

# RFC 9112, 2.3: "HTTP-version is case-sensitive." Anything but these two is refused.
_VERSIONS: Final = {b"HTTP/1.1": 1, b"HTTP/1.0": 0}

# RFC 9112, 3.2: origin-form is an absolute path and an optional query; RFC 3986 leaves only visible ASCII, and no `#`.
_TARGET_BYTES: Final = bytes(byte for byte in range(0x21, 0x7F) if byte != ord("#"))
_HOST: Final = re.compile(r"[A-Za-z0-9._~%-]+(?::\d{0,5})?|\[[0-9A-Fa-f:.]+\](?::\d{0,5})?")

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


class _Fields:
    """Collects llhttp's header fields."""

    __slots__ = ("headers", "repeated")

    def __init__(self) -> None:
        self.headers: dict[str, str] = {}
        self.repeated: list[str] = []

    def on_header(self, raw_name: bytes, raw_value: bytes) -> None:
        """One field, as llhttp read it."""
        name = raw_name.decode("latin-1").lower()
        value = raw_value.decode("latin-1").strip(" \t")
        headers = self.headers
        if name in headers:
            self.repeated.append(name)
            value = f"{headers[name]},{value}"
        headers[name] = value


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
    _check_lines(section, limits)
    line_end = section.index(b"\r\n")
    parts = section[:line_end].split(b" ")
    if len(parts) != 3:
        raise malformed("the request line is not `METHOD target HTTP/1.1`")
    method, target, version = parts
    minor = _VERSIONS.get(version)
    if minor is None:
        raise malformed("the version is not HTTP/1.1 or HTTP/1.0")
    if target[:1] != b"/" or method == b"CONNECT":
        # "authority-form … is only used for CONNECT"; absolute-form is for proxies, and a second place for a host.
        raise malformed("the request target must be a path that begins with a slash")
    if target.translate(None, _TARGET_BYTES):
        raise S3Error("InvalidURI", "The path has bytes that must be percent-encoded.")
    fields = _parse_fields(section)
    headers = fields.headers
    if fields.repeated:
        _check_repeated(fields.repeated)
    _check_host(headers.get("host"), minor)
    length, chunked = _body_framing(headers, minor)
    connection = headers.get("connection")
    return Head(
        method=method.decode("ascii"),
        target=target,
        minor=minor,
        headers=headers,
        length=length,
        chunked=chunked,
        keep_alive=minor == 1 if connection is None else _keep_alive(connection, minor),
        expect_continue=minor == 1 and headers.get("expect", "").lower() == "100-continue",
    )


def _check_lines(section: bytes, limits: HttpLimits) -> None:
    lines = section.count(b"\n")
    # RFC 9112, 2.2: "A recipient of such a bare CR MUST consider that element to be invalid"; bare LF alike.
    if section.count(b"\r\n") != lines or section.count(b"\r") != lines:
        raise malformed("a line ends in a bare line feed or carriage return")
    if b"\0" in section:
        raise malformed("a header has a NUL byte")
    # RFC 9112, 5.2: "A server that receives an obs-fold … MUST either reject the message … or replace".
    if b"\r\n " in section or b"\r\n\t" in section:
        raise malformed("a header is folded over several lines")
    if lines - 2 > limits.header_count:
        raise S3Error("RequestHeaderSectionTooLarge", f"More than {limits.header_count} headers.")


def _parse_fields(section: bytes) -> _Fields:
    fields = _Fields()
    # A parser of its own per section (0.5 µs): nothing of an earlier request can leak into this one.
    try:
        httptools.HttpRequestParser(fields).feed_data(section)
    except httptools.HttpParserUpgrade:
        pass  # "A server MAY ignore a received Upgrade header field" (RFC 9110, 7.8)
    except httptools.HttpParserError as error:
        raise malformed(str(error) or "it could not be parsed") from None
    return fields


def _check_repeated(names: list[str]) -> None:
    for name in names:
        if name in _SINGLE or name.startswith(_SINGLE_PREFIXES):
            raise malformed(f"the header {name} is there more than once")


def _check_host(host: str | None, minor: int) -> None:
    # RFC 9112, 3.2: 400 "to any HTTP/1.1 request message that lacks a Host header field and to any request message that
    # contains more than one Host header field line or a Host header field with an invalid field value".
    if host is None:
        if minor == 1:
            raise malformed("the Host header is missing")
    elif not _HOST.fullmatch(host):
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
