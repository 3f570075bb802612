"""What an operator looks at first when it starts where much is as it is to be."""

from typing import Any

import pytest

from cooper_operator.cluster.port import Object, Ref
from cooper_operator.cluster.recollection import Nothing
from cooper_operator.reconcile.queue import Outcome
from cooper_operator.reconcile.reading import is_settled
from cooper_operator.reconcile.reconciler import Reconciler
from unit.operator.operator_world import World


class Remembered(Nothing):
    """All resources as they were at one time."""

    def __init__(self, objects: dict[Ref, Object]) -> None:
        self._objects = objects

    def resource(self, ref: Ref) -> Object | None:
        return self._objects.get(ref)


async def test_what_waits_for_something_is_looked_at_before_what_is_well(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = [f"key-{number:02}" for number in range(40)]
    *well, revoked, deleted = names
    await world.apply("Bucket", "photos")
    for name in names:
        await world.apply("AccessKey", name, {"grants": [{"bucket": "photos"}]})
    for name in names:
        await world.until_ready("AccessKey", name)
    await world.stop()
    await world.apply("AccessKey", revoked, {"grants": [{"bucket": "photos"}], "state": "Revoked"})
    await world.delete("AccessKey", deleted)
    await world.apply("AccessKey", "new", {"grants": [{"bucket": "photos"}]})
    refs = [Ref("AccessKey", "default", name) for name in (*names, "new")]
    world.recollection = Remembered({ref: obj for ref in refs if (obj := await world.cluster.get(ref)) is not None})
    looked_at: list[str] = []
    reconcile = Reconciler.reconcile

    async def note(self: Reconciler, ref: Ref) -> Outcome:
        if ref in refs:
            looked_at.append(ref.name)
        return await reconcile(self, ref)

    monkeypatch.setattr(Reconciler, "reconcile", note)
    await world.start(region=False)
    await world.settle()
    assert set(looked_at) == {*names, "new"}
    begun_at_once = 16
    assert {revoked, deleted, "new"} <= set(looked_at[: begun_at_once + 3])
    assert not set(well) <= set(looked_at[: begun_at_once + 3])


@pytest.mark.parametrize(
    ("changes", "settled"),
    [
        ({}, True),
        ({"conditions": [{"type": "Ready", "status": "False"}, {"type": "Revoked", "status": "True"}]}, True),
        ({"conditions": [{"type": "Ready", "status": "False"}]}, False),
        ({"conditions": [{"type": "Delivered", "status": "True"}]}, False),
        ({"conditions": [{}]}, False),
        ({"observedGeneration": 1}, False),
    ],
)
def test_what_says_that_it_is_as_its_spec_wants_it(changes: dict[str, Any], settled: bool) -> None:
    well = {"observedGeneration": 2, "conditions": [{"type": "Ready", "status": "True"}]}
    assert is_settled({"metadata": {"generation": 2}, "status": well | changes}) is settled


def test_what_goes_or_says_nothing_is_not_settled() -> None:
    well = {"observedGeneration": 2, "conditions": [{"type": "Ready", "status": "True"}]}
    assert not is_settled(None)
    assert not is_settled({"metadata": {"generation": 2}})
    assert not is_settled({"metadata": {"generation": 2, "deletionTimestamp": "2026-01-01T00:00:00Z"}, "status": well})
