"""What a verification finds: nothing where all is as it was written, and each kind of damage by bucket and key."""

import asyncio
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest

from cooper_gateway.processes.verification import Access, CannotVerify, findings
from cooper_gateway.processes.verifying import Order
from cooper_gateway.storage import entries, multipart
from cooper_gateway.storage.embedded import EmbeddedStore
from cooper_gateway.storage.entries import State, decode_row, encode_row
from cooper_gateway.storage.layout import Layout
from cooper_gateway.storage.port import BucketRef
from cooper_gateway.storage.verification.findings import KINDS, Damage, Note, Plan, Progress
from cooper_gateway.storage.verification.left_over import IdFilter
from cooper_gateway.storage.verification.pace import Pace
from support.filled_store import BODIES, BUCKET, GUARD, LARGE, OTHER, files_of, fill, filled, flip, put, upload
from support.store_process import CommitterProcess, config_in
from support.verifying import OpenedIndex, all_findings, assert_sound, damage_in


@pytest.fixture
def committer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[CommitterProcess]:
    monkeypatch.setattr(multipart, "MIN_PART_SIZE", 1)
    process = CommitterProcess(config_in(tmp_path))
    Path(process.config.run_dir, "readers").mkdir(exist_ok=True)
    yield process
    process.kill()


@pytest.fixture
def stopped(committer: CommitterProcess) -> CommitterProcess:
    return filled(committer)


def test_a_store_as_it_was_written_is_sound_and_all_of_it_is_read(stopped: CommitterProcess) -> None:
    told = all_findings(stopped.config)
    assert [each for each in told if isinstance(each, (Damage, Note))] == []
    (plan,) = [each for each in told if isinstance(each, Plan)]
    objects = sum(map(len, BODIES.values())) + len(LARGE) + 6 + 40_000
    assert plan.buckets == [BUCKET.data_id.hex(), OTHER.data_id.hex()]
    assert (plan.entries, plan.size) == (2 * (len(BODIES) + 2), 2 * (objects + len(LARGE) + 6))
    read = [each for each in told if isinstance(each, Progress)]
    assert (sum(each.entries for each in read), sum(each.size for each in read)) == (plan.entries, plan.size)


Tamper = Callable[[OpenedIndex], None]


def _entry(index: OpenedIndex, name: bytes) -> tuple[bytes, bytes]:
    """Key and value of an object's entry in the first bucket."""
    root = decode_row(index.txn.get(BUCKET.data_id, db=index.tables["buckets"]) or b"").objects_root
    key = root + name
    return key, bytes(index.txn.get(key, db=index.tables["names"]) or b"")


def lose_entry(index: OpenedIndex) -> None:
    index.txn.delete(_entry(index, b"empty")[0], db=index.tables["names"])


def bring_an_old_entry_back(index: OpenedIndex) -> None:
    """One that was sealed for this very name, with its bytes: it verifies."""
    key, value = _entry(index, b"small")
    header = entries.unpack(value)
    sealer = index_sealer(index)
    segment_id = entries.new_id()
    old = entries.seal_entry(sealer, b"small", header._replace(segment_id=segment_id), entries.ObjectRecord("old"))
    index.txn.put(key, old, db=index.tables["names"])
    index.txn.put(segment_id, sealer.seal_whole(segment_id, b"older body"), db=index.tables["bodies"])
    index.txn.delete(header.segment_id, db=index.tables["bodies"])


def index_sealer(index: OpenedIndex) -> entries.BucketSealer:
    assert index.keys is not None
    return index.keys.get(BUCKET.data_id)


def damage_entry(index: OpenedIndex) -> None:
    key, value = _entry(index, b"small")
    index.txn.put(key, value[:-1] + bytes([value[-1] ^ 1]), db=index.tables["names"])


def damage_body(index: OpenedIndex) -> None:
    segment_id = entries.unpack(_entry(index, b"small")[1]).segment_id
    body = bytes(index.txn.get(segment_id, db=index.tables["bodies"]) or b"")
    index.txn.put(segment_id, body[:50] + bytes([body[50] ^ 4]) + body[51:], db=index.tables["bodies"])


def lose_body(index: OpenedIndex) -> None:
    index.txn.delete(entries.unpack(_entry(index, b"small")[1]).segment_id, db=index.tables["bodies"])


def lose_manifest(index: OpenedIndex) -> None:
    index.txn.delete(entries.unpack(_entry(index, b"multi")[1]).segment_id, db=index.tables["bodies"])


def lose_part(index: OpenedIndex) -> None:
    index.txn.delete(index.items("parts")[0][0], db=index.tables["parts"])


def lose_child_node(index: OpenedIndex) -> None:
    """The rest of the deep names."""
    roots = {row[:8] for _, value in index.items("buckets") for row in _roots(value)}
    for key, _ in index.items("names"):
        if key[:8] not in roots:
            index.txn.delete(key, db=index.tables["names"])


