"""Who depends on whom: each reconcile notes what it saw of other resources; a change of that wakes it again.

What was seen is compared by value, so that nothing is woken by a change it has taken into account already, and a
restart wakes nothing twice.

A look takes a while, and what it reads is noted when it ends. Whatever settles in between finds nobody to wake; it is
kept for each look that is under way, and compared with what that has seen.
"""

from collections.abc import Generator, Mapping
from contextlib import contextmanager
from typing import Any, Final, cast

from cooper_operator.cluster.port import Object, Ref

Facts = tuple[Any, ...] | None

#: Stands for every Region: what a resource depends on that names none.
ANY_REGION: Final = Ref("Region", "", "*")


def any_bucket(namespace: str) -> Ref:
    """Stands for every Bucket of a namespace: what a key depends on that is for all of them."""
    return Ref("Bucket", namespace, "*")


def any_grant(namespace: str) -> Ref:
    """Stands for every BucketGrant of a namespace: what a key of another one depends on that names a Bucket there."""
    return Ref("BucketGrant", namespace, "*")


def facts_of(obj: Object | None) -> Facts:
    """What others see of a resource: identity, spec's generation, whether it goes, and its conditions; of an AccessKey
    also what those tell, as its Bucket tells it on.

    Not so of a Region: how its gateways stand is nothing that thousands would do anything about.
    """
    if obj is None:
        return None
    meta = cast(Mapping[str, Any], obj["metadata"])
    status = cast(Mapping[str, Any], obj.get("status") or {})
    identity = (meta.get("uid"), meta.get("generation"), meta.get("deletionTimestamp") is not None)
    if obj["kind"] == "Region":
        return (*identity, status.get("observedGeneration"), status.get("endpoint"))
    tells = ("type", "status", "reason", "observedGeneration", *(("message",) if obj["kind"] == "AccessKey" else ()))
    said = tuple(tuple(each.get(name) for name in tells) for each in status.get("conditions", ()))
    names = (status.get("bucketName"), status.get("region"), status.get("secretName"), status.get("endpoint"))
    return (*identity, said, names)


class Relations:
    """What each resource saw of others when it was last looked at."""

    def __init__(self) -> None:
        self._seen: dict[Ref, dict[Ref, Facts]] = {}
        self._dependents: dict[Ref, dict[Ref, None]] = {}  # in order, so that all is woken in the same one each time
        self._looks: list[dict[Ref, Facts]] = []  # under way: what has settled since each began

    @contextmanager
    def look(self) -> Generator[Mapping[Ref, Facts]]:
        """A look is under way. Gives what settles meanwhile, which it may have read as it was before."""
        meanwhile: dict[Ref, Facts] = {}
        self._looks.append(meanwhile)
        try:
            yield meanwhile
        finally:
            self._looks = [each for each in self._looks if each is not meanwhile]

    def saw(self, dependent: Ref, seen: Mapping[Ref, Facts]) -> None:
        """Note all that `dependent` saw at this look; what it saw at earlier ones is forgotten."""
        for related in self._seen.get(dependent, {}):
            self._dependents[related].pop(dependent, None)
            if not self._dependents[related]:
                del self._dependents[related]
        if not seen:
            self._seen.pop(dependent, None)
            return
        self._seen[dependent] = dict(seen)
        for related in seen:
            self._dependents.setdefault(related, {})[dependent] = None

    def knows(self, dependent: Ref) -> bool:
        """Whether it was looked at, and is there."""
        return dependent in self._seen

    def uses(self, dependent: Ref, namespace: str) -> bool:
        """Whether it saw a Bucket of another namespace, which a key does where a BucketGrant lets it."""
        if namespace == dependent.namespace:
            return False
        return any(each.kind == "Bucket" and each.namespace == namespace for each in self._seen.get(dependent, ()))

    def settled(self, related: Ref, facts: Facts) -> list[Ref]:
        """This holds of `related` now: keep it for looks that are under way. Returns those that saw something else."""
        for meanwhile in self._looks:
            meanwhile[related] = facts
        dependents = dict.fromkeys(each for name in _names(related) for each in self._dependents.get(name, ()))
        return [each for each in dependents if self._seen[each].get(related) != facts]

    def is_outdated(self, dependent: Ref, meanwhile: Mapping[Ref, Facts]) -> bool:
        """Whether `dependent` saw something else than what settled during its look."""
        seen = self._seen.get(dependent, {})
        return any(
            seen.get(related) != facts and any(name in seen for name in _names(related))
            for related, facts in meanwhile.items()
        )


def _names(related: Ref) -> tuple[Ref, ...]:
    """By what resources depend on this one: itself, and what stands for all of its kind."""
    if related.kind == "Region":
        return related, ANY_REGION
    if related.kind == "Bucket":
        return related, any_bucket(related.namespace)
    if related.kind == "BucketGrant":
        return related, any_grant(related.namespace)
    return (related,)
