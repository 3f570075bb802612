"""What others got wrong about bodies: each row the right error, with bounded memory."""

import hashlib
import tracemalloc

import pytest

from cooper_gateway.operations.attributes import read_attributes
from cooper_gateway.protocol.chunked import MAX_LINE
from cooper_gateway.protocol.errors import S3Error
from cooper_gateway.protocol.messages import Request
from cooper_gateway.protocol.payload import PayloadDecoder, declared_size, payload_decoder
from cooper_gateway.protocol.sigv4 import (
    STREAMING_SIGNED,
    STREAMING_SIGNED_TRAILER,
    STREAMING_UNSIGNED_TRAILER,
    UNSIGNED_PAYLOAD,
    parse_claim,
)
from support import s3_signing as signing

CHUNKS = [b"a" * 100, b"b" * 100, b"c" * 7]
PLAIN = b"".join(CHUNKS)
CRC = ("x-amz-checksum-crc32", "AAAAAA==")
ALL_FORMS = [STREAMING_SIGNED, STREAMING_SIGNED_TRAILER, STREAMING_UNSIGNED_TRAILER]


def upload(form: str, size: str | None = str(len(PLAIN)), trailer: str | None = None) -> Request:
    headers = {} if size is None else {"x-amz-decoded-content-length": size}
    if trailer is not None:
        headers["x-amz-trailer"] = trailer
    return signing.signed("PUT", "/photos/a", headers, payload=form)


def seed(request: Request) -> str:
    return request.headers["authorization"][-64:]


def decoder_of(request: Request) -> PayloadDecoder:
    return payload_decoder(request, parse_claim(request, signing.NOW), signing.key())


def outcome(request: Request, body: bytes) -> str:
    """The error code, or the plaintext when all of it verified."""
    try:
        decoder = decoder_of(request)
        plaintext = b"".join(decoder.feed(body))
        decoder.finish()
    except S3Error as error:
        return error.code
    assert plaintext == PLAIN
    return "stored"


def changed(body: list[bytes], change: str) -> bytes:
    first, second, third, last = body
    return b"".join(
        {
            "nothing": [first, second, third, last],
            "reordered": [second, first, third, last],
            "first dropped": [second, third, last],
            "last dropped": [first, second, last],
            "repeated": [first, first, second, third, last],
            "final missing": [first, second, third],
            "final first": [last, first, second, third, last],
            "after the final": [first, second, third, last, first],
            "two finals": [first, second, third, last, last],
            "empty": [],
            "final only": [last],
            "final's end missing": [first, second, third, last[:-2]],
            "data changed": [first.replace(b"aaa", b"aba"), second, third, last],
        }[change]
    )


@pytest.mark.parametrize(
    ("change", "signed", "unsigned"),
    [
        ("nothing", "stored", "stored"),
        ("reordered", "SignatureDoesNotMatch", None),
        ("first dropped", "SignatureDoesNotMatch", "IncompleteBody"),
        ("last dropped", "IncompleteBody", "IncompleteBody"),
        ("repeated", "SignatureDoesNotMatch", "InvalidRequest"),
        ("final missing", "IncompleteBody", "IncompleteBody"),
        ("final first", "IncompleteBody", "IncompleteBody"),
        ("after the final", "InvalidRequest", "InvalidRequest"),
        ("two finals", "InvalidRequest", "InvalidRequest"),
        ("empty", "IncompleteBody", "IncompleteBody"),
        ("final only", "IncompleteBody", "IncompleteBody"),
        ("final's end missing", "IncompleteBody", "IncompleteBody"),
        ("data changed", "SignatureDoesNotMatch", None),
    ],
)
def test_chunks_that_others_let_pass(change, signed, unsigned):  # seaweedfs 2180
    request = upload(STREAMING_SIGNED)
    body = signing.chunked(CHUNKS, seed=seed(request))
    assert outcome(request, changed(body, change)) == signed
    request = upload(STREAMING_SIGNED_TRAILER, trailer=CRC[0])
    body = signing.chunked(CHUNKS, seed=seed(request), trailers=[CRC], sign_trailer=True)
    assert outcome(request, changed(body, change)) == signed
    if unsigned is not None:  # what is None there is for the checksum in the trailer to find
        request = upload(STREAMING_UNSIGNED_TRAILER, trailer=CRC[0])
        assert outcome(request, changed(signing.chunked(CHUNKS, trailers=[CRC]), change)) == unsigned


def test_chunks_signed_with_another_key_or_from_another_request():
    request = upload(STREAMING_SIGNED)
    for body in (
        signing.chunked(CHUNKS, seed=seed(request), signing_key=bytes(32)),
        signing.chunked(CHUNKS, seed="0" * 64),
        signing.chunked(CHUNKS, seed=seed(request), at=signing.NOW + 1),
        signing.chunked(CHUNKS),
    ):
        assert outcome(request, b"".join(body)) in {"SignatureDoesNotMatch", "InvalidRequest"}


