import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import lmdb
import msgspec
import pytest

from cooper_crds.records import DomainRecord
from cooper_gateway.records.table import RecordsTable, TableFull, TableWriter, open_for_writing, record_name
from support.records_fixtures import SECRET, SmallBox, bucket, key, region

LIMIT = 4 << 20


@pytest.fixture
def env(tmp_path: Path) -> Iterator[lmdb.Environment]:
    with open_for_writing(str(tmp_path / "records"), LIMIT) as env:
        yield env


@pytest.fixture
def writer(env: lmdb.Environment) -> TableWriter:
    return TableWriter(env, SmallBox())


@pytest.fixture
def table(env: lmdb.Environment) -> RecordsTable:
    return RecordsTable(env, SmallBox(), "local")


def test_everything_written_is_found(writer: TableWriter, table: RecordsTable) -> None:
    assert writer.replace_all([key(1), key(2), bucket(), region()], 100.0) == 4
    table.refresh()
    assert table.key("AKIATEST000000000001") == key(1)
    assert table.key("AKIATEST000000000001").secret_key == SECRET  # type: ignore[union-attr]
    assert table.bucket("photos") == bucket()
    assert table.region() == region()
    assert table.verified_at() == 100.0


def test_an_empty_table_knows_nothing(table: RecordsTable) -> None:
    table.refresh()
    assert (table.key("AKIATEST000000000001"), table.bucket("photos"), table.region()) == (None, None, None)
    assert table.verified_at() == 0.0


@pytest.mark.parametrize(
    "access_key_id",
    ["akiatest000000000001", "", "x" * 5000, "AKIA\0", "AKÎA", "\udc80", "../key", "AKIATEST000000000001 "],
)
def test_a_key_id_that_is_not_exactly_one_names_no_key(
    writer: TableWriter, table: RecordsTable, access_key_id: str
) -> None:
    writer.replace_all([key(1)], 1.0)
    assert table.refresh().key(access_key_id) is None


def test_names_do_not_reach_other_kinds_or_the_stamp(writer: TableWriter, table: RecordsTable) -> None:
    writer.replace_all([key(1), region()], 1.0)
    table.refresh()
    assert table.bucket("\0stamp") is None
    assert table.bucket("../region-local") is None


def test_replace_all_removes_what_is_gone_and_rewrites_only_what_changed(
    writer: TableWriter, table: RecordsTable
) -> None:
    writer.replace_all([key(1), key(2), bucket()], 1.0)
    assert writer.replace_all([key(1), bucket(visibility="Public")], 2.0) == 2
    table.refresh()
    assert table.key("AKIATEST000000000002") is None
    assert table.bucket("photos") == bucket(visibility="Public")
    assert writer.replace_all([key(1), bucket(visibility="Public")], 3.0) == 0


def test_a_revocation_is_seen_at_the_next_refresh(writer: TableWriter, table: RecordsTable) -> None:
    writer.replace_all([key(1)], 1.0)
    assert table.refresh().key(key(1).access_key_id).state == "Active"  # type: ignore[union-attr]
    writer.apply({f"key-{key(1).access_key_id.lower()}": key(1, state="Revoked")}, None)
    assert table.refresh().key(key(1).access_key_id).state == "Revoked"  # type: ignore[union-attr]
    assert table.verified_at() == 1.0


def test_a_stamp_keeps_decoded_records(writer: TableWriter, table: RecordsTable) -> None:
    writer.replace_all([key(1)], 1.0)
    first = table.refresh().key(key(1).access_key_id)
    revision = table.revision
    writer.stamp(50.0)
    assert table.refresh().key(key(1).access_key_id) is first
    assert (table.revision, table.verified_at()) == (revision, 50.0)


def test_a_lookup_after_a_commit_never_mixes_old_with_new(writer: TableWriter, table: RecordsTable) -> None:
    writer.replace_all([key(1), bucket()], 1.0)
    table.refresh().key(key(1).access_key_id)
    writer.replace_all([key(1, state="Revoked"), bucket(api_access="Revoked")], 2.0)
    assert table.bucket("photos").api_access == "Revoked"  # type: ignore[union-attr]
    assert table.key(key(1).access_key_id).state == "Revoked"  # type: ignore[union-attr]


