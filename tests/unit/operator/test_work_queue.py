import asyncio

from cooper_operator.cluster.port import Ref
from cooper_operator.reconcile.queue import Outcome, Queue
from support.virtual_time import virtual

A = Ref("Bucket", "default", "a")
B = Ref("Bucket", "default", "b")


class Recorder:
    """Reconciles that wait until they are let go, and tell how many run at once."""

    def __init__(self, outcome: Outcome | None = None) -> None:
        self.started: list[Ref] = []
        self.running: list[Ref] = []
        self.most = 0
        self.gate = asyncio.Event()
        self.outcome = outcome or Outcome()
        self.times: list[float] = []

    async def __call__(self, ref: Ref) -> Outcome:
        assert ref not in self.running, "two workers on one resource"
        self.started.append(ref)
        self.times.append(asyncio.get_running_loop().time())
        self.running.append(ref)
        self.most = max(self.most, len(self.running))
        await self.gate.wait()
        self.running.remove(ref)
        return self.outcome


@virtual
async def test_one_worker_per_resource_and_no_resource_twice() -> None:
    work = Recorder()
    queue = Queue(work)
    for _ in range(5):
        queue.add(A)
    await asyncio.sleep(0)
    for _ in range(5):
        queue.add(A)  # while it is worked on: once more, afterwards
    queue.add(B)
    await asyncio.sleep(0)
    assert work.started == [A, B]
    work.gate.set()
    await asyncio.sleep(0.01)
    assert work.started == [A, B, A]
    assert queue.idle
    await queue.stop()


@virtual
async def test_concurrency_is_bounded() -> None:
    work = Recorder()
    queue = Queue(work, concurrency=3)
    for i in range(10):
        queue.add(Ref("Bucket", "default", str(i)))
    await asyncio.sleep(0.01)
    assert (work.most, queue.depth) == (3, 7)
    work.gate.set()
    await asyncio.sleep(0.01)
    assert (work.most, len(work.started)) == (3, 10)
    await queue.stop()


@virtual
async def test_what_is_new_goes_before_routine() -> None:
    work = Recorder()
    queue = Queue(work, concurrency=1)
    for i in range(3):
        queue.add(Ref("Bucket", "default", str(i)), routine=True)
    queue.add(A)
    work.gate.set()
    await asyncio.sleep(0.01)
    assert [ref.name for ref in work.started] == ["0", "a", "1", "2"]
    await queue.stop()


@virtual
async def test_what_waits_as_routine_and_becomes_urgent_goes_before_the_others() -> None:
    work = Recorder()
    queue = Queue(work, concurrency=1)
    for i in range(4):
        queue.add(Ref("Bucket", "default", str(i)), routine=True)
    queue.add(Ref("Bucket", "default", "3"))
    queue.add(Ref("Bucket", "default", "3"), routine=True)
    assert queue.depth == 3
    work.gate.set()
    await asyncio.sleep(0.01)
    assert [ref.name for ref in work.started] == ["0", "3", "1", "2"]
    assert queue.idle
    queue.add(Ref("Bucket", "default", "3"), routine=True)
    await asyncio.sleep(0.01)
    assert [ref.name for ref in work.started] == ["0", "3", "1", "2", "3"]
    assert queue.idle
    await queue.stop()


@virtual
async def test_what_goes_first_goes_before_all_else_of_its_namespace_and_no_other() -> None:
    work = Recorder()
    queue = Queue(work, concurrency=1)
    crowd = [Ref("AccessKey", "crowd", str(number)) for number in range(6)]
    for ref in crowd[:5]:
        queue.add(ref)
    queue.add(crowd[5], routine=True)
    queue.add(B)
    queue.add(crowd[3], first=True)
    queue.add(crowd[3])
    queue.add(crowd[5], first=True)
    assert queue.depth == 6  # the first one is worked on
    work.gate.set()
    await asyncio.sleep(0.01)
    assert work.started == [crowd[0], crowd[5], B, crowd[3], crowd[1], crowd[2], crowd[4]]
    assert queue.idle
    await queue.stop()


@virtual
async def test_what_is_worked_on_and_is_to_go_first_is_next() -> None:
    work = Recorder()
    queue = Queue(work, concurrency=1)
    crowd = [Ref("AccessKey", "crowd", str(number)) for number in range(4)]
    for ref in crowd:
        queue.add(ref)
    await asyncio.sleep(0.01)
    queue.add(crowd[0])
    queue.add(crowd[0], first=True)
    queue.add(crowd[2], first=True)
    assert (work.running, queue.depth) == ([crowd[0]], 3)
    work.gate.set()
    await asyncio.sleep(0.01)
    assert work.started == [crowd[0], crowd[0], crowd[2], crowd[1], crowd[3]]
    assert queue.idle
    await queue.stop()


