"""The aws-chunked encoding: a state machine from wire bytes to plaintext, trailers, and what was signed.

    size[;chunk-signature=…] CRLF  data CRLF   …   0[;chunk-signature=…] CRLF  [trailers]  CRLF

Specification: "Signature calculations: transferring payload in multiple chunks" (Amazon S3 API Reference).
Every buffer is bounded, whatever a client sends: a line ends within `MAX_LINE` bytes, data is passed on at once. So is
the work for each byte: a body of chunks of a few bytes is refused.

    HEADER ──size>0──> DATA ──> DATA_END ──> HEADER
       └─────size=0──> TRAILERS ──empty line──> DONE        (anything after DONE is an error)
"""

import hashlib
import hmac
import re
from collections.abc import Callable
from typing import Final

from cooper_gateway.protocol.errors import S3Error

#: Longest chunk header or trailer line, and all trailers together, in bytes.
MAX_LINE: Final = 16 << 10
MAX_TRAILERS: Final = 16 << 10

#: Amazon S3 takes no chunk below 8 KiB but the last. Here so many may be, and all that are no smaller on the average.
_SMALL_CHUNKS: Final = 128
_LEAST_AVERAGE: Final = 512

_EMPTY_SHA256: Final = hashlib.sha256(b"").hexdigest()
_SIGNED_HEADER: Final = re.compile(rb"([0-9A-Fa-f]{1,16});chunk-signature=([0-9a-f]{64})")
_UNSIGNED_HEADER: Final = re.compile(rb"([0-9A-Fa-f]{1,16})")
# RFC 9110, 5.1 and 5.5: a token, a colon, a value without control characters.
_TRAILER_NAME: Final = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_TRAILER_VALUE: Final = re.compile(rb"[\x20-\x7e]*")
_TRAILER_SIGNATURE: Final = "x-amz-trailer-signature"


class ChunkSigner:
    """The chain of chunk signatures: each covers its chunk and the signature before it."""

    __slots__ = ("_head", "_key", "previous")

    def __init__(self, key: bytes, amz_date: str, scope: str, seed: str) -> None:
        self._key = key
        self._head = f"{amz_date}\n{scope}\n"
        self.previous = seed

    def check_chunk(self, digest: str, signature: str) -> None:
        """Check the next chunk's signature, given the hex SHA-256 of its data. Raises S3Error SignatureDoesNotMatch."""
        self._check("AWS4-HMAC-SHA256-PAYLOAD", f"{_EMPTY_SHA256}\n{digest}", signature, "A chunk's signature")

    def check_trailer(self, trailer: bytes, signature: str) -> None:
        """Check the signature of the canonical trailer (`name:value\\n` each). Raises S3Error SignatureDoesNotMatch."""
        digest = hashlib.sha256(trailer).hexdigest()
        self._check("AWS4-HMAC-SHA256-TRAILER", digest, signature, "The trailer's signature")

    def _check(self, algorithm: str, what: str, signature: str, subject: str) -> None:
        text = f"{algorithm}\n{self._head}{self.previous}\n{what}"
        expected = hmac.digest(self._key, text.encode(), "sha256").hex()
        if not hmac.compare_digest(expected, signature):
            raise S3Error("SignatureDoesNotMatch", f"{subject} does not match; nothing of the body was stored.")
        self.previous = expected


