from collections.abc import AsyncIterator

import pytest

from unit.operator.operator_world import World


@pytest.fixture
async def world() -> AsyncIterator[World]:
    """A running operator with a default Region `local`."""
    world = await World().start()
    yield world
    await world.stop()


@pytest.fixture
async def quiet_world() -> AsyncIterator[World]:
    """A world that is not started yet."""
    world = World()
    yield world
    await world.stop()
