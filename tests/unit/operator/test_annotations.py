"""Annotations that are none of Cooper's and look so: told once each, and never for longer than they are there."""

from typing import Any

import pytest

from cooper_crds.bucket import BucketStatus
from cooper_crds.conditions import Condition, find_condition
from cooper_crds.meta import DELETION
from cooper_crds.rotation import ROTATE_AT
from cooper_operator.cluster.port import Ref
from cooper_operator.plan.annotations import that_matter, with_annotations
from unit.operator.operator_world import World
from unit.operator.test_plan_tables import NOW, resource

MISSPELT = "cooper.dev/rotateAt"


def told(kind: Any, *names: str, before: BucketStatus | None = None) -> Condition | None:
    spec: dict[str, Any] = {"Region": {"tag": "a"}, "BucketGrant": {"from": [{"namespace": "a"}]}}.get(kind, {})
    found = resource(kind, "a", "uid-1", spec or ({"allBuckets": {}} if kind == "AccessKey" else {}))
    metadata = found.metadata.model_copy(update={"annotations": that_matter(dict.fromkeys(names, "x"))})
    status = with_annotations(before or BucketStatus(), found.model_copy(update={"metadata": metadata}), NOW)
    return find_condition(status.conditions, "AnnotationsKnown")


@pytest.mark.parametrize(
    ("kind", "names"),
    [
        ("Bucket", ()),
        ("Bucket", (ROTATE_AT, DELETION)),
        ("AccessKey", (ROTATE_AT,)),
        ("Region", (DELETION,)),
        ("Bucket", ("example.com/rotateAt", "notcooper.dev/rotateAt", "cooper.dev", "cooper.dev.example.com/a")),
    ],
)
def test_of_what_is_known_and_of_others_nothing_is_said(kind: str, names: tuple[str, ...]) -> None:
    assert told(kind, *names) is None


@pytest.mark.parametrize(
    ("kind", "names", "text"),
    [
        ("Bucket", (MISSPELT,), f"{MISSPELT}: not known on kind Bucket, which has {ROTATE_AT}. "),
        ("AccessKey", (MISSPELT, ROTATE_AT), f"{MISSPELT}: not known on kind AccessKey"),
        ("BucketGrant", (ROTATE_AT,), f"{ROTATE_AT}: not known on kind BucketGrant, which has none. "),
        ("Bucket", ("Cooper.dev/Rotate-At",), "Cooper.dev/Rotate-At: "),
        ("Bucket", ("rolled.cooper.dev/a",), "rolled.cooper.dev/a: "),
        (
            "Bucket",
            tuple(f"cooper.dev/{name}" for name in "dcba"),
            "cooper.dev/a, cooper.dev/b, cooper.dev/c and others: ",
        ),
        ("Bucket", tuple(f"cooper.dev/{'a' * 60}{name}" for name in range(100, 999)), "and others: "),
    ],
)
def test_what_means_nothing_is_told_in_few_words(kind: str, names: tuple[str, ...], text: str) -> None:
    found = told(kind, *names)
    assert found is not None
    assert (found.status, found.reason) == ("False", "UnknownAnnotation")
    assert text in found.message
    assert len(found.message) < 500


async def annotate(world: World, annotations: dict[str, str]) -> None:
    obj = await world.get("Bucket", "photos")
    assert obj is not None
    await world.cluster.update({**obj, "metadata": {**obj["metadata"], "annotations": annotations}})
    await world.settle()


async def test_it_is_told_once_while_it_is_there(world: World) -> None:
    await world.apply("Bucket", "photos")
    await world.until_ready("Bucket", "photos")
    await annotate(world, {MISSPELT: "2030-01-31T12:00:00Z"})
    await world.until_condition("Bucket", "photos", "False", "UnknownAnnotation", "AnnotationsKnown")
    assert await world.condition("Bucket", "photos") == ("True", "BucketServed")
    text = await world.message("Bucket", "photos", "AnnotationsKnown")
    writes = len(world.count_writes())
    await annotate(world, {MISSPELT: "2030-01-31T12:00:00Z", "example.com/touched": "x"})
    assert [each for each in world.writes[writes:] if each.startswith("update_status")] == []
    about = Ref("Bucket", "default", "photos")
    assert [each.message for each in world.cluster.events(about) if each.reason == "UnknownAnnotation"] == [text]
    await annotate(world, {ROTATE_AT: "2130-01-31T12:00:00Z"})
    assert await world.condition("Bucket", "photos", "AnnotationsKnown") == ("", "")
