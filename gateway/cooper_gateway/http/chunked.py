"""Transfer-Encoding: chunked, sans-IO and strict (RFC 9112, 7.1). Not aws-chunked, which may lie within."""

import re
from typing import Final

from cooper_gateway.http.head import malformed

_SIZE: Final = re.compile(rb"[0-9A-Fa-f]{1,15}")
#: Longest chunk-size or trailer line, and most bytes of all trailers together.
_MAX_LINE: Final = 1024
_MAX_TRAILERS: Final = 4096


class ChunkedDecoder:
    """Feed what arrives; get the payload, and what lies after the end.

    SIZE --size > 0--> DATA --all bytes--> DATA_END --empty line--> SIZE
    SIZE --size = 0--> TRAILER --empty line--> done
    """

    __slots__ = ("_on_line", "_partial", "_remaining", "_trailer_bytes", "done")

    def __init__(self) -> None:
        self._on_line = self._size_line
        self._partial = b""  # the beginning of a line, at most _MAX_LINE bytes
        self._remaining = 0  # bytes of the current chunk's data still to come
        self._trailer_bytes = 0
        self.done = False

    def feed(self, data: bytes) -> tuple[bytes, bytes]:
        """Take bytes off the wire; returns (payload, rest). `rest` is not empty only when `done`. Raises S3Error."""
        if self._partial:
            data = self._partial + data
        pieces: list[bytes] = []
        position = 0
        while not self.done and position < len(data):
            if self._remaining:
                piece = data[position : position + self._remaining]
                pieces.append(piece)
                self._remaining -= len(piece)
                position += len(piece)
                continue
            end = data.find(b"\r\n", position, position + _MAX_LINE + 2)
            if end < 0:
                if len(data) - position > _MAX_LINE:
                    raise malformed("a line of the chunked body is too long")
                break
            self._on_line(data[position:end])
            position = end + 2
        if self.done:
            self._partial = b""
            return b"".join(pieces), data[position:]
        self._partial = data[position:]
        # Only the line's own end may still be missing.
        if b"\n" in self._partial or b"\r" in self._partial[:-1]:
            raise malformed("a line of the chunked body ends in a bare line feed or carriage return")
        return b"".join(pieces), b""

    def _size_line(self, line: bytes) -> None:
        # "A recipient MUST ignore unrecognized chunk extensions", but they cannot hide a line end here.
        size, _, extension = line.partition(b";")
        if not _SIZE.fullmatch(size) or b"\n" in extension or b"\r" in extension:
            raise malformed("a chunk's size is not a hexadecimal number")
        self._remaining = int(size, 16)
        self._on_line = self._data_end if self._remaining else self._trailer_line

    def _data_end(self, line: bytes) -> None:
        if line:
            raise malformed("a chunk is longer than its size says")
        self._on_line = self._size_line

    def _trailer_line(self, line: bytes) -> None:
        if not line:
            self.done = True
            return
        # Trailers outside of aws-chunked are not signed: they are checked for form, and dropped.
        self._trailer_bytes += len(line)
        if self._trailer_bytes > _MAX_TRAILERS or line[:1] in b" \t:" or b":" not in line:
            raise malformed("the trailers of the chunked body are too large or malformed")
        if b"\n" in line or b"\r" in line or b"\0" in line:
            raise malformed("a trailer ends in a bare line feed or carriage return")