def lead_in_a_circle(index: OpenedIndex) -> None:
    for key, _ in index.items("names"):
        if len(key) == 511:
            index.txn.put(key, key[:8], db=index.tables["names"])


def _roots(value: bytes) -> tuple[bytes, bytes]:
    row = decode_row(value)
    return row.objects_root, row.uploads_root


def unlist_file(index: OpenedIndex) -> None:
    header = entries.unpack(_entry(index, b"large")[1])
    index.txn.delete(header.directory_id + header.segment_id, db=index.tables["files"])


def count_wrongly(index: OpenedIndex) -> None:
    row = decode_row(index.txn.get(BUCKET.data_id, db=index.tables["buckets"]) or b"")
    row.objects += 1
    index.txn.put(BUCKET.data_id, encode_row(row), db=index.tables["buckets"])


def leave_body(index: OpenedIndex) -> None:
    index.txn.put(bytes(16), b"what nobody refers to", db=index.tables["bodies"])


def leave_file_row(index: OpenedIndex) -> None:
    index.txn.put(bytes(24), b"", db=index.tables["files"])


def leave_node(index: OpenedIndex) -> None:
    """As when a bucket's row is lost."""
    index.txn.delete(OTHER.data_id, db=index.tables["buckets"])


def leave_key(index: OpenedIndex) -> None:
    row = decode_row(index.txn.get(BUCKET.data_id, db=index.tables["buckets"]) or b"")
    row.state = State.DESTROYED
    index.txn.put(BUCKET.data_id, encode_row(row), db=index.tables["buckets"])


@pytest.mark.parametrize(
    ("tamper", "kind", "key"),
    [
        (lose_entry, "EntriesDiffer", None),
        (lose_entry, "CountsDiffer", None),
        (lose_entry, "LeftOver", None),
        (bring_an_old_entry_back, "EntriesDiffer", None),
        (damage_entry, "EntryDamaged", b"small"),
        (damage_body, "BodyDamaged", b"small"),
        (lose_body, "BodyMissing", b"small"),
        (lose_manifest, "BodyMissing", b"multi"),
        (lose_part, "EntriesDiffer", None),
        (lose_child_node, "NamesBroken", None),
        (lead_in_a_circle, "NamesBroken", None),
        (unlist_file, "FileUnlisted", b"large"),
        (count_wrongly, "CountsDiffer", None),
        (leave_body, "LeftOver", None),
        (leave_file_row, "LeftOver", None),
        (leave_node, "LeftOver", None),
        (leave_key, "KeyLeft", None),
    ],
)
def test_damage_in_the_index_is_named(stopped: CommitterProcess, tamper: Tamper, kind: str, key: bytes | None) -> None:
    index = OpenedIndex(stopped.config, stopped.keyring)
    with index:
        tamper(index)
    found = damage_in(stopped.config)
    named = [each for each in found if each.kind == kind and each.key == key]
    assert named, found
    assert {each.data_id for each in named} <= {"", BUCKET.data_id.hex(), OTHER.data_id.hex()}
    if key is not None:
        assert {each.data_id for each in named} == {BUCKET.data_id.hex()}


@pytest.mark.parametrize(
    ("harm", "kind"),
    [
        (lambda path: flip(path, 0), "FileDamaged"),
        (lambda path: flip(path, 20), "FileDamaged"),
        (lambda path: flip(path, 40), "FileDamaged"),
        (lambda path: flip(path, path.stat().st_size - 1), "FileDamaged"),
        (lambda path: os.truncate(path, 70_000), "FileDamaged"),
        (lambda path: os.truncate(path, path.stat().st_size + 1), "FileDamaged"),
        (lambda path: path.unlink(), "FileMissing"),
    ],
)
def test_every_file_that_is_harmed_is_named(
    stopped: CommitterProcess, harm: Callable[[Path], object], kind: str
) -> None:
    for path in files_of(stopped):
        harm(path)
    found = {(each.data_id, each.key, bool(each.upload_id)) for each in damage_in(stopped.config) if each.kind == kind}
    of_one = {(b"large", False), (b"multi", False), (b"begun", True)}
    assert found == {(bucket.data_id.hex(), *each) for bucket in (BUCKET, OTHER) for each in of_one}


def test_a_foreign_file_in_a_settled_folder_is_named(stopped: CommitterProcess) -> None:
    stopped.start()  # the worker is gone: its folder is settled
    folder = files_of(stopped)[0].parent
    deadline = time.monotonic() + 10
    (folder / "00").touch()
    while not any(each.kind == "LeftOver" and f"{folder.name}/00" in each.detail for each in damage_in(stopped.config)):
        assert time.monotonic() < deadline
        if not (folder / "00").exists():  # swept, so the folder was not settled yet
            (folder / "00").touch()


