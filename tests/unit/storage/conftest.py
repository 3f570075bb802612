"""What tests of the embedded store begin with."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from cooper_gateway.storage.embedded import EmbeddedStore
from support.store_process import CommitterProcess, config_in


@pytest.fixture
def committer(tmp_path: Path) -> Iterator[CommitterProcess]:
    """A committer on a store of its own."""
    process = CommitterProcess(config_in(tmp_path))
    yield process
    process.kill()


@pytest.fixture
async def store(committer: CommitterProcess) -> AsyncIterator[EmbeddedStore]:
    """The store of that committer, as a worker has it."""
    embedded = EmbeddedStore(committer.config, committer.keyring, asyncio.get_running_loop())
    yield embedded
    await embedded.close()