def test_signed_chunks_where_none_were_announced():
    request = upload(STREAMING_UNSIGNED_TRAILER)
    assert outcome(request, b"".join(signing.chunked(CHUNKS, seed="0" * 64))) == "InvalidRequest"


@pytest.mark.parametrize(
    ("size", "code"),
    [
        (None, "MissingContentLength"),
        ("", "InvalidArgument"),
        ("-1", "InvalidArgument"),
        ("+207", "InvalidArgument"),
        ("207.0", "InvalidArgument"),
        ("0xcf", "InvalidArgument"),
        ("207, 207", "InvalidArgument"),
        ("\u0662\u0660\u0667", "InvalidArgument"),
        ("9" * 40, "InvalidArgument"),
        ("206", "InvalidRequest"),
        ("0", "InvalidRequest"),
        ("208", "IncompleteBody"),
        ("9" * 19, "IncompleteBody"),
    ],
)
@pytest.mark.parametrize("form", ALL_FORMS)
def test_decoded_lengths(form, size, code):  # versitygw 1684, GHSA-v2ch-c8v8-fgr7
    request = upload(form, "207")
    if size is None:
        del request.headers["x-amz-decoded-content-length"]
        claim = parse_claim(upload(form, "207"), signing.NOW)
    else:
        request.headers["x-amz-decoded-content-length"] = size
        claim = parse_claim(request, signing.NOW)
    trailer = form == STREAMING_SIGNED_TRAILER
    with pytest.raises(S3Error) as caught:
        decoder = payload_decoder(request, claim, signing.key())
        assert claim is not None
        chain = None if form == STREAMING_UNSIGNED_TRAILER else claim.signature
        body = signing.chunked(CHUNKS, seed=chain, sign_trailer=trailer)
        decoder.feed(b"".join(body))
        decoder.finish()
    assert caught.value.code == code


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"zz",
        b"-1",
        b"+5",
        b" 5",
        b"5 ",
        b"0x5",
        b"5;",
        b"5;a=b",
        b"5;chunk-signature=" + b"0" * 63,
        b"5;chunk-signature=" + b"0" * 64 + b";a=b",
        b"f" * 17,
        b"f" * 16,
        b"5\n",
        b"\xd9\xa1",
    ],
)
def test_chunk_headers_that_are_none(line):
    request = upload(STREAMING_UNSIGNED_TRAILER)
    assert outcome(request, line + b"\r\naaaaa\r\n0\r\n\r\n") == "InvalidRequest"


@pytest.mark.parametrize(
    ("trailers", "announced", "code"),
    [
        ([CRC], CRC[0], "stored"),
        ([], None, "stored"),
        ([], CRC[0], "InvalidRequest"),
        ([CRC], None, "InvalidRequest"),
        ([CRC, CRC], CRC[0], "InvalidRequest"),
        ([CRC, ("x-amz-meta-a", "1")], CRC[0], "InvalidRequest"),
        ([("x-amz-checksum-sha1", "x")], CRC[0], "InvalidRequest"),
        ([CRC], "x-amz-meta-a", "InvalidRequest"),
        ([("x-amz-meta-a", "1")], "x-amz-meta-a", "InvalidRequest"),
        ([CRC], "x-amz-checksum-crc32,authorization", "InvalidRequest"),
        ([CRC, ("x-amz-trailer-signature", "0" * 64)], CRC[0], "InvalidRequest"),
        ([(CRC[0], "AA\r")], CRC[0], "InvalidRequest"),
        ([(CRC[0], "AA\x00")], CRC[0], "InvalidRequest"),
        ([("no name", "AA")], CRC[0], "InvalidRequest"),
        ([("x" * MAX_LINE, "AA")], CRC[0], "InvalidRequest"),
        ([(f"x{i}", "v" * 100) for i in range(200)], CRC[0], "InvalidRequest"),
    ],
)
def test_trailers(trailers, announced, code):
    request = upload(STREAMING_UNSIGNED_TRAILER, trailer=announced)
    assert outcome(request, b"".join(signing.chunked(CHUNKS, trailers=trailers))) == code


def test_data_that_is_longer_than_its_chunk():
    """What is over would be left out, and what was stored were not what was sent."""
    body = b"".join(signing.chunked(CHUNKS))
    assert outcome(upload(STREAMING_UNSIGNED_TRAILER), body) == "stored"
    for more in (b"a", b"\n", b"0"):
        assert (
            outcome(upload(STREAMING_UNSIGNED_TRAILER), body.replace(b"c\r\n", b"c" + more + b"\r\n"))
            == "InvalidRequest"
        )


def test_trailers_without_end_are_not_collected():
    decoder = decoder_of(upload(STREAMING_UNSIGNED_TRAILER, "0"))
    decoder.feed(b"0\r\n")
    with pytest.raises(S3Error, match="trailers are larger"):
        for number in range(1000):
            decoder.feed(b"x%d:%b\r\n" % (number, b"v" * 100))


