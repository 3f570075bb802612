"""A plan: ordered steps, the status that holds when all have been done, and when to look again."""

from dataclasses import dataclass
from typing import Generic, TypeVar

from cooper_crds.access_key import AccessKeyStatus
from cooper_crds.bucket import BucketStatus
from cooper_crds.bucket_grant import BucketGrantStatus
from cooper_crds.conditions import Condition, ConditionStatus, find_condition, set_condition
from cooper_crds.fields import timestamp
from cooper_crds.region import RegionStatus
from cooper_operator.plan.reasons import Reason
from cooper_operator.plan.snapshot import Blocked
from cooper_operator.plan.steps import Step

Status = RegionStatus | BucketStatus | BucketGrantStatus | AccessKeyStatus
StatusT = TypeVar("StatusT", RegionStatus, BucketStatus, BucketGrantStatus, AccessKeyStatus)


@dataclass(frozen=True, slots=True)
class Plan(Generic[StatusT]):
    """What to do, and what to say once it is done.

    `status` None: the resource goes away, or there is none. `retry`: look again with back-off, at most `retry_cap`
    seconds apart. `requeue_at`: look again then (Unix seconds). Neither: a change will wake it.
    `unreadable`: why nothing else can be done, and what is to be said.
    `proven` names the record whose version status notes as proven: the steps may write it anew.
    """

    steps: tuple[Step, ...]
    status: StatusT | None
    proven: str | None = None
    retry: bool = False
    retry_cap: float = 30.0
    requeue_at: float | None = None
    unreadable: str = ""


@dataclass(frozen=True, slots=True)
class Say:
    """One condition to be."""

    type: str
    status: ConditionStatus
    reason: Reason
    message: str = ""

    @property
    def text(self) -> str:
        """The message, and after it the advice where somebody has to do something."""
        if self.reason.severity == "Warning" or not self.message:
            return f"{self.message}. {self.reason.advice}" if self.message else self.reason.advice
        return self.message


def conditions(before: list[Condition], said: tuple[Say, ...], now: float, generation: int) -> list[Condition]:
    """The conditions of a resource after `said`; times move only where a status changed."""
    after = list(before)
    for say in said:
        after = set_condition(after, say.type, say.status, say.reason.name, say.text, timestamp(now), generation)
    return after


def holds(found: list[Condition], type_: str, generation: int) -> bool:
    """Whether a condition is True, and was observed on this generation."""
    condition = find_condition(found, type_)
    return condition is not None and condition.status == "True" and condition.observed_generation == generation


def until_blocked(steps: list[Step], blocked: Blocked | None) -> tuple[Step, ...]:
    """The steps before the one at which carrying them out just stopped: those after it are not to be reached."""
    if blocked is None:
        return tuple(steps)
    for index, step in enumerate(steps):
        if isinstance(step, blocked.step):
            return tuple(steps[:index])
    return tuple(steps)
