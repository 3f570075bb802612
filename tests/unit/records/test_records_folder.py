import os
import time
from pathlib import Path

import pytest

from cooper_crds.records import DomainRecord, dump_file
from cooper_gateway.records.folder import FolderUnreadable, RecordsFolder
from support.records_fixtures import SECRET, SmallBox, bucket, key, region, write_record

LATER = 1e10  # every file is settled by then
BOX = SmallBox()
KEY_1 = "key-akiatest000000000001"


@pytest.fixture
def folder(tmp_path: Path) -> RecordsFolder:
    return RecordsFolder(str(tmp_path), BOX, "local")


def test_reads_all_once_and_then_only_changes(tmp_path: Path, folder: RecordsFolder) -> None:
    domain = DomainRecord("a.b", "photos", bucket().data_id, bucket().owner, "local")
    every = {KEY_1: key(1), "bucket-photos": bucket(), "domain-a.b": domain, "region-local": region()}
    for record in every.values():
        write_record(tmp_path, record, BOX)
    assert folder.read_all(LATER).changes == every
    assert folder.read_all(LATER).changes == {}
    write_record(tmp_path, key(1, state="Revoked"), BOX)
    (tmp_path / "bucket-photos.json").unlink()
    changes = folder.read_all(LATER).changes
    assert changes == {KEY_1: key(1, state="Revoked"), "bucket-photos": None}
    assert folder.usable == 3


def test_reads_only_the_files_named(tmp_path: Path, folder: RecordsFolder) -> None:
    write_record(tmp_path, key(1), BOX)
    write_record(tmp_path, key(2), BOX)
    assert folder.read_files({f"{KEY_1}.json", ".key-x.json.new", "../escape"}, LATER).changes == {KEY_1: key(1)}
    (tmp_path / f"{KEY_1}.json").unlink()
    assert folder.read_files({f"{KEY_1}.json"}, LATER).changes == {KEY_1: None}


def test_a_young_file_is_read_again(tmp_path: Path, folder: RecordsFolder) -> None:
    path = write_record(tmp_path, bucket(), BOX)
    assert folder.read_all(time.time()).changes
    times = path.stat()
    path.write_bytes(dump_file(bucket(visibility="Private", api_access="Revoked"), BOX))
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert folder.read_all(time.time()).changes["bucket-photos"] == bucket(api_access="Revoked")


def _renamed(path: Path) -> None:
    (path / "key-akiaother.json").write_bytes(dump_file(key(1), BOX))


def _linked(path: Path) -> None:
    (path / "elsewhere").write_bytes(dump_file(key(1), BOX))
    (path / f"{KEY_1}.json").symlink_to(path / "elsewhere")


def _unsealed(path: Path) -> None:
    from cooper_crds.records import encode

    (path / f"{KEY_1}.json").write_bytes(encode(key(1)))


BROKEN = {
    "empty": (lambda path: (path / f"{KEY_1}.json").write_bytes(b""), "not a record"),
    "cut off": (lambda path: (path / f"{KEY_1}.json").write_bytes(dump_file(key(1), BOX)[:80]), "not a record"),
    "name unlike content": (_renamed, f"its content is the record {KEY_1}"),
    "sealed by another KEK": (
        lambda path: (path / f"{KEY_1}.json").write_bytes(dump_file(key(1), SmallBox(b"x" * 32))),
        "another key-encryption key",
    ),
    "secret in the open": (_unsealed, "is not sealed"),
    "newer version": (lambda path: (path / f"{KEY_1}.json").write_bytes(dump_file(key(1, version=2), BOX)), "upgrade"),
    "unknown field": (
        lambda path: (path / f"{KEY_1}.json").write_bytes(
            dump_file(key(1), BOX).replace(b'"serial"', b'"onlyFrom": "10.0.0.0/8", "serial"')
        ),
        "not a record",
    ),
    "symbolic link": (_linked, "cannot be read"),
    "pipe": (lambda path: os.mkfifo(path / f"{KEY_1}.json"), "not a regular file"),
    "folder": (lambda path: (path / f"{KEY_1}.json").mkdir(), "not a regular file"),
    "too large": (lambda path: (path / f"{KEY_1}.json").write_bytes(b" " * (1 << 21)), "at most"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_file_is_reported_once_and_left_out_while_others_go_on(
    tmp_path: Path, folder: RecordsFolder, case: str
) -> None:
    spoil, reason = BROKEN[case]
    write_record(tmp_path, bucket(), BOX)
    spoil(tmp_path)
    reading = folder.read_all(LATER)
    assert reading.changes == {"bucket-photos": bucket()}
    assert [reason in text for text in reading.broken.values()] == [True], reading.broken
    assert SECRET not in str(reading.broken)
    assert folder.broken == 1
    assert folder.read_all(LATER).broken == {}


def test_a_file_that_breaks_denies_and_when_mended_grants_again(tmp_path: Path, folder: RecordsFolder) -> None:
    path = write_record(tmp_path, key(1), BOX)
    folder.read_all(LATER)
    path.write_bytes(b"{")
    reading = folder.read_all(LATER)
    assert reading.changes == {KEY_1: None}
    write_record(tmp_path, key(1), BOX)
    reading = folder.read_all(LATER)
    assert (reading.changes, reading.mended, folder.broken) == ({KEY_1: key(1)}, [path.name], 0)


def test_a_broken_file_that_goes_is_mended(tmp_path: Path, folder: RecordsFolder) -> None:
    (tmp_path / "bucket-photos.json").write_bytes(b"{")
    folder.read_all(LATER)
    (tmp_path / "bucket-photos.json").unlink()
    reading = folder.read_all(LATER)
    assert (reading.changes, reading.mended) == ({}, ["bucket-photos.json"])


def test_files_of_other_names_are_nobodys_business(tmp_path: Path, folder: RecordsFolder) -> None:
    for name in ("README", "key-a.json.new", ".key-a.json", "KEY-A.json", "secret-a.json", "key-.json"):
        (tmp_path / name).write_bytes(b"{")
    reading = folder.read_all(LATER)
    assert (reading.changes, reading.broken) == ({}, {})


def test_a_folder_that_vanished_proves_nothing(tmp_path: Path) -> None:
    path = tmp_path / "records"
    path.mkdir()
    folder = RecordsFolder(str(path), BOX, "local")
    write_record(path, key(1), BOX)
    folder.read_all(LATER)
    path.rename(tmp_path / "moved")
    with pytest.raises(FolderUnreadable, match="cannot be read"):
        folder.read_all(LATER)
    with pytest.raises(FolderUnreadable):
        folder.read_files({f"{KEY_1}.json"}, LATER)
    (tmp_path / "moved").rename(path)
    folder.forget()
    assert folder.read_all(LATER).changes == {KEY_1: key(1)}