@virtual
async def test_retries_back_off_and_success_resets_them() -> None:
    work = Recorder(Outcome(retry=True))
    work.gate.set()
    queue = Queue(work, jitter=lambda: 1.0)
    queue.add(A)
    await asyncio.sleep(0.5)
    gaps = [b - a for a, b in zip(work.times, work.times[1:], strict=False)]
    assert len(gaps) == 2
    assert 0.09 < gaps[0] < 0.19
    assert 0.19 < gaps[1] < 0.39
    work.outcome = Outcome()
    queue.add(A)
    await asyncio.sleep(0.01)
    work.outcome = Outcome(retry=True)
    queue.add(A)
    count = len(work.started)
    await asyncio.sleep(0.15)
    assert len(work.started) == count + 2  # at once, and after the first delay again
    await queue.stop()


@virtual
async def test_a_retry_is_capped() -> None:
    work = Recorder(Outcome(retry=True, retry_cap=0.02))
    work.gate.set()
    queue = Queue(work, jitter=lambda: 1.0)
    queue.add(A)
    await asyncio.sleep(0.3)
    assert len(work.started) >= 6
    await queue.stop()


@virtual
async def test_in_a_hurry_what_failed_is_looked_at_as_if_for_the_first_time() -> None:
    work = Recorder(Outcome(retry=True))
    work.gate.set()
    queue = Queue(work, jitter=lambda: 1.0)
    queue.add(A)
    await asyncio.sleep(0.5)
    count = len(work.started)
    assert count == 3  # the next one would come 0.7 s after the first
    queue.hurry()
    await asyncio.sleep(0.15)
    assert len(work.started) == count + 2  # at once, and after the first delay again
    await queue.stop()


@virtual
async def test_in_a_hurry_what_is_being_worked_on_is_looked_at_again_if_it_failed_before() -> None:
    work = Recorder(Outcome(retry=True))
    work.gate.set()
    queue = Queue(work, jitter=lambda: 1.0)
    queue.add(A)
    await asyncio.sleep(0.01)
    work.gate.clear()
    queue.add(A)
    queue.add(B)
    await asyncio.sleep(0.01)
    assert work.running == [A, B]
    queue.hurry()
    work.outcome = Outcome()
    work.gate.set()
    await asyncio.sleep(0.01)
    assert work.started == [A, A, B, A]
    await queue.stop()


@virtual
async def test_it_looks_again_after_the_time_asked_for() -> None:
    work = Recorder(Outcome(after=0.05))
    work.gate.set()
    queue = Queue(work)
    queue.add(A)
    await asyncio.sleep(0.02)
    assert len(work.started) == 1
    await asyncio.sleep(0.06)
    assert len(work.started) == 2
    await queue.stop()
    await asyncio.sleep(0.1)
    assert len(work.started) == 2


@virtual
async def test_a_failure_nobody_expected_is_retried() -> None:
    calls: list[Ref] = []

    async def fail(ref: Ref) -> Outcome:
        calls.append(ref)
        raise RuntimeError("no")

    queue = Queue(fail)
    queue.add(A)
    await asyncio.sleep(0.15)
    assert len(calls) == 2
    await queue.stop()


@virtual
async def test_nobody_waits_for_the_many_of_another_namespace() -> None:
    work = Recorder()
    work.gate.set()
    queue = Queue(work, concurrency=1)
    crowd = [Ref("AccessKey", "crowd", str(number)) for number in range(1000)]
    for ref in crowd:
        queue.add(ref)
    others = [Ref("Bucket", "team", "photos"), Ref("AccessKey", "team", "photos"), Ref("Region", "", "local")]
    for ref in others:
        queue.add(ref)
    await asyncio.sleep(0.1)
    assert work.started[1:7] == [crowd[1], others[0], others[2], crowd[2], others[1], crowd[3]]
    assert work.started[7:] == crowd[4:], "within a namespace who came first"
    assert queue.idle
    await queue.stop()


@virtual
async def test_a_crowd_that_changes_all_the_time_goes_behind_others_too() -> None:
    queue: Queue
    crowd = [Ref("AccessKey", "crowd", str(number)) for number in range(100)]
    started: list[Ref] = []

    async def reconcile(ref: Ref) -> Outcome:
        started.append(ref)
        queue.add(ref)  # changed while it was worked on
        await asyncio.sleep(0.001)
        return Outcome()

    queue = Queue(reconcile, concurrency=2)
    for ref in crowd:
        queue.add(ref)
    await asyncio.sleep(0.02)
    queue.add(B)
    before = len(started)
    await asyncio.sleep(0.02)
    await queue.stop()
    assert B in started[before : before + 4]


async def test_the_age_is_that_of_what_has_waited_longest() -> None:
    go, seen = asyncio.Event(), list[Ref]()

    async def work(ref: Ref) -> Outcome:
        seen.append(ref)
        await go.wait()
        return Outcome()

    queue = Queue(work, concurrency=1)
    assert queue.age == 0
    queue.add(Ref("Bucket", "a", "first"))
    queue.add(Ref("Bucket", "a", "routine"), routine=True)
    assert queue.age == 0  # the one is worked on, the other is routine
    queue.add(Ref("Bucket", "a", "second"))
    await asyncio.sleep(0.02)
    queue.add(Ref("Bucket", "a", "third"))
    queue.add(Ref("Bucket", "a", "second"))
    assert 0.02 <= queue.age < 5
    go.set()
    while not queue.idle:
        await asyncio.sleep(0)
    assert queue.age == 0
    await queue.stop()
