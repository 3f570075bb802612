"""What is understood of a request does not depend on how the network cuts it up."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from cooper_gateway.http.chunked import ChunkedDecoder
from cooper_gateway.http.head import find_head_end, parse_head
from cooper_gateway.http.limits import DEFAULT_LIMITS
from cooper_gateway.protocol.errors import S3Error


def pieces(data: bytes, cuts: list[int]) -> list[bytes]:
    places = sorted({cut % (len(data) + 1) for cut in cuts} | {0, len(data)})
    return [data[start:end] for start, end in pairwise(places)]


@given(
    chunks=st.lists(st.binary(min_size=1, max_size=300), max_size=8),
    trailers=st.sampled_from([b"", b"A: b\r\n", b"A: b\r\nC:\r\n"]),
    extension=st.sampled_from([b"", b";a=b", b";"]),
    rest=st.binary(max_size=50),
    cuts=st.lists(st.integers(0, 5000), max_size=30),
)
def test_a_chunked_body_is_the_same_however_it_arrives(
    chunks: list[bytes], trailers: bytes, extension: bytes, rest: bytes, cuts: list[int]
) -> None:
    wire = b"".join(b"%x%b\r\n%b\r\n" % (len(chunk), extension, chunk) for chunk in chunks)
    wire += b"0\r\n" + trailers + b"\r\n" + rest
    decoder = ChunkedDecoder()
    payload, after = b"", b""
    for piece in pieces(wire, cuts):
        if decoder.done:
            after += piece
            continue
        got, left = decoder.feed(piece)
        payload += got
        after += left
    assert decoder.done
    assert payload == b"".join(chunks)
    assert after == rest


CHUNKED_TEXT = st.text("0125a;:\r\nx", max_size=60).map(str.encode)
CRLF_TEXT = st.lists(st.sampled_from([b"\r\n", b"0", b"2", b"ab", b"A:", b"\n", b";"]), max_size=20).map(b"".join)


@given(wire=CHUNKED_TEXT | CRLF_TEXT, cuts=st.lists(st.integers(0, 200), max_size=10))
def test_any_bytes_as_a_chunked_body_end_alike_however_they_arrive(wire: bytes, cuts: list[int]) -> None:
    def outcome(parts: list[bytes]) -> tuple[str, bytes]:
        decoder, payload = ChunkedDecoder(), b""
        try:
            for part in parts:
                if decoder.done:
                    break
                payload += decoder.feed(part)[0]
        except S3Error:
            return "refused", b""
        return ("done" if decoder.done else "incomplete"), payload

    whole, cut = outcome([wire]), outcome(pieces(wire, cuts))
    # A line can be known to be bad before its end has come, and cut pieces may have seen less of it: never more.
    assert whole == cut


@given(section=st.binary(max_size=300) | st.text("GET /:\r\n\t ahoste1.0HTP", max_size=80).map(str.encode))
def test_any_bytes_as_a_head_are_refused_or_clear(section: bytes) -> None:
    wire = section + b"\r\n\r\n"
    try:
        end = find_head_end(wire, 0, DEFAULT_LIMITS)
        head = parse_head(wire[:end], DEFAULT_LIMITS)
    except S3Error as error:
        assert error.status in (400, 431)
        return
    assert head.target.startswith(b"/")
    assert head.method.isalpha()
    assert not any("\r" in value or "\n" in value or "\0" in value for value in head.headers.values())


@given(
    names=st.lists(st.from_regex(r"\A[a-z][a-z-]{0,10}\Z"), max_size=8, unique=True),
    values=st.lists(
        st.text(st.characters(min_codepoint=0x20, max_codepoint=0xFF, exclude_characters="\x7f")), min_size=8
    ),
)
def test_headers_arrive_as_sent(names: list[str], values: list[str]) -> None:
    sent = {name: value for name, value in zip(names, values, strict=False) if not name.startswith("if-")}
    for name in ("host", "connection", "expect", "te", "upgrade"):
        sent.pop(name, None)
    lines = "".join(f"{name}: {value}\r\n" for name, value in sent.items())
    section = f"GET /a HTTP/1.1\r\nHost: x\r\n{lines}\r\n".encode("latin-1")
    assert parse_head(section, DEFAULT_LIMITS).headers == {"host": "x"} | {
        name: value.strip(" \t") for name, value in sent.items()
    }
