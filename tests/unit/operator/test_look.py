"""What is read live, whatever was seen before."""

from cooper_operator.cluster.memory import MemoryCluster
from cooper_operator.cluster.port import Ref
from cooper_operator.cluster.recollection import Seen
from cooper_operator.reconcile.look import Look

PHOTOS = Ref("AccessKey", "default", "photos")


def remembered(**metadata: str) -> Seen:
    seen = Seen()
    seen.saw(PHOTOS, {"metadata": {"resourceVersion": "7", **metadata}})
    return seen


async def test_what_was_seen_costs_no_request() -> None:
    look = Look(MemoryCluster(), remembered(), live=False)
    assert await look.resource(PHOTOS) is not None


async def test_one_that_goes_is_never_taken_from_memory() -> None:
    """The answer to the write that let it go can come after the event that it is gone, and stay in memory."""
    look = Look(MemoryCluster(), remembered(deletionTimestamp="2026-11-25T10:00:00Z"), live=False)
    assert await look.resource(PHOTOS) is None


async def test_a_live_look_takes_nothing_from_memory() -> None:
    assert await Look(MemoryCluster(), remembered(), live=True).resource(PHOTOS) is None
