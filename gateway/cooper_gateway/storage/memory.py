"""The store in memory: the whole port, nothing durable. For tests and for trying things; ships beside the port.

It answers as any other backend must, so what passes against it (conditions, closed buckets, the access check inside
the commit, multipart) holds elsewhere. One event loop uses it: what happens between two awaits is a transaction.
"""

import itertools
import secrets
import time
from collections.abc import Callable, Sequence

import msgspec

from cooper_gateway.storage.memory_listing import common_prefix, page_of
from cooper_gateway.storage.memory_objects import (
    Completed,
    MemoryBucket,
    MemoryObject,
    MemorySegment,
    MemoryWriter,
    Stored,
    Upload,
)
from cooper_gateway.storage.port import (
    NO_CONDITIONS,
    Attributes,
    BucketClosed,
    BucketNotEmpty,
    BucketRef,
    Checksum,
    ConditionFailed,
    Conditions,
    EntityTooSmall,
    Guard,
    InvalidPart,
    ListEntry,
    Listing,
    NoSuchName,
    NoSuchUpload,
    ObjectInfo,
    PartInfo,
    Recheck,
    Refused,
    Segment,
    UploadEntry,
    UploadInfo,
    UploadListing,
    Usage,
    Wish,
)
from cooper_gateway.storage.wishes import admit

#: "Part size: 5 MiB to 5 GiB. There is no minimum size limit on the last part." (S3 User Guide, multipart limits)
MIN_PART_SIZE = 5 << 20
#: Bodies up to this many bytes are answered by `peek`.
INLINE_LIMIT = 32 << 10
#: Objects that one step of a purge drops at most.
PURGED_AT_ONCE = 500
#: How long a completion's answer is kept, in milliseconds.
COMPLETION_KEPT = 86_400_000


def _wall_clock() -> int:
    return time.time_ns() // 1_000_000


def _upload_entry(upload_id: str, upload: UploadInfo) -> UploadEntry:
    return UploadEntry(upload.name, upload_id, upload.initiated, upload.checksum_algorithm, upload.checksum_kind)


def _check_conditions(conditions: Conditions, stored: Stored | None) -> None:
    """Raise ConditionFailed unless the conditions hold for what is stored now."""
    etag = stored.info.etag if stored is not None else None
    wanted, unwanted = conditions.if_match, conditions.if_none_match
    if wanted is not None and (etag is None or wanted not in ("*", etag)):
        raise ConditionFailed
    if unwanted is not None and etag is not None and unwanted in ("*", etag):
        raise ConditionFailed


def _check_quota(state: MemoryBucket, name: bytes, size: int, guard: Guard, upload: Upload | None = None) -> None:
    """Raise Refused when the bucket would hold more than it may, without the parts of an upload that becomes it."""
    old = state.objects.get(name)
    more = size - (0 if old is None else old.info.size)
    held = state.size + _parts_size(state) - (0 if upload is None else _size_of(upload))
    if guard.quota.forbids(len(state.objects), held, old is None, more):
        raise Refused("QuotaExceeded")


def _check_room_for_part(state: MemoryBucket, name: bytes, more: int, guard: Guard) -> None:
    """Raise Refused where the parts would not fit, were they completed now."""
    old = state.objects.get(name)
    held = state.size - (0 if old is None else old.info.size) + _parts_size(state)
    if guard.quota.forbids(len(state.objects), held, 0, more):
        raise Refused("QuotaExceeded")


def _parts_size(state: MemoryBucket) -> int:
    return sum(map(_size_of, state.uploads.values()))


def _size_of(upload: Upload) -> int:
    return sum(part.size for part, _ in upload.parts.values())


