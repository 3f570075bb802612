"""Several key-encryption keys: the newest seals, each opens, and who runs takes up what is added."""

import json
import os
import stat
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from cooper_gateway.crypto import key_file
from cooper_gateway.crypto.key_file import KeyFile, KeyringError
from cooper_gateway.crypto.keyring import Keyring
from cooper_gateway.shredding import OLD, SyncFailed
from support.disk_crashes import Crash, CrashAfter

DATA_ID = b"D" * 16
#: A file as programs of before wrote it, and a key that it wraps.
FORMER = b'{"format":1,"key":"' + b"6b" * 32 + b'"}\n'


@pytest.fixture
def path(tmp_path: Path) -> Path:
    made = tmp_path / "keys" / "kek.json"
    made.parent.mkdir()
    made.write_bytes(FORMER)
    made.chmod(0o600)
    return made


def oldest_gone(file: KeyFile) -> KeyFile:
    return file.without(file.fingerprints[-1])


def test_a_file_of_before_is_read_and_stays_one_of_before_until_a_key_is_added(path: Path) -> None:
    file = key_file.load(path)
    assert file.keys == (b"k" * 32,)
    assert key_file.encode(file) == FORMER
    assert Keyring.load(str(path)).fingerprint == Keyring(b"k" * 32).fingerprint
    added = key_file.change(path, KeyFile.added)
    content = json.loads(path.read_bytes())
    assert content == {"format": 2, "keys": [added.keys[0].hex(), "6b" * 32], "removed": []}
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert os.listdir(path.parent) == [path.name]
    gone = key_file.change(path, oldest_gone)
    assert key_file.load(path) == gone
    assert json.loads(path.read_bytes())["removed"] == [file.fingerprints[0]]


