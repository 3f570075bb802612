"""Input that is made to keep a worker busy: whatever it is, reading it takes a moment.

A worker answers all its clients in one thread. What takes it a second to read stops everybody for that second.
"""

import base64
import time
from collections.abc import Callable, Iterable

import pytest

from cooper_crds.records import CorsRule
from cooper_gateway.access import cors
from cooper_gateway.http.chunked import ChunkedDecoder
from cooper_gateway.http.head import parse_head
from cooper_gateway.http.limits import DEFAULT_LIMITS
from cooper_gateway.operations.attributes import read_attributes
from cooper_gateway.protocol import dates, paths, ranges, xml
from cooper_gateway.protocol.chunked import ChunkedReader
from cooper_gateway.protocol.errors import S3Error
from cooper_gateway.protocol.messages import Request
from cooper_gateway.protocol.post_form import MAX_FORM, FormFile, FormReader, form_boundary
from cooper_gateway.protocol.post_policy import read_policy
from cooper_gateway.protocol.sigv4 import form_claim, parse_claim
from support import s3_signing as signing

RULE = CorsRule(("https://*.example", "*"), ("GET",), headers=("x-*-a", "*"))
#: Seconds of the processor. Some ms are normal, and this machine may be slow; what grows with a power takes minutes.
MOMENT = 0.5
#: As much as one header section, or one line of a body, can have.
LONG = 15_900
FILLINGS = (
    " ",
    "\t",
    "a",
    "0",
    "-",
    "=",
    ",",
    ";",
    ":",
    "/",
    ".",
    "%",
    "%2",
    "&",
    "*",
    '"',
    "<",
    "<a>",
    "+",
    "a=",
    " =",
    "=?a?q?",
)


def _signed(headers: dict[str, str]) -> Request:
    return signing.request("GET", "/photos/cat", headers)


def _presigned(query: str) -> None:
    parse_claim(signing.request("GET", f"/photos/cat?X-Amz-Signature={'0' * 64}&{query}"), signing.NOW)


def _trailer(text: str) -> None:
    reader = ChunkedReader(0, None)
    reader.feed(b"0\r\n" + text.encode("latin-1") + b"\r\n\r\n")
    reader.finish()


def _form(text: str) -> None:
    """As a body that is a form, and as the file in one."""
    FormReader("b").feed(text.encode())
    file = FormFile("b")
    file.feed(text.encode())
    file.finish()


def _part(text: str) -> None:
    """As the headers of a field."""
    FormReader("b").feed(f"--b\r\nContent-Disposition: {text}\r\n\r\n".encode())


def _policy(text: str) -> None:
    read_policy(base64.b64encode(text.encode()).decode())


def _preflight(name: str, text: str) -> None:
    asked = {"origin": "https://app.example", "access-control-request-method": "GET", name: text}
    found = cors.asked_for(asked)
    assert found is not None
    cors.preflight([RULE], found)


#: What reads a text from strangers, and how the texts begin that it goes into.
READERS: dict[str, tuple[Callable[[str], object], tuple[str, ...]]] = {
    "Range": (lambda text: ranges.parse_range(text, 1000), ("", "bytes=", "bytes =0-", "bytes=0 -", "bytes=-")),
    "If-None-Match": (lambda text: ranges.evaluate_conditions({"if-none-match": text}, "0" * 32, 0), ("", "W/", '"')),
    "If-Modified-Since": (
        lambda text: ranges.evaluate_conditions({"if-modified-since": text}, "0" * 32, 0),
        ("", "Sun, 06 Nov 1994 08:49:37 ", "Sun, "),
    ),
    "x-amz-date": (dates.parse_amz_date, ("", "20270115T080000Z")),
    "Authorization": (
        lambda text: parse_claim(_signed({"authorization": text}), signing.NOW),
        (
            "",
            "AWS4-HMAC-SHA256 ",
            "AWS4-HMAC-SHA256 Credential=",
            "AWS4-HMAC-SHA256 Credential=A/20270115/r/s3/aws4_request, SignedHeaders=host",
            "AWS4-HMAC-SHA256 Credential=A/20270115/r/s3/aws4_request,",
            "AWS ",
        ),
    ),
    "presigned": (_presigned, ("", "X-Amz-Credential=", "X-Amz-SignedHeaders=host;", "x-amz-meta-a=")),
    "the path": (lambda text: signing.request("GET", "/photos/" + text), ("", "%")),
    "the bucket": (lambda text: signing.request("GET", "/" + text), ("",)),
    "the query": (lambda text: signing.request("GET", "/photos?" + text), ("", "prefix=")),
    "metadata": (
        lambda text: read_attributes({"x-amz-meta-a": text}, 2048),
        ("", "=?utf-8?q?", "=?utf-8?b?", "=?idna?q?", "=?punycode?q?"),
    ),
    "a copy's source": (paths.parse_copy_source, ("", "/photos/", "photos/a?versionId=")),
    "a trailer": (_trailer, ("", "x-amz-checksum-crc32:", "x-amz-checksum-crc32: a")),
    "the head": (
        lambda text: parse_head(f"GET / HTTP/1.1\r\nHost: x\r\n{text}\r\n\r\n".encode("latin-1"), DEFAULT_LIMITS),
        ("", "a:", "Host", "Connection: ", "Transfer-Encoding: ", "Content-Length: "),
    ),
    "Origin": (lambda text: _preflight("origin", text), ("", "https://", "https://app.")),
    "Access-Control-Request-Headers": (
        lambda text: _preflight("access-control-request-headers", text),
        ("", "content-type,"),
    ),
    "a boundary": (form_boundary, ("", "multipart/form-data; boundary=", 'multipart/form-data; boundary="')),
    "a form": (_form, ("", "--b\r\n", '--b\r\nContent-Disposition: form-data; name="a"\r\n\r\n', "\r\n--b")),
    "a field's headers": (_part, ("", "form-data; name=", 'form-data; name="', 'form-data; name="file"; filename="')),
    "a form's signature": (
        lambda text: form_claim(
            dict.fromkeys(("policy", "x-amz-algorithm", "x-amz-credential", "x-amz-date", "x-amz-signature"), text)
            | {"x-amz-algorithm": "AWS4-HMAC-SHA256"},
            signing.NOW,
        ),
        ("", "A/20270115/r/s3/"),
    ),
    "a policy": (_policy, ("", "{", '{"conditions":[', '{"expiration":"', '{"a":')),
    "batch delete": (lambda text: xml.read_delete(text.encode()), ("", "<Delete>", "<Delete><Object><Key>", "<!--")),
    "completion": (lambda text: xml.read_complete(text.encode()), ("", "<CompleteMultipartUpload><Part>", "<?xml ")),
}