class MemoryStore:
    """Store in memory. `recheck` is asked inside every commit; `clock` tells Unix milliseconds."""

    def __init__(
        self,
        recheck: Recheck | None = None,
        *,
        clock: Callable[[], int] = _wall_clock,
        inline_limit: int = INLINE_LIMIT,
        min_part_size: int = MIN_PART_SIZE,
    ) -> None:
        self._recheck = recheck
        self._clock = clock
        self._inline_limit = inline_limit
        self._min_part_size = min_part_size
        self._buckets: dict[bytes, MemoryBucket] = {}
        self._wishes: dict[str, Wish] = {}  # by the bucket's name

    def _state(self, bucket: BucketRef) -> MemoryBucket:
        return self._buckets.setdefault(bucket.data_id, MemoryBucket())

    def _readable(self, bucket: BucketRef) -> MemoryBucket:
        state = self._state(bucket)
        if state.closed:
            raise BucketClosed
        return state

    def _writable(self, bucket: BucketRef, guard: Guard, *names: bytes) -> MemoryBucket:
        self._allow(bucket, guard, *names)
        return self._readable(bucket)

    def _allow(self, bucket: BucketRef, guard: Guard, *names: bytes) -> None:
        if self._recheck is None:
            return
        code = guard.refusal(self._recheck, bucket.data_id, names)
        if code is not None:
            raise Refused(code)

    def _stored(self, bucket: BucketRef, name: bytes) -> Stored:
        stored = self._readable(bucket).objects.get(name)
        if stored is None:
            raise NoSuchName
        return stored

    def _upload(self, state: MemoryBucket, name: bytes, upload_id: str) -> Upload:
        upload = state.uploads.get(upload_id)
        if upload is None or upload.info.name != name:
            raise NoSuchUpload
        return upload

    def peek(
        self, bucket: BucketRef, name: bytes, start: int = 0, end: int | None = None
    ) -> tuple[ObjectInfo, bytes | None] | None:
        """The object's info, and bytes start to end of it when it is small."""
        stored = self._stored(bucket, name)
        return stored.info, stored.data[start:end] if stored.info.size <= self._inline_limit else None

    async def open(self, bucket: BucketRef, name: bytes) -> MemoryObject:
        """Open for reading."""
        return MemoryObject(self._stored(bucket, name))

    async def list_objects(
        self, bucket: BucketRef, prefix: bytes, delimiter: bytes, after: bytes, limit: int
    ) -> Listing:
        """A page of the listing."""
        state = self._readable(bucket)
        page = list(itertools.islice(page_of(state.names, prefix, delimiter, after), limit + 1 if limit > 0 else 0))
        resume = page[limit - 1][0] if len(page) > limit else None
        entries: list[ListEntry] = []
        for name, rolled in page[:limit]:
            if not rolled:
                info = state.objects[name].info
                entries.append(ListEntry(name, info.size, info.modified, info.etag, info.checksum))
        return Listing(entries, [name for name, rolled in page[:limit] if rolled], resume)

    def writer(self, bucket: BucketRef, expected_size: int | None) -> MemoryWriter:
        """Begin a segment."""
        return MemoryWriter()

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
        """Make the segment the object of that name."""
        state = self._writable(bucket, guard, name)
        _check_conditions(conditions, state.objects.get(name))
        _check_quota(state, name, segment.size, guard)
        info = ObjectInfo(segment.size, self._clock(), etag, attributes, checksum)
        state.set(name, Stored(info, _data(segment)))
        return info

    async def replace_attributes(
        self, bucket: BucketRef, name: bytes, attributes: Attributes, conditions: Conditions, guard: Guard
    ) -> ObjectInfo:
        """New attributes and modification time for the same bytes."""
        state = self._writable(bucket, guard, name)
        stored = self._stored(bucket, name)
        _check_conditions(conditions, stored)
        info = msgspec.structs.replace(stored.info, attributes=attributes, modified=self._clock())
        state.set(name, Stored(info, stored.data))
        return info

    async def delete(
        self, bucket: BucketRef, names: Sequence[bytes], guard: Guard, conditions: Conditions = NO_CONDITIONS
    ) -> None:
        """Delete what is there of `names`."""
        state = self._writable(bucket, guard, *names)
        for name in names:
            _check_conditions(conditions, state.objects.get(name))
        for name in names:
            state.remove(name)

    async def create_upload(self, bucket: BucketRef, upload: UploadInfo, guard: Guard) -> str:
        """Begin a multipart upload."""
        state = self._writable(bucket, guard, upload.name)
        upload_id = secrets.token_hex(16)
        state.uploads[upload_id] = Upload(upload)
        return upload_id

    async def upload_info(self, bucket: BucketRef, name: bytes, upload_id: str) -> UploadInfo:
        """What the upload was created with."""
        return self._upload(self._readable(bucket), name, upload_id).info

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
        """Store a part."""
        state = self._writable(bucket, guard, name)
        upload = self._upload(state, name, upload_id)
        before = upload.parts.get(number)
        _check_room_for_part(state, name, segment.size - (0 if before is None else before[0].size), guard)
        part = PartInfo(number, segment.size, self._clock(), etag, checksum)
        upload.parts[number] = part, _data(segment)
        return part

    async def list_parts(
        self, bucket: BucketRef, name: bytes, upload_id: str, after: int, limit: int
    ) -> list[PartInfo]:
        """Parts after number `after`."""
        upload = self._upload(self._readable(bucket), name, upload_id)
        return [upload.parts[number][0] for number in sorted(upload.parts) if number > after][:limit]

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
        """Make the object of the parts named."""
        state = self._writable(bucket, guard, name)
        done = state.completed.get(upload_id)
        if done is not None and (done.name, done.parts) == (name, tuple(parts)):
            if self._clock() - done.at <= COMPLETION_KEPT:
                return done.info
            del state.completed[upload_id]
        upload = self._upload(state, name, upload_id)
        chosen = [_part(upload, number, wanted) for number, wanted in parts]
        if not chosen:
            raise InvalidPart
        if any(part.size < self._min_part_size for part, _ in chosen[:-1]):
            raise EntityTooSmall
        _check_conditions(conditions, state.objects.get(name))
        sizes = tuple(part.size for part, _ in chosen)
        _check_quota(state, name, sum(sizes), guard, upload)
        checksums = tuple(part.checksum for part, _ in chosen)
        info = ObjectInfo(sum(sizes), self._clock(), etag, upload.info.attributes, checksum, sizes, checksums)
        state.set(name, Stored(info, b"".join(data for _, data in chosen)))
        del state.uploads[upload_id]
        state.completed[upload_id] = Completed(name, tuple(parts), info, info.modified)
        return info

    async def abort_upload(self, bucket: BucketRef, name: bytes, upload_id: str, guard: Guard) -> None:
        """Drop an upload and its parts."""
        state = self._writable(bucket, guard, name)
        self._upload(state, name, upload_id)
        del state.uploads[upload_id]

    async def expire_uploads(self, before: int) -> int:
        """Drop uploads that nothing was added to since then."""
        dropped = 0
        for state in self._buckets.values():
            if state.closed:
                continue
            for upload_id, upload in list(state.uploads.items()):
                times = [upload.info.initiated, *(part.modified for part, _ in upload.parts.values())]
                if max(times) < before:
                    del state.uploads[upload_id]
                    dropped += 1
        return dropped

    async def list_uploads(
        self, bucket: BucketRef, prefix: bytes, delimiter: bytes, after: tuple[bytes, str], limit: int
    ) -> UploadListing:
        """A page of the uploads in progress. With an empty upload id, after every upload of that name."""
        state = self._readable(bucket)
        found = sorted((upload.info.name, upload_id) for upload_id, upload in state.uploads.items())
        skipped = after[0] if not after[1] and common_prefix(after[0], prefix, delimiter) == after[0] else None
        page: list[tuple[bytes, str | None]] = []  # a common prefix has no upload id
        for name, upload_id in found:
            rolled = common_prefix(name, prefix, delimiter) if name.startswith(prefix) else None
            seen = name <= after[0] if not after[1] else (name, upload_id) <= after
            if seen or not name.startswith(prefix) or (rolled is not None and rolled == skipped):
                continue
            item = (name, upload_id) if rolled is None else (rolled, None)
            if not page or page[-1] != item:
                page.append(item)
        resume = (page[limit - 1][0], page[limit - 1][1] or "") if 0 < limit < len(page) else None
        entries = [_upload_entry(i, state.uploads[i].info) for _, i in page[:limit] if i is not None]
        return UploadListing(entries, [name for name, i in page[:limit] if i is None], resume)

    async def usage(self, bucket: BucketRef) -> Usage:
        """What the bucket holds."""
        state = self._state(bucket)
        return Usage(len(state.objects), state.size, len(state.uploads), state.closed, _parts_size(state))

    async def close_bucket(
        self, bucket: BucketRef, guard: Guard | None, intent: bytes, *, with_content: bool = False
    ) -> None:
        """Close the bucket if it is empty, or with what it holds."""
        state = self._state(bucket)
        if guard is not None:
            self._allow(bucket, guard, b"")
        if state.objects and not with_content:
            raise BucketNotEmpty
        state.closed = True
        if not state.destroyed:
            state.intent = intent or state.intent

    async def reopen_bucket(self, bucket: BucketRef) -> None:
        """Open a closed bucket again. Raises BucketClosed when it was destroyed."""
        state = self._state(bucket)
        if state.destroyed:
            raise BucketClosed
        state.closed = False
        state.intent = b""

    async def destroy_bucket(self, bucket: BucketRef) -> None:
        """Drop what a closed bucket holds; it stays closed for ever. Raises BucketNotEmpty while it holds objects."""
        state = self._state(bucket)
        if state.objects:
            raise BucketNotEmpty
        self._buckets[bucket.data_id] = MemoryBucket(closed=True, destroyed=True)

    async def purge_bucket(self, bucket: BucketRef) -> bool:
        """Close the bucket and drop some of what it holds."""
        state = self._state(bucket)
        state.closed = True
        state.uploads.clear()
        for name in state.names[:PURGED_AT_ONCE]:
            state.remove(name)
        return bool(state.objects)

    async def intents(self) -> list[bytes]:
        """The intents of closed buckets."""
        return [state.intent for state in self._buckets.values() if state.closed and state.intent]

    async def ask_for_bucket(self, wish: Wish, guard: Guard) -> None:
        """Keep a wish, unless one of the same key waits already."""
        code = None if self._recheck is None else guard.refusal(self._recheck, b"", ())
        if code is not None:
            raise Refused(code)
        old, kept = admit(wish, self._wishes.values())
        for name in old:
            del self._wishes[name]
        if kept:
            self._wishes[wish.bucket] = wish

    async def wish(self, bucket: str) -> Wish | None:
        """The wish for a bucket of that name."""
        return self._wishes.get(bucket)

    async def wishes(self) -> list[Wish]:
        """All wishes that are kept."""
        return list(self._wishes.values())

    async def settle_wish(self, bucket: str, wish_id: str, outcome: str) -> None:
        """Note the outcome of a wish, or forget it."""
        wish = self._wishes.get(bucket)
        if wish is None or wish.id != wish_id:
            return
        if outcome:
            self._wishes[bucket] = msgspec.structs.replace(wish, outcome=outcome)
        else:
            del self._wishes[bucket]

    async def close(self) -> None:
        """Nothing to release."""


def _data(segment: Segment) -> bytes:
    if not isinstance(segment, MemorySegment):
        raise TypeError("the segment was made by another store")
    return segment.data


def _part(upload: Upload, number: int, etag: str) -> tuple[PartInfo, bytes]:
    part = upload.parts.get(number)
    if part is None or part[0].etag != etag:
        raise InvalidPart
    return part
