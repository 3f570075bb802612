"""From what the cluster holds to the values that plans are made from."""

from collections import OrderedDict
from typing import Any, Final, TypeVar, cast

from cooper_crds.access_key import AccessKey
from cooper_crds.bucket import Bucket
from cooper_crds.bucket_grant import BucketGrant
from cooper_crds.manifest import ManifestError, Resource, parse
from cooper_crds.region import Region
from cooper_operator.cluster.port import Object, Ref
from cooper_operator.plan.annotations import that_matter
from cooper_operator.plan.snapshot import FINALIZER

ResourceT = TypeVar("ResourceT", Region, Bucket, BucketGrant, AccessKey)


class RelatedUnreadable(Exception):
    """Another resource that matters here cannot be read: nothing may be decided from its absence."""


#: What plans read of metadata is what nobody but the cluster says, and of the rest no more than what is ours.
_SAID_BY_THE_CLUSTER: Final = (
    "name",
    "namespace",
    "uid",
    "generation",
    "resourceVersion",
    "creationTimestamp",
    "deletionTimestamp",
)


#: Resources that were read for others, by UID, the one that was asked for last at the end: as they were seen, and as
#: models, which nobody changes.
_RELATED: Final[OrderedDict[str, tuple[Object, Resource]]] = OrderedDict()
_MOST_RELATED: Final = 1000


def read_any(obj: Object) -> Resource:
    """The resource as its model, with what plans read of its metadata. Raises ManifestError.

    A status that cannot be read counts as none: it is no memory. Metadata can be read whatever users put there: an API
    server lets them have more labels, finalizers and owners than a manifest, and a key is revoked all the same.
    """
    obj = {**obj, "metadata": _what_plans_read(section(obj, "metadata"))}
    try:
        return parse(obj, strict=False)
    except ManifestError:
        if "status" not in obj:
            raise
        return parse({name: value for name, value in obj.items() if name != "status"}, strict=False)


def _what_plans_read(metadata: dict[str, Any]) -> dict[str, Any]:
    owners = cast(list[dict[str, Any]], metadata.get("ownerReferences") or [])
    return {
        **{name: metadata[name] for name in _SAID_BY_THE_CLUSTER if name in metadata},
        "annotations": that_matter(section(metadata, "annotations")),
        "finalizers": [each for each in metadata.get("finalizers") or () if each == FINALIZER],
        "ownerReferences": [each for each in owners if each.get("controller") is True],
    }


def read(obj: Object, model: type[ResourceT]) -> ResourceT:
    """The same, of a kind that is known."""
    found = read_any(obj)
    if not isinstance(found, model):
        raise TypeError(f"{found.kind} is no {model.__name__}")
    return found


def read_related(obj: Object | None, model: type[ResourceT]) -> ResourceT | None:
    """Another resource. Raises RelatedUnreadable. Thousands of keys have the same Region and Bucket: what was read of
    one is kept for as long as that very object is what it looks like."""
    if obj is None:
        return None
    uid: str = obj["metadata"]["uid"]
    known = _RELATED.get(uid)
    if known is not None and known[0] is obj and isinstance(known[1], model):
        _RELATED.move_to_end(uid)
        return known[1]
    try:
        found = read(obj, model)
    except ManifestError as error:
        raise RelatedUnreadable(str(error)) from None
    _RELATED[uid] = (obj, found)
    _RELATED.move_to_end(uid)
    if len(_RELATED) > _MOST_RELATED:
        _RELATED.popitem(last=False)
    return found


def is_settled(obj: Object | None) -> bool:
    """Whether a resource says that it is as its spec wants it, Ready or Revoked, which may not be true any more."""
    if obj is None or "deletionTimestamp" in obj["metadata"]:
        return False
    status, generation = section(obj, "status"), obj["metadata"].get("generation")
    return status.get("observedGeneration") == generation and any(
        each.get("type") in ("Ready", "Revoked") and each.get("status") == "True"
        for each in status.get("conditions", ())
    )


def section(obj: Object, name: str) -> dict[str, Any]:
    """`metadata`, `spec` or `status` of a resource as it is; empty when it has none."""
    return cast(dict[str, Any], obj.get(name) or {})


def ref_of(obj: Object) -> Ref:
    """The identity of a resource."""
    meta = section(obj, "metadata")
    return Ref(obj["kind"], meta.get("namespace", ""), meta["name"])