def seconds(read: Callable[[str], object], text: str) -> float:
    """Of the processor. That it refuses the text is as well."""
    began = time.process_time()
    try:
        read(text)
    except S3Error:
        pass
    return time.process_time() - began


def texts(beginnings: Iterable[str], ends: Iterable[str]) -> Iterable[str]:
    for beginning in beginnings:
        for filling in FILLINGS:
            for end in ends:
                yield beginning + filling * (LONG // len(filling)) + end
                # Two runs with something between: of these each part of one can be taken for a part of the other.
                half = filling * (LONG // len(filling) // 2)
                yield f"{beginning}{half}-{half}{end}"


@pytest.mark.parametrize(("read", "beginnings"), READERS.values(), ids=READERS)
def test_long_runs_are_read_in_a_moment(read, beginnings):
    slow = {
        f"{text[:40]!r} … {text[-8:]!r}": took
        for text in texts(beginnings, ("", "x", "\x80"))
        if (took := seconds(read, text)) > MOMENT
    }
    assert slow == {}


def test_thousands_of_headers_in_the_query():
    """Each would be looked for among all parameters."""
    with pytest.raises(S3Error) as caught:
        _presigned(_parameters("host") + "".join(f"&x-amz-a{number:x}" for number in range(1700)))
    assert caught.value.code == "InvalidArgument"
    request = signing.presigned("GET", "/photos/cat", {f"x-amz-meta-a{number}": "b" for number in range(90)})
    assert parse_claim(request, signing.NOW) is not None


def test_a_signature_over_thousands_of_headers():
    with pytest.raises(S3Error) as caught:
        _presigned(_parameters(";".join(["host", *(f"a{number}" for number in range(2500))])))
    assert caught.value.code == "AuthorizationQueryParametersError"


def _parameters(signed_headers: str) -> str:
    credential = "X-Amz-Credential=A%2F20270115%2Fr%2Fs3%2Faws4_request"
    when = "X-Amz-Date=20270115T080000Z&X-Amz-Expires=60"
    return f"X-Amz-Algorithm=AWS4-HMAC-SHA256&{credential}&{when}&X-Amz-SignedHeaders={signed_headers}"


def test_chunks_of_a_byte_are_refused_before_they_are_many():
    reader = ChunkedReader(1 << 20, None)
    with pytest.raises(S3Error) as caught:
        reader.feed(b"1\r\na\r\n" * 40_000)
    assert caught.value.code == "InvalidChunkSizeError"


@pytest.mark.parametrize("begin", [b"", b"5;", b"0\r\n", b"0\r\na:"])
def test_a_line_of_http_chunks_that_never_ends_is_not_collected(begin):
    decoder = ChunkedDecoder()
    decoder.feed(begin)
    with pytest.raises(S3Error, match="too long"):
        for _ in range(100):
            decoder.feed(b"a" * 100)


@pytest.mark.parametrize(("size", "count"), [(1, 128), (512, 4000), (64 << 10, 40)])
def test_chunks_that_clients_send_are_taken(size, count):
    """A few lines that are sent as they come, and buffers of any common size."""
    reader = ChunkedReader(size * count, None)
    chunk = f"{size:x}\r\n".encode() + b"a" * size + b"\r\n"
    assert sum(map(len, reader.feed(chunk * count + b"0\r\n\r\n"))) == size * count
    reader.finish()


@pytest.mark.parametrize("boundary", ["b", "b" * 70, "-" * 70, "-b" * 35])
@pytest.mark.parametrize(
    "filling", [b"\r", b"\n", b"-", b"b", b"\r\n", b"\r\n--", b"\r\n--" + b"b" * 69, b"\r\n--" + b"-" * 69]
)
def test_a_file_that_is_like_its_boundary_is_read_in_a_moment(boundary, filling):
    """16 MiB, which come in pieces of 256 KiB. Without a boundary in it that takes some 10 ms."""
    file = FormFile(boundary)
    piece = filling * ((256 << 10) // len(filling))
    began = time.process_time()
    try:
        for _ in range(64):
            file.feed(piece)
    except S3Error:
        pass  # it was the boundary
    assert time.process_time() - began < 8 * MOMENT


def test_a_forms_fields_a_byte_at_a_time():
    """Each byte would have all before it searched again: what costs most is what is like a boundary."""
    fields = b'--b\r\nContent-Disposition: form-data; name="a"\r\n\r\n' + b"\r\n" * 10_000
    assert MAX_FORM * 9 // 10 < len(fields) < MAX_FORM
    reader = FormReader("b" * 70)
    reader.feed(b"--" + b"b" * 69)
    began = time.process_time()
    for byte in fields[3:]:
        reader.feed(bytes((byte,)))
    assert time.process_time() - began < MOMENT
