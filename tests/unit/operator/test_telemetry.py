"""What the operator counts, and how it says that it is well."""

import asyncio
from typing import Any

import pytest

from cooper_operator.cluster.port import Ref
from cooper_operator.health import Health
from cooper_operator.reconcile.telemetry import Telemetry
from cooper_operator.service import Service

PHOTOS = Ref("Bucket", "default", "photos")


def resource(generation: int = 1, *conditions: str, **metadata: Any) -> dict[str, Any]:
    said = [{"type": each.strip("!"), "status": "False" if each.startswith("!") else "True"} for each in conditions]
    status = {"observedGeneration": generation, "conditions": said}
    return {"metadata": {"generation": generation, **metadata}, "status": status if conditions else {}}


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def telemetry(clock: Clock) -> Telemetry:
    return Telemetry(clock)


def sample(telemetry: Telemetry, name: str) -> float | None:
    lines = telemetry.text().decode().splitlines()
    return next((float(line.rpartition(" ")[2]) for line in lines if line.rpartition(" ")[0] == name), None)


def test_from_a_change_until_it_is_settled(telemetry: Telemetry, clock: Clock) -> None:
    telemetry.saw(PHOTOS, resource())
    clock.now += 2
    telemetry.saw(PHOTOS, resource(1, "!Ready"))  # the same change, on its way
    clock.now += 3
    telemetry.saw(PHOTOS, resource(1, "Ready"))
    ready = 'cooper_operator_settle_seconds_sum{kind="Bucket",state="Ready"}'
    assert sample(telemetry, ready) == 5
    clock.now += 1000
    telemetry.saw(PHOTOS, resource(1, "Ready"))
    assert sample(telemetry, ready) == 5
    telemetry.saw(PHOTOS, resource(2, "!Ready"))
    clock.now += 7
    telemetry.saw(PHOTOS, resource(3, "!Ready"))  # another change: its time begins anew
    clock.now += 1
    telemetry.saw(PHOTOS, resource(3, "!Ready", "Revoked"))
    assert sample(telemetry, 'cooper_operator_settle_seconds_sum{kind="Bucket",state="Revoked"}') == 1


@pytest.mark.parametrize("last", [None, resource(1, "!Ready", deletionTimestamp="2026-01-01T00:00:00Z")])
def test_what_goes_is_not_waited_for(telemetry: Telemetry, last: Any) -> None:
    telemetry.saw(PHOTOS, resource())
    telemetry.saw(PHOTOS, last)
    telemetry.saw(PHOTOS, resource(1, "Ready"))
    assert "cooper_operator_settle_seconds_count" not in telemetry.text().decode()


def test_after_another_led_nothing_counts_as_waiting(telemetry: Telemetry) -> None:
    telemetry.follow_queue(lambda: 3, lambda: 7.5)
    telemetry.saw(PHOTOS, resource())
    assert sample(telemetry, "cooper_operator_queue_depth") == 3
    assert sample(telemetry, "cooper_operator_queue_age_seconds") == 7.5
    telemetry.forget()
    telemetry.saw(PHOTOS, resource(1, "Ready"))
    assert sample(telemetry, "cooper_operator_queue_depth") == 0
    assert sample(telemetry, "cooper_operator_queue_age_seconds") == 0
    assert "cooper_operator_settle_seconds_count" not in telemetry.text().decode()


def test_looks_and_requests(telemetry: Telemetry) -> None:
    telemetry.reconciled(PHOTOS, retry=False, seconds=0.2)
    telemetry.reconciled(PHOTOS, retry=True, seconds=0.4)
    telemetry.calls["GET", "buckets"] += 2
    telemetry.leading.set(1)
    for result, seconds in (("settled", 0.2), ("retry", 0.4)):
        name = f'cooper_operator_reconcile_seconds_sum{{kind="Bucket",result="{result}"}}'
        assert sample(telemetry, name) == seconds
    assert sample(telemetry, 'cooper_operator_api_requests_total{resource="buckets",verb="GET"}') == 2
    assert sample(telemetry, "cooper_operator_leading") == 1


async def test_a_loop_that_does_not_turn_is_dead(clock: Clock) -> None:
    health = Health(clock)
    beating = asyncio.create_task(health.beat())
    await asyncio.sleep(0)
    clock.now += 59
    assert (health.dead, health.problems) == ([], [])
    clock.now += 2
    assert health.dead == health.problems == ["the event loop has not turned for 61 s"]
    beating.cancel()


def test_what_keeps_it_from_work_is_no_death() -> None:
    health = Health()
    health.note("Lease", "the API server does not answer")
    assert (health.dead, health.problems) == ([], ["the API server does not answer"])
    health.note("Lease", "")
    assert health.problems == []


def test_who_has_not_looked_at_the_lease_is_not_ready() -> None:
    """A roll-out would end the former leader, and this one waits from when it sees his Lease."""

    async def load(_: Any) -> None: ...

    service = Service(load)
    assert (service.health.dead, service.health.problems) == ([], ["the Lease was not looked at yet"])
