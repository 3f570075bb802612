"""Where objects are found in the API, and what of an object is kept. Pure."""

from collections.abc import Mapping
from typing import Any, Final

from cooper_crds.kubernetes import GROUP, VERSION
from cooper_operator.cluster.port import Kind, Object, Ref

#: Path segments of our kinds.
PLURALS: Final[Mapping[Kind, str]] = {
    "Region": "regions",
    "Bucket": "buckets",
    "BucketGrant": "bucketgrants",
    "AccessKey": "accesskeys",
}
CLUSTER_SCOPED: Final[frozenset[Kind]] = frozenset({"Region"})

_API: Final = f"/apis/{GROUP}/{VERSION}"


def kind_path(kind: Kind, namespace: str = "") -> str:
    """Path of all resources of a kind: in one namespace, or in all."""
    return f"{_API}/namespaces/{namespace}/{PLURALS[kind]}" if namespace else f"{_API}/{PLURALS[kind]}"


def resource_path(ref: Ref) -> str:
    """Path of one resource."""
    return f"{kind_path(ref.kind, ref.namespace)}/{ref.name}"


def core_path(plural: str, namespace: str = "", name: str = "") -> str:
    """Path of objects of core/v1: of all namespaces, of one, or one object."""
    within = f"/api/v1/namespaces/{namespace}/{plural}" if namespace else f"/api/v1/{plural}"
    return f"{within}/{name}" if name else within


def trimmed(obj: dict[str, Any]) -> dict[str, Any]:
    """The object without who wrote which field: the server keeps that when a write does not mention it."""
    obj["metadata"].pop("managedFields", None)
    return obj


def controller_of(metadata: Mapping[str, Any], kind: Kind) -> tuple[str, str] | None:
    """Name and UID of the resource of a kind of ours that controls an object; None when another or nothing does."""
    for owner in metadata.get("ownerReferences") or ():
        group = str(owner.get("apiVersion", "")).partition("/")[0]
        if owner.get("controller") is True and group == GROUP and owner.get("kind") == kind:
            return owner["name"], owner["uid"]
    return None


def controller_reference(owner: Object) -> dict[str, Any]:
    """The reference that makes `owner` the controller of what it is put into.

    It does not block the owner's deletion: that would need a right on its finalizers, and delay what is gone already.
    """
    metadata = owner["metadata"]
    of = {"apiVersion": owner["apiVersion"], "kind": owner["kind"], "name": metadata["name"], "uid": metadata["uid"]}
    return {**of, "controller": True, "blockOwnerDeletion": False}