def test_the_cache_is_bounded(writer: TableWriter, table: RecordsTable, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cooper_gateway.records.table._CACHE_LIMIT", 5)
    writer.replace_all([key(n) for n in range(20)], 1.0)
    table.refresh()
    for n in range(20):
        assert table.key(key(n).access_key_id) == key(n)
    assert len(table._records) <= 5  # pyright: ignore[reportPrivateUsage]


def test_the_cache_is_bounded_by_what_its_records_take(
    writer: TableWriter, table: RecordsTable, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cooper_gateway.records.table._CACHE_BYTES", 5000)
    writer.replace_all([key(n) for n in range(100)], 1.0)
    for _ in range(3):
        table.refresh()
        for n in range(100):
            assert table.key(key(n).access_key_id) == key(n)
            assert sum(len(row) for row, _ in table._decoded.values()) <= 5000  # pyright: ignore[reportPrivateUsage]
            assert table._records.keys() <= table._decoded.keys()  # pyright: ignore[reportPrivateUsage]


def test_a_record_is_decoded_once_whatever_becomes_of_others(
    writer: TableWriter, table: RecordsTable, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer.replace_all([key(1), key(2)], 1.0)
    first = table.refresh().key(key(1).access_key_id)
    writer.apply({record_name(key(2)): None}, 2.0)
    assert table.refresh().key(key(1).access_key_id) is first
    revoked = msgspec.structs.replace(key(1), state="Revoked")
    writer.apply({record_name(revoked): revoked}, 3.0)
    assert table.refresh().key(key(1).access_key_id) == revoked
    writer.apply({record_name(revoked): None}, 4.0)
    assert table.refresh().key(key(1).access_key_id) is None


def test_a_domain_is_found_as_soon_as_it_is_claimed_and_no_longer(writer: TableWriter, table: RecordsTable) -> None:
    name, other = "photos.example.com", "other.example.com"
    claim = DomainRecord(name, "photos", bucket().data_id, bucket().owner, "local")
    writer.replace_all([bucket()], 1.0)
    for _ in range(2):  # the second time from memory
        assert (table.refresh().domain(name), table.domain(other)) == (None, None)
    writer.apply({record_name(claim): claim}, None)
    for _ in range(2):
        assert (table.refresh().domain(name), table.domain(other)) == (claim, None)
    writer.apply({record_name(claim): None}, None)
    assert table.refresh().domain(name) is None
    assert table.domain("x" * 5000) is None


def test_what_is_known_to_be_no_domain_is_bounded(
    writer: TableWriter, table: RecordsTable, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cooper_gateway.records.table._CACHE_LIMIT", 5)
    writer.replace_all([bucket()], 1.0)
    table.refresh()
    assert [table.domain(f"{number}.example.com") for number in range(20)] == [None] * 20
    assert len(table._no_domains) <= 5  # pyright: ignore[reportPrivateUsage]


def test_a_full_table_says_so_and_keeps_the_old_content(writer: TableWriter, table: RecordsTable) -> None:
    writer.replace_all([key(1)], 1.0)
    with pytest.raises(TableFull, match="raise table_size"):
        writer.replace_all([key(n) for n in range(20_000)], 2.0)
    table.refresh()
    assert table.key(key(1).access_key_id) == key(1)
    assert table.key(key(2).access_key_id) is None
    assert table.verified_at() == 1.0
    assert writer.replace_all([key(1), key(2)], 3.0) == 1


def test_what_is_there_can_be_changed_in_a_full_table_and_every_process_sees_it(
    writer: TableWriter, table: RecordsTable, env: lmdb.Environment
) -> None:
    there = fill(writer)
    revoked = {record_name(key(n)): key(n, state="Revoked") for n in range(there)}
    assert writer.apply_to_present(revoked | {record_name(key(n)): key(n) for n in range(there, there + 100)}) == there
    assert table.refresh().key(key(0).access_key_id) == key(0, state="Revoked")
    assert table.key(key(there + 1).access_key_id) is None
    assert table.verified_at() == 1.0
    code = (
        "import sys; from cooper_gateway.records.table import *; from support.records_fixtures import SmallBox, key\n"
        "table = RecordsTable(open_for_reading(sys.argv[1], int(sys.argv[2])), SmallBox(), 'local').refresh()\n"
        "print(table.key(key(0).access_key_id).state)"
    )
    paths = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run([sys.executable, "-c", code, env.path(), str(LIMIT)], env=paths, capture_output=True)
    assert done.stdout == b"Revoked\n", done.stderr
    with pytest.raises(TableFull):
        writer.apply({record_name(key(n)): key(n) for n in range(there, there + 1000)}, 2.0)


def fill(writer: TableWriter) -> int:
    """Add keys, ever fewer at once, until not one fits; returns how many are there."""
    there = 0
    for step in (1000, 100, 10, 1):
        with suppress(TableFull):
            while True:
                more = range(there, there + step)
                writer.apply({record_name(key(n)): key(n) for n in more}, 1.0)
                there += step
    return there


def test_rows_of_another_boot_grant_nothing_and_are_replaced(env: lmdb.Environment, table: RecordsTable) -> None:
    TableWriter(env, SmallBox(b"o" * 32)).replace_all([key(1)], 1.0)
    assert table.refresh().key(key(1).access_key_id) is None
    TableWriter(env, SmallBox()).replace_all([key(1)], 1.0)
    assert table.refresh().key(key(1).access_key_id) == key(1)


def test_a_row_moved_to_another_name_grants_nothing(env: lmdb.Environment, table: RecordsTable) -> None:
    TableWriter(env, SmallBox()).replace_all([bucket("photos"), bucket("music")], 1.0)
    with env.begin(write=True) as txn:
        txn.put(b"bucket-music", txn.get(b"bucket-photos") or b"")
    assert table.refresh().bucket("music") is None


def test_the_table_holds_no_secret_in_the_open_and_is_private(writer: TableWriter, env: lmdb.Environment) -> None:
    writer.replace_all([key(1)], 1.0)
    folder = Path(env.path())
    assert folder.stat().st_mode & 0o777 == 0o700
    for file in folder.iterdir():
        assert file.stat().st_mode & 0o777 == 0o600
        assert SECRET.encode() not in file.read_bytes()
    assert sorted(os.listdir(folder)) == ["data.mdb", "lock.mdb"]
