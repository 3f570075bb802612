"""Rotation of a key, and restart of the workloads that use it: fields of an AccessKey and of a Bucket's credentials."""

from typing import Annotated, Final, Literal, Self

from pydantic import ConfigDict, Field, model_validator

from cooper_crds.fields import Duration, EachOnce, ResourceName, duration_between
from cooper_crds.meta import Model
from cooper_crds.quantities import DURATION_PATTERN, format_duration

#: Annotation of an AccessKey or a Bucket: replace the key at this time, an RFC 3339 one.
ROTATE_AT: Final = "cooper.dev/rotate-at"

WorkloadKind = Literal["Deployment", "StatefulSet", "DaemonSet"]

#: Seconds that a key works beside its successor where nothing else is said.
DEFAULT_OVERLAP: Final = 3600.0
_LONGEST_OVERLAP: Final = 30 * 86400.0
_SHORTEST_INTERVAL: Final = 60.0
_LONGEST_INTERVAL: Final = 3650 * 86400.0
_MAX_WORKLOADS: Final = 16


class Rotation(Model):
    """How a key is replaced by a new one while programs go on using it."""

    model_config = ConfigDict(
        json_schema_extra={
            "x-kubernetes-validations": [
                {
                    "rule": f"!has(self.interval) || !self.interval.matches('{DURATION_PATTERN}') || "
                    f"!self.overlap.matches('{DURATION_PATTERN}') || "
                    f"duration(self.overlap) > duration('{format_duration(_LONGEST_OVERLAP)}') || "
                    "duration(self.interval) >= duration(self.overlap) + duration(self.overlap)",
                    "message": "interval must be at least twice the overlap",
                }
            ]
        }
    )

    interval: Annotated[
        Duration | None,
        duration_between(_SHORTEST_INTERVAL, _LONGEST_INTERVAL),
        Field(
            description="How old a key becomes before it is replaced by itself, as a duration such as 2160h. Default: "
            "it is replaced only when the annotation cooper.dev/rotate-at says so."
        ),
    ] = None
    overlap: Annotated[
        Duration,
        duration_between(0, _LONGEST_OVERLAP),
        Field(
            description="How long the former key works beside the new one, as a duration such as 24h. It goes on "
            "until the workloads in restart have been restarted, at most twice as long.",
            json_schema_extra={"default": "1h"},
        ),
    ] = DEFAULT_OVERLAP

    @model_validator(mode="after")
    def _one_rotation_at_a_time(self) -> Self:
        if self.interval is not None and self.interval < 2 * self.overlap:
            raise ValueError("interval must be at least twice the overlap")
        return self


class WorkloadName(Model):
    """A workload in the resource's namespace."""

    kind: Annotated[WorkloadKind, Field(description="Deployment, StatefulSet or DaemonSet.")]
    name: Annotated[ResourceName, Field(description="Its name.")]

    def __str__(self) -> str:
        return f"{self.kind} {self.name}"


RotationField = Annotated[
    Rotation | None,
    Field(
        description="How the key is replaced when it is as old as the interval says, or when the annotation "
        "cooper.dev/rotate-at (of the AccessKey, or of the Bucket for its own key) names a time, such as "
        "2030-01-31T12:00:00Z: then a new key is issued beside the one in use, delivered in the same Secret, and the "
        "former one is refused when the overlap is over."
    ),
]
Restart = Annotated[
    list[WorkloadName] | None,
    Field(
        max_length=_MAX_WORKLOADS,
        description="Workloads in this namespace that are restarted once whenever what the Secret holds has changed, "
        "as `kubectl rollout restart` does: programs read a Secret's environment variables only when they start.",
    ),
    EachOnce(by=("kind", "name")),
]
