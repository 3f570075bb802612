"""Readings become effective: on disk first, then in the table, and a start goes on from there."""

import errno
import logging
from collections.abc import Iterator, Mapping
from pathlib import Path

import lmdb
import pytest

from cooper_crds.records import Record
from cooper_gateway.crypto.keyring import Keyring
from cooper_gateway.processes.intake import Intake
from cooper_gateway.processes.measurements import Measurements
from cooper_gateway.processes.mirroring import MirrorKeeper
from cooper_gateway.records import mirror as mirror_module
from cooper_gateway.records.last_verified import LastVerified
from cooper_gateway.records.mirror import Mirror
from cooper_gateway.records.source import Ledger, Reading
from cooper_gateway.records.table import RecordsTable, TableWriter, open_for_writing, record_name
from support.records_fixtures import SmallBox, key, region

BOX = SmallBox()
KEK = Keyring(b"k" * 32)
KEY = key(1).access_key_id
REVOKED = key(1, state="Revoked")


class Watched(Mirror):
    """A mirror that notes what the table says of the key while the mirror is being written."""

    table: RecordsTable
    seen: list[Record | None]

    def append(self, changes: Mapping[str, Record | None]) -> None:
        super().append(changes)
        self.seen.append(self.table.refresh().key(KEY))


class Bench:
    """One data folder; every `boot` has a new table, as after a restart."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.now = 1e9
        self.retry = 0.0
        self.boots: list[lmdb.Environment] = []
        self.boot()

    def boot(self, size: int = 1 << 20) -> None:
        self.boots.append(open_for_writing(str(self.path / f"table-{len(self.boots)}"), size))
        self.start()

    def start(self) -> None:
        self.table = RecordsTable(self.boots[-1], BOX, "local")
        self.ledger = Ledger("local")
        self.measurements = Measurements()
        self.mirror = Watched(str(self.path / "mirror"), KEK, "cooper-system")
        self.mirror.table, self.mirror.seen = self.table, []
        log = logging.getLogger("cooper_gateway.test")
        keeper = MirrorKeeper(self.mirror, log, lambda: self.retry)
        last = LastVerified(str(self.path / "verified"))
        writer = TableWriter(self.boots[-1], BOX)
        self.intake = Intake(writer, last, keeper, self.ledger, "local", log, self.measurements)
        self.intake.begin(self.now)

    def listed(self, *records: Record) -> bool:
        reading = Reading(complete=True, verified_at=self.now)
        self.ledger.forget()
        for record in records:
            self.ledger.found(record_name(record), record, reading)
        return self.intake.take(reading)

    def happened(self, record: Record) -> bool:
        reading = Reading()
        self.ledger.found(record_name(record), record, reading)
        return self.intake.take(reading)

    def verified(self) -> float:
        return self.table.refresh().verified_at()


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    bench = Bench(tmp_path)
    yield bench
    for env in bench.boots:
        env.close()


def test_a_change_is_on_disk_before_it_is_in_the_table(bench: Bench) -> None:
    bench.listed(region(), key(1))
    bench.happened(REVOKED)
    assert bench.mirror.seen == [key(1)]
    assert bench.table.refresh().key(KEY) == REVOKED


def test_a_start_without_the_source_knows_what_was_enforced_and_how_old_it_is(bench: Bench) -> None:
    bench.listed(region(max_record_age=60.0), key(1), key(2))
    stamp = bench.now
    bench.happened(REVOKED)
    bench.now += 40
    bench.boot()
    assert bench.table.refresh().key(KEY) == REVOKED
    assert bench.table.key(key(2).access_key_id) == key(2)
    assert bench.verified() == stamp
    gauges = bench.measurements.gauges
    assert (gauges["records"], gauges["records_region"], gauges["records_max_age"]) == (3, 1, 60.0)
    assert gauges["records_verified_at"] == stamp
    # The source is back: what went meanwhile is gone, also from the mirror.
    bench.listed(region(), REVOKED)
    bench.boot()
    assert bench.table.refresh().key(key(2).access_key_id) is None


def test_a_restarted_watcher_goes_on_with_its_table(bench: Bench) -> None:
    bench.listed(region(), key(1))
    (bench.path / "mirror").unlink()
    bench.start()
    assert bench.table.refresh().key(KEY) == key(1)
    assert bench.verified() == bench.now


@pytest.mark.parametrize("damage", ["cut", "altered", "gone", "folder"])
def test_a_damaged_mirror_is_ignored_told_and_made_anew(
    bench: Bench, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    bench.listed(region(), key(1))
    path = bench.path / "mirror"
    content = path.read_bytes()
    path.unlink()
    if damage == "folder":
        path.mkdir()
    elif damage != "gone":
        path.write_bytes(content[:10] if damage == "cut" else content[:-1] + bytes([content[-1] ^ 1]))
    bench.boot()
    assert bench.table.refresh().key(KEY) is None
    assert bench.verified() == 0.0  # there is a stamp, but nothing that it speaks of
    assert ("made anew" in caplog.text) == (damage != "gone")
    if damage == "folder":
        path.rmdir()
    bench.listed(region(), key(1))
    bench.boot()
    assert bench.table.refresh().key(KEY) == key(1)


def test_a_mirror_that_cannot_be_written_hinders_nothing_and_says_nothing(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    bench.listed(region(), key(1))

    def broken(handle: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    for name in ("fsync", "fdatasync"):
        monkeypatch.setattr(mirror_module.os, name, broken)
    bench.happened(REVOKED)
    assert bench.table.refresh().key(KEY) == REVOKED
    assert not (bench.path / "mirror").exists()
    for _ in range(3):
        bench.retry += 100
        bench.now += 1000
        bench.intake.take(Reading(verified_at=bench.now))
    assert bench.verified() == bench.now
    assert LastVerified(str(bench.path / "verified")).read(bench.now) == 1e9  # no stamp without a mirror
    assert caplog.text.count("cannot be written") == 1
    bench.boot()
    assert bench.table.refresh().key(KEY) is None
    bench.listed(region(), REVOKED)
    monkeypatch.undo()
    bench.retry += 100
    bench.intake.take(Reading(verified_at=bench.now))
    bench.boot()
    assert bench.table.refresh().key(KEY) == REVOKED


def test_an_overgrown_mirror_is_rewritten_from_the_table(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mirror_module, "_LEAST_GROWTH", 4000)
    bench.listed(region(), key(1))
    for number in range(200):
        bench.happened(key(2, not_after=float(number)))
    assert (bench.path / "mirror").stat().st_size < 12000
    bench.boot()
    assert bench.table.refresh().key(key(2).access_key_id) == key(2, not_after=199.0)


def test_what_did_not_fit_into_the_table_does_not_stay_in_the_mirror(bench: Bench) -> None:
    bench.listed(region(), key(1))
    many = [key(n) for n in range(2, 3000)]
    assert not bench.listed(region(), key(1), *many)
    assert bench.measurements.gauges["records_table_full"] == 1
    assert "raise table_size" in bench.measurements.trouble
    used, most = (bench.measurements.gauges[f"records_table_{each}"] for each in ("bytes", "limit_bytes"))
    assert 0 < used < most == 1 << 20
    assert bench.listed(region(), key(1), many[0])
    assert (bench.measurements.gauges["records_table_full"], bench.measurements.trouble) == (0, "")
    bench.boot()
    assert bench.table.refresh().key(many[0].access_key_id) == many[0]
    assert bench.table.key(many[1].access_key_id) is None


def test_how_full_the_table_is_is_known_before_it_is_full(bench: Bench) -> None:
    gauges = bench.measurements.gauges
    empty = gauges["records_table_bytes"]
    bench.listed(region(), *(key(n) for n in range(1000)))
    full = gauges["records_table_bytes"]
    assert empty + 1000 * 200 < full < gauges["records_table_limit_bytes"] == 1 << 20
    bench.listed(region(), key(1))
    assert gauges["records_table_bytes"] < empty + 5 * 4096, "what was deleted takes no room"


def test_a_revocation_does_not_wait_until_what_is_new_fits(bench: Bench) -> None:
    bench.listed(region(), key(1), key(2))
    too_many = [key(n) for n in range(3, 3000)]
    assert not bench.listed(region(), REVOKED, *too_many)
    assert bench.table.refresh().key(KEY) == REVOKED
    assert bench.table.key(key(2).access_key_id) is None, "it is not listed any more"
    assert bench.table.key(key(3).access_key_id) is None
    assert bench.measurements.gauges["records_table_full"] == 1
    bench.boot()
    assert bench.table.refresh().key(KEY) == REVOKED


def test_a_mirror_that_does_not_fit_into_the_table_is_no_age(bench: Bench) -> None:
    bench.listed(region(), *(key(n) for n in range(1, 800)))
    bench.boot(size=1 << 16)
    assert bench.verified() == 0.0
