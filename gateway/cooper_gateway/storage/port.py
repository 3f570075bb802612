"""The store: one port, one conformance suite for every backend.

Names of objects are bytes (UTF-8, at most 1,024); sizes are bytes; times are Unix milliseconds. Writing is in two
steps: a `SegmentWriter` makes bytes durable, a commit makes them visible. Nothing is visible before its commit, and a
commit that returned is durable. What a commit depends on (conditions, the key's record, the bucket's state) is
checked inside it.
"""

from collections.abc import AsyncIterator, Callable, Sequence
from typing import Final, Literal, Protocol

import msgspec

from cooper_crds.actions import GET_OBJECT

#: (access key id, address of the client, action, data id, names of objects) -> the S3 error code of a refusal, or None.
Recheck = Callable[[str, str, str, bytes, Sequence[bytes]], str | None]


class StoreError(Exception):
    """Base of what a store can say. Each subclass is one fact; HTTP translates it in one place."""


class NoSuchName(StoreError):
    """No object of that name."""


class NoSuchUpload(StoreError):
    """No multipart upload of that id (it never was, was aborted, or is complete)."""


class InvalidPart(StoreError):
    """A part named by a completion is missing or has another ETag or checksum."""


class EntityTooSmall(StoreError):
    """A part that is not the last has less than 5 MiB."""


class ConditionFailed(StoreError):
    """If-Match or If-None-Match did not hold at the instant of the commit."""


class BucketClosed(StoreError):
    """The bucket is closed or destroyed."""


class BucketNotEmpty(StoreError):
    """The bucket cannot be closed while it holds objects."""


class NameAskedFor(StoreError):
    """Somebody else waits for a bucket of that name."""


class Refused(StoreError):
    """The access check inside the commit said no. `code` is the S3 error code, for example KeyAccessRevoked."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


class Overloaded(StoreError):
    """The queue of writes is full: try again later."""


class StoreFull(StoreError):
    """The disk or the index has no room left; nothing of the request was stored."""


class StoreFailed(StoreError):
    """The write's outcome is unknown or an I/O error occurred. Not acknowledged; it may or may not be visible."""


class Damaged(StoreError):
    """Stored bytes failed verification. Nothing of the damaged frame is ever returned."""


class Checksum(msgspec.Struct, frozen=True, array_like=True):
    """An SDK checksum: algorithm (`CRC32`, `CRC32C`, `CRC64NVME`, `SHA1`, `SHA256`), base64 value, kind."""

    algorithm: str
    value: str  # base64; a composite one ends in -<parts>
    kind: Literal["FULL_OBJECT", "COMPOSITE"] = "FULL_OBJECT"


class Attributes(msgspec.Struct, frozen=True, array_like=True):
    """What a client says of an object besides its bytes."""

    headers: dict[str, str] = {}  # lower case: content-type, cache-control, content-encoding, expires …
    metadata: dict[str, str] = {}  # x-amz-meta-* without the prefix, lower case


class ObjectInfo(msgspec.Struct, frozen=True):
    """An object as HEAD tells it."""

    size: int
    modified: int  # Unix milliseconds
    etag: str  # without quotes: 32 hex digits, or 32 hex digits-parts
    attributes: Attributes = Attributes()
    checksum: Checksum | None = None
    part_sizes: tuple[int, ...] = ()  # empty unless made by a multipart upload
    part_checksums: tuple[Checksum | None, ...] = ()  # as many as there are sizes, or none: not kept in earlier times


class ListEntry(msgspec.Struct, frozen=True):
    """One object in a listing."""

    name: bytes
    size: int
    modified: int
    etag: str
    checksum: Checksum | None = None


class Listing(msgspec.Struct, frozen=True):
    """A page of a listing: objects and common prefixes, each in byte order; `resume` continues after this page."""

    entries: list[ListEntry]
    prefixes: list[bytes]
    resume: bytes | None  # pass as `after` (a name or a common prefix); None when complete


class UploadEntry(msgspec.Struct, frozen=True):
    """One multipart upload in progress."""

    name: bytes
    upload_id: str
    initiated: int
    checksum_algorithm: str | None = None
    checksum_kind: Literal["FULL_OBJECT", "COMPOSITE"] = "COMPOSITE"


class UploadListing(msgspec.Struct, frozen=True):
    """A page of uploads in order of name, then upload id."""

    entries: list[UploadEntry]
    prefixes: list[bytes]
    resume: tuple[bytes, str] | None


class PartInfo(msgspec.Struct, frozen=True):
    """One stored part."""

    number: int
    size: int
    modified: int
    etag: str
    checksum: Checksum | None = None


class UploadInfo(msgspec.Struct, frozen=True):
    """What CreateMultipartUpload fixed."""

    name: bytes
    initiated: int
    attributes: Attributes
    checksum_algorithm: str | None = None
    checksum_kind: Literal["FULL_OBJECT", "COMPOSITE"] = "COMPOSITE"


class Conditions(msgspec.Struct, frozen=True, array_like=True):
    """Preconditions of a write, decided inside the commit. ETags without quotes; `*` matches any object."""

    if_match: str | None = None
    if_none_match: str | None = None  # S3 knows only `*` on writes


