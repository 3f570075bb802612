"""What the recorder makes of calls that overlap, or end with their process: of texts as strace writes them."""

import re
from pathlib import Path

import pytest

from support import disk_recorder
from support.power_loss import ROOT, Change, Replay, Step, Sync
from support.strace_log import escaped

FOLDER, FILE = 1, 2
GONE = Change(((FOLDER, "file", None),))
MADE = """
1 mkdir("/root/in", 0700) = 0
1 openat(AT_FDCWD</>, "/root/in/file", O_WRONLY|O_CREAT|O_EXCL, 0600) = 3</root/in/file>
1 openat(AT_FDCWD</>, "/root/in", O_RDONLY|O_DIRECTORY) = 4</root/in>
1 fsync(4</root/in>) = 0
"""
SYNCED = """
1 openat(AT_FDCWD</>, "/root/in", O_RDONLY|O_DIRECTORY) = 5</root/in>
1 fsync(5</root/in>) = 0
"""
REMOVING = '2 unlink("/root/in/file" <unfinished ...>\n'
REMOVED = "2 <... unlink resumed>) = 0\n"
KILLED = "2 <... unlink resumed>) = ?\n"
OPENED = '1 openat(AT_FDCWD</>, "/root/in", O_RDONLY|O_DIRECTORY) = 6</root/in>\n'
DOTS = '{d_ino=1, d_off=1, d_reclen=24, d_type=DT_DIR, d_name="."}'
OTHER = '{d_ino=2, d_off=2, d_reclen=24, d_type=DT_REG, d_name="other"}'
LISTED = f"""
1 getdents64(6</root/in>, [{DOTS}], 32768) = 24
1 getdents64(6</root/in>, [{OTHER}], 32768) = 24
1 getdents64(6</root/in>, [], 32768) = 0
"""
MISSED = '1 unlink("/root/in/file") = -1 ENOENT (No such file or directory)\n'


def steps(folder: Path, *texts: str) -> list[Step]:
    """Of what was done after `MADE`."""
    text = re.sub(r'"([^"]*)"', lambda found: f'"{escaped(found[1])}"', "".join((MADE, *texts)))
    text = re.sub(r"(?<=[\dD])<([^>]*)>", lambda found: f"<{escaped(found[1])}>", text)  # of descriptors
    trace = folder / "trace"
    trace.write_text(text)
    read = disk_recorder.read(trace, Path("/root"), Path("/marks")).steps
    made = [Change(((ROOT, "in", FOLDER),)), Change(((FOLDER, "file", FILE),)), Sync(FOLDER, 2)]
    assert read[:3] == made
    return read[3:]


def test_a_sync_covers_no_removal_that_nobody_saw(tmp_path: Path) -> None:
    assert steps(tmp_path, REMOVING, SYNCED, REMOVED) == [Sync(FOLDER, 3), GONE]


@pytest.mark.parametrize(
    "seen",
    [
        MISSED,
        '1 openat(AT_FDCWD</>, "/root/in/file", O_WRONLY) = -1 ENOENT (No such file or directory)\n',
        '1 unlinkat(4</root/in>, "file", 0) = -1 ENOENT (No such file or directory)\n',
        OPENED + LISTED,
    ],
)
def test_a_sync_covers_a_removal_that_was_seen(seen: str, tmp_path: Path) -> None:
    read = steps(tmp_path, REMOVING, seen, SYNCED, REMOVED)
    assert read == [GONE, Sync(FOLDER, 4)]
    replay = Replay({FOLDER})
    for step in (Change(((ROOT, "in", FOLDER),)), Change(((FOLDER, "file", FILE),)), Sync(FOLDER, 2), *read):
        replay.advance(step)
    assert replay.state(lambda _: False).folders[FOLDER] == {}


def test_the_end_of_a_look_tells_whether_it_was_before_the_sync(tmp_path: Path) -> None:
    begins, ends = '3 unlink("/root/in/file" <unfinished ...>\n', "3 <... unlink resumed>) = -1 ENOENT (No such file)\n"
    assert steps(tmp_path, REMOVING, begins, ends, SYNCED, REMOVED) == [GONE, Sync(FOLDER, 4)]
    assert steps(tmp_path, REMOVING, begins, SYNCED, ends, REMOVED) == [Sync(FOLDER, 3), GONE]


