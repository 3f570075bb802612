import threading
import time
from pathlib import Path

import pytest

from cooper_gateway.records.folder_events import FolderEvents


def test_names_what_changed_and_waits_otherwise(tmp_path: Path) -> None:
    events = FolderEvents(str(tmp_path))
    assert events.wait(0.01) == set()
    (tmp_path / "a").write_bytes(b"1")
    (tmp_path / "b").write_bytes(b"1")
    (tmp_path / "b").rename(tmp_path / "c")
    assert events.wait(1) == {"a", "b", "c"}
    (tmp_path / "a").unlink()
    assert events.wait(1) == {"a"}
    (tmp_path / "d").hardlink_to(tmp_path / "c")  # how a record is created
    assert "d" in (events.wait(1) or ())
    assert events.wait(0.01) == set()
    events.close()


def test_a_change_is_told_soon(tmp_path: Path) -> None:
    events = FolderEvents(str(tmp_path))
    changed: list[float] = []

    def change() -> None:
        time.sleep(0.05)
        changed.append(time.monotonic())
        (tmp_path / "a").write_bytes(b"1")

    thread = threading.Thread(target=change)
    thread.start()
    assert events.wait(5) == {"a"}
    told = time.monotonic()
    thread.join()
    assert told - changed[0] < 0.2  # 3 ms on an idle machine
    events.close()


def test_a_folder_that_goes_away_is_everything(tmp_path: Path) -> None:
    path = tmp_path / "records"
    path.mkdir()
    events = FolderEvents(str(path))
    path.rename(tmp_path / "moved")
    assert events.wait(1) is None
    events.close()


def test_no_folder_cannot_be_watched(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No such file"):
        FolderEvents(str(tmp_path / "none"))
