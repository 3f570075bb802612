"""What a document in the resources folder says about a resource, and how it is applied to one that is there."""

import hashlib
from typing import Any, Literal

import msgspec

from cooper_operator.cluster.port import Kind, Ref


class Declaration(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """A document: where it is and what it declares. Kept beside the object it was applied to."""

    path: str  # relative to the resources folder
    line: int
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}
    spec: dict[str, Any] = {}
    #: Digest of the spec that was declared when the resource's deletion was asked for other than by its file.
    deleted_digest: str | None = None

    @property
    def digest(self) -> str:
        """Digest of the declared spec: what decides whether a deleted resource's document was edited since."""
        return hashlib.sha256(msgspec.json.encode(self.spec, order="deterministic")).hexdigest()

    def says_the_same_as(self, other: "Declaration") -> bool:
        """Whether both declare the same, wherever they are."""
        return (self.labels, self.annotations, self.spec) == (other.labels, other.annotations, other.spec)


class Tombstone(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """A resource that was deleted other than by its file: not made again while its document stays as it was."""

    kind: Kind
    namespace: str
    name: str
    path: str
    digest: str
    version: Literal[1] = 1

    @property
    def ref(self) -> Ref:
        """The resource."""
        return Ref(self.kind, self.namespace, self.name)


def new_object(ref: Ref, api_version: str, declaration: Declaration) -> dict[str, Any]:
    """The object that a document asks for."""
    metadata: dict[str, Any] = {"name": ref.name}
    if ref.namespace:
        metadata["namespace"] = ref.namespace
    metadata |= _given("labels", declaration.labels) | _given("annotations", declaration.annotations)
    return {"apiVersion": api_version, "kind": ref.kind, "metadata": metadata, "spec": declaration.spec}


def applied(obj: dict[str, Any], before: Declaration, after: Declaration) -> dict[str, Any]:
    """The object with what the document changed since it was last applied; what others set besides it stays."""
    metadata = {key: value for key, value in obj["metadata"].items() if key not in ("labels", "annotations")}
    for field in ("labels", "annotations"):
        dropped = getattr(before, field).keys() - getattr(after, field).keys()
        kept = {key: value for key, value in obj["metadata"].get(field, {}).items() if key not in dropped}
        metadata |= _given(field, kept | getattr(after, field))
    return {**obj, "metadata": metadata, "spec": after.spec}


def _given(field: str, values: dict[str, str]) -> dict[str, Any]:
    return {field: values} if values else {}
