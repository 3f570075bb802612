"""The adapters under test."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from unit.cluster.cluster_harness import FolderHarness, Harness, MemoryHarness


@pytest.fixture
async def folder(tmp_path: Path) -> AsyncIterator[FolderHarness]:
    harness = FolderHarness(tmp_path)
    yield harness
    await harness.cluster.close()


@pytest.fixture(params=["memory", "folder"])
async def harness(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Harness]:
    """Every adapter. The Kubernetes one joins where there is a cluster."""
    if request.param == "memory":
        yield MemoryHarness()
        return
    harness = FolderHarness(tmp_path)
    yield harness
    await harness.cluster.close()