NO_CONDITIONS: Final = Conditions()


class Quota(msgspec.Struct, frozen=True, array_like=True):
    """What a bucket may hold; None: no limit. Kept to inside the commit, where what it holds is known exactly.

    Parts of uploads in progress count, less the object that theirs takes the place of.
    """

    objects: int | None = None
    size: int | None = None  # bytes

    def forbids(self, objects: int, size: int, more_objects: int, more_size: int) -> bool:
        """Whether what is there (objects, bytes) may not become more by so much. To become less is always allowed."""
        return (self.objects is not None and more_objects > 0 and objects + more_objects > self.objects) or (
            self.size is not None and more_size > 0 and size + more_size > self.size
        )


NO_QUOTA: Final = Quota()


class Guard(msgspec.Struct, frozen=True, array_like=True):
    """Who asks, checked again inside the commit so that a revocation leaves no window; and what the bucket allows."""

    access_key_id: str
    action: str
    source: bytes = b""  # data id of the bucket that a copy reads: that right, too, must still be there
    source_name: bytes = b""  # the object that it reads
    quota: Quota = NO_QUOTA
    address: str = ""  # from where the request came

    def refusal(self, recheck: Recheck, data_id: bytes, names: Sequence[bytes]) -> str | None:
        """Why this may not be done any more to objects of the bucket whose data that is: an S3 error code, or None."""
        code = recheck(self.access_key_id, self.address, self.action, data_id, names)
        if code is None and self.source:
            code = recheck(self.access_key_id, self.address, GET_OBJECT, self.source, (self.source_name,))
        return code


class Usage(msgspec.Struct, frozen=True):
    """What a bucket holds; exact, kept in the same transactions as the objects."""

    objects: int
    size: int
    uploads: int
    closed: bool
    parts_size: int = 0  # bytes of the parts of uploads in progress


class BucketRef(msgspec.Struct, frozen=True, array_like=True):
    """A bucket as the store knows it: its data's identity. The name is for messages only."""

    data_id: bytes  # 16 bytes
    name: str


class Wish(msgspec.Struct, frozen=True, rename="camel"):
    """A CreateBucket that waits for the operator, or whose outcome waits for its client."""

    id: str  # of this one and no other
    bucket: str  # S3 name
    access_key_id: str
    asked_at: int
    outcome: str = ""  # "made", or the S3 error code of a refusal; empty: none yet
    namespace: str = ""  # of the key's owner


class Segment(Protocol):
    """Durable bytes that nothing refers to yet: hand it to a commit, or abandon it."""

    @property
    def size(self) -> int:
        """Plaintext size in bytes."""
        ...


class SegmentWriter(Protocol):
    """Encrypts and stores one body or part. Small bodies stay in memory until the commit."""

    def watch(self, seen: Callable[[bytes | bytearray], None]) -> None:
        """Before the first `write`: have `seen` called with all plaintext, in order, perhaps by another thread. It has
        been called for the last time when `finish` returns."""
        ...

    async def write(self, data: bytes | bytearray | memoryview) -> None:
        """Append plaintext, which nobody changes any more. Raises StoreFull or StoreFailed."""
        ...

    async def finish(self) -> Segment:
        """Make everything durable and return the segment for a commit."""
        ...

    def abort(self) -> None:
        """Drop what was written. Safe at any time, also after finish; does nothing once committed."""
        ...


class OpenObject(Protocol):
    """An object pinned as it was at one instant; reads are of that instant, whatever is written meanwhile."""

    @property
    def info(self) -> ObjectInfo:
        """The object's metadata."""
        ...

    def read(self, start: int, end: int) -> AsyncIterator[bytes | bytearray]:
        """Plaintext of bytes start (inclusive) to end (exclusive), every frame verified. Raises Damaged."""
        ...

    def close(self) -> None:
        """Release files. Idempotent."""
        ...


