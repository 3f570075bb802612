import os
from pathlib import Path

import pytest

from cooper_gateway.processes.errors import GatewayStartError
from cooper_gateway.processes.run_dir import RunDir


def test_is_private_and_empty_and_goes(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "run"
    run_dir = RunDir(str(path), "c.sock")
    assert path.stat().st_mode & 0o777 == 0o700
    assert [entry.name for entry in path.iterdir()] == ["cooper-run"]
    run_dir.remove()
    assert not path.exists()


def test_what_a_dead_predecessor_left_is_removed(tmp_path: Path) -> None:
    path = tmp_path / "run"
    dead = RunDir(str(path), "c.sock")
    (path / "records").mkdir()
    (path / "records" / "data.mdb").write_bytes(b"x")
    (path / "committer.sock").write_bytes(b"")
    path.chmod(0o755)
    os.close(dead._handle)  # pyright: ignore[reportPrivateUsage] - as the kernel does at its death
    RunDir(str(path), "c.sock")
    assert [entry.name for entry in path.iterdir()] == ["cooper-run"]
    assert path.stat().st_mode & 0o777 == 0o700


def test_one_that_is_in_use_is_left_alone(tmp_path: Path) -> None:
    RunDir(str(tmp_path / "run"), "c.sock")
    (tmp_path / "run" / "file").write_bytes(b"x")
    with pytest.raises(GatewayStartError, match="in use by another gateway"):
        RunDir(str(tmp_path / "run"), "c.sock")
    assert (tmp_path / "run" / "file").exists()


def test_somebodys_folder_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(GatewayStartError, match="not a gateway's"):
        RunDir(str(tmp_path), "c.sock")
    assert (tmp_path / "thesis.txt").read_text() == "years of work"


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "run").symlink_to(tmp_path / "real")
    with pytest.raises(GatewayStartError, match="cannot be made"):
        RunDir(str(tmp_path / "run"), "c.sock")


def test_too_long_a_path_for_a_socket_is_said(tmp_path: Path) -> None:
    with pytest.raises(GatewayStartError, match="shorter"):
        RunDir(str(tmp_path / ("x" * 100)), "c.sock")
