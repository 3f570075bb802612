"""Reads all that is served of a store, and verifies it, for each line on standard input.

It is a program of its own: what a damaged index does to its reader may be a signal.
"""

import asyncio
import hashlib
import sys

import msgspec

from cooper_gateway.config import GatewayConfig
from cooper_gateway.crypto.keyring import Keyring
from cooper_gateway.storage import embedded
from cooper_gateway.storage.bucket_keys import BucketKeys
from cooper_gateway.storage.embedded import EmbeddedStore
from cooper_gateway.storage.index import open_readonly
from cooper_gateway.storage.layout import Layout, StoreUnusable
from cooper_gateway.storage.pins import Pins
from cooper_gateway.storage.port import BucketRef, Damaged, NoSuchName, NoSuchUpload
from cooper_gateway.storage.verification.findings import Damage, Finding
from cooper_gateway.storage.verification.pace import Pace
from cooper_gateway.storage.verification.reading_back import Place
from cooper_gateway.storage.verification.verifier import Verifier

_LEAST = 0.05


class Sight(msgspec.Struct):
    """What was seen. Values of `objects` are digests, or what was answered instead."""

    opened: bool
    objects: dict[str, str] = {}  # bucket and name, in hex
    listings: dict[str, list[tuple[str, int]] | str] = {}
    uploads: dict[str, list[int] | str] = {}  # sizes of the parts
    usage: dict[str, list[int] | str] = {}
    damage: list[str] = []
    refused: str = ""  # why it could not be verified


async def look(config: GatewayConfig, keyring: Keyring, buckets: list[BucketRef], names: list[bytes]) -> Sight:
    try:
        store = EmbeddedStore(config, keyring, asyncio.get_running_loop())
    except Exception as error:
        return Sight(opened=False, refused=repr(error))
    sight = Sight(opened=True)
    for bucket in buckets:
        where = bucket.data_id.hex()
        for name in names:
            sight.objects[f"{where}/{name.hex()}"] = await _digest(store, bucket, name)
        try:
            page = await store.list_objects(bucket, b"", b"", b"", 1000)
            sight.listings[where] = [(entry.name.hex(), entry.size) for entry in page.entries]
            await store.list_objects(bucket, b"", b"/", b"", 1000)
        except Exception as error:
            sight.listings[where] = _told(error)
        try:
            sizes: list[int] = []
            for upload in (await store.list_uploads(bucket, b"", b"", (b"", ""), 100)).entries:
                await store.upload_info(bucket, upload.name, upload.upload_id)
                parts = await store.list_parts(bucket, upload.name, upload.upload_id, 0, 100)
                sizes += [part.size for part in parts]
            sight.uploads[where] = sizes
        except Exception as error:
            sight.uploads[where] = _told(error)
        try:
            usage = await store.usage(bucket)
            sight.usage[where] = [usage.objects, usage.size, usage.uploads]
        except Exception as error:
            sight.usage[where] = _told(error)
    await store.close()
    return sight


async def _digest(store: EmbeddedStore, bucket: BucketRef, name: bytes) -> str:
    digest = hashlib.sha256()
    try:
        peeked = store.peek(bucket, name)
        opened = await store.open(bucket, name)
        try:
            async for piece in opened.read(0, opened.info.size):
                digest.update(piece)
        finally:
            opened.close()
        if peeked is not None and peeked[1] is not None and hashlib.sha256(peeked[1]).digest() != digest.digest():
            return "two answers"
    except Exception as error:
        return _told(error)
    return digest.hexdigest()


def _told(error: Exception) -> str:
    clean = isinstance(error, (Damaged, NoSuchName, NoSuchUpload))
    return f"error: {error!r}" if clean else f"other error: {error!r}"


def verify(config: GatewayConfig, keyring: Keyring) -> list[str]:
    layout, found = Layout(config.data_dir), list[str]()

    def tell(finding: Finding) -> None:
        if isinstance(finding, Damage):
            found.append(f"{finding.kind} {finding.data_id} {finding.key!r}: {finding.detail}")

    index = open_readonly(layout, config.map_size)
    assert index is not None
    try:
        place = Place(layout, index, keyring, Pins(config.run_dir), Pace(0))
        Verifier(place, BucketKeys(layout, keyring), tell).run()
    finally:
        index.env.close()
    return found


def main() -> None:
    embedded._INDEX_WAIT = _LEAST  # type: ignore[misc]
    config = msgspec.json.decode(sys.argv[1], type=GatewayConfig)
    buckets = [BucketRef(bytes.fromhex(each), each) for each in sys.argv[2].split(",")]
    keyring = Keyring.load(config.kek_file)
    for line in sys.stdin.buffer:
        names = [bytes.fromhex(each) for each in line.decode().split()]
        sight = asyncio.run(look(config, keyring, buckets, names))
        try:
            sight.damage = verify(config, keyring)
        except StoreUnusable as error:
            sight.refused = str(error)
        except Exception as error:
            sight.refused = repr(error)
        sys.stdout.buffer.write(msgspec.json.encode(sight) + b"\n")
        sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
