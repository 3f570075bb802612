"""A response's header section: complete, and never split by what a client sent."""

import pytest

from cooper_gateway.http.rendering import UnsafeHeader, common_block, has_content, render_head
from cooper_gateway.protocol.messages import Response

COMMON = common_block(1_795_424_400.0, "worker-1-of-2")


def render(response: Response, connection: str | None = None) -> bytes:
    return render_head(response, COMMON, "00F0", connection)


def test_the_whole_section() -> None:
    assert render(Response(206, {"ETag": '"x"'}, b"abc"), "close") == (
        b"HTTP/1.1 206 Partial Content\r\n"
        b"Date: Mon, 23 Nov 2026 09:00:00 GMT\r\nServer: Cooper\r\nx-amz-id-2: worker-1-of-2\r\n"
        b'x-amz-request-id: 00F0\r\nETag: "x"\r\nContent-Length: 3\r\nConnection: close\r\n\r\n'
    )


@pytest.mark.parametrize(
    ("response", "length"),
    [
        (Response(), b"Content-Length: 0\r\n"),
        (Response(length=1 << 40), b"Content-Length: 1099511627776\r\n"),
        (Response(204), None),
        (Response(304), None),
    ],
)
def test_length(response: Response, length: bytes | None) -> None:
    rendered = render(response)
    assert b"Content-Length" not in rendered if length is None else length in rendered


@pytest.mark.parametrize("value", ["a\r\nSet-Cookie: b", "a\nb", "a\rb", "a\r\n", "a\0b", "\r\n\r\n<html>"])
@pytest.mark.parametrize("place", ["name", "value"])
def test_a_header_cannot_split_the_response(place: str, value: str) -> None:
    headers = {"x-amz-meta-a": value} if place == "value" else {value: "a"}
    with pytest.raises(UnsafeHeader):
        render(Response(headers=headers))


def test_values_go_back_as_the_bytes_that_came() -> None:
    wire = "Grüße".encode()
    assert b"x-amz-meta-a: " + wire in render(Response(headers={"x-amz-meta-a": wire.decode("latin-1")}))


def test_other_characters_are_written_as_utf_8() -> None:
    assert "日本".encode() in render(Response(headers={"Content-Disposition": "日本"}))


def test_a_stream_needs_a_length() -> None:
    async def stream():
        yield b""

    with pytest.raises(ValueError, match="length"):
        render(Response(body=stream()))


@pytest.mark.parametrize(
    ("status", "method", "expected"),
    [(200, "GET", True), (200, "HEAD", False), (204, "PUT", False), (304, "GET", False)],
)
def test_has_content(status: int, method: str, expected: bool) -> None:
    assert has_content(status, method) is expected
