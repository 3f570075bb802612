import time
from collections.abc import AsyncIterator

import pytest

from support.gates import Gated
from support.no_echoes import NoEchoes
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


@pytest.fixture
async def view(quiet_world: World) -> Gated:
    """What the operator of `quiet_world`, which runs, sees of its cluster: no echo of what it wrote itself."""
    view = Gated(NoEchoes(quiet_world.cluster, time.monotonic))
    quiet_world.view = view
    await quiet_world.start()
    return view
