"""A response's header section as bytes: rendered here and nowhere else."""

import email.utils
from http import HTTPStatus
from typing import Final

from cooper_gateway.protocol.messages import Response

_STATUS_LINES: Final = {status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n" for status in HTTPStatus}

# RFC 9110, 8.6: "A server MUST NOT send a Content-Length header field in any response with a status code of 1xx … or
# 204"; 6.4.1: responses to HEAD and 204 and 304 responses have no content.
_WITHOUT_LENGTH: Final = frozenset({204, 304})

CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"


class UnsafeHeader(ValueError):
    """A header with a line end or NUL in it: what a client sent was about to become a header of its own."""


def has_content(status: int, method: str) -> bool:
    """Whether an answer of this status to this method has a body."""
    return method != "HEAD" and status not in _WITHOUT_LENGTH


def common_block(now: float, host_id: str) -> str:
    """The header lines of every answer, good for the second that `now` (Unix seconds) lies in."""
    return f"Date: {email.utils.formatdate(now, usegmt=True)}\r\nServer: Cooper\r\nx-amz-id-2: {host_id}\r\n"


def render_head(response: Response, common: str, request_id: str, connection: str | None) -> bytes:
    """Status line and headers, the empty line included. Raises UnsafeHeader rather than let a response be split.

    Content-Length is written here, from the body, and is not among a handler's headers.
    """
    lines = _lines(response, connection)
    status_line = _STATUS_LINES.get(response.status) or f"HTTP/1.1 {response.status} \r\n"
    return _checked(f"{status_line}{common}x-amz-request-id: {request_id}\r\n{''.join(lines)}\r\n", len(lines) + 6)


def object_lines(headers: dict[str, str], length: int) -> bytes:
    """The header lines that tell of an object, with the empty line: they end an answer's head. Raises UnsafeHeader."""
    lines = _lines(Response(headers=headers, length=length), None)
    return _checked(f"{''.join(lines)}\r\n", len(lines) + 1)


def plain_answer(common: bytes, request_id: str, lines: bytes, body: bytes) -> bytes:
    """A whole answer of status 200, its last header lines as `object_lines` has them."""
    return b"HTTP/1.1 200 OK\r\n%bx-amz-request-id: %b\r\n%b%b" % (common, request_id.encode(), lines, body)


def _lines(response: Response, connection: str | None) -> list[str]:
    """The header lines of an answer that are its own."""
    lines = [f"{name}: {value}\r\n" for name, value in response.headers.items()]
    if response.status not in _WITHOUT_LENGTH:
        lines.append(f"Content-Length: {content_length(response)}\r\n")
    if connection is not None:
        lines.append(f"Connection: {connection}\r\n")
    return lines


def _checked(text: str, expected: int) -> bytes:
    """As bytes. Raises UnsafeHeader unless there are so many line ends as lines were put in."""
    if text.count("\n") != expected or text.count("\r") != expected or "\0" in text:
        raise UnsafeHeader("a response header has a line end or NUL in it")
    try:
        return text.encode("latin-1")
    except UnicodeEncodeError:  # a response-* override with other characters: UTF-8 is what browsers try next
        return text.encode()


def content_length(response: Response) -> int:
    """Bytes of the body. Raises ValueError for a stream of unknown length, which no handler returns."""
    if response.length is not None:
        return response.length
    if isinstance(response.body, bytes):
        return len(response.body)
    raise ValueError("a streamed response needs a length")
