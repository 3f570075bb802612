"""A request and a response as values. Handlers see these and nothing of HTTP's wire form."""

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Protocol

import msgspec

#: Bytes that nobody changes any more.
Piece = bytes | bytearray | memoryview


class Body(Protocol):
    """A request's payload, decoded (aws-chunked removed) and verified (signatures, digest, length, trailer).

    The end of the stream is reached only when everything verified: a handler that commits after the loop has ended
    commits only what the client signed. Anything wrong raises S3Error out of the loop.
    """

    @property
    def size(self) -> int | None:
        """Declared plaintext size in bytes (x-amz-decoded-content-length or Content-Length)."""
        ...

    @property
    def trailers(self) -> Mapping[str, str]:
        """Verified trailing headers, lower case; complete once the stream has ended."""
        ...

    def at_once(self) -> Sequence[Piece] | None:
        """The whole payload, verified, where it is small and has arrived already; else None: then it is iterated over.
        Raises S3Error."""
        ...

    def __aiter__(self) -> AsyncIterator[Piece]:
        """Chunks of payload, at most 512 KiB each."""
        ...

    async def read(self, limit: int) -> bytes:
        """The whole payload. Raises S3Error (EntityTooLarge, MalformedXML …) when it is over `limit` bytes."""
        ...


class Request(msgspec.Struct):
    """One parsed and framed request. Nothing in it is trusted yet."""

    method: str
    path: bytes  # raw, percent-encoded, without the query
    query_string: bytes  # raw, without the question mark
    #: Lower case names; values decoded as Latin-1, so that no byte is lost. A repeated header is refused by framing or
    #: joined with a comma.
    headers: dict[str, str]
    bucket: str | None = None  # decoded, from the path or by the Host
    name: bytes | None = None  # decoded object name; None on service and bucket paths
    query: dict[str, str] = {}  # decoded; a repeated parameter is refused
    peer: str = ""  # address of who is connected; empty: not known
    secure: bool = False  # came over TLS
    #: Came as /public/<bucket>/<key>, or by a host name of the bucket's own: anonymous only, whatever else it carries.
    public_path: bool = False
    bucket_in_host: bool = False  # the path is the object's name alone
    operation: str = "-"  # S3's name of it, once that is known
    claimed_signer: str = ""  # access key id that the request names
    signer: str = ""  # the same, once the signature was found right


class Response(msgspec.Struct):
    """An answer. `length` is required when the body is a stream."""

    status: int = 200
    headers: dict[str, str] = {}
    body: bytes | AsyncIterator[bytes | bytearray] = b""  # of what comes nothing is changed later
    length: int | None = None  # bytes; None: len(body)
