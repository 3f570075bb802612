from pathlib import Path

import pytest

from cooper_crds.records import Record
from cooper_gateway.crypto.keyring import Keyring
from cooper_gateway.records import mirror as module
from cooper_gateway.records.mirror import Mirror, MirrorDamaged
from cooper_gateway.records.table import record_name
from support.records_fixtures import SECRET, bucket, key, region

BOX = Keyring(b"k" * 32)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "mirror"


def named(*records: Record) -> dict[str, Record]:
    return {record_name(record): record for record in records}


def open_mirror(path: Path, box: Keyring = BOX, source: str = "cooper-system") -> Mirror:
    return Mirror(str(path), box, source)


def test_holds_what_was_written_last(path: Path) -> None:
    mirror = open_mirror(path)
    assert mirror.load() is None
    assert not mirror.writable
    mirror.replace(named(region(), key(1), key(2)).items())
    mirror.append({record_name(key(1)): key(1, state="Revoked"), record_name(key(2)): None})
    mirror.append(named(bucket()))
    assert open_mirror(path).load() == named(region(), key(1, state="Revoked"), bucket())
    mirror.replace(named(key(3)).items())
    assert open_mirror(path).load() == named(key(3))


def test_no_records_are_an_answer_too(path: Path) -> None:
    open_mirror(path).replace([])
    assert open_mirror(path).load() == {}


def test_is_private_and_shows_no_secret(path: Path) -> None:
    mirror = open_mirror(path)
    mirror.replace(named(key(1)).items())
    mirror.append(named(key(2)))
    assert path.stat().st_mode & 0o777 == 0o600
    content = path.read_bytes()
    assert SECRET.encode() not in content
    assert key(1).access_key_id.encode() not in content
    assert [file.name for file in path.parent.iterdir()] == ["mirror"]


def test_another_key_or_source_opens_nothing(path: Path) -> None:
    open_mirror(path).replace(named(key(1)).items())
    for other in (open_mirror(path, Keyring(b"x" * 32)), open_mirror(path, source="elsewhere")):
        with pytest.raises(MirrorDamaged, match="altered"):
            other.load()


def test_what_a_crash_leaves_of_a_change_is_not_there(path: Path) -> None:
    mirror = open_mirror(path)
    mirror.replace(named(key(1)).items())
    before = path.stat().st_size
    mirror.append(named(key(2)))
    whole = path.read_bytes()
    for size in range(before, len(whole)):
        path.write_bytes(whole[:size])
        assert open_mirror(path).load() == named(key(1)), size


def test_no_single_damaged_byte_yields_other_records(path: Path) -> None:
    mirror = open_mirror(path)
    mirror.replace(named(key(1)).items())
    mirror.append(named(key(1, state="Revoked")))
    whole = path.read_bytes()
    for position in range(len(whole)):
        path.write_bytes(whole[:position] + bytes([whole[position] ^ 0x40]) + whole[position + 1 :])
        with pytest.raises(MirrorDamaged):
            open_mirror(path).load()


def test_frames_of_an_earlier_file_do_not_fit_into_this_one(path: Path) -> None:
    mirror = open_mirror(path)
    mirror.replace(named(key(1)).items())
    earlier = path.read_bytes()
    mirror.replace(named(key(1, state="Revoked")).items())
    now = path.read_bytes()
    path.write_bytes(now[:20] + earlier[20:])
    with pytest.raises(MirrorDamaged):
        open_mirror(path).load()


def test_a_cut_off_header_and_a_foreign_file_are_no_mirror(path: Path) -> None:
    for content in (b"", b"CRM1", b"x" * 100):
        path.write_bytes(content)
        with pytest.raises(MirrorDamaged, match="format"):
            open_mirror(path).load()


def test_many_records_take_several_frames(path: Path) -> None:
    records = named(*(key(n) for n in range(1300)))
    open_mirror(path).replace(records.items())
    assert open_mirror(path).load() == records


def test_is_worth_rewriting_when_it_has_grown(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_LEAST_GROWTH", 2000)
    mirror = open_mirror(path)
    mirror.replace(named(key(1)).items())
    appended = 0
    while not mirror.overgrown:
        mirror.append(named(key(1, not_after=float(appended))))
        appended += 1
    assert 4 < appended < 20
    mirror.replace(named(key(1)).items())
    assert not mirror.overgrown


def test_is_on_disk_before_append_and_replace_return(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was written when it was synced is all that there is at the end."""
    synced: list[int] = []
    for name in ("fsync", "fdatasync"):
        real = getattr(module.os, name)

        def sync(handle: int, real: object = real) -> None:
            real(handle)  # type: ignore[operator]
            synced.append(module.os.fstat(handle).st_size)

        monkeypatch.setattr(module.os, name, sync)
    mirror = open_mirror(path)
    mirror.replace(named(key(1)).items())
    assert synced[0] == path.stat().st_size  # the file, and then its folder
    assert len(synced) == 2
    mirror.append(named(key(2)))
    assert synced[-1] == path.stat().st_size


def test_a_mirror_that_cannot_be_replaced_is_as_it_was(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mirror = open_mirror(path)
    mirror.replace(named(key(1)).items())

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module.os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        mirror.replace(named(key(2)).items())
    assert not mirror.writable
    assert open_mirror(path).load() == named(key(1))
    assert [file.name for file in path.parent.iterdir()] == ["mirror"]


def test_discarded_it_is_gone(path: Path) -> None:
    mirror = open_mirror(path)
    mirror.replace(named(key(1)).items())
    mirror.discard()
    mirror.discard()
    assert not path.exists()
    assert open_mirror(path).load() is None
