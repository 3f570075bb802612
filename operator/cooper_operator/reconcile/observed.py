"""One look at a resource: what was found, and what was seen of others on the way."""

from dataclasses import dataclass, field

from cooper_operator.cluster.port import Object, Ref
from cooper_operator.plan.snapshot import Snapshot
from cooper_operator.reconcile.look import Look
from cooper_operator.reconcile.relations import Facts


@dataclass(slots=True)
class Observed:
    """One look at a resource. `obj` None: proven absent. `seen`: what others looked like."""

    ref: Ref
    obj: Object | None
    look: Look
    snapshot: Snapshot | None = None
    seen: dict[Ref, Facts] = field(default_factory=dict[Ref, Facts])
