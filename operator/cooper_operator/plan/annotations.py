"""Annotations under Cooper's domain that mean nothing: told once, as long as they are there.

An API server takes any. Who writes `cooper.dev/rotateAt` would wait for ever for what `cooper.dev/rotate-at` asks for.
"""

from collections.abc import Iterable, Mapping
from typing import Final

from cooper_crds.conditions import drop_conditions
from cooper_crds.kubernetes import GROUP
from cooper_crds.manifest import Resource
from cooper_crds.meta import CREATED_BY, DELETION
from cooper_crds.names import is_qualified_name
from cooper_crds.rotation import ROTATE_AT
from cooper_operator.plan.plan import Say, StatusT, conditions
from cooper_operator.plan.reasons import UNKNOWN_ANNOTATION

#: Type of the condition, which is said only where there is something to say.
_TYPE: Final = "AnnotationsKnown"
#: Most that are named.
_NAMED: Final = 3
#: What people may put on a resource of each kind.
_FOR_PEOPLE: Final[Mapping[str, tuple[str, ...]]] = {"Bucket": (ROTATE_AT,), "AccessKey": (ROTATE_AT,)}
#: Those that only Cooper writes, whatever the kind.
_OURS: Final = (DELETION, CREATED_BY)
#: What plans read, whatever the kind.
_READ: Final = (*_OURS, ROTATE_AT)


def that_matter(annotations: Mapping[str, str]) -> dict[str, str]:
    """Those that plans read, and the names of as many others under Cooper's domain as are told of, and one more."""
    others = sorted(name for name in annotations if name not in _READ and _is_ours(name))
    known = {name: annotations[name] for name in _READ if name in annotations}
    return known | dict.fromkeys(others[: _NAMED + 1], "")


def with_annotations(status: StatusT, resource: Resource, now: float) -> StatusT:
    """The status, which also says what of the resource's annotations is nothing."""
    unknown = _unknown(resource.kind, resource.metadata.annotations)
    if not unknown:
        kept = drop_conditions(status.conditions, _TYPE)
    else:
        said = Say(_TYPE, "False", UNKNOWN_ANNOTATION, _text(resource.kind, unknown))
        kept = conditions(status.conditions, (said,), now, resource.metadata.generation)
    return status if kept == status.conditions else status.model_copy(update={"conditions": kept})


def _is_ours(name: str) -> bool:
    """Whether an annotation is under Cooper's domain. The prefix may have capitals."""
    prefix, slash, _ = name.lower().partition("/")
    return bool(slash) and f".{prefix}".endswith(f".{GROUP}") and is_qualified_name(name.lower())


def _unknown(kind: str, annotations: Iterable[str]) -> list[str]:
    known = {*_OURS, *_FOR_PEOPLE.get(kind, ())}
    return sorted(name for name in annotations if name not in known and _is_ours(name))


def _text(kind: str, unknown: list[str]) -> str:
    named = ", ".join(unknown[:_NAMED]) + (" and others" if len(unknown) > _NAMED else "")
    there_are = ", ".join(_FOR_PEOPLE.get(kind, ())) or "none"
    return f"{named}: not known on kind {kind}, which has {there_are}"
