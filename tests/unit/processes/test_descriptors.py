"""What a worker's descriptors are shared out to."""

import resource

import pytest

from cooper_gateway.processes.descriptors import raise_limit, share


@pytest.mark.parametrize("limit", [256, 1024, 4096, 20_000, 65_536])
def test_everything_at_its_most_leaves_descriptors(limit: int) -> None:
    shares = share(limit)
    upload_on_every_connection = 2 * shares.connections
    assert upload_on_every_connection + shares.reading <= limit - 128
    assert min(shares.connections, shares.reading) >= 16


@pytest.mark.parametrize(
    ("now", "raised", "result"),
    [
        ((1024, 4096), (4096, 4096), 4096),
        ((1024, 1 << 20), (1 << 16, 1 << 20), 1 << 16),
        ((1024, resource.RLIM_INFINITY), (1 << 16, resource.RLIM_INFINITY), 1 << 16),
        ((1024, 1024), None, 1024),
        ((1 << 18, 1 << 20), None, 1 << 16),
    ],
)
def test_the_soft_limit_is_raised(
    now: tuple[int, int], raised: tuple[int, int] | None, result: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[int, int]] = []

    def set_limits(which: int, limits: tuple[int, int]) -> None:
        asked.append(limits)

    monkeypatch.setattr(resource, "getrlimit", {resource.RLIMIT_NOFILE: now}.get)
    monkeypatch.setattr(resource, "setrlimit", set_limits)
    assert raise_limit() == result
    assert asked == ([] if raised is None else [raised])
