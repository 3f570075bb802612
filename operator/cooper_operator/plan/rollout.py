"""Restart of the workloads that use a Secret: once whenever what it holds has changed, and never otherwise.

Each workload bears a mark: what the Secret held when it was restarted for it, or when it was first seen. So it is known
after a crash at any point who is yet to be restarted. One that is first seen while the Secret is about to change gets
the mark of something else before; one that is first seen at another time started with what the Secret holds.
"""

import hashlib
from dataclasses import dataclass
from typing import Final

from cooper_crds.kubernetes import MAX_LABEL_LENGTH, ROLLED_ANNOTATION_PREFIX
from cooper_crds.stored import Workload, content_digest
from cooper_operator.plan.delivery import content_mark, secret_name
from cooper_operator.plan.plan import Say
from cooper_operator.plan.reasons import (
    ROLLED_OUT,
    ROLLING_OUT,
    ROLLOUT_INCOMPLETE,
    ROLLOUT_REFUSED,
    WORKLOAD_NOT_FOUND,
)
from cooper_operator.plan.secrets import SecretContent
from cooper_operator.plan.snapshot import AccessKeySnapshot
from cooper_operator.plan.steps import DeliverCredentials, MarkWorkload, RollWorkload, Step

#: The mark of what is no longer in the Secret, where nobody knows any more what that was.
_FORMER: Final = "former"


@dataclass(frozen=True, slots=True)
class Rollout:
    """What to do about workloads before and after the delivery of a Secret, and how they stand then."""

    before: tuple[Step, ...] = ()
    after: tuple[Step, ...] = ()
    said: Say | None = None

    @property
    def goes_on(self) -> bool:
        """Whether workloads are yet to be restarted, or to have been: also once that is allowed."""
        return self.said is not None and self.said.reason in (ROLLING_OUT, ROLLOUT_REFUSED)

    @property
    def lacks_one(self) -> bool:
        """Whether a workload is not there, which may be one that is yet to come."""
        return self.said is not None and self.said.reason is WORKLOAD_NOT_FOUND


def is_done(snapshot: AccessKeySnapshot, content: SecretContent | None) -> bool:
    """Whether all workloads that are there run with what the Secret is to hold, as far as it is to hold something."""
    if content is None:
        return True
    mark, name = content_mark(content), mark_name(secret_name(snapshot))
    return all(
        not each.problem and (not each.version or (each.marks.get(name) == mark and not each.waiting))
        for each in snapshot.workloads
    )


def plan(snapshot: AccessKeySnapshot, content: SecretContent | None, steps: list[Step]) -> Rollout:
    """`content` is what the Secret holds once `steps` have been done. None: nothing is delivered."""
    if content is None or not snapshot.workloads:
        return Rollout()
    deliver = next((step for step in steps if isinstance(step, DeliverCredentials)), None)
    changes = deliver is not None and _changes(deliver)
    mark, name = content_mark(content), mark_name(secret_name(snapshot))
    there = [each for each in snapshot.workloads if each.version and not each.problem]
    unmarked = [each for each in there if name not in each.marks]
    outdated = [each for each in there if each.marks.get(name, mark) != mark]
    if changes:
        return Rollout(
            tuple(MarkWorkload(each, name, _FORMER) for each in unmarked),
            tuple(RollWorkload(each, name, mark) for each in [*outdated, *unmarked]),
            _said(snapshot.workloads, [*outdated, *unmarked]),
        )
    after = (
        *(MarkWorkload(each, name, mark) for each in unmarked),
        *(RollWorkload(each, name, mark) for each in outdated),
    )
    return Rollout((), after, _said(snapshot.workloads, outdated))


def mark_name(secret: str) -> str:
    """Name of the annotation with a workload's mark for a Secret."""
    short = secret if len(secret) <= MAX_LABEL_LENGTH else hashlib.sha256(secret.encode()).hexdigest()[:32]
    return f"{ROLLED_ANNOTATION_PREFIX}/{short}"


def incomplete(said: Say | None) -> Say | None:
    """The same once nobody waits for it any more."""
    if said is None or said.reason is not ROLLING_OUT:
        return said
    return Say("RolledOut", "False", ROLLOUT_INCOMPLETE, said.message)


def _changes(step: DeliverCredentials) -> bool:
    """Whether it changes what programs were started with. The first key of all changes nothing: without it none was."""
    if step.current is None:
        return step.key.serial > 0
    if not step.key.secret_key:
        return True  # of a key that is issued in this plan
    before = step.current.delivered or content_digest(step.current.data)
    return before != content_digest(step.content.data(step.key.secret_key))


def _said(workloads: tuple[Workload, ...], outdated: list[Workload]) -> Say:
    texts = [(each, _text(each, each in outdated)) for each in workloads]
    for reason, applies in (
        (ROLLOUT_REFUSED, [text for each, text in texts if each.problem]),
        (ROLLING_OUT, [text for each, text in texts if text and each.version and not each.problem]),
        (WORKLOAD_NOT_FOUND, [text for each, text in texts if not each.version and not each.problem]),
    ):
        if applies:
            return Say("RolledOut", "False", reason, "; ".join(applies))
    names = ", ".join(str(each.name) for each in workloads)
    return Say("RolledOut", "True", ROLLED_OUT, f"{names}: every Pod runs with what the Secret holds")


def _text(workload: Workload, outdated: bool) -> str:
    """What there is to wait for; empty: nothing."""
    if workload.problem:
        return f"{workload.name}: {workload.problem}"
    if not workload.version:
        return f"{workload.name} is not there"
    if outdated:
        return f"{workload.name} is being restarted"
    return f"{workload.name}: {workload.waiting}" if workload.waiting else ""
