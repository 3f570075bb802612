import os
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from cooper_gateway.processes.errors import GatewayStartError, StoreLocked
from cooper_gateway.processes.lock import StoreLock


def test_a_second_opener_is_told_who_holds_it(tmp_path: Path) -> None:
    lock = StoreLock(str(tmp_path / "data"), "cooper up demo")
    with pytest.raises(StoreLocked, match=rf"in use by process {os.getpid()} \(cooper up demo\) since 20..-"):
        StoreLock(str(tmp_path / "data"), "cooper up")
    lock.release()
    StoreLock(str(tmp_path / "data"), "cooper up").release()


def test_a_damaged_lock_file_is_no_obstacle(tmp_path: Path) -> None:
    (tmp_path / "LOCK").write_bytes(b"\xff{")
    StoreLock(str(tmp_path), "cooper up").release()


def test_children_of_a_dead_holder_are_waited_for(tmp_path: Path) -> None:
    script = f"""
        import subprocess
        from cooper_gateway.processes.lock import StoreLock
        lock = StoreLock({str(tmp_path)!r}, "first")
        quiet = {{"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}}
        child = subprocess.Popen(["sleep", "0.7"], pass_fds=[lock.fileno()], **quiet)
        print("held", flush=True)
    """
    subprocess.run([sys.executable, "-c", textwrap.dedent(script)], check=True, capture_output=True)
    began = time.monotonic()
    StoreLock(str(tmp_path), "second").release()
    assert time.monotonic() - began > 0.1


def test_a_folder_that_cannot_be_used_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(GatewayStartError, match="cannot be used: Not a directory"):
        StoreLock(str(tmp_path / "file" / "data"), "cooper up")