class ChunkedReader:
    """Decodes one aws-chunked body of exactly `size` plaintext bytes. Feed it as bytes come, then `finish`.

    With a signer every chunk must be signed; `signed_trailer` says that the trailers are, too.
    """

    __slots__ = (
        "_buffer",
        "_chunks",
        "_digest",
        "_left",
        "_remaining",
        "_signature",
        "_signer",
        "_size",
        "_state",
        "_trailer_bytes",
        "_wants_trailer",
        "trailers",
    )

    def __init__(self, size: int, signer: ChunkSigner | None, *, signed_trailer: bool = False) -> None:
        self._buffer = bytearray()  # an unfinished line
        self._chunks = 0  # of data, so far
        self._digest = hashlib.sha256()
        self._left = 0  # bytes of the current chunk still to come
        self._remaining = size  # plaintext bytes still to come
        self._size = size
        self._signature = ""
        self._signer = signer
        self._wants_trailer = signed_trailer
        self._trailer_bytes = 0
        self._state: Callable[[ChunkedReader, bytes], None] = ChunkedReader._header  # reads the next line
        self.trailers: dict[str, str] = {}

    def feed(self, data: bytes | bytearray) -> list[memoryview]:
        """Plaintext in `data`. Raises S3Error as soon as something is wrong."""
        plaintext: list[memoryview] = []
        view = memoryview(data)
        position = 0
        while position < len(data):
            if self._left:
                taken = min(self._left, len(data) - position)
                plaintext.append(self._take(view[position : position + taken]))
                position += taken
                continue
            end = self._line_end(data, position)
            if end is None:
                break
            line = bytes(self._buffer) + data[position:end]
            self._buffer.clear()
            position = end
            self._state(self, line[:-2])
        return plaintext

    def finish(self) -> None:
        """The HTTP body has ended. Raises S3Error IncompleteBody unless the final chunk and its end were there."""
        if self._state is not ChunkedReader._done or self._buffer:
            raise S3Error("IncompleteBody", "The aws-chunked body ended before its final chunk was complete.")

    def _take(self, piece: memoryview) -> memoryview:
        if self._signer is not None:
            self._digest.update(piece)
        self._left -= len(piece)
        if not self._left:
            self._close_chunk()
            self._state = ChunkedReader._data_end
        return piece

    def _line_end(self, data: bytes | bytearray, position: int) -> int | None:
        """Where the line that begins in the buffer or at `position` ends in `data`; None when it has not ended yet."""
        if self._buffer.endswith(b"\r") and data[position] == 0x0A:
            end = position + 1
        else:
            found = data.find(b"\r\n", position, position + MAX_LINE)
            end = found + 2 if found >= 0 else None
        length = len(self._buffer) + (len(data) if end is None else end) - position
        if length > MAX_LINE:
            raise S3Error("InvalidRequest", f"A line of the aws-chunked encoding is longer than {MAX_LINE} bytes.")
        if end is None:
            self._buffer += data[position:]
        return end

    def _header(self, line: bytes) -> None:
        match = (_SIGNED_HEADER if self._signer is not None else _UNSIGNED_HEADER).fullmatch(line)
        if match is None:
            wanted = "SIZE;chunk-signature=SIGNATURE" if self._signer is not None else "SIZE"
            raise S3Error("InvalidRequest", f"A chunk of the aws-chunked encoding must begin with {wanted}, in hex.")
        size = int(match[1], 16)
        if size > self._remaining:
            raise S3Error("InvalidRequest", "The body has more bytes than x-amz-decoded-content-length declared.")
        if self._signer is not None:
            self._signature = match[2].decode()
        self._remaining -= size
        self._left = size
        if size == 0:
            self._close_final_chunk()
            return
        self._chunks += 1
        if (self._chunks - _SMALL_CHUNKS) * _LEAST_AVERAGE > self._size - self._remaining:
            raise S3Error("InvalidChunkSizeError")

    def _close_chunk(self) -> None:
        if self._signer is not None:
            self._signer.check_chunk(self._digest.hexdigest(), self._signature)
            self._digest = hashlib.sha256()

    def _close_final_chunk(self) -> None:
        if self._remaining:
            raise S3Error(
                "IncompleteBody", f"{self._remaining} bytes of x-amz-decoded-content-length are missing in the body."
            )
        self._close_chunk()
        self._state = ChunkedReader._trailer

    def _data_end(self, line: bytes) -> None:
        if line:
            raise S3Error("InvalidRequest", "The data of a chunk is longer than the chunk's size says.")
        self._state = ChunkedReader._header

    def _trailer(self, line: bytes) -> None:
        self._trailer_bytes += len(line)
        if self._trailer_bytes > MAX_TRAILERS:
            raise S3Error("InvalidRequest", f"The trailers are larger than {MAX_TRAILERS} bytes.")
        if not line:
            self._close_trailers()
            return
        # "x-amz-checksum-crc32c:value\n\r\n": some clients send the line feed of the canonical form along.
        raw_name, colon, raw_value = line.removesuffix(b"\n").partition(b":")
        value = raw_value.strip(b" \t")  # no pattern strips as well: of a line of blanks it would try all ways
        if not (colon and _TRAILER_NAME.fullmatch(raw_name) and _TRAILER_VALUE.fullmatch(value)):
            raise S3Error("InvalidRequest", "A trailer must be a line of the form name:value.")
        name = raw_name.decode().lower()
        if name in self.trailers:
            raise S3Error("InvalidRequest", f"The trailer {name:.64} is there more than once.")
        self.trailers[name] = value.decode()

    def _close_trailers(self) -> None:
        signature = self.trailers.pop(_TRAILER_SIGNATURE, None)
        if self._signer is not None and self._wants_trailer:
            canonical = "".join(f"{name}:{value}\n" for name, value in self.trailers.items())
            self._signer.check_trailer(canonical.encode(), signature or "")
        elif signature is not None:
            raise S3Error("InvalidRequest", f"{_TRAILER_SIGNATURE} came where x-amz-content-sha256 announced none.")
        self._state = ChunkedReader._done

    def _done(self, _line: bytes) -> None:
        raise S3Error("InvalidRequest", "There are bytes after the final chunk of the body.")
