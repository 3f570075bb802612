"""The key-encryption key of a cluster's Secret: a new one over an empty store only, and never a second one."""

import base64
from pathlib import Path
from typing import Any

import pytest

from cooper_cli.keys import absent, filled_in
from cooper_crds.kubernetes import KEK_KEY, KEK_TYPE
from cooper_gateway.crypto.keyring import Keyring, KeyringError
from cooper_gateway.storage.layout import Layout

EMPTY: dict[str, Any] = {"type": KEK_TYPE, "metadata": {"resourceVersion": "7"}}
ABOUT = "Secret cooper/kek-local"


@pytest.fixture
def store(tmp_path: Path) -> Layout:
    return Layout(str(tmp_path / "data"))


def test_a_new_key_is_put_into_an_empty_secret_at_the_version_that_was_read(tmp_path: Path, store: Layout) -> None:
    target = tmp_path / "run" / "kek.json"
    filled = filled_in(EMPTY, ABOUT, store, target)
    assert filled is not None
    assert filled["metadata"] == EMPTY["metadata"]
    assert base64.b64decode(filled["data"][KEK_KEY]) == target.read_bytes()
    assert target.stat().st_mode & 0o777 == 0o600
    again = tmp_path / "again" / "kek.json"
    assert filled_in(filled, ABOUT, store, again) is None
    assert Keyring.load(str(again)).fingerprint == Keyring.load(str(target)).fingerprint


def test_what_another_gateway_was_faster_with_replaces_ours(tmp_path: Path, store: Layout) -> None:
    target = tmp_path / "kek.json"
    filled_in(EMPTY, ABOUT, store, target)
    ours = target.read_bytes()
    theirs = filled_in(EMPTY, ABOUT, store, tmp_path / "theirs.json")
    assert theirs is not None
    assert filled_in(theirs, ABOUT, store, target) is None
    assert target.read_bytes() == (tmp_path / "theirs.json").read_bytes() != ours


def test_over_a_store_no_key_is_made(tmp_path: Path, store: Layout) -> None:
    store.index.mkdir(parents=True)
    (store.index / "data.mdb").touch()
    target = tmp_path / "kek.json"
    with pytest.raises(KeyringError, match=r"holds no key, and the store in .* already holds encrypted data"):
        filled_in(EMPTY, ABOUT, store, target)
    assert not target.exists()


def test_who_lost_the_secret_is_not_told_to_wait_for_a_new_one(store: Layout) -> None:
    assert absent(ABOUT, store) == f"{ABOUT} is not there yet: the operator makes it"
    store.index.mkdir(parents=True)
    (store.index / "data.mdb").touch()
    assert "put the Secret back" in absent(ABOUT, store)


@pytest.mark.parametrize(
    ("secret", "said"),
    [
        ({**EMPTY, "type": "Opaque"}, "is of type Opaque"),
        ({**EMPTY, "data": {KEK_KEY: base64.b64encode(b"no key").decode()}}, "is not a key-encryption key file"),
    ],
)
def test_what_is_no_key_is_told_and_kept(tmp_path: Path, store: Layout, secret: dict[str, Any], said: str) -> None:
    with pytest.raises(KeyringError, match=said):
        filled_in(secret, ABOUT, store, tmp_path / "kek.json")
