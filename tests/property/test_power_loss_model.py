"""The model of what a disk may hold after power loss, and the recorder that feeds it."""

import os
import random
import shutil
import sys
from pathlib import Path

import pytest

from support import disk_recorder
from support.power_loss import ROOT, Change, Disk, Mark, Replay, Resize, Step, Sync, Write, after_power_loss

MADE = Change(((ROOT, "a", 1),))
RENAMED = Change(((ROOT, "a", None), (ROOT, "b", 1)))


def states(log: list[Step], folders: tuple[int, ...] = ()) -> set[tuple[tuple[tuple[str, int], ...], bytes]]:
    """Names in the root, and what is in file 1, of very many states at the log's end."""
    chance = random.Random(1)
    found = [after_power_loss(log, len(log), folders, chance) for _ in range(400)]
    return {(tuple(sorted(disk.folders[ROOT].items())), disk.files.get(1, b"")) for disk in found}


def test_what_was_not_synced_may_be_there_or_not() -> None:
    assert states([MADE, Write(1, 0, b"x")]) == {
        ((), b""),
        ((("a", 1),), b""),
        ((), b"x"),
        ((("a", 1),), b"x"),
        ((), b"\0"),
        ((("a", 1),), b"\0"),
    }


def test_a_sync_of_a_file_is_for_its_bytes_and_not_for_its_name() -> None:
    assert states([MADE, Write(1, 0, b"x"), Sync(1, 2)]) == {((), b"x"), ((("a", 1),), b"x")}
    assert states([MADE, Write(1, 0, b"x"), Sync(1, 2), Sync(ROOT, 3)]) == {((("a", 1),), b"x")}


def test_a_sync_covers_what_was_done_before_it_began() -> None:
    assert len(states([MADE, Write(1, 0, b"x"), Sync(1, 1)])) > 2


def test_a_write_through_a_synced_descriptor_is_there() -> None:
    assert {content for _, content in states([MADE, Write(1, 0, b"x", durable=True)])} == {b"x"}


def test_sectors_come_each_by_itself() -> None:
    log: list[Step] = [Write(1, 0, b"a" * 1024), Sync(1, 1), Write(1, 256, b"b" * 512)]
    contents = {content for _, content in states(log)}
    old, new = b"a" * 256, b"b" * 256
    assert contents == {old * 4, old + new + old * 2, old * 2 + new + old, old + new * 2 + old}


def test_a_rename_is_whole_and_a_later_step_does_not_need_an_earlier_one() -> None:
    synced: list[Step] = [MADE, Sync(ROOT, 1), RENAMED]
    assert {names for names, _ in states(synced)} == {(("a", 1),), (("b", 1),)}
    assert {names for names, _ in states([MADE, RENAMED])} == {(), (("a", 1),), (("b", 1),)}


def test_sizes_change_by_themselves() -> None:
    log: list[Step] = [Write(1, 0, b"x"), Sync(1, 1), Resize(1, 3), Mark("told")]
    assert {content for _, content in states(log)} == {b"x", b"x\0\0"}


def test_a_step_that_is_sure_waits_for_an_earlier_one_at_the_same_place() -> None:
    replay = Replay(())
    for step in (Write(1, 0, b"old"), Write(1, 1, b"n", durable=True)):
        replay.advance(step)
    assert replay.unsure() == [0]
    assert replay.state(lambda _: False).files[1] == b"\0n"
    assert replay.state(lambda _: True).files[1] == b"ond"


def test_a_file_with_two_names_is_one_file(tmp_path: Path) -> None:
    disk = Disk({ROOT: {"a": 1, "folder": 2}, 2: {"b": 1}}, {1: b"x"})
    disk.write_to(tmp_path / "made")
    assert (tmp_path / "made/a").samefile(tmp_path / "made/folder/b")
    assert (tmp_path / "made/a").read_bytes() == b"x"


PROGRAM = r"""
import os, sys, threading
folder, marks = sys.argv[1:]
told = os.open(marks, os.O_WRONLY | os.O_CREAT)
os.mkdir(folder + "/in")
inside = os.open(folder + "/in", os.O_DIRECTORY)
file = os.open('odd\n"name', os.O_CREAT | os.O_RDWR, dir_fd=inside)
os.write(file, b"one"); os.write(file, b"two\x00\\x41\"")
os.pwrite(file, b"ONE", 0)
thread = threading.Thread(target=os.fdatasync, args=(file,)); thread.start(); thread.join()
os.rename('odd\n"name', folder + "/even", src_dir_fd=inside)
os.write(told, b"told")
os.link(folder + "/even", folder + "/in/again")
os.unlink(folder + "/even")
os.posix_fallocate(file, 0, 20); os.ftruncate(file, 15)
os.writev(file, [b"three", b"four"])
durable = os.open(folder + "/in/again", os.O_WRONLY | os.O_DSYNC | os.O_APPEND)
os.write(durable, b"end")
os.fsync(inside)
"""


def test_what_a_program_does_is_recorded(tmp_path: Path) -> None:
    if (strace := shutil.which("strace")) is None:
        pytest.skip("there is no strace: the test of power loss has it installed where that can be")
    (tmp_path / "root").mkdir()
    places = [str(tmp_path / "root"), str(tmp_path / "marks")]
    disk_recorder.record(strace, [sys.executable, "-c", PROGRAM, *places], tmp_path / "trace", dict(os.environ), 60)
    log = disk_recorder.read(tmp_path / "trace", tmp_path / "root", tmp_path / "marks")
    assert log.folders == {1}
    assert log.steps == [
        Change(((ROOT, "in", 1),)),
        Change(((1, 'odd\n"name', 2),)),
        Write(2, 0, b"one"),
        Write(2, 3, b'two\0\\x41"'),
        Write(2, 0, b"ONE"),
        Sync(2, 5),
        Change(((1, 'odd\n"name', None), (ROOT, "even", 2))),
        Mark("told"),
        Change(((1, "again", 2),)),
        Change(((ROOT, "even", None),)),
        Resize(2, 20),
        Resize(2, 15),
        Write(2, 12, b"threefour"),
        Write(2, 21, b"end", durable=True),
        Sync(1, 14),
    ]
    replay = Replay(log.folders)
    for step in log.steps:
        replay.advance(step)
    replay.state(lambda _: True).write_to(tmp_path / "made")
    assert (tmp_path / "made/in/again").read_bytes() == (tmp_path / "root/in/again").read_bytes()


def test_what_the_model_does_not_know_is_refused(tmp_path: Path) -> None:
    if (strace := shutil.which("strace")) is None:
        pytest.skip("there is no strace: the test of power loss has it installed where that can be")
    (tmp_path / "root").mkdir()
    trace, marks = tmp_path / "trace", tmp_path / "marks"
    program = "import os, sys; os.symlink('a', sys.argv[1] + '/b')"
    command = [sys.executable, "-c", program, str(tmp_path / "root")]
    disk_recorder.record(strace, command, trace, dict(os.environ), 60)
    with pytest.raises(disk_recorder.NotRecordable):
        disk_recorder.read(trace, tmp_path / "root", marks)
