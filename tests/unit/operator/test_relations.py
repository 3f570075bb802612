"""Who is woken by a change of another resource."""

from cooper_operator.cluster.port import Ref
from cooper_operator.reconcile.relations import Relations

BUCKET = Ref("Bucket", "default", "photos")


def test_they_are_woken_in_the_order_in_which_they_looked() -> None:
    """Not in a set's, which differs from process to process: what a test saw once could not be seen again."""
    relations = Relations()
    keys = [Ref("AccessKey", "default", f"key-{number}") for number in range(20)]
    for key in keys:
        relations.saw(key, {BUCKET: ("before",)})
    relations.saw(keys[3], {BUCKET: ("before",)})
    assert relations.settled(BUCKET, ("after",)) == [*keys[:3], *keys[4:], keys[3]]
    assert relations.settled(BUCKET, ("before",)) == []
