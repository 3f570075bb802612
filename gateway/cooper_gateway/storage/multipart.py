"""Multipart uploads, a worker's side: parts become an object by a manifest that names their segments."""

import asyncio
import contextlib
import hashlib
from collections.abc import Generator, Sequence
from typing import Final

import lmdb
import msgspec

from cooper_gateway.storage import entries, listing, names_tree, wire
from cooper_gateway.storage.bucket_keys import BucketKeys
from cooper_gateway.storage.client import CommitterClient
from cooper_gateway.storage.entries import (
    BucketRow,
    Header,
    Kind,
    ObjectRecord,
    PartRecord,
    Piece,
    Result,
    State,
)
from cooper_gateway.storage.index import DAMAGE, Index
from cooper_gateway.storage.port import (
    BucketClosed,
    BucketRef,
    Checksum,
    Conditions,
    Damaged,
    EntityTooSmall,
    Guard,
    InvalidPart,
    NoSuchUpload,
    ObjectInfo,
    PartInfo,
    UploadInfo,
    UploadListing,
)
from cooper_gateway.storage.segments import StoredSegment

MIN_PART_SIZE: Final = 5 << 20  # bytes of every part but the last
_SLICE: Final = 256  # records opened before others have a turn

_StoredPart = tuple[int, bytes]


