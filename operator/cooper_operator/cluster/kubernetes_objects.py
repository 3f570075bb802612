"""Where objects are found in the API, and what of an object is kept. Pure."""

from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import quote

from cooper_crds.kubernetes import GROUP, VERSION
from cooper_crds.names import DNS_SUBDOMAIN
from cooper_operator.cluster.port import Kind, NotFound, Object, Ref

#: Path segments of our kinds.
PLURALS: Final[Mapping[Kind, str]] = {
    "Region": "regions",
    "Bucket": "buckets",
    "BucketGrant": "bucketgrants",
    "AccessKey": "accesskeys",
}
CLUSTER_SCOPED: Final[frozenset[Kind]] = frozenset({"Region"})

_API: Final = f"/apis/{GROUP}/{VERSION}"


def segment(name: str) -> str:
    """A name as one segment of a path, whatever is in it: tenants write names of owners as they like. Raises NotFound
    for what no segment can be (RFC 3986, 5.2.4: dots are taken for a way through the path)."""
    if name in ("", ".", ".."):
        raise NotFound(f"nothing has the name {name!r}")
    return quote(name, safe="")


def kind_path(kind: Kind, namespace: str = "") -> str:
    """Path of all resources of a kind: in one namespace, or in all."""
    return f"{_API}/namespaces/{segment(namespace)}/{PLURALS[kind]}" if namespace else f"{_API}/{PLURALS[kind]}"


def resource_path(ref: Ref) -> str:
    """Path of one resource."""
    return f"{kind_path(ref.kind, ref.namespace)}/{segment(ref.name)}"


def core_path(plural: str, namespace: str = "", name: str = "") -> str:
    """Path of objects of core/v1: of all namespaces, of one, or one object."""
    within = f"/api/v1/namespaces/{segment(namespace)}/{plural}" if namespace else f"/api/v1/{plural}"
    return f"{within}/{segment(name)}" if name else within


def trimmed(obj: dict[str, Any]) -> dict[str, Any]:
    """The object without who wrote which field: the server keeps that when a write does not mention it."""
    obj["metadata"].pop("managedFields", None)
    return obj


def controller_of(metadata: Mapping[str, Any], kind: Kind) -> tuple[str, str] | None:
    """Name and UID of the resource of a kind of ours that controls an object; None when another or nothing does.

    An API server takes any text for the name of an owner. One that no resource can have is nobody's.
    """
    for owner in metadata.get("ownerReferences") or ():
        group = str(owner.get("apiVersion", "")).partition("/")[0]
        if owner.get("controller") is True and group == GROUP and owner.get("kind") == kind:
            name: str = owner["name"]
            return (name, owner["uid"]) if DNS_SUBDOMAIN.fullmatch(name) else None
    return None


def controller_reference(owner: Object) -> dict[str, Any]:
    """The reference that makes `owner` the controller of what it is put into.

    It does not block the owner's deletion: that would need a right on its finalizers, and delay what is gone already.
    """
    metadata = owner["metadata"]
    of = {"apiVersion": owner["apiVersion"], "kind": owner["kind"], "name": metadata["name"], "uid": metadata["uid"]}
    return {**of, "controller": True, "blockOwnerDeletion": False}
