"""Power loss: a life of a store is recorded, and states that a disk may be left in are looked at, one by one.

In each all that was acknowledged is there and whole, nothing else is, counts are right, and after recovery no garbage
stays. `make power-loss` looks at 10,000 states and more, of new lives, `make test` at those of some seconds.
"""

import os
import time

import pytest

from support import power_states
from support.power_backup import BackupLooker
from support.strace import program

STATES = 12_000  # of all lives of the long run together, by what each process has seen
LIVES = 6
SIZE, LONG_SIZE = 6, 10  # acts of a lane, in each of four times
SECONDS = 20.0  # of the short run
FEWEST = 60  # states of the short run, on a slow machine


@pytest.fixture(scope="module")
def strace() -> str:
    return program()


def test_some_states_are_right(strace: str) -> None:
    """The slice, from the same seed each time; also what a code without one of its syncs is tried with."""
    life = power_states.recorded(strace, 1, SIZE)
    outcome = power_states.looked_at(life, 1, 1 << 30, SECONDS)
    print(f"{len(life.steps)} steps, {outcome.states} states, {len(outcome.distinct)} of them distinct")
    assert not outcome.failures, "\n".join(outcome.failures)
    assert len(outcome.distinct) > FEWEST


@pytest.mark.soak
def test_ten_thousand_states_are_right(strace: str) -> None:
    first, began = time.time_ns() // 1_000_000, time.monotonic()
    seeds = [first + number for number in range(LIVES)]
    print(f"seeds {seeds}")
    whole = power_states.Outcome()
    for seed in seeds:
        life = power_states.recorded(strace, seed, LONG_SIZE)
        outcome = power_states.looked_at_by_all(life, seed, STATES // LIVES, os.cpu_count() or 1)
        assert not outcome.failures, f"seed {seed}\n" + "\n".join(outcome.failures)
        whole.add(outcome)
    print(f"{whole.states} states, {len(whole.distinct)} of them distinct, in {time.monotonic() - began:.0f} s")
    assert len(whole.distinct) >= 10_000


def test_a_backup_is_whole_or_is_none(strace: str, pytestconfig: pytest.Config) -> None:
    """One that was told of can be restored, also while the next one is made in its place; what is restored is there as
    a whole, or not at all."""
    soak = pytestconfig.getoption("--soak")
    seed = time.time_ns() // 1_000_000 if soak else 1
    life = power_states.recorded(strace, seed, SIZE, program="support.power_backup")
    outcome = power_states.looked_at(
        life, seed, 2_000 if soak else 1 << 30, float("inf") if soak else SECONDS / 2, looker_of=BackupLooker
    )
    print(f"seed {seed}: {outcome.states} states, {len(outcome.distinct)} of them distinct")
    assert not outcome.failures, "\n".join(outcome.failures)
    assert len(outcome.distinct) > FEWEST / 2
