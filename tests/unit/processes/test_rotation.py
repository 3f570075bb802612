"""What still needs which key-encryption key, and that secrets of records are sealed anew."""

from pathlib import Path

import msgspec
import pytest

from cooper_crds.records import RecordError, dump_file, load_file
from cooper_gateway.config import MAP_SIZE
from cooper_gateway.crypto.keyring import Keyring, KeyringError
from cooper_gateway.processes.mirroring import MIRROR_FILE
from cooper_gateway.processes.rotation import DAMAGED, Need, needs, pending
from cooper_gateway.records.mirror import Mirror
from cooper_gateway.records.table import record_name
from cooper_gateway.shredding import OLD as OLD_NAME
from cooper_gateway.storage.bucket_keys import BucketKeys
from cooper_gateway.storage.index import open_writable
from cooper_gateway.storage.layout import Layout, StoreUnusable
from cooper_operator.cluster.record_files import reseal
from support.records_fixtures import bucket, key

OLD, NEW = b"o" * 32, b"n" * 32
BEFORE, BOTH, ONLY = Keyring(OLD), Keyring(NEW, OLD), Keyring(NEW)
SPACE = "cooper"


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    made = Layout(str(tmp_path / "data"))
    made.create()
    open_writable(made, MAP_SIZE, BEFORE).env.close()
    return made


def looked(layout: Layout, records: Path, namespace: str = SPACE) -> dict[str, Need]:
    return needs(layout, records, namespace, BOTH)


def mirror(layout: Layout, keyring: Keyring) -> Mirror:
    return Mirror(str(layout.root / MIRROR_FILE), keyring, SPACE)


def test_a_key_is_needed_by_what_it_wraps_and_seals_and_by_what_the_index_says(layout: Layout, tmp_path: Path) -> None:
    keys = BucketKeys(layout, BEFORE)
    for number in range(3):
        keys.create(bytes([number]) * 16)
        keys.publish(bytes([number]) * 16)
    path = layout.bucket_key(bytes(16))
    path.with_name(path.name + OLD_NAME).write_bytes(path.read_bytes())
    layout.bucket_key(bytes([1]) * 16).with_suffix(f".key{OLD_NAME}").write_bytes(
        b"overwritten, and about to be removed"
    )
    (tmp_path / "key-one.json").write_bytes(dump_file(key(1), BEFORE))
    (tmp_path / "key-two.json").write_bytes(dump_file(key(2), BOTH))
    (tmp_path / "key-three.json").write_bytes(b"damaged")
    mirror(layout, BEFORE).replace([("key", key(1))])
    found = looked(layout, tmp_path)
    assert found == {
        BOTH.fingerprints[0]: Need(secrets=1),
        BOTH.fingerprints[1]: Need(bucket_keys=4, secrets=1, mirror=True, store=True),
        DAMAGED: Need(secrets=1),
    }
    assert list(pending(found, BOTH.fingerprint)) == [BEFORE.fingerprint]
    assert str(found[BEFORE.fingerprint]) == "4 bucket keys, 1 secret, the mirror of the records"
    assert str(Need(store=True)) == "what is noted in the index"
    assert str(Need()) == "nothing"


def test_a_mirror_needs_each_key_that_sealed_a_frame_of_it(layout: Layout, tmp_path: Path) -> None:
    def of_mirror() -> list[str]:
        return [fingerprint for fingerprint, need in looked(layout, tmp_path).items() if need.mirror]

    assert of_mirror() == []
    kept = mirror(layout, BEFORE)
    kept.replace([("key", key(1))])
    assert of_mirror() == [BEFORE.fingerprint]
    kept._box = BOTH
    kept.append({"key": key(2)})
    assert of_mirror() == list(BOTH.fingerprints)
    kept.replace([("key", key(2))])
    assert of_mirror() == [BOTH.fingerprint]
    with pytest.raises(KeyringError, match="opens with none of these keys: name the namespace"):
        looked(layout, tmp_path, "another")


def test_where_there_is_no_store_that_is_told(tmp_path: Path) -> None:
    layout = Layout(str(tmp_path))
    layout.create()
    with pytest.raises(StoreUnusable, match="holds no store"):
        looked(layout, tmp_path)


def test_secrets_are_sealed_anew_and_all_else_is_left_as_it_is(tmp_path: Path) -> None:
    records = {f"{record_name(each)}.json": each for each in (key(1), key(2), bucket())}
    for name, record in records.items():
        (tmp_path / name).write_bytes(dump_file(record, BEFORE))
    newer = dump_file(key(3), BOTH)
    damaged = dump_file(key(4), Keyring(b"x" * 32))
    too_new = msgspec.json.encode({**msgspec.json.decode(dump_file(key(5), BEFORE)), "later": 1})
    others = {"key-3.json": newer, "key-4.json": damaged, "key-5.json": too_new, "key-1.json.kept": b"kept"}
    for name, content in others.items():
        (tmp_path / name).write_bytes(content)
    (tmp_path / "key-link.json").symlink_to(tmp_path / "key-4.json")
    plain = (tmp_path / f"{record_name(bucket())}.json").stat().st_ino
    reseal(tmp_path, BOTH, ONLY)
    for name, record in records.items():
        assert load_file((tmp_path / name).read_bytes(), ONLY) == record
        if name.startswith("key"):
            with pytest.raises(RecordError):
                load_file((tmp_path / name).read_bytes(), BEFORE)
    assert {name: (tmp_path / name).read_bytes() for name in others} == others
    assert (tmp_path / "key-link.json").is_symlink()
    assert (tmp_path / f"{record_name(bucket())}.json").stat().st_ino == plain
    reseal(tmp_path / "not there", BOTH, ONLY)
