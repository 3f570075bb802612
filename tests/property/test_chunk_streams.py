"""aws-chunked streams: however they are cut, the same plaintext; whatever is changed in them, an error."""

import base64
import io
import zlib
from itertools import pairwise

from botocore.httpchecksum import AwsChunkedWrapper, CrtCrc32cChecksum, CrtCrc32Checksum, CrtCrc64NvmeChecksum
from hypothesis import given
from hypothesis import strategies as st

from cooper_gateway.protocol.checksums import Checksummer
from cooper_gateway.protocol.errors import S3Error
from cooper_gateway.protocol.messages import Request
from cooper_gateway.protocol.payload import PayloadDecoder, payload_decoder
from cooper_gateway.protocol.sigv4 import (
    STREAMING_SIGNED,
    STREAMING_SIGNED_TRAILER,
    STREAMING_UNSIGNED_TRAILER,
    parse_claim,
)
from support import s3_signing as signing

FORMS = st.sampled_from([STREAMING_SIGNED, STREAMING_SIGNED_TRAILER, STREAMING_UNSIGNED_TRAILER])
CHUNKS = st.lists(st.binary(min_size=1, max_size=300), max_size=5)
CRC = "x-amz-checksum-crc32"


def trailers_of(form: str, plaintext: bytes) -> list[tuple[str, str]]:
    if form == STREAMING_SIGNED:
        return []
    return [(CRC, base64.b64encode(zlib.crc32(plaintext).to_bytes(4, "big")).decode())]


def upload(form: str, chunks: list[bytes], size: int | None = None) -> tuple[Request, list[bytes]]:
    plaintext = b"".join(chunks)
    headers = {"x-amz-decoded-content-length": str(len(plaintext) if size is None else size)}
    trailers = trailers_of(form, plaintext)
    if trailers:
        headers["x-amz-trailer"] = CRC
    request = signing.signed("PUT", "/photos/a", headers, payload=form)
    claim = parse_claim(request, signing.NOW)
    assert claim is not None
    seed = None if form == STREAMING_UNSIGNED_TRAILER else claim.signature
    body = signing.chunked(chunks, seed=seed, trailers=trailers, sign_trailer=form == STREAMING_SIGNED_TRAILER)
    return request, body


def decoder_of(request: Request) -> PayloadDecoder:
    return payload_decoder(request, parse_claim(request, signing.NOW), signing.key())


def decoded(request: Request, pieces: list[bytes]) -> bytes:
    decoder = decoder_of(request)
    plaintext = b"".join(out for piece in pieces for out in decoder.feed(piece))
    decoder.finish()
    return plaintext


def refused(request: Request, body: bytes) -> str:
    try:
        decoded(request, [body])
    except S3Error as error:
        return error.code
    return ""


def cut(body: bytes, places: list[int]) -> list[bytes]:
    edges = [0, *sorted(place % (len(body) + 1) for place in places), len(body)]
    return [body[a:b] for a, b in pairwise(edges)]


@given(FORMS, CHUNKS, st.lists(st.integers(0, 10_000), max_size=8))
def test_any_cutting_gives_the_same_plaintext(form, chunks, places):
    request, body = upload(form, chunks)
    whole = b"".join(body)
    plaintext = b"".join(chunks)
    assert decoded(request, cut(whole, places)) == plaintext
    decoder = decoder_of(request)
    assert decoder.size == len(plaintext)
    assert b"".join(b"".join(decoder.feed(whole[i : i + 1])) for i in range(len(whole))) == plaintext
    decoder.finish()
    assert dict(decoder.trailers) == dict(trailers_of(form, plaintext))


@given(FORMS, CHUNKS, st.integers(0, 10_000))
def test_a_truncated_body_is_incomplete(form, chunks, place):
    request, body = upload(form, chunks)
    whole = b"".join(body)
    assert refused(request, whole[: place % len(whole)]) == "IncompleteBody"


@given(FORMS, CHUNKS, st.binary(min_size=1, max_size=50))
def test_bytes_after_the_end_are_refused(form, chunks, more):
    request, body = upload(form, chunks)
    assert refused(request, b"".join(body) + more) in {"InvalidRequest", "IncompleteBody"}


@given(
    st.sampled_from([STREAMING_SIGNED, STREAMING_SIGNED_TRAILER]), CHUNKS, st.integers(0, 10_000), st.integers(1, 255)
)
def test_no_byte_of_a_signed_body_can_be_changed(form, chunks, place, change):
    """Only the case of a size's digits and of a trailer's name means nothing; the plaintext stays what it was."""
    request, body = upload(form, chunks)
    whole = bytearray(b"".join(body))
    whole[place % len(whole)] ^= change
    try:
        assert decoded(request, [bytes(whole)]) == b"".join(chunks)
    except S3Error as error:
        assert error.code in {"SignatureDoesNotMatch", "InvalidRequest", "IncompleteBody"}


@given(
    st.sampled_from([STREAMING_SIGNED, STREAMING_SIGNED_TRAILER]),
    st.lists(st.binary(min_size=20, max_size=20), min_size=2, max_size=5, unique=True),
    st.data(),
)
def test_chunks_cannot_be_reordered_dropped_or_repeated(form, chunks, data):
    request, body = upload(form, chunks)
    *parts, last = body
    other = data.draw(st.lists(st.sampled_from(parts), max_size=6).filter(lambda chosen: chosen != parts))
    assert refused(request, b"".join([*other, last])) in {"SignatureDoesNotMatch", "IncompleteBody", "InvalidRequest"}


@given(FORMS, CHUNKS, st.integers(0, 2000))
def test_the_declared_length_must_be_the_true_one(form, chunks, size):
    request, body = upload(form, chunks, size)
    true = len(b"".join(chunks))
    expected = "" if size == true else "InvalidRequest" if size < true else "IncompleteBody"
    assert refused(request, b"".join(body)) == expected


@given(st.binary(max_size=400), st.integers(0, 1000))
def test_random_bodies_never_break_the_decoder(noise, size):
    for form in (STREAMING_SIGNED, STREAMING_UNSIGNED_TRAILER):
        request, _ = upload(form, [], size)
        code = refused(request, noise)
        assert code
        assert code in {"SignatureDoesNotMatch", "InvalidRequest", "IncompleteBody"}


BOTOCORE_CHECKSUMS = {
    "x-amz-checksum-crc32": CrtCrc32Checksum,
    "x-amz-checksum-crc32c": CrtCrc32cChecksum,
    "x-amz-checksum-crc64nvme": CrtCrc64NvmeChecksum,
}


@given(st.binary(max_size=500), st.sampled_from(sorted(BOTOCORE_CHECKSUMS)), st.integers(1, 200), st.booleans())
def test_what_botocore_sends_is_understood_and_its_checksum_holds(plaintext, header, chunk_size, damaged):
    wrapper = AwsChunkedWrapper(io.BytesIO(plaintext), BOTOCORE_CHECKSUMS[header], header, chunk_size)
    headers = {"x-amz-decoded-content-length": str(len(plaintext)), "x-amz-trailer": header}
    request = signing.signed("PUT", "/photos/a", headers, payload=STREAMING_UNSIGNED_TRAILER)
    decoder = decoder_of(request)
    checksummer = Checksummer(request.headers)
    received = b"".join(decoder.feed(wrapper.read()))
    decoder.finish()
    assert received == plaintext
    checksummer.update(received + b"x" if damaged else received)
    try:
        checksummer.verify(decoder.trailers)
    except S3Error as error:
        assert (error.code, damaged) == ("XAmzContentChecksumMismatch", True)
    else:
        assert not damaged
