"""What a watch shows of our own writes is told from what others did."""

import asyncio

import pytest

from cooper_operator.cluster.own_writes import OwnWrites
from cooper_operator.cluster.port import Conflict

PATH = "/apis/cooper.dev/v1alpha1/namespaces/default/buckets/photos"


class Watch:
    """What it shows, in turn, and what of that is told."""

    def __init__(self, writes: OwnWrites) -> None:
        self._writes = writes
        self.told: list[str | None] = []

    def shows(self, version: str | None, path: str = PATH) -> None:
        self._writes.tell_unless_echo(path, version, lambda: self.told.append(version))


async def answered(version: str) -> dict[str, dict[str, str]]:
    return {"metadata": {"resourceVersion": version}}


async def test_the_latest_write_is_an_echo_once() -> None:
    writes = OwnWrites()
    watch = Watch(writes)
    await writes.write(PATH, answered("7"))
    for version in ("7", "7", "8"):
        watch.shows(version)
    assert watch.told == ["7", "8"]


async def test_what_was_there_before_our_latest_write_was_known_to_who_wrote() -> None:
    now = 100.0
    writes = OwnWrites(lambda: now)
    watch = Watch(writes)
    await writes.write(PATH, answered("7"))
    await writes.write(PATH, answered("9"))
    for version in ("6", "7", "8"):
        watch.shows(version)
    assert watch.told == []
    now += 60  # nothing is that late: the server's state was restored from a backup
    watch.shows("8")
    assert watch.told == ["8"]


async def test_another_object_at_the_same_version_is_no_echo() -> None:
    writes = OwnWrites()
    watch = Watch(writes)
    await writes.write(PATH, answered("7"))
    watch.shows("7", PATH + "2")
    watch.shows("7")
    assert watch.told == ["7"]


async def test_what_is_gone_is_never_an_echo_and_forgotten() -> None:
    writes = OwnWrites()
    watch = Watch(writes)
    await writes.write(PATH, answered("7"))
    watch.shows(None)
    watch.shows("7")
    assert watch.told == [None, "7"]


@pytest.mark.parametrize(("shown", "told"), [(["7"], []), (["7", "8"], ["8"]), (["6", "7"], []), ([None], [None])])
async def test_what_is_shown_before_the_answer_is_judged_by_the_answer(
    shown: list[str | None], told: list[str | None]
) -> None:
    writes = OwnWrites()
    watch = Watch(writes)
    answer = asyncio.Event()

    async def request() -> dict[str, dict[str, str]]:
        await answer.wait()
        return await answered("7")

    writing = asyncio.create_task(writes.write(PATH, request()))
    await asyncio.sleep(0)
    for version in shown:
        watch.shows(version)
    watch.shows("5", PATH + "2")
    assert watch.told == ["5"]
    answer.set()
    await writing
    assert watch.told == ["5", *told]


async def test_what_is_shown_before_a_refusal_is_told() -> None:
    writes = OwnWrites()
    watch = Watch(writes)

    async def request() -> dict[str, dict[str, str]]:
        watch.shows("8")
        raise Conflict("it changed")

    with pytest.raises(Conflict):
        await writes.write(PATH, request())
    assert watch.told == ["8"]
    assert not writes._under_way


async def test_of_two_writes_under_way_the_second_answer_counts_too() -> None:
    writes = OwnWrites()
    watch = Watch(writes)

    async def first() -> dict[str, dict[str, str]]:
        await writes.write(PATH, answered("7"))
        watch.shows("7")
        watch.shows("9")
        return await answered("9")

    await writes.write(PATH, first())
    assert watch.told == []