@pytest.mark.parametrize("change", ["missing", "wrong", "of another trailer", "ends with a line feed"])
def test_the_signature_of_trailers(change):
    request = upload(STREAMING_SIGNED_TRAILER, trailer=CRC[0])
    body = b"".join(signing.chunked(CHUNKS, seed=seed(request), trailers=[CRC], sign_trailer=change != "missing"))
    if change == "wrong":
        body = body[:-6] + (b"0" if body[-6:-5] != b"0" else b"1") + body[-5:]
    elif change == "of another trailer":
        body = body.replace(b"AAAAAA==", b"AAAAAB==")
    elif change == "ends with a line feed":  # the specification's own example does, and so does minio-go
        body = body.replace(b"AAAAAA==\r\n", b"AAAAAA==\n\r\n")
    expected = "stored" if change == "ends with a line feed" else "SignatureDoesNotMatch"
    assert outcome(request, body) == expected


def test_trailers_announced_without_the_form_that_has_them():
    for form in (STREAMING_SIGNED, UNSIGNED_PAYLOAD):
        assert outcome(upload(form, trailer=CRC[0]), PLAIN) == "InvalidRequest"


@pytest.mark.parametrize("form", ALL_FORMS)
def test_no_chunked_form_for_strangers_or_presigned_requests(form):
    anonymous = signing.request("PUT", "/photos/a", {"x-amz-content-sha256": form, "x-amz-decoded-content-length": "1"})
    with pytest.raises(S3Error) as caught:
        payload_decoder(anonymous, None, None)
    assert caught.value.code == "AccessDenied"


def test_content_encoding_alone_does_not_make_a_body_chunked():
    headers = {"content-encoding": "aws-chunked", "content-length": "17"}
    decoder = decoder_of(signing.signed("PUT", "/photos/a", headers, payload=UNSIGNED_PAYLOAD))
    body = b"5\r\naaaaa\r\n0\r\n\r\n..."[:17]
    assert b"".join(decoder.feed(body)) == body
    decoder.finish()


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("aws-chunked", None),
        ("aws-chunked,gzip", "gzip"),
        ("gzip, AWS-Chunked , br", "gzip,br"),
        ("gzip", "gzip"),
        ("", None),
    ],
)
def test_aws_chunked_is_not_stored_as_an_encoding(given, kept):
    stored = read_attributes({"content-encoding": given}, 0).headers
    assert stored.get("content-encoding") == kept


@pytest.mark.parametrize(
    ("digest", "body", "code"),
    [
        (hashlib.sha256(PLAIN).hexdigest(), PLAIN, "stored"),
        (hashlib.sha256(PLAIN).hexdigest(), PLAIN[:-1], "IncompleteBody"),
        (hashlib.sha256(PLAIN).hexdigest(), PLAIN + b"x", "InvalidRequest"),
        (hashlib.sha256(PLAIN).hexdigest(), PLAIN[:-1] + b"x", "XAmzContentSHA256Mismatch"),
        (UNSIGNED_PAYLOAD, PLAIN, "stored"),
        (UNSIGNED_PAYLOAD, PLAIN[:-1], "IncompleteBody"),
    ],
)
def test_plain_bodies(digest, body, code):
    headers = {"content-length": str(len(PLAIN))}
    assert outcome(signing.signed("PUT", "/photos/a", headers, payload=digest), body) == code


def test_declared_sizes():
    assert declared_size(signing.request("PUT", "/photos/a", {"content-length": "12"})) == 12
    assert declared_size(signing.request("PUT", "/photos/a")) is None
    assert declared_size(upload(STREAMING_UNSIGNED_TRAILER, "5")) == 5
    assert decoder_of(upload(STREAMING_UNSIGNED_TRAILER, "5")).size == 5


@pytest.mark.parametrize("start", [b"", b"5;chunk-signature=", b"5\r\naaaaa", b"5\r\naaaaa\r\n0\r\nname:"])
def test_a_line_that_never_ends_costs_bounded_memory(start):
    decoder = decoder_of(upload(STREAMING_UNSIGNED_TRAILER, "5"))
    piece = b"x" * 4096
    tracemalloc.start()
    with pytest.raises(S3Error, match="longer than"):
        decoder.feed(start)
        for _ in range(1000):
            decoder.feed(piece)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 10 * MAX_LINE


def test_a_huge_chunk_is_passed_on_and_not_kept():
    decoder = decoder_of(upload(STREAMING_SIGNED, str(1 << 40)))
    decoder.feed(b"10000000000;chunk-signature=" + b"0" * 64 + b"\r\n")
    piece = bytes(1 << 16)
    tracemalloc.start()
    for _ in range(64):
        assert decoder.feed(piece) == [piece]
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 4 * len(piece)
