"""A request's payload, from the bytes of its HTTP body: the five forms that x-amz-content-sha256 can name.

Whoever feeds a decoder passes plaintext on as it comes, and commits only after `finish` has returned: until then
nothing is verified. An aws-chunked body is known by x-amz-content-sha256 alone, never by Content-Encoding.
"""

import hashlib
import re
from collections.abc import Mapping, Sequence
from typing import Final, Protocol

from cooper_gateway.protocol.checksums import trailer_names
from cooper_gateway.protocol.chunked import ChunkedReader, ChunkSigner
from cooper_gateway.protocol.errors import S3Error
from cooper_gateway.protocol.messages import Piece, Request
from cooper_gateway.protocol.sigv4 import (
    STREAMING,
    STREAMING_SIGNED,
    STREAMING_SIGNED_TRAILER,
    STREAMING_UNSIGNED_TRAILER,
    UNSIGNED_PAYLOAD,
    Claim,
)

_LENGTH: Final = re.compile(r"[0-9]{1,19}")


class PayloadDecoder(Protocol):
    """Turns the bytes of one HTTP body into plaintext."""

    @property
    def size(self) -> int | None:
        """Plaintext size in bytes as declared; None when the request does not say."""
        ...

    @property
    def trailers(self) -> Mapping[str, str]:
        """Trailing headers, lower case; complete and verified once `finish` has returned."""
        ...

    def feed(self, data: bytes | bytearray) -> Sequence[Piece]:
        """Plaintext in the next bytes of the body. Raises S3Error as soon as something is wrong."""
        ...

    def finish(self) -> None:
        """The body has ended: raises S3Error unless all of it came and verified."""
        ...


class PlainPayload:
    """A body that is its own plaintext, with its digest signed (`sha256`) or not."""

    __slots__ = ("_digest", "_expected", "_received", "size", "trailers")

    def __init__(self, size: int | None, sha256: str | None) -> None:
        self.size = size
        self.trailers: Mapping[str, str] = {}
        self._expected = sha256
        self._digest = hashlib.sha256() if sha256 is not None else None
        self._received = 0

    def feed(self, data: bytes | bytearray) -> Sequence[Piece]:
        """Plaintext in the next bytes of the body. Raises S3Error when there are more than declared."""
        self._received += len(data)
        if self.size is not None and self._received > self.size:
            raise S3Error("InvalidRequest", "The body has more bytes than Content-Length declared.")
        if self._digest is not None:
            self._digest.update(data)
        return [data] if data else []

    def finish(self) -> None:
        """Raises S3Error IncompleteBody or XAmzContentSHA256Mismatch."""
        if self.size is not None and self._received != self.size:
            raise S3Error("IncompleteBody")
        if self._digest is not None and self._digest.hexdigest() != self._expected:
            raise S3Error("XAmzContentSHA256Mismatch")


class ChunkedPayload:
    """An aws-chunked body, with signed or unsigned chunks, with trailers or without."""

    __slots__ = ("_announced", "_reader", "size", "trailers")

    def __init__(self, size: int, reader: ChunkedReader, announced: list[str]) -> None:
        self.size: int | None = size
        self.trailers: Mapping[str, str] = reader.trailers
        self._reader = reader
        self._announced = announced

    def feed(self, data: bytes | bytearray) -> Sequence[Piece]:
        """Plaintext in the next bytes of the body. Raises S3Error as soon as something is wrong."""
        return self._reader.feed(data)

    def finish(self) -> None:
        """Raises S3Error IncompleteBody, or InvalidRequest when the trailers are not those announced."""
        self._reader.finish()
        if set(self.trailers) != set(self._announced):
            raise S3Error(
                "InvalidRequest",
                f"x-amz-trailer announced {', '.join(self._announced) or 'no trailers'}, "
                f"but {', '.join(self.trailers) or 'none'} came.",
            )


def payload_decoder(request: Request, claim: Claim | None, signing_key: bytes | None) -> PayloadDecoder:
    """The decoder for a request's body. Raises S3Error when its headers contradict one another.

    `claim` is None for an anonymous request. `signing_key` is the one that verified the claim; signed chunks need it.
    """
    headers = request.headers
    form = claim.payload if claim is not None else headers.get("x-amz-content-sha256", UNSIGNED_PAYLOAD)
    if form not in STREAMING:
        if "x-amz-trailer" in headers:
            raise S3Error("InvalidRequest", "x-amz-trailer needs a STREAMING…-TRAILER form of x-amz-content-sha256.")
        sha256 = None if form == UNSIGNED_PAYLOAD else form
        return PlainPayload(content_length(headers), sha256)
    if claim is None or signing_key is None or claim.presigned:
        raise S3Error("AccessDenied", "An aws-chunked body needs a request that is signed in the Authorization header.")
    size = _length(headers, "x-amz-decoded-content-length")
    if size is None:
        raise S3Error("MissingContentLength", "An aws-chunked body needs the header x-amz-decoded-content-length.")
    announced = trailer_names(headers)
    if form == STREAMING_SIGNED and announced:
        raise S3Error("InvalidRequest", f"With trailers x-amz-content-sha256 must be {STREAMING_SIGNED_TRAILER}.")
    signer = None
    if form != STREAMING_UNSIGNED_TRAILER:
        signer = ChunkSigner(signing_key, claim.amz_date, claim.scope, claim.signature)
    reader = ChunkedReader(size, signer, signed_trailer=form == STREAMING_SIGNED_TRAILER)
    return ChunkedPayload(size, reader, announced)


def declared_size(request: Request) -> int | None:
    """Plaintext size in bytes that a request declares, before its body is read. Raises S3Error when it is no number."""
    headers = request.headers
    if headers.get("x-amz-content-sha256") in STREAMING:
        return _length(headers, "x-amz-decoded-content-length")
    return content_length(headers)


def content_length(headers: Mapping[str, str]) -> int | None:
    """Bytes of the whole HTTP body, where that is declared. Raises S3Error when it is no number."""
    return _length(headers, "content-length")


def _length(headers: Mapping[str, str], name: str) -> int | None:
    text = headers.get(name)
    if text is None:
        return None
    if not _LENGTH.fullmatch(text):
        raise S3Error("InvalidArgument", f"{name} must be a number of bytes, written in decimal digits.")
    return int(text)
