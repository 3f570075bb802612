"""The embedded store as a worker sees it: it reads the index and the files by itself and writes by the committer."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final, TypeVar

import lmdb
import msgspec

from cooper_gateway.config import GatewayConfig
from cooper_gateway.storage import entries, listing, wire
from cooper_gateway.storage.bucket_keys import BucketKeys
from cooper_gateway.storage.client import CommitterClient
from cooper_gateway.storage.commits import MORE, Conflict
from cooper_gateway.storage.entries import ObjectRecord, PartRecord, State
from cooper_gateway.storage.index import DAMAGE, Index, decode_wish, open_readonly
from cooper_gateway.storage.layout import Layout, StoreUnusable
from cooper_gateway.storage.multipart import Uploads
from cooper_gateway.storage.open_files import OpenFiles
from cooper_gateway.storage.open_object import StoredObject
from cooper_gateway.storage.pins import Pins
from cooper_gateway.storage.port import (
    NO_CONDITIONS,
    Attributes,
    BucketClosed,
    BucketRef,
    Checksum,
    Conditions,
    Damaged,
    Guard,
    ListEntry,
    Listing,
    ObjectInfo,
    Overloaded,
    PartInfo,
    Segment,
    StoreError,
    StoreFailed,
    UploadInfo,
    UploadListing,
    Usage,
    Wish,
)
from cooper_gateway.storage.reading import Reader, damaged
from cooper_gateway.storage.sealing import BucketSealer, Sealer
from cooper_gateway.storage.segments import SegmentDirectories, StoredSegment, StoreWriter

_T = TypeVar("_T")

_THREADS: Final = 8
_ATTEMPTS: Final = 8  # of a write that depends on what it read
_SLICE: Final = 128  # records opened before others have a turn
_MOST_FILES: Final = 512  # unless whoever shares out the process's descriptors says otherwise
_INDEX_WAIT: Final = 10.0  # seconds for the committer to make the index


class EmbeddedStore:
    """`Store` of a worker. The committer must have been started."""

    def __init__(
        self,
        config: GatewayConfig,
        sealer: Sealer,
        loop: asyncio.AbstractEventLoop,
        most_files: int = _MOST_FILES,
    ) -> None:
        """Open for reading; readers hold at most so many files. Raises StoreUnusable when no committer makes the index
        in time.
        """
        self._layout = Layout(config.data_dir)
        self._sealer = sealer
        self._index = _wait_for_index(self._layout, config.map_size)
        self._keys = BucketKeys(self._layout, sealer)
        self._executor = ThreadPoolExecutor(_THREADS, thread_name_prefix="store")
        self._client = CommitterClient(config.committer_path, loop)
        self._directories = SegmentDirectories(self._layout, self._client)
        self._client.on_lost = self._directories.give_up
        pins, files = Pins(config.run_dir), OpenFiles(most_files)
        pins.prepare()
        self._reader = Reader(self._layout, self._index, self._keys, sealer, self._executor, pins, files)
        self._uploads = Uploads(self._index, self._keys, self._client)
        self._made: set[bytes] = set()  # buckets that are known to have a key and a row

    def peek(
        self, bucket: BucketRef, name: bytes, start: int = 0, end: int | None = None
    ) -> tuple[ObjectInfo, bytes | None] | None:
        """The object's info at once, and bytes start to end of it when it lies inline."""
        return self._reader.peek(bucket, name, start, end)

    async def open(self, bucket: BucketRef, name: bytes) -> StoredObject:
        """Open for reading, pinned as it is now."""
        return await self._reader.open(bucket, name)

    async def list_objects(
        self, bucket: BucketRef, prefix: bytes, delimiter: bytes, after: bytes, limit: int
    ) -> Listing:
        """A page of the listing, of one instant."""
        try:
            with self._index.read_to_keep() as txn:
                row = self._index.row(txn, bucket.data_id)
                if row is None:
                    return Listing([], [], None)
                if row.state != State.OPEN:
                    raise BucketClosed
                found, prefixes, resume = listing.page_of_objects(
                    txn, self._index, row, prefix, delimiter, after, limit
                )
        except DAMAGE as error:
            raise Damaged(f"the names of bucket {bucket.name} after {after!r}: {error}") from None
        if not found:  # perhaps there is no key yet
            return Listing([], prefixes, resume)
        sealer, page = self._keys.get(bucket.data_id), list[ListEntry]()
        for start in range(0, len(found), _SLICE):
            if start:
                await asyncio.sleep(0)
            try:
                page += listing.object_entries(sealer, found[start : start + _SLICE])
            except listing.EntryDamaged as error:
                raise damaged(bucket, error.name, error) from None
        return Listing(page, prefixes, resume)

    def writer(self, bucket: BucketRef, expected_size: int | None) -> StoreWriter:
        """Begin a segment."""
        return StoreWriter(self._sealer, lambda: self._bucket(bucket), self._directories, self._executor)

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
        stored = _stored(segment)
        header = stored.header(entries.now_ms())
        record = ObjectRecord(etag, attributes, checksum)
        entry = entries.seal_entry(self._keys.get(bucket.data_id), _checked(name), header, record)
        request = wire.Put(0, bucket.data_id, name, entry, stored.body, conditions, guard)
        await _committing(stored, self._client.ask(request))
        return entries.object_info(header, record)

    async def replace_attributes(
        self, bucket: BucketRef, name: bytes, attributes: Attributes, conditions: Conditions, guard: Guard
    ) -> ObjectInfo:
        """New attributes and modification time for the same bytes."""

        async def attempt() -> ObjectInfo:
            found, info = self._reader.find_info(bucket, name)
            header = found.header._replace(modified=max(entries.now_ms(), found.header.modified + 1))
            record = msgspec.structs.replace(found.record, attributes=attributes)
            entry = entries.seal_entry(found.sealer, name, header, record)
            request = wire.Replace(0, bucket.data_id, name, found.header.pack(), entry, conditions, guard)
            await self._client.ask(request)
            return msgspec.structs.replace(info, modified=header.modified, attributes=attributes)

        return await _repeated(attempt)

    async def delete(
        self, bucket: BucketRef, names: Sequence[bytes], guard: Guard, conditions: Conditions = NO_CONDITIONS
    ) -> None:
        """Delete what is there of `names`, in one commit."""
        await self._client.ask(wire.Delete(0, bucket.data_id, list(names), guard, conditions))

    async def create_upload(self, bucket: BucketRef, upload: UploadInfo, guard: Guard) -> str:
        """Begin a multipart upload."""
        _checked(upload.name)
        await self._bucket(bucket)
        return await self._uploads.create(bucket, upload, guard)

    async def upload_info(self, bucket: BucketRef, name: bytes, upload_id: str) -> UploadInfo:
        """What the upload was created with."""
        return self._uploads.info(bucket, name, upload_id)

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
        stored, record = _stored(segment), PartRecord(etag, checksum)
        work = self._uploads.put_part(bucket, name, upload_id, number, stored, record, guard)
        return await _committing(stored, work)

    async def list_parts(
        self, bucket: BucketRef, name: bytes, upload_id: str, after: int, limit: int
    ) -> list[PartInfo]:
        """Parts after number `after`."""
        return await self._uploads.list_parts(bucket, name, upload_id, after, limit)

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
        return await _repeated(
            lambda: self._uploads.complete(bucket, name, upload_id, parts, etag, checksum, conditions, guard)
        )

    async def abort_upload(self, bucket: BucketRef, name: bytes, upload_id: str, guard: Guard) -> None:
        """Drop an upload and its parts."""
        await self._uploads.abort(bucket, name, upload_id, guard)

    async def expire_uploads(self, before: int) -> int:
        """Drop uploads that nothing was added to since then, one commit for each."""
        return await self._uploads.expire(before)

    async def list_uploads(
        self, bucket: BucketRef, prefix: bytes, delimiter: bytes, after: tuple[bytes, str], limit: int
    ) -> UploadListing:
        """A page of the uploads in progress."""
        return self._uploads.page(bucket, prefix, delimiter, after, limit)

    async def usage(self, bucket: BucketRef) -> Usage:
        """What the bucket holds."""
        try:
            with self._index.read() as txn:
                row = self._index.row(txn, bucket.data_id)
        except DAMAGE as error:
            raise Damaged(f"the row of bucket {bucket.name}: {error}") from None
        if row is None:
            return Usage(0, 0, 0, closed=False)
        return Usage(row.objects, row.size, row.uploads, row.state != State.OPEN, row.parts_size)

    async def close_bucket(
        self, bucket: BucketRef, guard: Guard | None, intent: bytes, *, with_content: bool = False
    ) -> None:
        """Close the bucket if it is empty, or with what it holds."""
        await self._client.ask(wire.Close(0, bucket.data_id, intent, guard, with_content))

    async def reopen_bucket(self, bucket: BucketRef) -> None:
        """Open a closed bucket again."""
        await self._client.ask(wire.Reopen(0, bucket.data_id))

    async def destroy_bucket(self, bucket: BucketRef) -> None:
        """Drop a closed bucket, uploads first, its key last. Raises BucketNotEmpty while it holds objects."""
        while await self._client.ask(wire.Destroy(0, bucket.data_id)) == MORE:
            pass

    async def purge_bucket(self, bucket: BucketRef) -> bool:
        """Close the bucket and drop some of what it holds, in one commit."""
        return await self._client.ask(wire.Purge(0, bucket.data_id)) == MORE

    async def intents(self) -> list[bytes]:
        """The intents of closed buckets."""
        with self._index.read() as txn, txn.cursor(self._index.intents) as cursor:
            return [bytes(value) for value in cursor.iternext(keys=False, values=True)]

    async def ask_for_bucket(self, wish: Wish, guard: Guard) -> None:
        """Keep a wish, unless one of the same key waits already."""
        await self._client.ask(wire.Ask(0, b"", wish, guard))

    async def wish(self, bucket: str) -> Wish | None:
        """The wish for a bucket of that name."""
        with self._index.read() as txn:
            value = txn.get(bucket.encode(), db=self._index.wishes)
            return None if value is None else decode_wish(bytes(value))

    async def wishes(self) -> list[Wish]:
        """All wishes that are kept."""
        with self._index.read() as txn:
            return self._index.wishes_in(txn)

    async def settle_wish(self, bucket: str, wish_id: str, outcome: str) -> None:
        """Note the outcome of a wish, or forget it."""
        await self._client.ask(wire.Settle(0, b"", bucket, wish_id, outcome))

    async def close(self) -> None:
        """Release everything. Writes that wait for their commit fail."""
        self._client.close()
        self._executor.shutdown(wait=True, cancel_futures=True)
        self._directories.close()
        self._index.env.close()

    async def _bucket(self, bucket: BucketRef) -> BucketSealer:
        """The cipher of a bucket, which the committer makes at the first write."""
        if bucket.data_id not in self._made:
            await self._client.ask(wire.EnsureBucket(0, bucket.data_id))
            self._made.add(bucket.data_id)
        return self._keys.get(bucket.data_id)


