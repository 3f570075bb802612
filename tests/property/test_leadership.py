"""Whatever machines, clocks and the network do, no two operators lead at one time; and one leads when they are well."""

import asyncio
import random
from collections.abc import Callable
from itertools import chain
from typing import Any

import hypothesis
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from cooper_operator.cluster import kubernetes_lease, lease
from cooper_operator.cluster.kubernetes_lease import Leadership
from support.lease_model import Model, on_machines
from support.lease_server import HANGS, REFUSED, Fate, LeaseServer
from support.virtual_time import VirtualLoop

Act = tuple[Any, ...]
Life = tuple[int, list[tuple[Act, float]], int]

FATES = [
    Fate(),
    Fate(1.5, 1.5),
    REFUSED,
    HANGS,
    Fate(outcome="unknown"),
    Fate(back=float("inf")),
    Fate(there=4),
    Fate(there=12),  # carried out long after it was given up
    Fate(back=4),
]
WHO = st.integers(0, 2)
HALTS = st.sampled_from([0.5, 3.0, 9.0, 11.0, 16.0, 40.0])
ACTS: list[tuple[int, st.SearchStrategy[Act]]] = [
    (4, st.tuples(st.just("fate"), WHO, st.sampled_from(FATES))),
    (6, st.tuples(st.just("fates"), WHO, st.lists(st.sampled_from(FATES), max_size=4))),
    (4, st.tuples(st.just("halt"), WHO, HALTS)),
    (4, st.tuples(st.just("halt before an answer"), WHO, HALTS)),
    (2, st.tuples(st.just("wake"), WHO)),
    (2, st.tuples(st.just("crash"), WHO)),
    (2, st.tuples(st.just("end"), WHO)),
    (1, st.tuples(st.just("edit"))),
    (1, st.tuples(st.just("clock"), WHO, st.sampled_from([-3600.0, 15.0, 3600.0]))),
]
STEP = st.sampled_from([each for weight, each in ACTS for _ in range(weight)]).flatmap(lambda each: each)
PAUSES = st.sampled_from([0.0, 0.02, 0.5, 1.0, 2.0, 5.0, 10.0, 14.0, 20.0])
#: Lists of lists are long on average, and short ones can still be tried when a failure is being narrowed down.
STEPS = st.lists(st.lists(st.tuples(STEP, PAUSES), max_size=8), max_size=8).map(lambda found: [*chain(*found)])
LIVES = st.tuples(st.integers(2, 3), STEPS, st.integers(0, 2**32))


async def act(model: Model, what: str, *how: Any) -> None:
    if what == "edit":
        if model.server.lease is not None:
            model.server.put(model.server.lease["spec"], annotations={"edited": "yes"})
        return
    candidate = model.candidates[how[0] % len(model.candidates)]
    if what == "fate":
        candidate.line.fate = how[1]
    elif what == "fates":
        candidate.line.fates.extend(how[1])
    elif what == "halt":
        candidate.machine.halt(how[1])
    elif what == "halt before an answer":
        candidate.line.halts_for = how[1]
    elif what == "wake":
        candidate.machine.wake()
    elif what == "clock":
        candidate.machine.wall_ahead += how[1]
    else:
        await (candidate.crash() if what == "crash" else candidate.end())
        candidate.start()


def live(life: Life) -> list[str]:
    """A whole life; returns the promises that were broken."""

    async def run(candidates: int, steps: list[tuple[Act, float]], seed: int) -> list[str]:
        model = Model(seed, candidates)
        try:
            await model.live(1)
            for step, pause in steps:
                await act(model, *step)
                await model.live(pause)
            await model.converge()
        finally:
            await model.stop()
        return model.violations

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(run(*life))


def test_one_leads_whatever_happens(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    on_machines(monkeypatch)

    @settings(
        max_examples=3000 if request.config.getoption("--soak") else 100,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        report_multiple_bugs=False,
    )
    @given(LIVES)
    def check(life: Life) -> None:
        assert live(life) == []

    check()


# The model is worth something: an election that is broken in one place is caught by it.


def writes_whatever_is_there(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(LeaseServer, "replace", lambda self, body: self.put(body["spec"]))


def believes_for_the_duration(patch: pytest.MonkeyPatch) -> None:
    write = Leadership._write  # pyright: ignore[reportPrivateUsage]

    async def and_more(self: Any, *args: Any) -> None:
        await write(self, *args)
        self._leads_until += self._settings.duration - self._settings.renew_deadline

    patch.setattr(Leadership, "_write", and_more)


def believes_as_of_the_answer(patch: pytest.MonkeyPatch) -> None:
    write = Leadership._write  # pyright: ignore[reportPrivateUsage]

    async def and_more(self: Any, *args: Any) -> None:
        await write(self, *args)
        self._leads_until = self._monotonic() + self._settings.renew_deadline

    patch.setattr(Leadership, "_write", and_more)


def believes_until_told(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Leadership, "is_leader", property(lambda self: self._leads_until > 0))


def goes_by_the_time_in_it(patch: pytest.MonkeyPatch) -> None:
    def see(before: Any, found: Any, identity: str, settings: Any, now: float) -> lease.Sight:
        seen = lease.see(before, found, identity, settings, now)
        if before is None or found is None or before.lease is None or before.lease.renewed != found.renewed:
            return seen
        return lease.Sight(found, min(seen.free_at, now + 5))  # as of a clock that is 10 s ahead

    patch.setattr(kubernetes_lease, "see", see)


def takes_what_it_saw_first(patch: pytest.MonkeyPatch) -> None:
    """The wait begins with the first sight of the holder and not with his last renewal."""

    def see(before: Any, found: Any, identity: str, settings: Any, now: float) -> lease.Sight:
        seen = lease.see(before, found, identity, settings, now)
        same = before is not None and before.lease is not None and found is not None
        return lease.Sight(found, before.free_at) if same and before.lease.holder == found.holder else seen

    patch.setattr(kubernetes_lease, "see", see)


def never_takes_over(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(kubernetes_lease, "decide", lambda sight, me, now: _not_take(lease.decide(sight, me, now)))


def _not_take(action: lease.Action) -> lease.Action:
    return "wait" if action == "take" else action


BREAKS: dict[str, tuple[Callable[[pytest.MonkeyPatch], None], str]] = {
    "writes whatever is there": (writes_whatever_is_there, "holds the Lease"),
    "believes for the duration": (believes_for_the_duration, "holds the Lease"),
    "believes as of the answer": (believes_as_of_the_answer, "holds the Lease"),
    "believes until told": (believes_until_told, "lead at one time"),
    "goes by the time in it": (goes_by_the_time_in_it, "holds the Lease"),
    "takes what it saw first": (takes_what_it_saw_first, "holds the Lease"),
    "never takes over": (never_takes_over, "nobody leads"),
}


@pytest.mark.parametrize("what", BREAKS)
def test_a_broken_election_is_caught(what: str, monkeypatch: pytest.MonkeyPatch) -> None:
    on_machines(monkeypatch)
    broken, said = BREAKS[what]
    broken(monkeypatch)
    # Raises NoSuchExample when nothing was noticed.
    hypothesis.find(
        LIVES,
        lambda life: any(said in violation for violation in live(life)),
        settings=settings(max_examples=1000, database=None, deadline=None, phases=[Phase.generate]),
        random=random.Random(0),
    )
