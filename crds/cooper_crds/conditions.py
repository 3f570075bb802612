"""Conditions: what is true of a resource, in the form that all of Kubernetes uses."""

from collections.abc import Sequence
from typing import Annotated, Final, Literal

from pydantic import Field

from cooper_crds.fields import Timestamp
from cooper_crds.meta import Status

ConditionStatus = Literal["True", "False", "Unknown"]

#: Types that Cooper itself sets. Others may be put beside them, as on any resource.
OURS: Final = frozenset(
    {
        "Ready",
        "GatewaysReady",
        "Provisioned",
        "CredentialsReady",
        "DomainsReady",
        "Delivered",
        "Revoked",
        "Rotated",
        "RolledOut",
        "AnnotationsKnown",
    }
)
#: What a kind's conditions end with, in its description.
ANNOTATIONS_KNOWN: Final = "AnnotationsKnown, only while that is False: some annotation under cooper.dev means nothing."
#: Most conditions of a resource.
MAX_CONDITIONS: Final = 32
#: Longest message that Kubernetes' own Condition type allows.
MAX_MESSAGE: Final = 32768


class Condition(Status):
    """One observation about a resource."""

    type: Annotated[
        str,
        Field(
            max_length=316,
            pattern=r"^[A-Za-z0-9]([A-Za-z0-9_.-]*[A-Za-z0-9])?(/[A-Za-z0-9]([A-Za-z0-9_.-]*[A-Za-z0-9])?)?$",
            description="What the condition is about, such as Ready.",
        ),
    ]
    status: Annotated[ConditionStatus, Field(description="Whether it is so: True, False, or Unknown.")]
    reason: Annotated[
        str,
        Field(
            min_length=1,
            max_length=1024,
            pattern=r"^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$",
            description="Why, in one CamelCase word that programs can compare.",
        ),
    ]
    message: Annotated[
        str, Field(max_length=MAX_MESSAGE, description="Why, for people; says what to do where something can be done.")
    ]
    last_transition_time: Annotated[Timestamp, Field(description="When the status last changed.")]
    observed_generation: Annotated[
        int, Field(ge=0, description="The metadata.generation of the resource that this was observed on.")
    ] = 0


#: The conditions of a resource, at most one of each type.
Conditions = Annotated[
    list[Condition],
    Field(
        max_length=MAX_CONDITIONS,
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"]},
    ),
]


def find_condition(conditions: Sequence[Condition], type_: str) -> Condition | None:
    """The condition of that type, or None."""
    return next((each for each in conditions if each.type == type_), None)


def set_condition(
    conditions: Sequence[Condition],
    type_: str,
    status: ConditionStatus,
    reason: str,
    message: str,
    now_iso: str,
    generation: int,
) -> list[Condition]:
    """The conditions with one set, in place when it was there, at the end otherwise, where it takes the place of the
    last of others' if there are as many as can be: a resource that is full of those is still dealt with.

    `lastTransitionTime` becomes `now_iso` (RFC 3339) only when the status changes, so that setting what already holds
    changes nothing and needs no write. Raises pydantic.ValidationError for a reason or time that is none.
    """
    before = find_condition(conditions, type_)
    since = before.last_transition_time if before is not None and before.status == status else now_iso
    after = Condition(
        type=type_,
        status=status,
        reason=reason,
        message=message[:MAX_MESSAGE],
        last_transition_time=since,
        observed_generation=generation,
    )
    if before is None:
        return [*_with_room(conditions), after]
    return [after if each.type == type_ else each for each in conditions]


def _with_room(conditions: Sequence[Condition]) -> list[Condition]:
    """The conditions without as many of others', the last ones, as leaves room for another."""
    kept = list(conditions)
    others = [each for each in conditions if each.type not in OURS]
    while len(kept) >= MAX_CONDITIONS and others:
        kept.remove(others.pop())
    return kept


def drop_conditions(conditions: Sequence[Condition], *types: str) -> list[Condition]:
    """The conditions without those that no longer mean anything."""
    return [each for each in conditions if each.type not in types]
