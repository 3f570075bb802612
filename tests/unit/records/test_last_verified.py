from pathlib import Path

import pytest

from cooper_gateway.records.last_verified import LastVerified


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "records-verified")


def test_is_kept_over_restarts_and_private(path: str) -> None:
    LastVerified(path).write(1000.0)
    assert LastVerified(path).read(1500.0) == 1000.0
    assert Path(path).stat().st_mode & 0o777 == 0o600


def test_is_not_written_again_at_once(path: str) -> None:
    kept = LastVerified(path)
    kept.write(1000.0)
    kept.write(1001.0)
    assert kept.read(1500.0) == 1000.0


@pytest.mark.parametrize("content", [None, b"", b"1234567", b"123456789", b"\xff" * 8])
def test_what_cannot_be_read_is_very_old(path: str, content: bytes | None) -> None:
    if content is not None:
        Path(path).write_bytes(content)
    assert LastVerified(path).read(1500.0) == 0.0


def test_a_stamp_from_the_future_proves_nothing(path: str) -> None:
    LastVerified(path).write(5000.0)
    assert LastVerified(path).read(4990.0) == 5000.0
    assert LastVerified(path).read(4000.0) == 0.0