class Uploads:
    """Multipart uploads of the embedded store."""

    def __init__(self, index: Index, keys: BucketKeys, client: CommitterClient) -> None:
        self._index = index
        self._keys = keys
        self._client = client

    async def create(self, bucket: BucketRef, upload: UploadInfo, guard: Guard) -> str:
        """Begin an upload; returns its id."""
        upload_id = entries.new_id()
        key = entries.upload_key(upload.name, upload_id)
        sealed = entries.seal_upload(self._keys.get(bucket.data_id), key, upload)
        await self._client.ask(wire.CreateUpload(0, bucket.data_id, upload.name, upload_id, sealed, guard))
        return upload_id.hex()

    def info(self, bucket: BucketRef, name: bytes, upload_id: str) -> UploadInfo:
        """What an upload was created with. Raises NoSuchUpload."""
        key = entries.upload_key(name, _raw_id(upload_id))
        with _damage_named(f"upload {upload_id} of bucket {bucket.name}"), self._index.read() as txn:
            return entries.open_upload(self._keys.get(bucket.data_id), key, self._upload(txn, bucket, key))

    async def put_part(
        self,
        bucket: BucketRef,
        name: bytes,
        upload_id: str,
        number: int,
        segment: StoredSegment,
        record: PartRecord,
        guard: Guard,
    ) -> PartInfo:
        """Store a part. Raises NoSuchUpload."""
        raw_id = _raw_id(upload_id)
        header = segment.header(entries.now_ms())
        sealer = self._keys.get(bucket.data_id)
        part = entries.seal_part(sealer, entries.part_key(raw_id, number), header, record)
        request = wire.PutPart(0, bucket.data_id, name, raw_id, number, part, segment.body, guard)
        await self._client.ask(request)
        return PartInfo(number, header.size, header.modified, record.etag, record.checksum)

    async def list_parts(
        self, bucket: BucketRef, name: bytes, upload_id: str, after: int, limit: int
    ) -> list[PartInfo]:
        """Parts after number `after`, in order. Raises NoSuchUpload."""
        raw_id = _raw_id(upload_id)
        with _damage_named(f"upload {upload_id} of bucket {bucket.name}"), self._index.read() as txn:
            self._upload(txn, bucket, entries.upload_key(name, raw_id))
            stored = self._stored_parts(txn, raw_id, after, limit)
        return [
            PartInfo(number, header.size, header.modified, record.etag, record.checksum)
            for number, header, record in await self._open_parts(bucket, raw_id, stored)
        ]

    async def complete(
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
        """Make the object of the parts named. Raises Conflict when they changed meanwhile."""
        raw_id = _raw_id(upload_id)
        key = entries.upload_key(name, raw_id)
        asked = hashlib.sha256(msgspec.msgpack.encode(list(parts))).digest()
        try:
            with _damage_named(f"upload {upload_id} of bucket {bucket.name}"), self._index.read() as txn:
                self._upload(txn, bucket, key)
                stored = self._stored_parts(txn, raw_id, 0, 1 << 16)
            upload = self.info(bucket, name, upload_id)
            pieces = _choose(await self._open_parts(bucket, raw_id, stored), parts)
            sizes = tuple(piece.size for piece in pieces)
            header = Header(Kind.MULTI, sum(sizes), entries.now_ms(), entries.new_id())
            record = ObjectRecord(etag, upload.attributes, checksum)
            sealer = self._keys.get(bucket.data_id)
            request = wire.Complete(
                0,
                bucket.data_id,
                name,
                raw_id,
                entries.seal_entry(sealer, name, header, record),
                entries.seal_manifest(sealer, header.segment_id, pieces),
                entries.seal_result(sealer, key, Result(header.size, header.modified, record, sizes, asked)),
                conditions,
                guard,
            )
            await self._client.ask(request)
        except NoSuchUpload:
            return self._completed(bucket, key, asked)
        return entries.object_info(header, record, pieces)

    async def abort(self, bucket: BucketRef, name: bytes, upload_id: str, guard: Guard) -> None:
        """Drop an upload. Raises NoSuchUpload."""
        await self._client.ask(wire.Abort(0, bucket.data_id, name, _raw_id(upload_id), guard))

    async def expire(self, before: int) -> int:
        """Drop the uploads of open buckets that nothing was added to since `before`. Returns how many."""
        with self._index.read() as txn, txn.cursor(self._index.buckets) as cursor:
            buckets = [bytes(key) for key in cursor.iternext(keys=True, values=False)]
        dropped = 0
        for data_id in buckets:
            after = b""
            while after is not None:
                idle, after = self._idle(data_id, after, before)
                for name, upload_id in idle:
                    with contextlib.suppress(NoSuchUpload, BucketClosed):  # it was used, completed or closed meanwhile
                        await self._client.ask(wire.Expire(0, data_id, name, upload_id, before))
                        dropped += 1
                await asyncio.sleep(0)
        return dropped

    def _idle(self, data_id: bytes, after: bytes, before: int) -> tuple[list[tuple[bytes, bytes]], bytes | None]:
        """Of some uploads of a bucket, those that are idle; and where to go on, None at the end."""
        idle: list[tuple[bytes, bytes]] = []
        with self._index.read() as txn:
            row = self._index.row(txn, data_id)
            if row is None or row.state != State.OPEN or not row.uploads:
                return idle, None
            walk = names_tree.Walk(txn, self._index.names, row.uploads_root)
            entry = walk.seek(after)
            left = _SLICE
            while left > 0:
                if entry is None:
                    return idle, None
                key, value = entry
                if key < after:
                    return idle, None  # damage: they are out of order, and would come again and again
                left -= 1
                if entries.upload_initiated(value) < before:
                    looked, fed = self._parts_until(txn, key[-entries.ID :], before)
                    left -= looked
                    if not fed:
                        idle.append((key[: -entries.ID - 1], key[-entries.ID :]))
                after, entry = key + b"\0", walk.after()
        return idle, after

    def _parts_until(self, txn: lmdb.Transaction, upload_id: bytes, since: int) -> tuple[int, bool]:
        """How many parts of an upload were looked at until one had come since then; and whether one had."""
        looked = 0
        with txn.cursor(self._index.parts) as cursor:
            more = cursor.set_range(upload_id)
            while more and bytes(cursor.key()).startswith(upload_id):
                looked += 1
                if entries.unpack(cursor.value()).modified >= since:
                    return looked, True
                more = cursor.next()
        return looked, False

    def page(
        self, bucket: BucketRef, prefix: bytes, delimiter: bytes, after: tuple[bytes, str], limit: int
    ) -> UploadListing:
        """Uploads in progress."""
        with _damage_named(f"an upload of bucket {bucket.name}"), self._index.read() as txn:
            row = self._row(txn, bucket)
            if row is None or not row.uploads:
                return UploadListing([], [], None)
            sealer = self._keys.get(bucket.data_id)
            return listing.page_of_uploads(txn, self._index, row, sealer, prefix, delimiter, after, limit)

    def _row(self, txn: lmdb.Transaction, bucket: BucketRef) -> BucketRow | None:
        row = self._index.row(txn, bucket.data_id)
        if row is not None and row.state != State.OPEN:
            raise BucketClosed
        return row

    def _upload(self, txn: lmdb.Transaction, bucket: BucketRef, key: bytes) -> bytes:
        row = self._row(txn, bucket)
        value = None if row is None else names_tree.get(txn, self._index.names, row.uploads_root, key)
        if value is None:
            raise NoSuchUpload
        return bytes(value)

    def _completed(self, bucket: BucketRef, key: bytes, asked: bytes) -> ObjectInfo:
        with self._index.read() as txn:
            value = txn.get(key[-entries.ID :], db=self._index.completed)
            if value is None:
                raise NoSuchUpload
            try:
                result = entries.open_result(self._keys.get(bucket.data_id), key, value)
            except ValueError:  # it belongs to another bucket or name
                raise NoSuchUpload from None
        if result.asked != asked:
            raise NoSuchUpload
        record = result.record
        return ObjectInfo(
            result.size, result.modified, record.etag, record.attributes, record.checksum, result.part_sizes
        )

    def _stored_parts(self, txn: lmdb.Transaction, upload_id: bytes, after: int, limit: int) -> list[_StoredPart]:
        found: list[_StoredPart] = []
        if after >= 0xFFFF:
            return found
        with txn.cursor(self._index.parts) as cursor:
            more = cursor.set_range(entries.part_key(upload_id, after + 1))
            while more and len(found) < limit and bytes(cursor.key()).startswith(upload_id):
                number = int.from_bytes(bytes(cursor.key())[entries.ID :], "big")
                found.append((number, bytes(cursor.value())))
                more = cursor.next()
        return found

    async def _open_parts(
        self, bucket: BucketRef, upload_id: bytes, stored: list[_StoredPart]
    ) -> list[tuple[int, Header, PartRecord]]:
        opened: list[tuple[int, Header, PartRecord]] = []
        sealer = self._keys.get(bucket.data_id) if stored else None
        for number, value in stored:
            assert sealer is not None
            try:
                record = entries.open_part(sealer, entries.part_key(upload_id, number), value)
                opened.append((number, entries.unpack(value), record))
            except ValueError as error:
                where = f"part {number} of upload {upload_id.hex()} of bucket {bucket.name}"
                raise Damaged(f"{where}: {error}") from None
            if len(opened) % _SLICE == 0:
                await asyncio.sleep(0)
        return opened


@contextlib.contextmanager
def _damage_named(where: str) -> Generator[None]:
    """Within it damage of the index is raised as such, and named."""
    try:
        yield
    except DAMAGE as error:
        raise Damaged(f"{where}: {error}") from None


def _choose(stored: list[tuple[int, Header, PartRecord]], parts: Sequence[tuple[int, str]]) -> list[Piece]:
    """The pieces that a completion names. Raises InvalidPart or EntityTooSmall."""
    known = {number: (header, record) for number, header, record in stored}
    pieces: list[Piece] = []
    for number, etag in parts:
        header, record = known.get(number, (None, None))
        if header is None or record is None or record.etag != etag:
            raise InvalidPart(f"part {number}")
        pieces.append(Piece(number, header.size, header.segment_id, header.directory_id, record.checksum))
    if not pieces:
        raise InvalidPart("no parts")
    # S3 User Guide, multipart upload limits: "5 MiB to 5 GiB. There is no minimum size limit on the last part".
    if any(piece.size < MIN_PART_SIZE for piece in pieces[:-1]):
        raise EntityTooSmall
    return pieces


def _raw_id(upload_id: str) -> bytes:
    try:
        raw = bytes.fromhex(upload_id)
    except ValueError:
        raise NoSuchUpload from None
    if len(raw) != entries.ID or raw.hex() != upload_id:
        raise NoSuchUpload
    return raw
