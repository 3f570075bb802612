"""The key-encryption key: made once, over an empty store only, and named when it does not fit."""

import os
import stat
from pathlib import Path

import pytest

from cooper_gateway.crypto.keyring import Keyring, KeyringError
from cooper_gateway.storage.sealing import Sealer

DATA_ID = b"D" * 16


def made(path: Path) -> Keyring:
    return Keyring.load_or_create(str(path), store_is_empty=True)


def test_a_key_is_made_over_an_empty_store_and_then_kept(tmp_path: Path) -> None:
    path = tmp_path / "sub" / "kek"
    first = made(path)
    content = path.read_bytes()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert os.listdir(path.parent) == ["kek"]
    assert Keyring.load_or_create(str(path), store_is_empty=False).fingerprint == first.fingerprint
    assert made(path).fingerprint == first.fingerprint
    assert path.read_bytes() == content


def test_a_new_key_is_durable_with_all_folders_on_the_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: set[str] = set()
    fsync = os.fsync

    def noting(descriptor: int) -> None:
        synced.add(os.readlink(f"/proc/self/fd/{descriptor}"))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", noting)
    path = tmp_path / "not" / "there" / "kek.json"
    Keyring.load_or_create(str(path), True)
    assert {str(path.parent), str(path.parent.parent), str(tmp_path)} <= synced
    assert path.parent.stat().st_mode & 0o777 == 0o700


def test_no_key_is_made_over_a_store_that_holds_data(tmp_path: Path) -> None:
    path = tmp_path / "kek"
    with pytest.raises(KeyringError, match=r"missing.*Put the file back"):
        Keyring.load_or_create(str(path), store_is_empty=False)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(
    "content", [b"", b"{}", b'{"format":1,"key":"zz"}', b'{"format":1,"key":"00"}', b'{"format":2,"key":""}']
)
def test_a_broken_key_file_is_named_and_left_alone(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "kek"
    path.write_bytes(content)
    with pytest.raises(KeyringError):
        made(path)
    assert path.read_bytes() == content


def test_a_key_that_does_not_fit_is_named(tmp_path: Path) -> None:
    one, two = made(tmp_path / "one"), made(tmp_path / "two")
    one.check_fingerprint(one.fingerprint)
    with pytest.raises(KeyringError) as error:
        one.check_fingerprint(two.fingerprint)
    assert one.fingerprint in str(error.value)
    assert two.fingerprint in str(error.value)


def test_it_shows_no_key_material(tmp_path: Path) -> None:
    keyring = made(tmp_path / "kek")
    key = (tmp_path / "kek").read_text().split('"key":"')[1][:64]
    assert key not in repr(keyring)
    assert key not in repr(vars(keyring))
    assert keyring.fingerprint not in key


def test_a_bucket_key_opens_with_its_key_and_bucket_only(tmp_path: Path) -> None:
    one, two = made(tmp_path / "one"), made(tmp_path / "two")
    content = one.new_bucket_key(DATA_ID)
    record = one.bucket(DATA_ID, content).seal_record(b"x", b"")
    assert one.bucket(DATA_ID, content).open_record(record, b"") == b"x"
    with pytest.raises(ValueError, match=rf"{one.fingerprint}.*{two.fingerprint}"):
        two.bucket(DATA_ID, content)
    with pytest.raises(ValueError):
        one.bucket(b"E" * 16, content)
    for broken in (b"", b"{}", content[:-8], content.replace(b'"format":1', b'"format":9')):
        with pytest.raises(ValueError):
            one.bucket(DATA_ID, broken)


def test_secrets_are_sealed_apart_from_bucket_keys(tmp_path: Path) -> None:
    keyring = made(tmp_path / "kek")
    sealed = keyring.seal(b"secret", b"context")
    assert keyring.open(sealed, b"context") == b"secret"
    assert b"secret" not in sealed
    for context, value in ((b"other", sealed), (b"context", sealed[:-1]), (b"context", b"")):
        with pytest.raises(ValueError):
            keyring.open(value, context)
    with pytest.raises(ValueError):
        keyring.unwrap(sealed, b"context")


def test_it_is_what_the_store_asks_for(tmp_path: Path) -> None:
    sealer: Sealer = made(tmp_path / "kek")
    assert sealer.header_size == len(
        sealer.bucket(DATA_ID, sealer.new_bucket_key(DATA_ID)).new_segment(b"S" * 16).header
    )
