"""A store of format 1 becomes one of format 2 when it is opened, whatever interrupts that; newer ones are refused."""

import os
import tarfile
from pathlib import Path

import lmdb
import pytest

from cooper_gateway.crypto.keyring import Keyring
from cooper_gateway.storage import entries, index, names_tree, set_hash, upgrade
from cooper_gateway.storage.entries import BucketRow, decode_row
from cooper_gateway.storage.index import open_readonly, open_writable
from cooper_gateway.storage.layout import Layout, StoreUnusable
from support.golden_store import BUCKET
from support.store_process import config_in
from support.verifying import assert_sound

GOLDEN = Path(__file__).parent / "golden"
ROWS = 7


class Killed(BaseException):
    pass


def formed(path: Path) -> tuple[Layout, Keyring]:
    layout = Layout(str(path / "data"))
    layout.create()
    return layout, Keyring.load_or_create(str(path / "kek"), True)


def rows(opened: index.Index) -> dict[bytes, BucketRow]:
    with opened.read() as txn, txn.cursor(opened.buckets) as cursor:
        return {bytes(key): decode_row(bytes(value)) for key, value in cursor}


def recount(opened: index.Index, row: BucketRow) -> bytes:
    """The hash of a bucket, told by a walk that is no part of the program's."""
    total = 0
    with opened.read() as txn:
        for kind, root in ((set_hash.OBJECT, row.objects_root), (set_hash.UPLOAD, row.uploads_root)):
            walk = names_tree.Walk(txn, opened.names, root)
            found = walk.seek(b"")
            while found is not None:
                total += set_hash.element(kind, found[0], found[1])
                found = walk.after()
        uploads = {key[-entries.ID :] for key in _keys(txn, opened, row.uploads_root)}
        with txn.cursor(opened.parts) as cursor:
            for key, value in cursor:
                if bytes(key[: entries.ID]) in uploads:
                    total += set_hash.element(set_hash.PART, bytes(key), value)
    return (total % (1 << 256)).to_bytes(32, "big")


def _keys(txn: lmdb.Transaction, opened: index.Index, root: bytes) -> list[bytes]:
    walk, keys = names_tree.Walk(txn, opened.names, root), []
    found = walk.seek(b"")
    while found is not None:
        keys.append(found[0])
        found = walk.after()
    return keys


def store_of_format_1(layout: Layout, keyring: Keyring) -> None:
    """Buckets with objects and uploads, with rows as they were."""
    opened = open_writable(layout, 1 << 26, keyring)
    with opened.env.begin(write=True) as txn:

        def new_node() -> bytes:
            return opened.new_node(txn)

        for number in range(ROWS):
            row = BucketRow(new_node(), new_node(), objects=number)
            for each in range(number * 3):
                name = b"%d/" % each + b"n" * (each % 6 * 170)
                names_tree.put(txn, opened.names, row.objects_root, name, os.urandom(100), new_node)
            for each in range(number % 3):
                key = entries.upload_key(b"u%d" % each, entries.new_id())
                names_tree.put(txn, opened.names, row.uploads_root, key, os.urandom(50), new_node)
                for part in range(each * 2):
                    txn.put(entries.part_key(key[-16:], part + 1), os.urandom(60), db=opened.parts)
            value = entries.encode_row(row)
            assert value[0] == 0x98  # an array of eight
            txn.put(bytes([number]) * 16, b"\x97" + value[1:-2], db=opened.buckets)  # of seven
        txn.put(b"format", b"1", db=opened.meta)
    opened.env.close()


def checked(layout: Layout, keyring: Keyring) -> None:
    opened = open_writable(layout, 1 << 26, keyring)
    try:
        found = rows(opened)
        assert len(found) == ROWS
        for number, row in enumerate(found.values()):
            assert row.objects == number
            assert row.set_hash == recount(opened, row)
        with opened.read() as txn:
            assert bytes(txn.get(b"format", db=opened.meta) or b"") == b"2"
            assert txn.get(upgrade.MARK, db=opened.meta) is None
    finally:
        opened.env.close()


@pytest.mark.parametrize("at_once", [1, 2, 5, 1000])
def test_every_bucket_gets_the_hash_of_what_it_holds(
    tmp_path: Path, at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(upgrade, "_SLICE", at_once)
    layout, keyring = formed(tmp_path)
    store_of_format_1(layout, keyring)
    checked(layout, keyring)


def test_an_upgrade_that_is_interrupted_anywhere_goes_on_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upgrade, "_SLICE", 3)
    layout, keyring = formed(tmp_path)
    store_of_format_1(layout, keyring)
    step = upgrade._Upgrade.step
    steps = 0

    def killed_now_and_then(self: upgrade._Upgrade) -> bool:
        nonlocal steps
        steps += 1
        if steps % 3 == 0:
            raise Killed
        return step(self)

    monkeypatch.setattr(upgrade._Upgrade, "step", killed_now_and_then)
    kills = 0
    while True:
        try:
            open_writable(layout, 1 << 26, keyring).env.close()
            break
        except Killed:
            kills += 1
            reader = open_readonly(layout, 1 << 26)  # it is of the new format from the first step on
            assert reader is not None
            with reader.read() as txn:
                assert bytes(txn.get(b"format", db=reader.meta) or b"") == b"2"
            reader.env.close()
    assert kills > 5
    monkeypatch.setattr(upgrade._Upgrade, "step", step)
    checked(layout, keyring)


def test_the_former_formats_store_is_sound_after_its_upgrade(tmp_path: Path) -> None:
    with tarfile.open(GOLDEN / "store-1.tar.xz") as packed:
        packed.extractall(tmp_path, filter="data")
    config = config_in(tmp_path)
    opened = open_writable(Layout(config.data_dir), config.map_size, Keyring.load(config.kek_file))
    row = rows(opened)[BUCKET.data_id]
    assert row.set_hash == recount(opened, row)
    opened.env.close()
    assert_sound(config)


@pytest.mark.parametrize("version", [b"3", b"10", b"\xff"])
def test_a_newer_format_is_refused_and_named(tmp_path: Path, version: bytes) -> None:
    layout, keyring = formed(tmp_path)
    opened = open_writable(layout, 1 << 26, keyring)
    with opened.env.begin(write=True) as txn:
        txn.put(b"format", version, db=opened.meta)
    opened.env.close()
    with pytest.raises(StoreUnusable, match="this program knows up to '2'"):
        open_readonly(layout, 1 << 26)
    with pytest.raises(StoreUnusable, match="this program knows up to '2'"):
        open_writable(layout, 1 << 26, keyring)
