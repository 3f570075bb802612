"""What keys may spend in a second: never more than that over any time, and nearly that when more is asked for, by
any number of workers."""

import random
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cooper_crds.records import Rates
from cooper_gateway.access.meters import SETS, WAYS, Meters, room

KEY, OTHER = "AKIAEXAMPLE", "AKIAOTHER"
#: A machine that was started a while ago.
START = 12_345.0


def workers(count: int, sets: int = 64) -> list[Meters]:
    memory = memoryview(bytearray(room(count, sets)))
    return [Meters(memory, index, count, b"secret") for index in range(count)]


def requests(count: int) -> Rates:
    return Rates(requests=count)


def moved(count: int) -> Rates:
    return Rates(bytes=count)


def served(meters: list[Meters], rates: Rates, times: Iterator[tuple[float, int]]) -> list[float]:
    """When requests were taken, of those that came at such times to such workers."""
    return [at for at, index in times if not meters[index].admit(KEY, rates, at)]


def offered(seconds: float, per_second: float, count: int, seed: int) -> Iterator[tuple[float, int]]:
    """Requests at odd times, to odd workers."""
    chance = random.Random(seed)
    at = START
    while at < START + seconds:
        yield at, chance.randrange(count)
        at += chance.expovariate(per_second)


def most_within(times: list[float], seconds: float) -> int:
    """The most that were taken in a span of so many seconds."""
    most = begin = 0
    for end, at in enumerate(times):
        while times[begin] < at - seconds:
            begin += 1
        most = max(most, end - begin + 1)
    return most


@pytest.mark.parametrize("count", [1, 2, 3, 8])
@pytest.mark.parametrize("rate", [1, 7, 100, 800])
@pytest.mark.parametrize("excess", [0.5, 1.5, 20])
def test_no_more_than_the_rate_and_nearly_that(count: int, rate: int, excess: float) -> None:
    seconds = max(20 / rate, 4.0)
    times = served(workers(count), requests(rate), offered(seconds, rate * excess, count, seed=count * rate))
    for span in (0.1, 1.0, 3.0):
        assert most_within(times, span) <= rate * (span + 1) + 1, span
    # A bucket for one request is empty while none is asked for; larger ones make up for that.
    if excess == 20 or (rate > 1 and excess > 1):
        assert len(times) >= 0.8 * rate * seconds


@pytest.mark.parametrize("count", [1, 2, 8])
def test_a_client_of_one_connection_has_what_one_of_many_has(count: int) -> None:
    per_worker = workers(count)
    one = [START + step / 1000 for step in range(10_000)]
    alone = served(per_worker, requests(50), ((at, 0) for at in one))
    spread = served(workers(count), requests(50), ((at, step % count) for step, at in enumerate(one)))
    assert len(alone) == len(spread) == int(50 * 9.999) + 50


def test_all_workers_together_have_one_burst() -> None:
    meters = workers(4)
    taken = [index for index in range(400) if not meters[index % 4].admit(KEY, requests(10), START)]
    assert len(taken) == 10
    later = [index for index in range(400) if not meters[3 - index % 4].admit(KEY, requests(10), START + 3600)]
    assert len(later) == 10  # an hour's rest is no more than a second's


def test_a_refusal_says_when_to_come_again_and_costs_nothing() -> None:
    (meters,) = workers(1)
    assert [meters.admit(KEY, requests(2), START) for _ in range(2)] == [0.0, 0.0]
    for _ in range(100):
        assert meters.admit(KEY, requests(2), START) == pytest.approx(0.5)
    assert meters.admit(KEY, requests(2), START + 0.25) == pytest.approx(0.25)
    assert meters.admit(KEY, requests(2), START + 0.5) == 0.0
    assert meters.admit(KEY, requests(2), START + 0.5) == pytest.approx(0.5)


def test_one_request_a_second_is_one_at_once() -> None:
    (meters,) = workers(1)
    assert [meters.admit(KEY, requests(1), START + at) for at in (0, 1, 2)] == [0.0, 0.0, 0.0]
    assert meters.admit(KEY, requests(1), START + 2.5) == pytest.approx(0.5)


def test_keys_do_not_spend_what_others_may() -> None:
    (meters,) = workers(1)
    assert [meters.admit(KEY, requests(1), START), meters.admit(OTHER, requests(1), START)] == [0.0, 0.0]
    assert meters.admit(KEY, requests(1), START) and meters.admit(OTHER, requests(1), START)


def test_bytes_are_paid_for_before_the_next_request() -> None:
    meters = workers(2)
    rates = moved(1000)
    assert meters[0].admit(KEY, rates, START) == 0.0
    meters[0].spend(KEY, rates, 999, START)
    assert meters[1].admit(KEY, rates, START) == 0.0
    meters[1].spend(KEY, rates, 10_000, START)
    for index in (0, 1):
        assert meters[index].admit(KEY, rates, START) == pytest.approx(9.999)
        assert meters[index].admit(KEY, rates, START + 9) == pytest.approx(0.999)
        assert meters[index].admit(KEY, rates, START + 10) == 0.0
    meters[0].spend(KEY, rates, 5, START + 10)
    assert meters[1].admit(KEY, rates, START + 10) > 0.0


