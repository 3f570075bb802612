"""What each request to the committer does inside the transaction. One function a request; `APPLY` lists them all."""

from collections.abc import Callable
from typing import Any, Final

import msgspec

from cooper_gateway.storage import entries
from cooper_gateway.storage.batch import Batch
from cooper_gateway.storage.entries import BucketRow, Header, State
from cooper_gateway.storage.index import decode_wish, encode_wish
from cooper_gateway.storage.port import (
    BucketClosed,
    BucketNotEmpty,
    ConditionFailed,
    NoSuchName,
    NoSuchUpload,
    Refused,
    StoreFailed,
)
from cooper_gateway.storage.wire import (
    Abort,
    Ask,
    Close,
    Complete,
    CreateUpload,
    Delete,
    Destroy,
    EnsureBucket,
    Expire,
    Purge,
    Put,
    PutPart,
    Reopen,
    Replace,
    Rewrap,
    Settle,
)
from cooper_gateway.storage.wishes import admit

RESULT_KEPT: Final = 24 * 3600 * 1000  # milliseconds that the result of a completion is kept
_PRUNED_AT_ONCE: Final = 64
_DESTROYED_AT_ONCE: Final = 2000  # parts that one transaction of a destruction drops at most
_REWRAPPED_AT_ONCE: Final = 16  # bucket keys, each with two syncs, for which other writes wait
_PURGED_AT_ONCE: Final = 500  # objects and parts of a purge: other writes wait for that transaction

#: The reply's detail of a Destroy, a Purge or a Rewrap that has more to do; of the last with a number.
MORE: Final = "more"


class Conflict(Exception):
    """What the worker saw has changed since: it looks again and asks again."""


def ensure_bucket(batch: Batch, request: EnsureBucket) -> None:
    """Make the bucket's key and row. The key is durable before the row is."""
    row = batch.any_row(request.data_id)
    if row is None:
        batch.make_key(request.data_id)
        batch.new_row(request.data_id)
    elif row.state != State.OPEN:
        raise BucketClosed
    elif not batch.keys.exists(request.data_id):
        if row.objects or row.uploads:
            raise StoreFailed(f"the key of bucket {request.data_id.hex()} is lost: bring bucket-keys/ back")
        batch.make_key(request.data_id)  # closed before it was ever written to, and opened again


def put(batch: Batch, request: Put) -> None:
    """Make or overwrite an object."""
    batch.check_guard(request.guard, request.data_id, request.name)
    row = batch.row(request.data_id)
    header = entries.unpack(request.entry)
    _make_object(batch, row, request, header, request.body)


def replace(batch: Batch, request: Replace) -> None:
    """Exchange an object's record; its bytes stay."""
    batch.check_guard(request.guard, request.data_id, request.name)
    row = batch.row(request.data_id)
    value = batch.get_name(row.objects_root, request.name)
    if value is None:
        raise NoSuchName
    batch.check_conditions(request.data_id, request.name, value, request.conditions)
    if not value.startswith(request.header):
        raise Conflict
    batch.put_object(row, request.name, request.entry, value)


def delete(batch: Batch, request: Delete) -> None:
    """Delete the names that exist. Conditions hold for each of them, or nothing is deleted."""
    batch.check_guard(request.guard, request.data_id, *request.names)
    if batch.any_row(request.data_id) is None:
        if request.conditions.if_match is not None:
            raise ConditionFailed
        return
    row = batch.row(request.data_id)
    found: dict[bytes, bytes] = {}
    for name in request.names:
        value = batch.get_name(row.objects_root, name)
        batch.check_conditions(request.data_id, name, value, request.conditions)
        if value is not None:
            found[name] = value
    for name, value in found.items():
        _drop_object(batch, request.data_id, row, name, value)


def create_upload(batch: Batch, request: CreateUpload) -> None:
    """Begin an upload."""
    batch.check_guard(request.guard, request.data_id, request.name)
    row = batch.row(request.data_id)
    batch.put_upload(row, entries.upload_key(request.name, request.upload_id), request.upload)
    row.uploads += 1


