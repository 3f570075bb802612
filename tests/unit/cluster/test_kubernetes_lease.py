"""One operator leads: who takes the Lease and when, how it is lost and given up. On a clock that jumps."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from cooper_operator.cluster.kubernetes_errors import NotAllowed
from cooper_operator.cluster.kubernetes_lease import Leadership, LeadershipLost, identity
from cooper_operator.cluster.port import ClusterError, Conflict, Invalid, NotFound, Unavailable
from support.lease_server import HANGS, REFUSED, Fate, LeaseServer, Line
from support.virtual_time import virtual
from unit.cluster.faulty_api import Script, status

HOUR = 3600.0
EPOCH = 1_800_000_000.0  # 2027-01-15T08:00:00Z
UNANSWERED = Fate(outcome="unknown")
#: Answers that never come, though the request was carried out.
SILENT = Fate(back=float("inf"))


def now() -> float:
    return asyncio.get_running_loop().time()


class Candidate:
    """An operator on a machine of its own: with its own clocks, and a way to the server that a test can break."""

    def __init__(self, server: LeaseServer, name: str, ahead: float = 0.0) -> None:
        self.name = name
        self.line = Line(server, name)
        self.ahead = ahead  # of the others' clocks, both
        self.leadership = Leadership(
            self.line,  # type: ignore[arg-type]
            "cooper",
            name,
            clock=lambda: EPOCH + now() + self.ahead,
            monotonic=lambda: now() + self.ahead,
        )
        self.lost: LeadershipLost | None = None

    async def lead(self) -> None:
        """Wait for the Lease and hold it until it is lost."""
        await self.leadership.acquire()
        try:
            await self.leadership.hold()
        except LeadershipLost as lost:
            self.lost = lost

    @asynccontextmanager
    async def leading(self) -> AsyncIterator[None]:
        """In the background."""
        task = asyncio.create_task(self.lead())
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


def spec(holder: Any, duration: Any = 15, **fields: Any) -> dict[str, Any]:
    times = {"acquireTime": "2026-11-24T10:00:00.000000Z", "renewTime": "2026-11-24T10:00:00.000000Z"}
    return {"holderIdentity": holder, "leaseDurationSeconds": duration, "leaseTransitions": 4, **times, **fields}


async def seconds(work: Awaitable[Any]) -> float:
    """How long it takes, two minutes at most."""
    begun = now()
    async with asyncio.timeout(120):
        await work
    return now() - begun


# Taking it


@virtual
async def test_absent_one_is_made() -> None:
    server = LeaseServer()
    a = Candidate(server, "a")
    assert not a.leadership.is_leader
    assert await seconds(a.leadership.acquire()) < 0.1
    assert a.leadership.is_leader
    assert server.lease is not None
    assert server.lease["spec"] == {
        "holderIdentity": "a",
        "leaseDurationSeconds": 15,
        "acquireTime": "2027-01-15T08:00:00.020000Z",
        "renewTime": "2027-01-15T08:00:00.020000Z",
        "leaseTransitions": 0,
    }


@virtual
async def test_one_that_is_not_renewed_is_taken_after_its_duration() -> None:
    server = LeaseServer()
    server.put(spec("gone", 20), labels={"kept": "yes"})
    assert 20 < await seconds(Candidate(server, "a").leadership.acquire()) < 20.1
    assert server.lease is not None
    assert server.lease["metadata"]["labels"] == {"kept": "yes"}
    found = server.lease["spec"]
    assert (found["holderIdentity"], found["leaseTransitions"], found["leaseDurationSeconds"]) == ("a", 5, 15)
    assert found["acquireTime"] == found["renewTime"] > "2027-01-15T08:00:20"


@pytest.mark.parametrize("ahead", [-HOUR, 0.0, HOUR])
@virtual
async def test_one_that_is_renewed_is_never_taken_whatever_the_clocks_say(ahead: float) -> None:
    server = LeaseServer()
    a, b = Candidate(server, "a"), Candidate(server, "b", ahead)
    async with a.leading():
        await asyncio.sleep(1)
        async with b.leading():
            await asyncio.sleep(300)
            assert (a.leadership.is_leader, b.leadership.is_leader) == (True, False)
    assert not [each for each in server.asked if each[1] == "b" and each[2] != "get"]


@pytest.mark.parametrize("clock_of_holder", ["1970-01-01T00:00:00.000000Z", "2040-01-01T00:00:00.000000Z"])
@virtual
async def test_time_in_it_is_not_believed(clock_of_holder: str) -> None:
    server = LeaseServer()
    server.put(spec("gone", renewTime=clock_of_holder))
    assert 15 < await seconds(Candidate(server, "a").leadership.acquire()) < 15.1


@pytest.mark.parametrize("there", [None, spec(""), spec("gone")])
@pytest.mark.parametrize("slow", [("a",), ("b",), ()])
@virtual
async def test_of_two_that_race_one_wins(there: Any, slow: tuple[str, ...]) -> None:
    server = LeaseServer()
    if there is not None:
        server.put(there)
    candidates = [Candidate(server, name) for name in "ab"]
    for each in candidates:
        each.line.fate = Fate(0.3) if each.name in slow else Fate()
    async with candidates[0].leading(), candidates[1].leading():
        while now() < 60:
            await asyncio.sleep(0.05)
            assert sum(each.leadership.is_leader for each in candidates) <= 1
        assert [each.name for each in candidates if each.leadership.is_leader] == [server.holder]


@pytest.mark.parametrize(
    ("found", "waits"),
    [
        ({}, 0),  # no spec was ever written
        (None, 0),
        ({"holderIdentity": None}, 0),
        ({"leaseDurationSeconds": 15}, 0),
        (spec("", 900), 0),
        (spec("gone", -3), 15),
        (spec("gone", 0), 15),
        (spec("gone", "15"), 15),
        (spec("gone", True), 15),
        ({"holderIdentity": "gone"}, 15),
        (spec("gone", 3), 3),
        (spec(7), 15),
        (spec({"name": "gone"}, 30), 30),
        (spec("gone", acquireTime=9, renewTime=["x"], leaseTransitions="many"), 15),
        ("held", 15),
        ([], 15),
    ],
)
@virtual
async def test_malformed_one_is_held_for_as_long_as_it_may_be(found: Any, waits: float) -> None:
    server = LeaseServer()
    server.put(found)
    assert waits <= await seconds(Candidate(server, "a").leadership.acquire()) < waits + 0.1
    assert server.lease is not None
    written = server.lease["spec"]
    assert written["holderIdentity"] == "a"
    assert isinstance(written["leaseTransitions"], int)
    assert written["acquireTime"] == written["renewTime"]


@virtual
async def test_number_of_transitions_stays_within_an_int32() -> None:
    server = LeaseServer()
    server.put(spec("", leaseTransitions=2**31 - 1))
    await Candidate(server, "a").leadership.acquire()
    assert server.lease is not None
    assert server.lease["spec"]["leaseTransitions"] == 2**31 - 1


@pytest.mark.parametrize("answer", [{}, {"metadata": None}, {"metadata": {"resourceVersion": 7}}, {"metadata": []}])
@virtual
async def test_answer_that_is_no_object_is_a_fault(answer: Any, caplog: pytest.LogCaptureFixture) -> None:
    server = LeaseServer()
    server.lease = answer
    a = Candidate(server, "a")
    async with a.leading():
        await asyncio.sleep(30)
        assert not a.leadership.is_leader
        server.lease = None
        await asyncio.sleep(2.1)
        assert a.leadership.is_leader
    assert "is no object with a resourceVersion" in caplog.text


@virtual
async def test_restarted_operator_is_another_one() -> None:
    server = LeaseServer()
    first = Candidate(server, identity())
    await first.leadership.acquire()
    again = Candidate(server, identity())
    assert 15 < await seconds(again.leadership.acquire()) < 15.1
    assert not first.leadership.is_leader


@virtual
async def test_take_whose_answer_was_lost_is_found_to_be_ours() -> None:
    server = LeaseServer()
    a = Candidate(server, "a")
    a.line.fates.extend([Fate(), UNANSWERED])
    assert 0.5 < await seconds(a.leadership.acquire()) < 2.1
    assert server.lease is not None
    assert server.lease["spec"]["leaseTransitions"] == 0
    assert server.lease["spec"]["acquireTime"] < server.lease["spec"]["renewTime"]


@virtual
async def test_take_that_took_longer_than_the_deadline_is_not_believed() -> None:
    """A process that was halted between its write and the answer, for longer than others wait."""
    server = LeaseServer()
    a = Candidate(server, "a")
    a.line.fates.extend([Fate(), Fate(0.01, 1)])
    task = asyncio.create_task(a.leadership.acquire())
    await asyncio.sleep(0.5)
    a.ahead = 10
    await asyncio.sleep(0.6)
    assert server.holder == "a"
    assert not a.leadership.is_leader
    await task
    assert a.leadership.is_leader


@pytest.mark.parametrize("fate", [HANGS, SILENT])
@virtual
async def test_request_that_hangs_is_given_up_for_another(fate: Fate) -> None:
    a = Candidate(LeaseServer(), "a")
    a.line.fates.append(fate)
    assert 5 < await seconds(a.leadership.acquire()) < 7.1


# Holding it


@virtual
async def test_leader_writes_once_in_a_retry_period_and_others_write_nothing() -> None:
    server = LeaseServer()
    a, b = Candidate(server, "a"), Candidate(server, "b")
    async with a.leading():
        await asyncio.sleep(1)
        server.asked.clear()
        async with b.leading():
            await asyncio.sleep(60)
    assert {each[1:] for each in server.asked} == {("a", "replace"), ("b", "get")}
    assert 29 <= len([each for each in server.asked if each[1] == "a"]) <= 31
    assert 30 <= len([each for each in server.asked if each[1] == "b"]) <= 61
    assert server.lease is not None
    assert server.lease["spec"]["acquireTime"] == "2027-01-15T08:00:00.020000Z"
    assert server.lease["spec"]["leaseTransitions"] == 0


@pytest.mark.parametrize("fate", [REFUSED, HANGS, SILENT, UNANSWERED, Fate(there=7)])
@pytest.mark.parametrize("error", [Unavailable("HTTP 500"), Invalid("no Leases on Fridays")])
@virtual
async def test_leader_that_cannot_renew_believes_so_for_the_deadline_and_no_longer(
    fate: Fate, error: ClusterError
) -> None:
    server = LeaseServer()
    a = Candidate(server, "a")
    a.line.error = error
    async with a.leading():
        await asyncio.sleep(7)
        sent = max(at for at, _, verb in server.asked if verb == "replace") - a.line.fate.there
        a.line.fate = fate
        while a.lost is None:
            assert a.leadership.is_leader == (now() < sent + 10)
            await asyncio.sleep(0.02)
    assert sent + 9.98 < now() < sent + 10.02
    assert not a.leadership.is_leader
    reason = "did not answer in time" if fate in (HANGS, SILENT) or fate.there == 7 else str(error)
    assert str(a.lost) == f"Lease cooper/cooper-operator was not renewed for 10 s: {_about(reason)}"


def _about(reason: str) -> str:
    return f"the API server {reason}" if reason.startswith("did") else reason


@pytest.mark.parametrize("fate", [REFUSED, HANGS, SILENT, UNANSWERED])
@virtual
async def test_leader_outlasts_a_fault_that_is_shorter(fate: Fate) -> None:
    server = LeaseServer()
    a = Candidate(server, "a")
    async with a.leading():
        for _ in range(3):
            await asyncio.sleep(6)
            a.line.fate = fate
            await asyncio.sleep(4.5)
            a.line.fate = Fate()
        await asyncio.sleep(60)
        assert a.leadership.is_leader


@virtual
async def test_process_that_was_halted_knows_at_once_that_it_does_not_lead() -> None:
    server = LeaseServer()
    a = Candidate(server, "a")
    async with a.leading():
        await asyncio.sleep(3.5)
        a.ahead = 10  # nothing of it ran meanwhile
        assert not a.leadership.is_leader
        await asyncio.sleep(2)
        assert str(a.lost).endswith("was not renewed for 10 s: this process was halted meanwhile")
    assert [verb for at, _, verb in server.asked if at > 3.5] == []


@pytest.mark.parametrize(
    ("thief", "said"), [("b", "b holds it"), ("", "nobody holds it"), (None, "nobody holds it"), (3, "does not tell")]
)
@virtual
async def test_stolen_one_is_noticed_with_the_next_renewal(thief: Any, said: str) -> None:
    server = LeaseServer()
    a = Candidate(server, "a")
    async with a.leading():
        await asyncio.sleep(7)
        server.put(spec(thief))
        await asyncio.sleep(2.05)
        assert not a.leadership.is_leader
    assert said in str(a.lost)
    assert server.lease is not None
    assert server.lease["spec"] == spec(thief)


@virtual
async def test_edit_that_is_no_theft_is_renewed_over() -> None:
    server = LeaseServer()
    a = Candidate(server, "a")
    async with a.leading():
        for _ in range(10):
            await asyncio.sleep(3)
            assert server.lease is not None
            server.put(server.lease["spec"], annotations={"seen": str(now())})
        assert a.leadership.is_leader
        await asyncio.sleep(3)
    assert server.lease["metadata"]["annotations"]["seen"]
    assert server.holder == "a"


@virtual
async def test_deleted_one_is_made_anew_by_its_leader_and_taken_by_nobody_meanwhile() -> None:
    server = LeaseServer()
    a, b = Candidate(server, "a"), Candidate(server, "b")
    async with a.leading():
        await asyncio.sleep(3)
        async with b.leading():
            await asyncio.sleep(3)
            server.delete()
            await asyncio.sleep(2.1)
            assert server.holder == "a"
            a.line.fate = HANGS
            server.delete()
            deleted = now()
            while not b.leadership.is_leader:
                await asyncio.sleep(0.01)
                assert not (a.leadership.is_leader and b.leadership.is_leader)
    assert 10 < now() - deleted < 17


@pytest.mark.parametrize("held_then", [True, False])
@virtual
async def test_cluster_that_was_restored_from_a_backup_ends_leadership_and_it_can_be_acquired_anew(
    held_then: bool,
) -> None:
    server = LeaseServer()
    a = Candidate(server, "a")
    backup = server.backup()
    async with a.leading():
        await asyncio.sleep(5)
        if held_then:
            backup = server.backup()
        await asyncio.sleep(5)
        assert a.leadership.is_leader
        server.restore(backup)
        await asyncio.sleep(2.1)
        assert not a.leadership.is_leader
    assert str(a.lost).endswith("the cluster was restored from a backup")
    assert await seconds(a.leadership.acquire()) < 2.1
    async with a.leading():
        await asyncio.sleep(30)
        assert a.leadership.is_leader


@virtual
async def test_versions_that_are_no_numbers_say_nothing_of_a_backup() -> None:
    server = LeaseServer()
    a = Candidate(server, "a")
    async with a.leading():
        await asyncio.sleep(5)
        assert server.lease is not None
        server.lease["metadata"]["resourceVersion"] = "opaque"
        await asyncio.sleep(5)
        assert a.leadership.is_leader


@virtual
async def test_lease_that_a_webhook_gives_to_somebody_else_is_not_ours(caplog: pytest.LogCaptureFixture) -> None:
    class Rewriting(LeaseServer):
        def put(self, spec: Any, **metadata: Any) -> dict[str, Any]:
            return super().put({**spec, "holderIdentity": "somebody"}, **metadata)

    a = Candidate(Rewriting(), "a")
    async with a.leading():
        await asyncio.sleep(60)
        assert not a.leadership.is_leader
    assert "somebody holds it; look at the webhooks" in caplog.text


@virtual
async def test_leadership_can_be_acquired_again_after_it_was_lost() -> None:
    server = LeaseServer()
    a = Candidate(server, "a")
    async with a.leading():
        await asyncio.sleep(3)
        server.put(spec("b"))
        await asyncio.sleep(3)
    assert a.lost is not None
    assert 12 < await seconds(a.leadership.acquire()) < 15  # as of when it was lost
    assert a.leadership.is_leader


@virtual
async def test_hold_without_leadership_is_lost_at_once() -> None:
    with pytest.raises(LeadershipLost):
        await Candidate(LeaseServer(), "a").leadership.hold()


# Giving it up


@virtual
async def test_released_one_is_taken_within_a_retry_period() -> None:
    server = LeaseServer()
    a, b = Candidate(server, "a"), Candidate(server, "b")
    async with b.leading():
        await asyncio.sleep(5)
        waiting = asyncio.create_task(a.leadership.acquire())
        await asyncio.sleep(5)
    assert await seconds(b.leadership.release()) < 0.1
    assert not b.leadership.is_leader
    assert server.lease is not None
    released = server.lease["spec"]
    assert (released["holderIdentity"], released["leaseDurationSeconds"]) == ("", 1)
    assert await seconds(waiting) <= 2.05
    assert server.lease["spec"]["leaseTransitions"] == 1


@pytest.mark.parametrize("there", [None, spec("b"), spec(""), spec(None), "held"])
@virtual
async def test_only_what_is_ours_is_released(there: Any) -> None:
    server = LeaseServer()
    a = Candidate(server, "a")
    await a.leadership.acquire()
    server.delete() if there is None else server.put(there)
    before = server.lease
    await a.leadership.release()
    assert server.lease == before


#: What is there, and whether its former holder is known to do nothing any more.
HANDED_OVER: dict[str, tuple[Any, bool]] = {
    "absent": (None, False),
    "given up": (spec("", 1), True),
    "emptied by somebody": (spec("", 15), False),
    "without a holder or a duration": ({}, False),
    "ended": (spec("gone"), False),
    "ended within a second": (spec("gone", 1), False),
    "its own, as after an answer that was lost": (spec("a"), False),
}


@pytest.mark.parametrize(("there", "wanted"), HANDED_OVER.values(), ids=HANDED_OVER)
@virtual
async def test_who_led_before_may_be_at_work_unless_he_gave_it_up(there: Any, wanted: bool) -> None:
    server = LeaseServer()
    if there is not None:
        server.put(there)
    a = Candidate(server, "a")
    await seconds(a.leadership.acquire())
    assert a.leadership.handed_over == wanted


@virtual
async def test_it_is_handed_over_once() -> None:
    server = LeaseServer()
    server.put(spec("", 1))
    a = Candidate(server, "a")
    await seconds(a.leadership.acquire())
    assert a.leadership.handed_over
    server.put(spec("other"))
    with pytest.raises(LeadershipLost):
        await a.leadership.hold()
    await seconds(a.leadership.acquire())
    assert not a.leadership.handed_over


@virtual
async def test_renewal_that_is_still_on_its_way_does_not_undo_a_release() -> None:
    server = LeaseServer()
    a = Candidate(server, "a")
    async with a.leading():
        await asyncio.sleep(1.9)
        a.line.fates.append(Fate(there=0.08))  # carried out between the reading and the writing of the release
        await asyncio.sleep(0.2)
    await a.leadership.release()
    assert server.holder == ""
    assert [verb for *_, verb in server.asked[2:]] == ["get", "replace", "replace", "get", "replace"]
    await asyncio.sleep(20)
    assert server.holder == ""


@pytest.mark.parametrize("fate", [REFUSED, HANGS, SILENT])
@virtual
async def test_release_never_fails_and_takes_seconds_at_most(fate: Fate, caplog: pytest.LogCaptureFixture) -> None:
    server = LeaseServer()
    a = Candidate(server, "a")
    await a.leadership.acquire()
    a.line.fate = fate
    assert await seconds(a.leadership.release()) <= 3
    assert not a.leadership.is_leader
    assert "could not be released, others wait until it ends" in caplog.text


# What is told


@virtual
async def test_holder_is_told_once_for_each_that_leads(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    server = LeaseServer()
    server.put(spec("b\nc"))
    a = Candidate(server, "a")
    async with a.leading():
        for holder in ("b\nc", "b\nc", "d", "d"):
            server.put(spec(holder))
            await asyncio.sleep(10)
        await asyncio.sleep(30)
    assert [each.getMessage() for each in caplog.records] == [
        r"Lease cooper/cooper-operator: b\nc holds it; this operator waits",
        "Lease cooper/cooper-operator: d holds it; this operator waits",
        "Lease cooper/cooper-operator: this operator leads, as a",
    ]


@virtual
async def test_holder_is_told_again_when_this_operator_led_in_between(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    server = LeaseServer()
    a = Candidate(server, "a")
    for number in range(2):
        server.put(spec("b", leaseTransitions=number))
        async with a.leading():
            await asyncio.sleep(20)
            assert a.leadership.is_leader
            server.put(spec(""))
            await asyncio.sleep(3)
    assert len([each for each in caplog.records if "b holds it" in each.getMessage()]) == 2


@virtual
async def test_outage_is_told_once_also_that_a_right_is_missing(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    a = Candidate(LeaseServer(), "a")
    a.line.fate = REFUSED
    async with a.leading():
        await asyncio.sleep(30)
        a.line.error = NotAllowed("Lease cooper/cooper-operator: cannot get; Cooper lacks this right: grant it")
        await asyncio.sleep(30)
        a.line.fate = Fate()
        await asyncio.sleep(30)
    failed = "Lease cooper/cooper-operator cannot be read or written, it is tried again: "
    assert [each.getMessage() for each in caplog.records] == [
        f"{failed}the API server is away (HTTP 500)",
        f"{failed}Lease cooper/cooper-operator: cannot get; Cooper lacks this right: grant it",
        "Lease cooper/cooper-operator can be read and written again",
        "Lease cooper/cooper-operator: this operator leads, as a",
    ]


@pytest.mark.parametrize(("error", "told"), [(Conflict("taken"), 0), (NotFound("no namespace"), 1)])
@virtual
async def test_lost_race_is_no_fault_and_a_missing_namespace_is(
    error: ClusterError, told: int, caplog: pytest.LogCaptureFixture
) -> None:
    a = Candidate(LeaseServer(), "a")
    a.line.error = error
    a.line.fates.extend([Fate(), REFUSED])
    async with a.leading():
        await asyncio.sleep(5)
        assert a.leadership.is_leader
    assert len([each for each in caplog.records if str(error) in each.getMessage()]) == told


@virtual
async def test_conflict_that_goes_on_is_told(caplog: pytest.LogCaptureFixture) -> None:
    a = Candidate(LeaseServer(), "a")
    a.line.error = Conflict("a webhook's")
    a.line.fate = REFUSED
    async with a.leading():
        await asyncio.sleep(60)
    assert len([each for each in caplog.records if "a webhook's" in each.getMessage()]) == 1


def test_identities_differ_and_begin_with_the_host_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("socket.gethostname", lambda: "operator-5f7c")
    assert identity().startswith("operator-5f7c_")
    assert len({identity() for _ in range(100)}) == 100


# Over HTTP


async def test_what_is_asked_of_an_api_server(tmp_path: Path) -> None:
    script = Script(tmp_path)
    metadata = {"name": "cooper-operator", "uid": "u", "resourceVersion": "7", "labels": {"a": "b"}}
    found = {"kind": "Lease", "metadata": {**metadata, "managedFields": [{}]}, "spec": spec("", 1)}
    taken = {"kind": "Lease", "metadata": {**metadata, "resourceVersion": "8"}, "spec": spec("a")}
    script.answers.extend([(200, found), (200, taken), (200, taken), (200, {**taken, "spec": spec("")})])
    async with script.serving() as api:
        leadership = Leadership(api, "cooper", "a", clock=lambda: EPOCH)
        await leadership.acquire()
        await leadership.release()
        assert api.calls == {("GET", "leases"): 2, ("PUT", "leases"): 2}
    assert script.asked == ["GET cooper-operator", "PUT cooper-operator"] * 2
    times = dict.fromkeys(("acquireTime", "renewTime"), "2027-01-15T08:00:00.000000Z")
    lease = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease"}
    assert script.bodies[1] == {**lease, "metadata": metadata, "spec": spec("a", leaseTransitions=5, **times)}
    assert script.bodies[3]["metadata"]["resourceVersion"] == "8"


async def test_missing_right_is_told_with_what_to_do(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    script = Script(tmp_path)
    message = 'leases "cooper-operator" is forbidden: User "u" cannot get resource "leases" in API group "c"'
    script.answers.append((403, status(403, "Forbidden", message)))
    async with script.serving() as api:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(Leadership(api, "cooper", "a").acquire(), 0.5)
    assert f"{message} (HTTP 403); Cooper lacks this right: grant it" in caplog.text
