"""What the store needs of cryptography. Implemented in `crypto/`, handed in by the composition root."""

from typing import Protocol


class SegmentSealer(Protocol):
    """The frames of one segment."""

    header: bytes

    def seal_into(self, plaintext: memoryview, first: int, last: bool, out: memoryview) -> int:
        """Encrypt whole frames, numbered from `first`, into `out`; returns how many bytes were written."""
        ...

    def open_frames(self, sealed: memoryview, first: int, last: bool) -> bytearray:
        """Decrypt whole frames, numbered from `first`; `last`: the segment ends with them. Raises ValueError."""
        ...


class BucketSealer(Protocol):
    """All that is encrypted under one bucket's key."""

    def seal_record(self, plaintext: bytes, context: bytes) -> bytes:
        """Encrypt a record bound to this bucket and `context`."""
        ...

    def open_record(self, sealed: bytes | memoryview, context: bytes) -> bytes:
        """Decrypt and verify a record. Raises ValueError."""
        ...

    def open_records(self, pairs: list[tuple[bytes, bytes]], clear: int, context: bytes) -> list[bytes]:
        """The records in values of pairs (name, value), each behind so many bytes in clear and bound to `context`, to
        these bytes and to its name. Raises ValueError when any does not verify."""
        ...

    def new_segment(self, segment_id: bytes) -> SegmentSealer:
        """A cipher for a new segment, with a fresh salt."""
        ...

    def seal_whole(self, segment_id: bytes, plaintext: bytes | memoryview) -> bytes:
        """A new segment of at most one frame, its header included."""
        ...

    def open_whole(self, segment_id: bytes, stored: bytes | memoryview) -> bytes:
        """The plaintext of a stored segment of one frame, its header included. Raises ValueError."""
        ...

    def segment(self, segment_id: bytes, header: bytes | memoryview) -> SegmentSealer:
        """The cipher of a stored segment, from its header. Raises ValueError."""
        ...


class Sealer(Protocol):
    """The key-encryption keys, as the store uses them: the newest wraps, each unwraps."""

    @property
    def frame_size(self) -> int:
        """Bytes of plaintext in every frame but the last."""
        ...

    @property
    def frame_overhead(self) -> int:
        """Bytes that encryption adds to each frame."""
        ...

    @property
    def header_size(self) -> int:
        """Bytes before the first frame."""
        ...

    @property
    def fingerprint(self) -> str:
        """Names the newest key-encryption key."""
        ...

    def refresh(self) -> bool:
        """Take up what was added to the key file, and removed. True when that has changed anything."""
        ...

    def check_fingerprint(self, stored: str) -> None:
        """Raise, naming all, unless every key that a store says it needs, with blanks between, is there."""
        ...

    def new_bucket_key(self, data_id: bytes) -> bytes:
        """Content of a bucket's key file: a new random key, wrapped."""
        ...

    def bucket(self, data_id: bytes, key_file: bytes) -> BucketSealer:
        """The cipher of a bucket, from its key file's content. Raises ValueError with the reason."""
        ...

    def wrapped_by(self, key_file: bytes) -> str | None:
        """Which key-encryption key wraps a bucket's key; None when that is not what the file holds."""
        ...

    def rewrapped(self, data_id: bytes, key_file: bytes) -> bytes:
        """Content of a key file with the same key, wrapped by the newest. Raises ValueError with the reason."""
        ...
