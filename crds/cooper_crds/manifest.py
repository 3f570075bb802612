"""Manifests: Kubernetes-shaped mappings, read into models and written from them. What is wrong is said by its path."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, cast

from pydantic import BaseModel, ValidationError

from cooper_crds.access_key import AccessKey
from cooper_crds.bucket import Bucket
from cooper_crds.bucket_grant import BucketGrant
from cooper_crds.meta import API_VERSION, ClusterMetadata, Metadata
from cooper_crds.problems import (
    ManifestError,
    Problem,
    explain,
    field_names,
    meant,
    one_of,
    path,
    shown,
    subject_of,
    unknown,
)
from cooper_crds.region import Region

__all__ = ["KINDS", "ManifestError", "Problem", "Resource", "check_update", "parse", "to_manifest"]

Resource = Region | Bucket | BucketGrant | AccessKey
_Model = type[Region] | type[Bucket] | type[BucketGrant] | type[AccessKey]

#: The model of each kind.
KINDS: Final[Mapping[str, _Model]] = {
    "Region": Region,
    "Bucket": Bucket,
    "BucketGrant": BucketGrant,
    "AccessKey": AccessKey,
}

# What Kubernetes writes into metadata and no model reads.
_METADATA_ONLY_KUBERNETES_USES: Final = ("generateName", "selfLink", "deletionGracePeriodSeconds", "managedFields")


def parse(obj: object, *, strict: bool = True) -> Resource:
    """Read a manifest. Raises ManifestError with every mistake.

    `strict` also refuses metadata that Kubernetes does not know, as `kubectl apply --validate=strict` does: right for
    what people write, wrong for what a newer API server may answer.
    """
    if not isinstance(obj, Mapping):
        raise ManifestError("manifest", [Problem("", "must be a mapping with apiVersion, kind, metadata and spec")])
    manifest = cast(Mapping[Any, Any], obj)
    model = _model_of(manifest)
    problems = _unknown_metadata(model, manifest.get("metadata")) if strict else []
    try:
        resource = model.model_validate(dict(manifest), by_alias=True, by_name=False)
    except ValidationError as error:
        problems += [explain(model, details) for details in error.errors(include_url=False)]
    else:
        if not problems:
            return resource
    raise ManifestError(subject_of(manifest), problems)


def check_update(old: Resource, new: Resource) -> None:
    """Refuse a change of what must not change, as the CRDs' transition rules do. Raises ManifestError.

    What is provisioned is read from the status of `old`; that of `new` plays no part.
    """
    problems = [Problem(path, reason) for path, reason, broken in _TRANSITIONS.get(new.kind, ()) if broken(old, new)]
    if problems:
        raise ManifestError(subject_of(to_manifest(new)), problems)


def to_manifest(resource: Resource) -> dict[str, Any]:
    """The resource as a manifest: what was set, under the names that manifests use, with its namespace."""
    fields = resource.model_dump(by_alias=True, exclude_none=True, exclude_unset=True)
    metadata = fields.pop("metadata")
    if resource.metadata.namespace:
        metadata["namespace"] = resource.metadata.namespace
    head = {"apiVersion": resource.api_version, "kind": resource.kind, "metadata": metadata}
    return {**head, **{name: fields[name] for name in ("spec", "status") if name in fields}}


def _model_of(manifest: Mapping[Any, Any]) -> _Model:
    problems: list[Problem] = []
    for field, known in (("apiVersion", (API_VERSION,)), ("kind", tuple(KINDS))):
        value = manifest.get(field)
        if value is None:
            problems.append(Problem(field, "is required"))
        elif not isinstance(value, str) or value not in known:
            hint = meant(value, known) if len(known) > 1 else ""
            problems.append(Problem(field, f"{one_of(known)} (got {shown(value)}){hint}"))
    if problems:
        raise ManifestError(subject_of(manifest), problems)
    return KINDS[manifest["kind"]]


def _unknown_metadata(model: type[BaseModel], metadata: object) -> list[Problem]:
    if not isinstance(metadata, Mapping):
        return []
    fields = ClusterMetadata if model is Region else Metadata
    known = [*field_names(fields), *_METADATA_ONLY_KUBERNETES_USES]
    problems: list[Problem] = []
    for key in map(str, cast(Mapping[Any, Any], metadata)):
        if key == "namespace" and model is Region:
            problems.append(Problem("metadata.namespace", "a Region belongs to no namespace: remove this"))
        elif key not in known:
            problems.append(Problem(path(("metadata", key)), unknown(key, known)))
    return problems


def _region_changed(old: Any, new: Any) -> bool:
    return old.spec.region != new.spec.region


def _provisioned_name_changed(old: Any, new: Any) -> bool:
    provisioned = old.status is not None and old.status.bucket_name is not None
    return provisioned and old.spec.bucket_name != new.spec.bucket_name


# Of each kind: a field, what to say, and whether a change breaks the rule. The CRDs say the same in CEL.
_TRANSITIONS: Final[Mapping[str, Sequence[tuple[str, str, Callable[[Any, Any], bool]]]]] = {
    "Bucket": (
        (
            "spec.bucketName",
            "cannot be changed, added or removed once the bucket is provisioned",
            _provisioned_name_changed,
        ),
    ),
    "AccessKey": (("spec.region", "cannot be changed, added or removed", _region_changed),),
}
