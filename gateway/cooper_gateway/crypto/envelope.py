"""Encryption of bodies and records under a bucket's key.

A body is a *segment*: a header (magic, salt) and frames of 64 KiB plaintext, AES-256-GCM under a key of the segment's
own, in the STREAM construction: the nonce holds the frame's number and whether it is the last one, so that frames
cannot be reordered, dropped or taken from another segment, and any range is read by opening only the frames it needs.
"""

import os
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from cooper_gateway.crypto.derivation import SALT_SIZE, TAG_SIZE, Deriver

MAGIC: Final = b"CSG1"  # format of a segment; part of the associated data
FRAME_SIZE: Final = 65536  # bytes of plaintext in every frame but the last
HEADER_SIZE: Final = len(MAGIC) + SALT_SIZE
_UNKNOWN: Final = "not a segment of a format that this program knows"


class SegmentCipher:
    """The frames of one segment."""

    __slots__ = ("_aead", "_associated", "header")

    def __init__(self, key: bytes, header: bytes, identity: bytes) -> None:
        self.header = header
        self._aead = AESGCM(key)
        self._associated = MAGIC + identity

    def seal_into(self, plaintext: memoryview, first: int, last: bool, out: memoryview) -> int:
        """Encrypt whole frames, numbered from `first`, into `out`; returns how many bytes were written.

        `last`: the segment ends with this plaintext. Only then may it be no multiple of the frame's size.
        """
        size, position, number = len(plaintext), 0, first
        for offset in range(0, size or 1, FRAME_SIZE):
            frame = plaintext[offset : offset + FRAME_SIZE]
            flag = last and offset + FRAME_SIZE >= size
            end = position + len(frame) + TAG_SIZE
            self._aead.encrypt_into(_nonce(number, flag), frame, self._associated, out[position:end])
            position, number = end, number + 1
        return position

    def open_frames(self, sealed: memoryview, first: int, last: bool) -> bytearray:
        """Decrypt whole frames, numbered from `first`; `last`: the segment ends with them. Raises ValueError."""
        step, size = FRAME_SIZE + TAG_SIZE, len(sealed)
        frames = -(-size // step)
        opened = bytearray(max(size - frames * TAG_SIZE, 0))
        view = memoryview(opened)
        try:
            for index in range(frames):
                frame = sealed[index * step : (index + 1) * step]
                begin = index * FRAME_SIZE
                nonce = _nonce(first + index, last and index == frames - 1)
                self._aead.decrypt_into(nonce, frame, self._associated, view[begin : begin + len(frame) - TAG_SIZE])
        except (InvalidTag, ValueError):
            raise ValueError("a frame does not verify") from None
        return opened


class BucketCipher:
    """All that is encrypted under one bucket's key: `BucketSealer` of the store."""

    __slots__ = ("_data_id", "_records", "_segments")

    def __init__(self, data_id: bytes, key: bytes) -> None:
        self._data_id = data_id
        self._records = Deriver(key, b"cooper/record/1")
        self._segments = Deriver(key, b"cooper/segment/1", _ONLY_FRAME)

    def seal_record(self, plaintext: bytes, context: bytes) -> bytes:
        """Encrypt a record bound to this bucket and `context`."""
        return self._records.seal(plaintext, self._data_id + context)

    def open_record(self, sealed: bytes | memoryview, context: bytes) -> bytes:
        """Decrypt and verify a record. Raises ValueError."""
        return self._records.open(sealed, self._data_id + context)

    def open_records(self, pairs: list[tuple[bytes, bytes]], clear: int, context: bytes) -> list[bytes]:
        """The records in values of pairs (name, value), each behind so many bytes in clear and bound to `context`, to
        these bytes and to its name. Raises ValueError when any does not verify."""
        return self._records.open_all(pairs, clear, self._data_id + context)

    def new_segment(self, segment_id: bytes) -> SegmentCipher:
        """A cipher for a new segment, with a fresh salt."""
        header = MAGIC + os.urandom(SALT_SIZE)
        return SegmentCipher(self._segments.derive(header[len(MAGIC) :]), header, self._data_id + segment_id)

    def seal_whole(self, segment_id: bytes, plaintext: bytes | memoryview) -> bytes:
        """A new segment of at most one frame, its header included."""
        return MAGIC + self._segments.seal(plaintext, MAGIC + self._data_id + segment_id)

    def open_whole(self, segment_id: bytes, stored: bytes | memoryview) -> bytes:
        """The plaintext of a stored segment of one frame, its header included. Raises ValueError."""
        if stored[: len(MAGIC)] != MAGIC:
            raise ValueError(_UNKNOWN)
        return self._segments.open(stored[len(MAGIC) :], MAGIC + self._data_id + segment_id)

    def segment(self, segment_id: bytes, header: bytes | memoryview) -> SegmentCipher:
        """The cipher of a stored segment, from its header. Raises ValueError."""
        if len(header) != HEADER_SIZE or header[: len(MAGIC)] != MAGIC:
            raise ValueError(_UNKNOWN)
        return SegmentCipher(self._segments.derive(header[len(MAGIC) :]), bytes(header), self._data_id + segment_id)


def _nonce(number: int, last: bool) -> bytes:
    return (number << 8 | last).to_bytes(12, "big")


_ONLY_FRAME: Final = _nonce(0, True)