async def _committing(stored: StoredSegment, work: Awaitable[_T]) -> _T:
    """Wait for a commit. Where nobody knows its outcome the segment is abandoned: the committer, which reads that only
    after the request itself, removes nothing that the index refers to."""
    try:
        result = await work
    except (StoreFailed, asyncio.CancelledError):
        stored.abandon()
        raise
    except StoreError:
        raise  # refused: the segment is still the writer's to abort
    stored.committed()
    return result


async def _repeated(attempt: Callable[[], Awaitable[_T]]) -> _T:
    """Repeat what depends on a state that others changed meanwhile."""
    for _ in range(_ATTEMPTS):
        try:
            return await attempt()
        except Conflict:
            continue
    raise Overloaded("others keep changing the same object: try again")


def _stored(segment: Segment) -> StoredSegment:
    if not isinstance(segment, StoredSegment):
        raise TypeError("the segment was made by another store")
    return segment


def _checked(name: bytes) -> bytes:
    # The protocol layer refuses such names with an S3 error; the order of the index relies on it.
    if not 1 <= len(name) <= 1024 or b"\0" in name:
        raise ValueError("an object name has 1 to 1,024 bytes and no NUL")
    return name


def _wait_for_index(layout: Layout, map_size: int) -> Index:
    deadline = time.monotonic() + _INDEX_WAIT
    problem: lmdb.Error | None = None
    while time.monotonic() < deadline:
        try:
            index = open_readonly(layout, map_size)
        except lmdb.Error as error:  # half made
            index, problem = None, error
        if index is not None:
            return index
        time.sleep(0.02)
    reason = problem or "no committer runs"
    raise StoreUnusable(f"the index {layout.index} could not be opened for {_INDEX_WAIT:.0f} s: {reason}")
