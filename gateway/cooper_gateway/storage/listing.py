"""Listings, each page within one read transaction. What a page needs is copied out; records are opened afterwards."""

from itertools import islice

import lmdb

from cooper_gateway.storage import entries, names_tree
from cooper_gateway.storage.entries import BucketRow
from cooper_gateway.storage.index import Index
from cooper_gateway.storage.names_tree import Walk
from cooper_gateway.storage.port import ListEntry, UploadEntry, UploadListing
from cooper_gateway.storage.sealing import BucketSealer


class EntryDamaged(Exception):
    """An entry that cannot be opened."""

    def __init__(self, name: bytes, reason: str) -> None:
        super().__init__(reason)
        self.name = name


def page_of_objects(
    txn: lmdb.Transaction, index: Index, row: BucketRow, prefix: bytes, delimiter: bytes, after: bytes, limit: int
) -> tuple[list[tuple[bytes, bytes]], list[bytes], bytes | None]:
    """Stored entries (name, value) and common prefixes of a page, and where the next one goes on."""
    found: list[tuple[bytes, bytes]] = []
    prefixes: list[bytes] = []
    last: bytes | None = None
    start = names_tree.start_after(prefix, delimiter, after)
    if start is None or limit <= 0:
        return found, prefixes, None
    walk = Walk(txn, index.names, row.objects_root)
    if not delimiter:
        found = [(name, bytes(value)) for name, value in islice(walk.entries(prefix, start), limit + 1)]
        return (found, prefixes, None) if len(found) <= limit else (found[:-1], prefixes, found[-2][0])
    for name, value in names_tree.roll_up(walk, prefix, delimiter, start):
        if len(found) + len(prefixes) == limit:
            return found, prefixes, last
        last = name
        if value is None:
            prefixes.append(name)
        else:
            found.append((name, bytes(value)))
    return found, prefixes, None


def object_entries(sealer: BucketSealer, found: list[tuple[bytes, bytes]]) -> list[ListEntry]:
    """Stored entries (name, value) as a listing tells them. Raises EntryDamaged."""
    try:
        return _opened(sealer, found)
    except ValueError:
        for each in found:
            try:
                _opened(sealer, [each])
            except ValueError as error:
                raise EntryDamaged(each[0], str(error)) from None
        raise


def _opened(sealer: BucketSealer, found: list[tuple[bytes, bytes]]) -> list[ListEntry]:
    clear = [entries.fields(value) for _, value in found]  # first: what a later version wrote is not called damaged
    return [
        ListEntry(name, size, modified, record.etag, record.checksum)
        for (name, _), (_, _, size, modified, _, _), record in zip(
            found, clear, entries.open_entries(sealer, found), strict=True
        )
    ]


def page_of_uploads(
    txn: lmdb.Transaction,
    index: Index,
    row: BucketRow,
    sealer: BucketSealer,
    prefix: bytes,
    delimiter: bytes,
    after: tuple[bytes, str],
    limit: int,
) -> UploadListing:
    """Uploads after (name, upload id), in that order. Raises ValueError where one is damaged."""
    found: list[UploadEntry] = []
    prefixes: list[bytes] = []
    last: tuple[bytes, str] | None = None
    start = _start_of_uploads(prefix, delimiter, after)
    if start is None or limit <= 0 or b"\0" in prefix:  # behind a NUL lies the id
        return UploadListing(found, prefixes, None)
    walk = Walk(txn, index.names, row.uploads_root)
    for key, value in names_tree.roll_up(walk, prefix, delimiter, start, tail=entries.ID + 1):
        if len(found) + len(prefixes) == limit:
            return UploadListing(found, prefixes, last)
        if value is None:
            prefixes.append(key)
            last = (key, "")
        else:
            name, upload_id = key[: -entries.ID - 1], key[-entries.ID :].hex()
            upload = entries.open_upload(sealer, key, value)
            found.append(
                UploadEntry(name, upload_id, upload.initiated, upload.checksum_algorithm, upload.checksum_kind)
            )
            last = (name, upload_id)
    return UploadListing(found, prefixes, None)


def _start_of_uploads(prefix: bytes, delimiter: bytes, after: tuple[bytes, str]) -> bytes | None:
    name, upload_id = after
    if not name:
        return b""
    if not upload_id:  # after every upload of that name, or of that common prefix
        start = names_tree.start_after(prefix, delimiter, name)
        return start if start != name + b"\0" else name + b"\1"
    try:
        return entries.upload_key(name, bytes.fromhex(upload_id)) + b"\0"
    except ValueError:
        return name + b"\1"