def put_part(batch: Batch, request: PutPart) -> None:
    """Store a part, or replace the one of its number."""
    batch.check_guard(request.guard, request.data_id, request.name)
    row, _, _ = _upload(batch, request)
    key = entries.part_key(request.upload_id, request.number)
    found = batch.txn.get(key, db=batch.index.parts)
    old = None if found is None else bytes(found)
    dropped = None if old is None else entries.unpack(old)
    header = entries.unpack(request.part)
    more = header.size - (0 if dropped is None else dropped.size)
    _check_room_for_part(batch, row, request, more)
    row.parts_size = max(0, row.parts_size + more)
    batch.put_part(row, key, request.part, old)
    batch.keep_bytes(header, request.body)
    if dropped is not None:
        batch.drop_bytes(request.data_id, dropped)


def complete(batch: Batch, request: Complete) -> None:
    """Make an object of parts. Their bytes stay where they are; parts that it does not name are dropped."""
    batch.check_guard(request.guard, request.data_id, request.name)
    row, key, upload = _upload(batch, request)
    header = entries.unpack(request.entry)
    pieces = entries.open_manifest(batch.keys.get(request.data_id), header.segment_id, request.manifest)
    stored = _parts(batch, request.upload_id)
    parts = _headers(stored)
    named = {piece.number: piece.segment_id for piece in pieces}
    if any(number not in parts or parts[number].segment_id != segment for number, segment in named.items()):
        raise Conflict
    _make_object(batch, row, request, header, request.manifest, freed=_size_of(parts))
    _forget_upload(batch, row, key, upload, stored)
    for number, part in parts.items():
        if number not in named:
            batch.drop_bytes(request.data_id, part)
    now = entries.now_ms()
    batch.txn.put(request.upload_id, request.result, db=batch.index.completed)
    batch.txn.put((now + RESULT_KEPT).to_bytes(8, "big") + request.upload_id, b"", db=batch.index.expiries)
    _prune(batch, now)


def abort(batch: Batch, request: Abort) -> None:
    """Drop an upload and its parts."""
    batch.check_guard(request.guard, request.data_id, request.name)
    row, key, upload = _upload(batch, request)
    _drop_upload(batch, request.data_id, row, key, upload, _parts(batch, request.upload_id))


def expire(batch: Batch, request: Expire) -> None:
    """Drop an upload that is idle. Raises NoSuchUpload where it is not any more, or is gone."""
    row, key, upload = _upload(batch, request)
    stored = _parts(batch, request.upload_id)
    if any(part.modified >= request.before for part in _headers(stored).values()):
        raise NoSuchUpload
    _drop_upload(batch, request.data_id, row, key, upload, stored)


def close(batch: Batch, request: Close) -> None:
    """Close a bucket: an empty one, unless its content is to go as well."""
    batch.check_guard(request.guard, request.data_id, b"")
    row = batch.any_row(request.data_id)
    if row is not None and row.state == State.DESTROYED:
        return
    if row is not None and row.objects and not request.with_content:
        raise BucketNotEmpty
    row = row or batch.new_row(request.data_id)
    row.state = State.CLOSED
    if request.intent and batch.txn.get(request.data_id, db=batch.index.intents) is None:
        batch.txn.put(request.data_id, request.intent, db=batch.index.intents)


def reopen(batch: Batch, request: Reopen) -> None:
    """Open a closed bucket again."""
    row = batch.any_row(request.data_id)
    if row is None:
        return
    if row.state == State.DESTROYED:
        raise BucketClosed
    row.state = State.OPEN
    batch.txn.delete(request.data_id, db=batch.index.intents)


def destroy(batch: Batch, request: Destroy) -> str:
    """Drop some uploads of an empty bucket; with the last one its key. The row stays as a mark: the id is used up."""
    row = batch.any_row(request.data_id)
    if row is not None and row.state != State.DESTROYED and row.objects:
        raise BucketNotEmpty
    row = row or batch.new_row(request.data_id)
    if row.state != State.DESTROYED:
        row.state = State.CLOSED
        if _drop_uploads(batch, request.data_id, row, _DESTROYED_AT_ONCE) is None:
            return MORE
        row.state = State.DESTROYED
    batch.txn.delete(request.data_id, db=batch.index.intents)
    batch.shred(request.data_id)
    return ""


