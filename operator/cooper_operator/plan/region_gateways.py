"""How a Region's gateways stand: how many of those that are there are ready, and whether they go by its settings.

Who is there and ready is told by whoever follows the gateways, at each change. Whether they go by the settings is asked
of them once for each change of those, and until it was seen: whoever comes later reads its records before it is ready.
"""

from dataclasses import dataclass
from typing import Final

from cooper_crds.conditions import Condition, find_condition
from cooper_crds.records import RegionRecord
from cooper_operator.plan.plan import Say
from cooper_operator.plan.reasons import (
    GATEWAYS_NOT_READY,
    GATEWAYS_READY,
    GATEWAYS_UNKNOWN,
    NO_GATEWAY_FOUND,
    NO_GATEWAY_READY,
    WAITING_FOR_GATEWAYS,
    Reason,
)
from cooper_operator.plan.snapshot import Blocked, GatewaysSeen
from cooper_operator.plan.steps import ProveSettings

#: The condition that says it.
GATEWAYS: Final = "GatewaysReady"
#: So many of those that are not ready are named.
_NAMED: Final = 5


@dataclass(frozen=True, slots=True)
class Standing:
    """What is to be asked of gateways, how they stand, and why nobody can be served where that is so."""

    steps: tuple[ProveSettings, ...]
    said: Say
    nobody: tuple[Reason, str] | None = None


def plan(
    seen: GatewaysSeen,
    record: RegionRecord,
    changed: bool,
    before: list[Condition],
    generation: int,
    blocked: Blocked | None,
) -> Standing:
    """`changed`: the record is written by this plan. `before`: what was said, and of which `generation`."""
    if (problem := _nobody(seen, record)) is not None:
        status = "Unknown" if problem[0] is GATEWAYS_UNKNOWN else "False"
        return Standing((), Say(GATEWAYS, status, *problem), problem)
    known = _known(before, generation) and not changed and blocked is None
    steps = () if known else (ProveSettings(record),)
    if blocked is not None:
        waits = WAITING_FOR_GATEWAYS, f"the settings are recorded; still waiting: {blocked.detail}"
        return Standing(steps, Say(GATEWAYS, "False", *waits), None if blocked.proven else waits)
    if seen.others:
        return Standing(steps, Say(GATEWAYS, "False", GATEWAYS_NOT_READY, _counted(seen)))
    text = f"{_counted(seen)}; they go by the Region's settings"
    return Standing(steps, Say(GATEWAYS, "True", GATEWAYS_READY, text))


def _known(before: list[Condition], generation: int) -> bool:
    """Whether those that were ready were seen to go by the settings of this generation."""
    found = find_condition(before, GATEWAYS)
    seen = (GATEWAYS_READY.name, GATEWAYS_NOT_READY.name)
    return found is not None and found.observed_generation == generation and found.reason in seen


def _nobody(seen: GatewaysSeen, record: RegionRecord) -> tuple[Reason, str] | None:
    """Why no gateway can be said to serve."""
    if seen.unknown:
        found = seen.told and not seen.count
        return NO_GATEWAY_FOUND if found else GATEWAYS_UNKNOWN, seen.unknown
    if not seen.count:
        return NO_GATEWAY_FOUND, f"no gateway is behind Service {record.service}"
    if not seen.ready:
        return NO_GATEWAY_READY, _counted(seen)
    return None


def _counted(seen: GatewaysSeen) -> str:
    """How many are ready, and who is not."""
    text = f"gateways ready: {len(seen.ready)} of {seen.count}"
    if not seen.others:
        return text
    more = [f"{len(seen.others) - _NAMED} more"] if len(seen.others) > _NAMED else []
    return f"{text}; not ready: {', '.join([*sorted(seen.others)[:_NAMED], *more])}"