def test_keys_that_are_lost_or_of_another_bucket_are_named(stopped: CommitterProcess) -> None:
    layout = Layout(stopped.config.data_dir)
    layout.bucket_key(BUCKET.data_id).write_bytes(layout.bucket_key(OTHER.data_id).read_bytes())
    layout.bucket_key(OTHER.data_id).unlink()
    found = {(each.data_id, each.kind) for each in damage_in(stopped.config)}
    assert found == {(BUCKET.data_id.hex(), "KeyDamaged"), (OTHER.data_id.hex(), "KeyMissing")}


def test_one_bucket_alone_is_looked_at_when_it_is_named(stopped: CommitterProcess) -> None:
    for path in files_of(stopped):
        path.unlink()
    assert {each.data_id for each in damage_in(stopped.config, [OTHER.data_id])} == {OTHER.data_id.hex()}


def test_a_bucket_that_never_was_is_a_note(stopped: CommitterProcess) -> None:
    told = all_findings(stopped.config, [b"never was a data"])
    assert [each for each in told if isinstance(each, Damage)] == []
    assert [each for each in told if isinstance(each, Note)]


def test_what_ends_the_process_is_damage_and_the_rest_is_looked_at(
    stopped: CommitterProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A tail of the index is cut off: whoever reads a page there gets SIGBUS."""
    path = Path(stopped.config.data_dir, "index", "data.mdb")
    os.truncate(path, 4096 * 8)
    found = damage_in(stopped.config)
    assert {each.kind for each in found} >= {"IndexUnreadable"}
    assert any("SIGBUS" in each.detail for each in found), found


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_who_is_killed_by_others_has_found_no_damage(stopped: CommitterProcess, number: signal.Signals) -> None:
    """By whoever is short of memory, for one."""
    order = Order(stopped.config.data_dir, stopped.config.run_dir, stopped.config.kek_file, 1 << 30, rate=1)
    told = findings(order, Access(stopped.config.run_dir))
    assert isinstance(next(told), Plan)
    (pid,) = [int(path.name) for path in Path("/proc").glob("[0-9]*") if _is_child_that_verifies(path)]
    os.kill(pid, number)
    with pytest.raises(CannotVerify, match=number.name):
        list(told)


def _is_child_that_verifies(path: Path) -> bool:
    try:
        mine = int((path / "stat").read_text().rpartition(")")[2].split()[1]) == os.getpid()
        return mine and b"cooper store verify" in (path / "cmdline").read_bytes()
    except OSError:
        return False


async def test_what_changes_meanwhile_is_no_damage(committer: CommitterProcess) -> None:
    store = EmbeddedStore(committer.config, committer.keyring, asyncio.get_running_loop())
    await fill(store)
    stop = threading.Event()

    async def change(number: int) -> int:
        rounds = 0
        while not stop.is_set():
            name = b"changing %d" % (number % 3)
            await put(store, BUCKET, name, LARGE[: 60_000 * (rounds % 3)])
            await upload(store, BUCKET, name, [LARGE[:50_000], b"x"], complete=rounds % 2 == 0)
            await store.delete(BUCKET, [name], GUARD)
            if number == 0:
                fresh = BucketRef(os.urandom(16), "fresh")
                await put(store, fresh, b"a", LARGE)
                await store.close_bucket(fresh, None, b"", with_content=True)
                while await store.purge_bucket(fresh):
                    pass
                await store.destroy_bucket(fresh)
            rounds += 1
        return rounds

    changing = [asyncio.ensure_future(change(number)) for number in range(6)]
    try:
        for _ in range(6):
            told = await asyncio.to_thread(all_findings, committer.config)
            assert [each for each in told if isinstance(each, (Damage, Note))] == []
    finally:
        stop.set()
        rounds = await asyncio.gather(*changing)
    assert sum(rounds) > 20
    await store.close()
    committer.stop()
    assert_sound(committer.config)


def test_a_rate_is_kept() -> None:
    now, slept = [100.0], list[float]()

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        now[0] += seconds

    pace = Pace(1000, lambda: now[0], sleep)
    for _ in range(100):
        pace.spend(100)
    assert 9.5 <= now[0] - 100 <= 10
    assert max(slept) <= 1
    Pace(0, lambda: now[0], sleep).spend(1 << 40)
    assert now[0] <= 110


def test_the_filter_forgets_nothing_and_knows_few_strangers() -> None:
    known = IdFilter(10_000)
    ids = [entries.new_id() for _ in range(10_000)]
    for each in ids:
        known.add(each)
    assert all(each in known for each in ids)
    assert sum(entries.new_id() in known for _ in range(10_000)) < 30


def test_every_kind_is_explained() -> None:
    assert all(meaning and advice for meaning, advice in KINDS.values())
    assert msgspec.structs.fields(Damage)[0].name == "kind"
