"""Looks at a store that a crash left: opens it as a start does, lets it recover, and reads all that is in it.

Whatever does not fit together in it is a finding; what is in it is for whoever knows what was acknowledged.
"""

import asyncio
import hashlib
import logging
import os
import socket
import threading
import time
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Final

import lmdb

from cooper_gateway.config import GatewayConfig
from cooper_gateway.crypto.keyring import Keyring
from cooper_gateway.storage import entries, names_tree, set_hash, wire
from cooper_gateway.storage.bucket_keys import BucketKeys
from cooper_gateway.storage.committer import Committer
from cooper_gateway.storage.embedded import EmbeddedStore
from cooper_gateway.storage.entries import BucketRow, Header, Kind, State
from cooper_gateway.storage.index import Index, open_readonly
from cooper_gateway.storage.layout import Layout
from cooper_gateway.storage.port import BucketRef

_PAUSES: Final = (0.0, 0.01, 0.1, 0.5, 2.0)  # seconds that the unlinker gets, the longer ones where it did not suffice
_NOBODY: Final = b"nobody's bucket."

Seen = dict[str, object]


class Unsound(Exception):
    """What is in the store does not fit together, or the store does not do what it has to."""


class _Errors(logging.Handler):
    """Keeps what is logged as an error."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(self.format(record))


def open_and_recover(config: GatewayConfig) -> tuple[Keyring, dict[bytes, BucketRow]]:
    """Start on it as the committer's process does, until nothing is left to tidy up, and stop. Closed buckets are
    opened again. Returns the rows of buckets as they were found. Raises Unsound."""
    layout = Layout(config.data_dir)
    errors = _Errors()
    logging.getLogger("cooper_gateway").addHandler(errors)
    try:
        keyring = Keyring.load_or_create(config.kek_file, not layout.holds_data())
        rows = _rows_as_found(layout, config.map_size)
        closed = [data_id for data_id, row in rows.items() if row.state == State.CLOSED]
        for pause in _PAUSES:
            _run_once(config, keyring, closed, pause)
            if not _garbage(layout, config.map_size):
                break
    except Exception as error:
        raise Unsound(f"it does not start: {error!r}") from error
    finally:
        logging.getLogger("cooper_gateway").removeHandler(errors)
    if errors.lines:
        raise Unsound(f"its start complained: {errors.lines[0]}")
    return keyring, rows


def _rows_as_found(layout: Layout, map_size: int) -> dict[bytes, BucketRow]:
    """Read as a worker may read it before the committer is there."""
    try:
        index = open_readonly(layout, map_size)
    except lmdb.Error:  # the committer's start says what becomes of it
        return {}
    if index is None:
        return {}
    try:
        return _rows(index)
    finally:
        index.env.close()


def _rows(index: Index) -> dict[bytes, BucketRow]:
    with index.read() as txn, txn.cursor(index.buckets) as cursor:
        return {bytes(key): entries.decode_row(value) for key, value in cursor.iternext(keys=True, values=True)}


def _garbage(layout: Layout, map_size: int) -> int:
    index = open_readonly(layout, map_size)
    if index is None:
        raise Unsound("the committer made no index")
    try:
        with index.read() as txn:
            return txn.stat(index.garbage)["entries"]
    finally:
        index.env.close()


def _run_once(config: GatewayConfig, keyring: Keyring, closed: Iterable[bytes], pause: float) -> None:
    committer = Committer(config, keyring, lambda *_: None)
    failed: list[BaseException] = []

    def ask() -> None:
        try:
            # Three turns of its loop: what is locked in one is swept in the next. The last one forgets what is gone.
            asked = [wire.Reopen(0, data_id) for data_id in (*closed, _NOBODY, _NOBODY, _NOBODY)]
            _ask(config.committer_path, asked, pause)
        except BaseException as error:
            failed.append(error)
        finally:
            committer.stop()

    thread = threading.Thread(target=ask)
    committer.run(thread.start)
    thread.join()
    if failed:
        raise failed[0]


def _ask(path: str, requests: list[wire.Reopen], pause: float) -> None:
    buffer = bytearray(wire.PACKET + 4096)
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as link:
        link.settimeout(30)
        link.connect(path)
        for number, request in enumerate(requests, 1):
            if number == len(requests):
                time.sleep(pause)
            request.id = number
            for packet in wire.packets([request]):
                wire.send(link, packet)
            reply = wire.receive(link, buffer)
            if reply is None or (error := wire.decode_replies(reply)[0]).error:
                raise Unsound(f"{request} was answered {None if reply is None else error}")


def check_tables(config: GatewayConfig, keyring: Keyring, running: bool = False) -> None:
    """Everything in the index and on the disk is referred to, and everything that is referred to is there; counts are
    right. Recovery must be over, and nobody write. Raises Unsound.

    `running`: workers hold folders, which may be empty.
    """
    layout = Layout(config.data_dir)
    index = open_readonly(layout, config.map_size)
    if index is None:
        raise Unsound("there is no index")
    try:
        _Tables(layout, index, BucketKeys(layout, keyring), running).check()
    finally:
        index.env.close()


class _Tables:
    def __init__(self, layout: Layout, index: Index, keys: BucketKeys, running: bool) -> None:
        self._layout = layout
        self._running = running
        self._index = index
        self._keys = keys
        self._bodies: Counter[bytes] = Counter()
        self._files: Counter[bytes] = Counter()
        self._parts: set[bytes] = set()
        self._names = 0

    def check(self) -> None:
        with self._index.read() as self._txn:
            rows = _rows(self._index)
            for data_id, row in rows.items():
                self._check_bucket(data_id, row)
            self._same("names in the index", self._names, self._txn.stat(self._index.names)["entries"])
            self._same("inline bodies", self._once(self._bodies), set(self._table(self._index.bodies)))
            self._same("files in the index", self._once(self._files), set(self._table(self._index.files)))
            self._same("parts", self._parts, set(self._table(self._index.parts)))
            self._same("garbage", {}, self._table(self._index.garbage))
            forgotten = {key[8:] for key in self._table(self._index.expiries)}
            self._same("results of completions", set(self._table(self._index.completed)), forgotten)
            settled = set(self._table(self._index.settled))
        self._check_disk(rows, settled)

    def _check_disk(self, rows: dict[bytes, BucketRow], settled: set[bytes]) -> None:
        there = {each.name: set(os.listdir(each)) for each in self._layout.segments.iterdir()}
        if self._running:
            there = {name: files for name, files in there.items() if files}
        wanted: dict[str, set[str]] = {}
        for key in self._files:
            wanted.setdefault(key[:8].hex(), set()).add(key[8:].hex())
        self._same("files on the disk", wanted, there)
        if not {each.hex() for each in settled} <= set(there):
            raise Unsound("a folder is settled that is not there")
        keys = {name.removesuffix(".key") for name in os.listdir(self._layout.bucket_keys)}
        living = {data_id.hex() for data_id, row in rows.items() if row.state != State.DESTROYED}
        used = {data_id.hex() for data_id, row in rows.items() if row.objects or row.uploads}
        if not used <= keys:
            raise Unsound(f"keys of buckets are lost: {used - keys}")
        if keys - living:
            raise Unsound(f"keys are left over: {keys - living}")

    def _check_bucket(self, data_id: bytes, row: BucketRow) -> None:
        objects = self._tree(row.objects_root)
        uploads = self._tree(row.uploads_root)
        size, parts_size, summed = 0, 0, 0
        for name, value in objects.items():
            header = entries.unpack(value)
            size += header.size
            summed += set_hash.element(set_hash.OBJECT, name, value)
            self._refer(data_id, header)
        for key, upload in uploads.items():
            summed += set_hash.element(set_hash.UPLOAD, key, upload)
            upload_id = key[-entries.ID :]
            with self._txn.cursor(self._index.parts) as cursor:
                more = cursor.set_range(upload_id)
                while more and bytes(cursor.key()).startswith(upload_id):
                    self._parts.add(bytes(cursor.key()))
                    header = entries.unpack(bytes(cursor.value()))
                    summed += set_hash.element(set_hash.PART, bytes(cursor.key()), bytes(cursor.value()))
                    parts_size += header.size
                    self._refer(data_id, header)
                    more = cursor.next()
        counted = (row.objects, row.size, row.uploads, row.parts_size)
        self._same("counts of a bucket", (len(objects), size, len(uploads), parts_size), counted)
        self._same("hash of a bucket", set_hash.changed(set_hash.EMPTY, summed), row.set_hash)

    def _refer(self, data_id: bytes, header: Header) -> None:
        if header.kind == Kind.FILE:
            self._files[header.directory_id + header.segment_id] += 1
            return
        self._bodies[header.segment_id] += 1
        if header.kind == Kind.MULTI:
            value = self._txn.get(header.segment_id, db=self._index.bodies) or b""
            for piece in entries.open_manifest(self._keys.get(data_id), header.segment_id, value):
                if piece.directory_id == entries.NO_DIRECTORY:
                    self._bodies[piece.segment_id] += 1
                else:
                    self._files[piece.directory_id + piece.segment_id] += 1

    def _tree(self, root: bytes) -> dict[bytes, bytes]:
        self._names += self._keys_below(root)
        found: dict[bytes, bytes] = {}
        walk = names_tree.Walk(self._txn, self._index.names, root)
        entry = walk.seek(b"")
        while entry is not None:
            found[entry[0]] = bytes(entry[1])
            entry = walk.after()
        return found

    def _keys_below(self, node: bytes) -> int:
        children: list[bytes] = []
        count = 0
        with self._txn.cursor(self._index.names) as cursor:
            more = cursor.set_range(node)
            while more and bytes(cursor.key()).startswith(node):
                count += 1
                if len(cursor.key()) == names_tree.NODE + names_tree.CHUNK:
                    children.append(bytes(cursor.value()))
                more = cursor.next()
        return count + sum(map(self._keys_below, children))

    def _table(self, table: object) -> dict[bytes, bytes]:
        with self._txn.cursor(table) as cursor:
            return {bytes(key): bytes(value) for key, value in cursor.iternext(keys=True, values=True)}

    @staticmethod
    def _once(counted: Counter[bytes]) -> set[bytes]:
        if any(count != 1 for count in counted.values()):
            raise Unsound("bytes are referred to more than once")
        return set(counted)

    @staticmethod
    def _same(what: str, referred: object, there: object) -> None:
        if referred != there:
            raise Unsound(f"{what}: referred to are {referred!r:.600}, there are {there!r:.600}")


async def contents(
    config: GatewayConfig, keyring: Keyring, buckets: Iterable[BucketRef], rows: dict[bytes, BucketRow]
) -> Seen:
    """All objects and uploads of these buckets, read through the store, and their states by the rows. Raises Unsound,
    or what the store raises."""
    seen: Seen = {}
    store = EmbeddedStore(config, keyring, asyncio.get_running_loop())
    try:
        left = set(rows)
        for bucket in buckets:
            left.discard(bucket.data_id)
            row = rows.get(bucket.data_id)
            if row is not None and row.state != State.OPEN:
                seen[f"b/{bucket.name}"] = State(row.state).name.lower()
            if row is None or row.state != State.DESTROYED:
                await _read_bucket(store, bucket, seen)
        if left:
            raise Unsound(f"there are buckets that nobody made: {left}")
        for wish in await store.wishes():
            seen[f"w/{wish.bucket}"] = wish.outcome
    finally:
        await store.close()
    return seen


async def _read_bucket(store: EmbeddedStore, bucket: BucketRef, seen: Seen) -> None:
    after, objects, size = b"", 0, 0
    while True:
        page = await store.list_objects(bucket, b"", b"", after, 1000)
        for entry in page.entries:
            found = await _object(store, bucket, entry.name)
            seen[f"o/{bucket.name}/{entry.name.decode()}"] = found
            if entry.etag != found[0]:
                raise Unsound(f"{entry.name!r} is listed with {entry.etag}, and read as {found[0]}")
            objects, size = objects + 1, size + entry.size
        if page.resume is None:
            break
        after = page.resume
    uploads = await store.list_uploads(bucket, b"", b"", (b"", ""), 1000)
    for upload in uploads.entries:
        info = await store.upload_info(bucket, upload.name, upload.upload_id)
        parts = await store.list_parts(bucket, upload.name, upload.upload_id, 0, 1000)
        place = f"u/{bucket.name}/{upload.name.decode()}"
        if place in seen or info.name != upload.name:
            raise Unsound(f"{place} is there twice, or is another's")
        seen[place] = [[part.number, part.etag, part.size] for part in parts]
    usage = await store.usage(bucket)
    if (usage.objects, usage.size, usage.uploads) != (objects, size, len(uploads.entries)):
        raise Unsound(f"{bucket.name} holds {objects} objects of {size} bytes, and says {usage}")


async def _object(store: EmbeddedStore, bucket: BucketRef, name: bytes) -> list[object]:
    peeked = store.peek(bucket, name)
    info, data = peeked if peeked is not None else (None, None)
    if info is None or data is None:
        opened = await store.open(bucket, name)
        try:
            info = opened.info
            data = b"".join([piece async for piece in opened.read(0, info.size)])
        finally:
            opened.close()
    if len(data) != info.size:
        raise Unsound(f"{name!r} has {len(data)} bytes, and says {info.size}")
    digest = hashlib.sha256(data).hexdigest()[:16]
    return [info.etag, digest, info.attributes.metadata.get("tag", ""), list(info.part_sizes)]


def removed(folder: Path) -> None:
    """Take a small tree away, fast."""
    for root, folders, files in os.walk(folder, topdown=False):
        for name in files:
            os.unlink(os.path.join(root, name))
        for name in folders:
            os.rmdir(os.path.join(root, name))
    os.rmdir(folder)