def test_what_did_not_move_is_given_back() -> None:
    """At another worker too, and to the last byte."""
    meters = workers(2)
    rates = moved(1000)
    meters[0].spend(KEY, rates, 1 << 40, START)
    assert meters[1].admit(KEY, rates, START + 5) > 1e9
    meters[0].spend(KEY, rates, 7000 - (1 << 40), START + 5)
    assert meters[1].admit(KEY, rates, START + 5) == pytest.approx(1.0, abs=0.01)
    assert meters[0].admit(KEY, rates, START + 6) == 0.0
    meters[0].spend(KEY, rates, -1e6, START + 100)  # more than is there: it is empty, and no more than that
    meters[1].spend(KEY, rates, 1500, START + 100)
    assert meters[0].admit(KEY, rates, START + 100) == pytest.approx(0.5)


def test_the_first_that_a_worker_hears_of_a_key_counts_in_full() -> None:
    """Where another one's entry is as old as can be."""
    meters = workers(2)
    rates = Rates(100, 1000)
    for _ in range(100):
        assert meters[0].admit(KEY, rates, START) == 0.0
    meters[0].spend(KEY, rates, 1000, START)
    meters[1].spend(KEY, rates, 5000, START + 3600)
    assert meters[0].admit(KEY, rates, START + 3600) == pytest.approx(4.0)
    for each in (meters[1], meters[0]):
        assert sum(not each.admit(KEY, requests(100), START) for _ in range(200)) in (100, 0)


def test_both_limits_hold_and_the_longer_wait_is_told() -> None:
    (meters,) = workers(1)
    rates = Rates(1, 100)
    assert meters.admit(KEY, rates, START) == 0.0
    meters.spend(KEY, rates, 500, START)
    assert meters.admit(KEY, rates, START) == pytest.approx(4.0)
    assert meters.admit(KEY, rates, START + 4) == 0.0
    assert meters.admit(KEY, rates, START + 4) == pytest.approx(1.0)


def test_another_limit_begins_anew_at_once() -> None:
    meters = workers(2)
    meters[0].spend(KEY, moved(10), 1 << 30, START)
    assert meters[1].admit(KEY, moved(10), START) > 1e8
    assert meters[1].admit(KEY, moved(1 << 30), START) == 0.0
    assert meters[1].admit(KEY, Rates(5, 10), START) == 0.0
    assert [meters[0].admit(KEY, requests(1), START) > 0 for _ in range(3)] == [False, True, True]
    assert meters[0].admit(KEY, requests(2), START) == 0.0


def test_a_worker_that_is_started_again_goes_on() -> None:
    memory = memoryview(bytearray(room(2, 64)))
    before = Meters(memory, 0, 2, b"secret")
    before.spend(KEY, moved(1), 1000, START)
    for index in (0, 1):
        assert Meters(memory, index, 2, b"secret").admit(KEY, moved(1), START) == pytest.approx(999)


def test_memory_is_bounded_and_what_is_owed_is_forgotten_last() -> None:
    """Of keys that owe nothing any more there may be any number."""
    assert room(1) == SETS * WAYS * 48 == 12 << 20
    memory = memoryview(bytearray(room(1, 16)))
    meters = Meters(memory, 0, 1, b"secret")
    rates = Rates(10, 1000)
    meters.spend(KEY, rates, 1_000_000, START)
    for number in range(5000):
        assert meters.admit(f"AKIA{number}", rates, START + number * 0.01) == 0.0
    assert meters.admit(KEY, rates, START + 50) == pytest.approx(949)


def test_a_hundred_thousand_keys_have_room_at_once() -> None:
    (meters,) = workers(1, SETS)
    rates = moved(1)
    keys = [f"AKIA{number:016}" for number in range(100_000)]
    for each in keys:
        meters.spend(each, rates, 1000, START)
    forgotten = sum(not meters.admit(each, rates, START) for each in keys)
    assert forgotten < 300


@settings(max_examples=60, deadline=None)
@given(
    st.integers(1, 4),
    st.integers(1, 2000),
    st.lists(st.tuples(st.floats(0, 3), st.integers(0, 3), st.integers(0, 5000), st.booleans()), max_size=60),
)
def test_bytes_are_what_one_bucket_says(count: int, rate: int, steps: list[tuple[float, int, int, bool]]) -> None:
    """Whatever the workers, all say what one that does everything would."""
    meters, now, level = workers(count), START, 0.0
    for pause, index, size, back in steps:
        now += pause
        level = max(0.0, level - rate * pause)
        wait = meters[index % count].admit(KEY, moved(rate), now)
        assert wait == pytest.approx(max(level / rate - 1, 0.0), abs=2e-3)
        meters[index % count].spend(KEY, moved(rate), size, now)
        level += size
        if back:
            meters[index % count].spend(KEY, moved(rate), -(size // 2), now)
            level -= size // 2
