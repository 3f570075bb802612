import logging
from collections.abc import Iterator
from pathlib import Path

import lmdb
import pytest

from cooper_gateway.config import GatewayConfig
from cooper_gateway.processes.child import Child
from cooper_gateway.processes.handover import Handover
from cooper_gateway.processes.measurements import Measurements
from cooper_gateway.processes.watcher import Watcher
from cooper_gateway.records.folder import RecordsFolder
from cooper_gateway.records.last_verified import LastVerified
from cooper_gateway.records.table import RecordsTable, TableWriter, open_for_writing
from support.records_fixtures import SmallBox, key, region, write_record

BOX = SmallBox()
KEY = key(1).access_key_id


class Bench:
    """A watcher on a folder, with a clock that the test moves."""

    def __init__(self, path: Path, env: lmdb.Environment) -> None:
        self.path = path
        self.env = env
        self.now = 1e10  # every file is settled by then
        self.records = path / "records-folder"
        self.records.mkdir(exist_ok=True)
        self.table = RecordsTable(env, BOX, "local")
        self.measurements = Measurements()
        self.watcher = self.make()

    def make(self) -> Watcher:
        config = GatewayConfig("local", str(self.path), str(self.path), str(self.records), "kek")
        child = Child(Handover("watcher", config, b"k" * 32), logging.getLogger("cooper_gateway"), -1)
        return Watcher(
            RecordsFolder(str(self.records), BOX, "local"),
            TableWriter(self.env, BOX),
            LastVerified(str(self.path / "verified")),
            child,
            self.measurements,
            lambda: self.now,
        )


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    with open_for_writing(str(tmp_path / "table"), 1 << 20) as env:
        yield Bench(tmp_path, env)


def test_a_relist_fills_the_table_and_stamps_it(bench: Bench) -> None:
    write_record(bench.records, key(1), BOX)
    write_record(bench.records, region(max_record_age=60.0), BOX)
    bench.watcher.relist()
    assert bench.table.refresh().key(KEY) == key(1)
    assert bench.table.verified_at() == bench.now
    gauges = bench.measurements.gauges
    assert (gauges["records"], gauges["records_region"], gauges["records_max_age"]) == (2, 1, 60.0)


def test_an_event_is_applied_at_once_and_proves_nothing_about_the_rest(bench: Bench) -> None:
    bench.watcher.relist()
    stamp = bench.now
    bench.now += 1
    path = write_record(bench.records, key(1, state="Revoked"), BOX)
    bench.watcher.update({path.name})
    assert bench.table.refresh().key(KEY) == key(1, state="Revoked")
    assert bench.table.verified_at() == stamp


def test_a_folder_that_is_gone_changes_nothing_and_is_told_once(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    write_record(bench.records, key(1), BOX)
    bench.watcher.relist()
    stamp = bench.now
    bench.records.rename(bench.path / "away")
    for _ in range(3):
        bench.now += 2
        bench.watcher.relist()
        bench.watcher.update({"key-akiatest000000000001.json"})
    assert bench.table.refresh().key(KEY) == key(1)
    assert bench.table.verified_at() == stamp
    assert caplog.text.count("the records stay as they were") == 1
    (bench.path / "away" / "key-akiatest000000000001.json").unlink()
    (bench.path / "away").rename(bench.records)
    bench.watcher.relist()
    assert bench.table.refresh().key(KEY) is None
    assert bench.table.verified_at() == bench.now


def test_a_restarted_watcher_removes_what_went_meanwhile_and_keeps_the_stamp_until_then(bench: Bench) -> None:
    path = write_record(bench.records, key(1), BOX)
    bench.watcher.relist()
    stamp = bench.now
    path.unlink()
    bench.now += 100
    successor = bench.make()
    assert bench.table.refresh().verified_at() == stamp
    assert bench.table.key(KEY) == key(1)
    successor.relist()
    assert bench.table.refresh().key(KEY) is None


def test_the_age_goes_on_after_a_boot_until_the_first_reading(bench: Bench) -> None:
    bench.watcher.relist()
    stamp = bench.now
    bench.now += 500
    with open_for_writing(str(bench.path / "next-boot"), 1 << 20) as env:
        next_boot = Bench(bench.path, env)
        assert next_boot.table.refresh().verified_at() == stamp


def test_without_any_reading_ever_the_records_are_as_old_as_can_be(bench: Bench) -> None:
    assert bench.table.refresh().verified_at() == 0.0


def test_records_that_do_not_fit_leave_the_table_as_it_was(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    write_record(bench.records, key(1), BOX)
    bench.watcher.relist()
    stamp = bench.now
    extra = [write_record(bench.records, key(n), BOX) for n in range(2, 3000)]
    for _ in range(2):
        bench.now += 2
        bench.watcher.relist()
    assert bench.table.refresh().verified_at() == stamp
    assert (bench.table.key(KEY), bench.table.key(key(2).access_key_id)) == (key(1), None)
    assert caplog.text.count("raise table_size") == 1
    assert bench.measurements.gauges["records_table_full"] == 1
    for path in extra[1:]:
        path.unlink()
    bench.watcher.relist()
    assert bench.table.refresh().key(key(2).access_key_id) == key(2)
    assert (bench.table.verified_at(), bench.measurements.gauges["records_table_full"]) == (bench.now, 0)


def test_a_key_is_revoked_although_others_do_not_fit(bench: Bench) -> None:
    write_record(bench.records, key(1), BOX)
    bench.watcher.relist()
    for n in range(2, 3000):
        write_record(bench.records, key(n), BOX)
    bench.watcher.relist()
    path = write_record(bench.records, key(1, state="Revoked"), BOX)
    bench.watcher.update({path.name})
    assert bench.table.refresh().key(KEY) == key(1, state="Revoked")


def test_a_broken_file_is_told_once(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    (bench.records / "bucket-photos.json").write_bytes(b"{")
    bench.watcher.relist()
    bench.watcher.relist()
    assert caplog.text.count("record file bucket-photos.json is left out") == 1
    assert bench.measurements.gauges["records_broken"] == 1