def purge(batch: Batch, request: Purge) -> str:
    """Drop some of a bucket's uploads and objects, and close it first. What is left stays whole: its key goes last,
    since the parts of an object are known by it."""
    row = batch.any_row(request.data_id)
    if row is None or row.state == State.DESTROYED:
        return ""
    row.state = State.CLOSED
    left = _drop_uploads(batch, request.data_id, row, _PURGED_AT_ONCE)
    return MORE if left is None or _drop_objects(batch, request.data_id, row, left) else ""


def ask(batch: Batch, request: Ask) -> None:
    """Keep a wish for a bucket, and forget those that are too old."""
    batch.check_guard(request.guard, request.data_id)
    old, kept = admit(request.wish, batch.index.wishes_in(batch.txn))
    for name in old:
        batch.txn.delete(name.encode(), db=batch.index.wishes)
    if kept:
        batch.txn.put(request.wish.bucket.encode(), encode_wish(request.wish), db=batch.index.wishes)


def settle(batch: Batch, request: Settle) -> None:
    """Note the outcome of a wish that is still the one, or forget it."""
    key = request.bucket.encode()
    value = batch.txn.get(key, db=batch.index.wishes) if key else None
    wish = None if value is None else decode_wish(bytes(value))
    if wish is None or wish.id != request.wish_id:
        return
    if request.outcome:
        settled = msgspec.structs.replace(wish, outcome=request.outcome)
        batch.txn.put(key, encode_wish(settled), db=batch.index.wishes)
    else:
        batch.txn.delete(key, db=batch.index.wishes)


def rewrap(batch: Batch, request: Rewrap) -> str:
    """Have the newest key-encryption key wrap some bucket keys. That it is needed is noted, durably, before the first
    one, and that no other is, after the last."""
    newest = batch.keys.newest()
    if newest != request.kek:
        raise StoreFailed(
            f"the newest key that this gateway knows is {newest}, and not {request.kek}: start it again, so that it "
            "reads its key file (a Pod: delete it)"
        )
    if batch.note_key():
        return MORE
    left = batch.keys.rewrap(_REWRAPPED_AT_ONCE)
    if left is not None or batch.new_keys:  # those have their names after the commit, and are looked at next time
        return f"{MORE} {left or 0}"
    if request.last:
        batch.index.put_keks(batch.txn, [newest])
    return ""


def _make_object(
    batch: Batch, row: BucketRow, request: Put | Complete, header: Header, body: bytes, *, freed: int = 0
) -> None:
    """`freed` are bytes of parts that go with it."""
    value = batch.get_name(row.objects_root, request.name)
    batch.check_conditions(request.data_id, request.name, value, request.conditions)
    old = None if value is None else entries.unpack(value)
    more = header.size - (0 if old is None else old.size)
    held = row.size + max(0, row.parts_size - freed)
    if request.guard.quota.forbids(row.objects, held, old is None, more):
        raise Refused("QuotaExceeded")
    batch.put_object(row, request.name, request.entry, value)
    batch.keep_bytes(header, body)
    if old is None:
        row.objects += 1
    else:
        row.size -= old.size
        batch.drop_bytes(request.data_id, old)
    row.size += header.size


def _check_room_for_part(batch: Batch, row: BucketRow, request: PutPart, more: int) -> None:
    """Raise Refused where the parts would not fit, were they completed now."""
    quota = request.guard.quota
    if quota.size is None:
        return
    value = batch.get_name(row.objects_root, request.name)
    replaced = 0 if value is None else entries.unpack(value).size
    if quota.forbids(row.objects, row.size - replaced + row.parts_size, 0, more):
        raise Refused("QuotaExceeded")


def _size_of(parts: dict[int, Header]) -> int:
    return sum(part.size for part in parts.values())


