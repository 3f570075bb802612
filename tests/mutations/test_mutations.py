"""A gateway without one of its checks fails a test: `make mutations` tries it with each of the table."""

import signal
from pathlib import Path

import pytest

from mutations.overlay import FAILED, PASSED, apply, copied_to, status
from mutations.syncs import SYNCS
from mutations.table import MUTATIONS, Mutation

pytestmark = pytest.mark.soak

NAMED = sorted({module for mutation in MUTATIONS for module in mutation.tests})


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    copied_to(tmp_path)
    return tmp_path


@pytest.mark.parametrize("module", NAMED)
def test_with_all_checks_they_pass(copy: Path, module: str) -> None:
    """So what fails below fails because of what was taken away."""
    code, output = status(copy, [module])
    assert code == PASSED, output


@pytest.mark.parametrize("mutation", MUTATIONS, ids=[each.check for each in MUTATIONS])
def test_without_a_check_one_fails(copy: Path, mutation: Mutation) -> None:
    apply(copy, mutation)
    code, output = status(copy, mutation.tests)
    assert code == FAILED, f"nothing noticed that this is gone: {mutation}\n{output}"


@pytest.mark.parametrize("sync", SYNCS, ids=[each.check for each in SYNCS])
def test_without_a_sync_power_loss_shows_it(copy: Path, sync: Mutation) -> None:
    apply(copy, sync)
    code, output = status(copy, sync.tests)
    shown = code == FAILED and "power lost after step" in output
    ended = code == -signal.SIGBUS  # by an index that is shorter than its pages, which LMDB maps
    assert shown or ended, f"no state shows that this is gone: {sync}\n{output}"
