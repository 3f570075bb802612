"""`cooper gateway`: what it says when it cannot run."""

import errno
from pathlib import Path
from typing import NoReturn

import pytest
from click.testing import CliRunner

from cooper_cli import gateway
from cooper_gateway.config import GatewayConfig


def test_what_fails_while_it_runs_is_not_taken_for_the_data_folder(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def full(config: GatewayConfig) -> NoReturn:
        raise OSError(errno.ENOSPC, "No space left on device", "/dev/shm/cooper/metrics")

    monkeypatch.setattr(gateway, "serve", full)
    monkeypatch.setattr(gateway.logs, "set_up", lambda _: None)
    arguments = ["--region", "local", "--records", str(tmp_path), "--data", str(tmp_path / "data")]
    done = CliRunner().invoke(gateway.gateway, arguments)
    assert done.exit_code == 1
    assert "the gateway cannot run: [Errno 28] No space left on device: '/dev/shm/cooper/metrics'" in done.output
    assert "data folder" not in done.output