@pytest.mark.parametrize(
    "seen",
    [
        OPENED,
        OPENED + LISTED.replace('"other"', '"file"'),
        (OPENED + LISTED).rpartition("1 getdents64")[0],  # not to its end
        OPENED + LISTED.replace('"."', '"from its middle"'),
        OPENED + "1 lseek(6</root/in>, 7, SEEK_SET) = 7\n" + LISTED,
        OPENED + LISTED.replace("1 getdents64", "3 getdents64", 1).replace('"."', '"file"') + LISTED,
        MISSED.replace("ENOENT (No such file or directory)", "EACCES (Permission denied)"),
        MISSED.replace("/file", "/another"),
        '1 unlinkat(4</root/in>(deleted), "file", 0) = -1 ENOENT (No such file or directory)\n',
    ],
)
def test_what_does_not_show_that_it_is_gone_covers_nothing(seen: str, tmp_path: Path) -> None:
    read = steps(tmp_path, REMOVING, seen, SYNCED, REMOVED)
    assert read[-2:] == [Sync(FOLDER, 3), GONE]


@pytest.mark.parametrize(
    "other",
    [
        '3 unlink("/root/in/file" <unfinished ...>\n',
        '3 openat(AT_FDCWD</>, "/root/in/file", O_WRONLY|O_CREAT, 0600 <unfinished ...>\n',
        '3 rename("/root/in", "/root/on" <unfinished ...>\n',
    ],
)
def test_what_may_have_another_cause_covers_nothing(other: str, tmp_path: Path) -> None:
    ends = re.sub(r"(\d) (\w+).*\n", r"\1 <... \2 resumed>) = -1 ENOENT (No such file or directory)\n", other)
    assert steps(tmp_path, REMOVING, other, MISSED, SYNCED, REMOVED, ends) == [Sync(FOLDER, 3), GONE]


def test_a_name_that_was_made_while_somebody_looked_for_it_is_not_missed(tmp_path: Path) -> None:
    begins, ends = '3 unlink("/root/in/new" <unfinished ...>\n', "3 <... unlink resumed>) = -1 ENOENT (No such file)\n"
    made = '1 openat(AT_FDCWD</>, "/root/in/new", O_WRONLY|O_CREAT, 0600) = 7</root/in/new>\n'
    read = steps(tmp_path, begins, made, REMOVING.replace("file", "new"), ends, SYNCED, REMOVED)
    assert read == [Change(((FOLDER, "new", 3),)), Sync(FOLDER, 4), Change(((FOLDER, "new", None),))]


def test_a_folder_that_was_removed_was_empty(tmp_path: Path) -> None:
    read = steps(tmp_path, REMOVING, '1 rmdir("/root/in") = 0\n', REMOVED)
    assert read == [GONE, Change(((ROOT, "in", None),))]


def test_whoever_was_killed_within_a_removal_has_made_it_once_that_was_seen(tmp_path: Path) -> None:
    assert steps(tmp_path, REMOVING, KILLED, OPENED, LISTED, SYNCED) == [GONE, Sync(FOLDER, 4)]


@pytest.mark.parametrize(
    "within",
    [
        REMOVING + KILLED,
        REMOVING,
        '2 pwrite64(3</root/in/file>, "data", 4, 0 <unfinished ...>\n2 <... pwrite64 resumed>) = ?\n',
        '2 openat(AT_FDCWD</>, "/root/in/new", O_WRONLY|O_CREAT, 0600 <unfinished ...>\n',
    ],
)
def test_what_somebody_was_killed_within_is_unclear(within: str, tmp_path: Path) -> None:
    with pytest.raises(disk_recorder.Unclear):
        steps(tmp_path, within)


def test_a_sync_that_somebody_was_killed_within_covers_nothing(tmp_path: Path) -> None:
    killed = "2 fsync(4</root/in> <unfinished ...>\n2 <... fsync resumed>) = ?\n"
    assert steps(tmp_path, REMOVING, REMOVED, killed) == [GONE]