class Store(Protocol):
    """What a gateway needs of a store."""

    def peek(
        self, bucket: BucketRef, name: bytes, start: int = 0, end: int | None = None
    ) -> tuple[ObjectInfo, bytes | None] | None:
        """The object at once, without waiting: info, and its whole plaintext when it is small enough to lie inline.

        Returns None when this backend cannot answer without waiting: use `open`. Raises NoSuchName, BucketClosed,
        Damaged.
        """
        ...

    async def open(self, bucket: BucketRef, name: bytes) -> OpenObject:
        """Open for reading. Raises NoSuchName, BucketClosed, Damaged."""
        ...

    async def list_objects(
        self, bucket: BucketRef, prefix: bytes, delimiter: bytes, after: bytes, limit: int
    ) -> Listing:
        """Up to `limit` objects and common prefixes together, in byte order, greater than `after`.

        `after` may be a common prefix that an earlier page ended with: everything under it is then skipped.
        """
        ...

    def writer(self, bucket: BucketRef, expected_size: int | None) -> SegmentWriter:
        """Begin a segment; `expected_size` in bytes where the client declared it."""
        ...

    async def put(
        self,
        bucket: BucketRef,
        name: bytes,
        segment: Segment,
        etag: str,
        attributes: Attributes,
        checksum: Checksum | None,
        conditions: Conditions,
        guard: Guard,
    ) -> ObjectInfo:
        """Make the segment the object of that name. Raises ConditionFailed, Refused, BucketClosed, …"""
        ...

    async def replace_attributes(
        self, bucket: BucketRef, name: bytes, attributes: Attributes, conditions: Conditions, guard: Guard
    ) -> ObjectInfo:
        """Give an object new attributes and a new modification time without rewriting its bytes (copy onto itself)."""
        ...

    async def delete(
        self, bucket: BucketRef, names: Sequence[bytes], guard: Guard, conditions: Conditions = NO_CONDITIONS
    ) -> None:
        """Delete, idempotently, in one commit. With conditions, which hold for each name: all of them or none.

        Raises ConditionFailed, also where there is no object.
        """
        ...

    async def create_upload(self, bucket: BucketRef, upload: UploadInfo, guard: Guard) -> str:
        """Begin a multipart upload; returns its id."""
        ...

    async def upload_info(self, bucket: BucketRef, name: bytes, upload_id: str) -> UploadInfo:
        """What the upload was created with. Raises NoSuchUpload, also when it is for another name or bucket."""
        ...

    async def put_part(
        self,
        bucket: BucketRef,
        name: bytes,
        upload_id: str,
        number: int,
        segment: Segment,
        etag: str,
        checksum: Checksum | None,
        guard: Guard,
    ) -> PartInfo:
        """Store a part, replacing one of the same number. Raises NoSuchUpload."""
        ...

    async def list_parts(
        self, bucket: BucketRef, name: bytes, upload_id: str, after: int, limit: int
    ) -> list[PartInfo]:
        """Parts with a number greater than `after`, in order, at most `limit`. Raises NoSuchUpload."""
        ...

    async def complete_upload(
        self,
        bucket: BucketRef,
        name: bytes,
        upload_id: str,
        parts: Sequence[tuple[int, str]],
        etag: str,
        checksum: Checksum | None,
        conditions: Conditions,
        guard: Guard,
    ) -> ObjectInfo:
        """Make the object of the parts named (number, ETag), in order; other parts are dropped. No bytes are rewritten.

        Idempotent: repeated within a day it returns the same answer, checksums of parts aside. Raises InvalidPart,
        EntityTooSmall, NoSuchUpload.
        """
        ...

    async def abort_upload(self, bucket: BucketRef, name: bytes, upload_id: str, guard: Guard) -> None:
        """Drop an upload and its parts. Raises NoSuchUpload."""
        ...

    async def expire_uploads(self, before: int) -> int:
        """Drop the uploads of open buckets that nothing was added to since `before`, in Unix ms. Returns how many."""
        ...

    async def list_uploads(
        self, bucket: BucketRef, prefix: bytes, delimiter: bytes, after: tuple[bytes, str], limit: int
    ) -> UploadListing:
        """Uploads in progress, after (name, upload id).

        With an empty id: after every upload of that name, or of that common prefix.
        """
        ...

    async def usage(self, bucket: BucketRef) -> Usage:
        """What the bucket holds."""
        ...

    async def close_bucket(
        self, bucket: BucketRef, guard: Guard | None, intent: bytes, *, with_content: bool = False
    ) -> None:
        """Close the bucket if it is empty, in one transaction with the check; `intent` is kept until it reopens.

        Raises BucketNotEmpty, unless it is to be closed `with_content`: that stays, and is there when it reopens.
        Idempotent. A closed bucket refuses every read and write with BucketClosed.
        """
        ...

    async def reopen_bucket(self, bucket: BucketRef) -> None:
        """Open a closed bucket again (its deletion was not authorised). Idempotent."""
        ...

    async def destroy_bucket(self, bucket: BucketRef) -> None:
        """Drop a closed bucket: uploads, parts, and last its encryption key. Idempotent."""
        ...

    async def purge_bucket(self, bucket: BucketRef) -> bool:
        """Close the bucket and drop some of its uploads and objects, in one commit. True when there may be more: ask
        again, at any time. Writes that come in between go before the next one. What was destroyed holds nothing."""
        ...

    async def intents(self) -> list[bytes]:
        """The intents of closed buckets that wait for the operator."""
        ...

    async def ask_for_bucket(self, wish: Wish, guard: Guard) -> None:
        """Keep a wish, unless one of the same key for the same name waits already: that one stays.

        Raises NameAskedFor, Refused, and Overloaded when too many wait. Those that are too old are forgotten.
        """
        ...

    async def wish(self, bucket: str) -> Wish | None:
        """The wish for a bucket of that name."""
        ...

    async def wishes(self) -> list[Wish]:
        """All wishes that are kept."""
        ...

    async def settle_wish(self, bucket: str, wish_id: str, outcome: str) -> None:
        """Note the outcome of a wish, or with an empty one forget it. Another one for that name stays as it is."""
        ...

    async def close(self) -> None:
        """Release everything."""
        ...