@pytest.mark.parametrize(
    "content",
    [
        b'{"format":2,"keys":[],"removed":[]}',
        b'{"format":2,"keys":["00"],"removed":[]}',
        b'{"format":2,"keys":["zz"],"removed":[]}',
        b'{"format":2,"key":"' + b"6b" * 32 + b'"}',
        b'{"format":3,"keys":["' + b"6b" * 32 + b'"],"removed":[]}',
    ],
)
def test_what_is_no_file_of_keys_is_named_and_left_alone(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    with pytest.raises(KeyringError, match=r"damaged|format 3, this program knows up to 2"):
        key_file.change(path, KeyFile.added)
    assert path.read_bytes() == content


def test_the_newest_seals_and_each_opens(path: Path) -> None:
    before = Keyring.load(str(path))
    key, sealed = before.new_bucket_key(DATA_ID), before.seal(b"secret", b"context")
    record = before.bucket(DATA_ID, key).seal_record(b"x", b"")
    key_file.change(path, KeyFile.added)
    both = Keyring.load(str(path))
    assert both.fingerprints[1:] == before.fingerprints
    assert both.bucket(DATA_ID, key).open_record(record, b"") == b"x"
    assert both.open(sealed, b"context") == b"secret"
    newest = both.only(both.fingerprint.__eq__)
    rewrapped = both.rewrapped(DATA_ID, key)
    assert (both.wrapped_by(key), both.wrapped_by(rewrapped)) == (before.fingerprint, both.fingerprint)
    assert newest.bucket(DATA_ID, rewrapped).open_record(record, b"") == b"x"
    assert newest.open(both.seal(b"secret", b"context"), b"context") == b"secret"
    with pytest.raises(ValueError, match=before.fingerprint):
        newest.bucket(DATA_ID, key)
    with pytest.raises(ValueError):
        newest.open(sealed, b"context")


def test_who_runs_takes_up_what_is_added_and_what_is_removed(path: Path) -> None:
    sealing, opening = Keyring.load(str(path)), Keyring.load(str(path))
    added = key_file.change(path, KeyFile.added)
    sealed = sealing.seal(b"secret", b"context")
    assert sealing.fingerprints == added.fingerprints
    assert opening.open(sealed, b"context") == b"secret"
    other = Keyring.load(str(path)).new_bucket_key(DATA_ID)
    late = Keyring(b"k" * 32)
    with pytest.raises(ValueError, match="wrapped by"):
        late.bucket(DATA_ID, other)
    key_file.change(path, oldest_gone)
    idle = Keyring.of(key_file.decode(FORMER, "a file"))
    idle._path = path
    assert idle.refresh()
    assert idle.fingerprints == added.fingerprints[:1]
    assert not idle.refresh()


def test_a_bucket_key_by_a_key_that_was_added_since_is_opened(path: Path) -> None:
    worker = Keyring.load(str(path))
    key_file.change(path, KeyFile.added)
    worker.bucket(DATA_ID, Keyring.load(str(path)).new_bucket_key(DATA_ID))


@pytest.mark.parametrize("becomes", ["another store's", "damaged", "gone"])
def test_what_a_file_becomes_by_mistake_is_passed_over_by_who_runs(path: Path, becomes: str) -> None:
    keyring = Keyring.load(str(path))
    if becomes == "another store's":
        path.unlink()
        key_file.create(path)
    elif becomes == "damaged":
        path.write_bytes(b"{}")
    else:
        path.unlink()
    before = keyring.fingerprints
    assert Keyring(b"k" * 32).open(keyring.seal(b"secret", b"context"), b"context") == b"secret"
    assert keyring.fingerprints == before


def test_keys_go_one_by_one_and_never_the_newest(path: Path) -> None:
    file = key_file.load(path).added().added()
    newest, middle, oldest = file.fingerprints
    with pytest.raises(KeyringError, match=f"{newest} is the newest"):
        file.without(newest)
    with pytest.raises(KeyringError, match="there is no key 0123: there are"):
        file.without("0123")
    assert file.without(middle).fingerprints == (newest, oldest)
    assert file.without(middle).without(oldest).removed == (oldest, middle)


def test_a_store_that_needs_a_key_that_is_not_there_is_told_which(path: Path) -> None:
    old = Keyring.load(str(path)).fingerprint
    both = Keyring.of(key_file.change(path, KeyFile.added))
    both.check_fingerprint(old)
    both.check_fingerprint(" ".join(both.fingerprints))
    left = Keyring.of(key_file.change(path, oldest_gone))
    left.check_fingerprint(left.fingerprint)
    with pytest.raises(KeyringError, match=f"a copy of it from before {old} was removed"):
        left.check_fingerprint(f"{left.fingerprint} {old}")
    with pytest.raises(KeyringError, match=r"was made with key-encryption key 0123, .*Put the key file that belongs"):
        left.check_fingerprint(f"{left.fingerprint} 0123")
    with pytest.raises(KeyringError):
        left.check_fingerprint("")


def test_it_shows_no_key_material(path: Path) -> None:
    file = key_file.change(path, KeyFile.added)
    for shown in (repr(file), str(file), repr(Keyring.of(file)), repr(vars(Keyring.of(file)))):
        assert not any(key.hex() in shown or repr(key) in shown for key in file.keys)


@pytest.mark.parametrize("how", [KeyFile.added, oldest_gone], ids=["added", "removed"])
@pytest.mark.parametrize("steps", range(9))
def test_a_change_that_is_cut_short_is_none_or_whole_and_the_next_one_tidies_up(
    path: Path, monkeypatch: pytest.MonkeyPatch, steps: int, how: Callable[[KeyFile], KeyFile]
) -> None:
    before = key_file.change(path, KeyFile.added)
    os.link(path, path.parent.parent / "the blocks that the file had")
    with monkeypatch.context() as patch:
        crash = CrashAfter(patch, steps)
        try:
            key_file.change(path, how)
        except Crash:
            pass
    assert crash.crashed == (steps < 8), "made, linked, synced, filled, renamed, synced, overwritten, unlinked"
    now = key_file.load(path)
    assert now == before or now.fingerprints[-1] == before.fingerprints[-1] or now.keys == before.keys[:1]
    key_file.change(path, KeyFile.added)
    assert os.listdir(path.parent) == [path.name]
    assert before.keys[1].hex().encode() not in (path.parent.parent / "the blocks that the file had").read_bytes()


def test_a_change_of_which_nobody_knows_whether_it_is_durable_is_told_and_overwrites_nothing(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[Path] = []

    def failing(folder: Path) -> None:
        synced.append(folder)
        if len(synced) == 2:
            raise OSError(5, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr("cooper_gateway.shredding.sync_directory", failing)
        with pytest.raises(SyncFailed):
            key_file.change(path, KeyFile.added)
    assert len(synced) == 2, "it is not asked again"
    assert path.with_name(path.name + OLD).read_bytes() == FORMER


@pytest.mark.parametrize("name", ["kek.json.old", "kek.json.new", "kek.json~"])
def test_a_copy_that_somebody_made_beside_the_file_is_left_alone(path: Path, name: str) -> None:
    path.with_name(name).write_bytes(FORMER)
    Keyring.load_or_create(str(path), False)
    key_file.change(path, KeyFile.added)
    assert path.with_name(name).read_bytes() == FORMER


def test_a_second_name_that_is_the_only_one_is_left_alone(path: Path) -> None:
    path.rename(path.with_name(path.name + OLD))
    with pytest.raises(KeyringError, match="is missing"):
        Keyring.load_or_create(str(path), False)
    assert path.with_name(path.name + OLD).read_bytes() == FORMER


def test_two_that_add_at_a_time_add_two(path: Path) -> None:
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: key_file.change(path, KeyFile.added), range(8)))
    assert len(key_file.load(path).keys) == 9


@pytest.mark.parametrize("again", [lambda path: Keyring.load_or_create(str(path), False), None])
@pytest.mark.parametrize("steps", range(1, 12))
def test_a_removal_that_is_cut_short_leaves_the_key_nowhere_once_it_is_asked_again_or_used(
    path: Path, monkeypatch: pytest.MonkeyPatch, steps: int, again: Callable[[Path], object] | None
) -> None:
    file = key_file.change(path, KeyFile.added)
    with monkeypatch.context() as patch:
        CrashAfter(patch, steps)
        with suppress(Crash):
            key_file.change(path, oldest_gone)
    if again is not None:
        again(path)
    else:
        with suppress(KeyringError):  # it is gone already
            key_file.change(path, lambda found: found.without(file.fingerprints[1]))
    assert os.listdir(path.parent) == [path.name]
    assert again is not None or file.fingerprints[1] not in key_file.load(path).fingerprints


def test_a_file_belongs_to_whom_it_did(path: Path) -> None:
    path.chmod(0o640)
    as_root = os.getuid() == 0
    if as_root:
        os.chown(path, 12345, 23456)
    key_file.change(path, KeyFile.added)
    status = path.stat()
    assert stat.S_IMODE(status.st_mode) == 0o640
    assert not as_root or (status.st_uid, status.st_gid) == (12345, 23456)