def _upload(batch: Batch, request: PutPart | Complete | Abort | Expire) -> tuple[BucketRow, bytes, bytes]:
    """The bucket's row, the upload's key, and what is stored of it."""
    row = batch.row(request.data_id)
    key = entries.upload_key(request.name, request.upload_id)
    upload = batch.get_name(row.uploads_root, key)
    if upload is None:
        raise NoSuchUpload
    return row, key, upload


def _parts(batch: Batch, upload_id: bytes) -> dict[bytes, bytes]:
    """The parts of an upload, by their keys, in order."""
    found: dict[bytes, bytes] = {}
    with batch.txn.cursor(batch.index.parts) as cursor:
        more = cursor.set_range(upload_id)
        while more and (key := bytes(cursor.key())).startswith(upload_id):
            found[key] = bytes(cursor.value())
            more = cursor.next()
    return found


def _headers(stored: dict[bytes, bytes]) -> dict[int, Header]:
    return {int.from_bytes(key[entries.ID :], "big"): entries.unpack(value) for key, value in stored.items()}


def _drop_upload(
    batch: Batch, data_id: bytes, row: BucketRow, key: bytes, upload: bytes, stored: dict[bytes, bytes]
) -> None:
    _forget_upload(batch, row, key, upload, stored)
    for part in _headers(stored).values():
        batch.drop_bytes(data_id, part)


def _forget_upload(batch: Batch, row: BucketRow, key: bytes, upload: bytes, stored: dict[bytes, bytes]) -> None:
    batch.delete_upload(row, key, upload)
    row.uploads -= 1
    row.parts_size = max(0, row.parts_size - _size_of(_headers(stored)))  # a store of before has not counted all
    for part_key, part in stored.items():
        batch.delete_part(row, part_key, part)


def _drop_uploads(batch: Batch, data_id: bytes, row: BucketRow, most: int) -> int | None:
    """Drop uploads until a transaction's share of parts, `most`, is dropped: None, there may be more. Returns what is
    left of the share when all are dropped."""
    while found := batch.first_entries(row.uploads_root, 1):
        if most <= 0:
            return None
        ((key, upload),) = found
        stored = _parts(batch, key[-entries.ID :])
        _drop_upload(batch, data_id, row, key, upload, stored)
        most -= len(stored) + 1
    return most


def _drop_object(batch: Batch, data_id: bytes, row: BucketRow, name: bytes, value: bytes) -> None:
    header = entries.unpack(value)
    batch.delete_object(row, name, value)
    batch.drop_bytes(data_id, header)
    row.objects -= 1
    row.size -= header.size


def _drop_objects(batch: Batch, data_id: bytes, row: BucketRow, most: int) -> bool:
    """Drop objects until a transaction's share of them and their parts is dropped. True when there may be more."""
    before = len(batch.garbage)
    for name, value in batch.first_entries(row.objects_root, most):
        if len(batch.garbage) - before >= most:
            return True
        _drop_object(batch, data_id, row, name, value)
    return bool(batch.first_entries(row.objects_root, 1))


def _prune(batch: Batch, now: int) -> None:
    with batch.txn.cursor(batch.index.expiries) as cursor:
        for _ in range(_PRUNED_AT_ONCE):
            if not cursor.first() or bytes(cursor.key())[:8] > now.to_bytes(8, "big"):
                return
            batch.txn.delete(bytes(cursor.key())[8:], db=batch.index.completed)
            cursor.delete()


#: A request's type -> what it does. Requests that are not here need no transaction.
APPLY: Final[dict[type, Callable[[Batch, Any], str | None]]] = {
    EnsureBucket: ensure_bucket,
    Put: put,
    Replace: replace,
    Delete: delete,
    CreateUpload: create_upload,
    PutPart: put_part,
    Complete: complete,
    Abort: abort,
    Expire: expire,
    Close: close,
    Reopen: reopen,
    Destroy: destroy,
    Purge: purge,
    Ask: ask,
    Settle: settle,
    Rewrap: rewrap,
}

#: Requests that leave the store with less than it had: they may use the room that is kept for them.
MAKES_ROOM: Final = (Abort, Close, Delete, Destroy, Expire, Purge, Reopen, Settle)
