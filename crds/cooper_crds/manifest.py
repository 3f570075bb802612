"""Manifests: Kubernetes-shaped mappings, read into models and written from them. What is wrong is said by its path."""

import difflib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, cast

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from cooper_crds.access_key import AccessKey
from cooper_crds.bucket import Bucket
from cooper_crds.meta import API_VERSION, ClusterMetadata, Metadata
from cooper_crds.region import Region

Resource = Region | Bucket | AccessKey

#: The model of each kind.
KINDS: Final[Mapping[str, type[Region] | type[Bucket] | type[AccessKey]]] = {
    "Region": Region,
    "Bucket": Bucket,
    "AccessKey": AccessKey,
}

# What Kubernetes writes into metadata and no model reads.
_METADATA_ONLY_KUBERNETES_USES: Final = ("generateName", "selfLink", "deletionGracePeriodSeconds", "managedFields")
_LONGEST_VALUE: Final = 60


@dataclass(frozen=True, slots=True)
class Problem:
    """One mistake in a manifest: the path of the field, and the reason."""

    path: str
    reason: str

    def __str__(self) -> str:
        return f"{self.path}: {self.reason}" if self.path else self.reason


class ManifestError(ValueError):
    """A manifest that cannot be used: whose it is, and everything that is wrong with it."""

    def __init__(self, subject: str, problems: Sequence[Problem]) -> None:
        self.subject = subject
        self.problems = tuple(problems)
        super().__init__(f"{subject}: {'; '.join(map(str, self.problems))}")


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
        problems += [_problem(model, details) for details in error.errors(include_url=False)]
    else:
        if not problems:
            return resource
    raise ManifestError(subject_of(manifest), problems)


def check_update(old: Resource, new: Resource) -> None:
    """Refuse a change of what must not change, as the CRDs' transition rules do. Raises ManifestError."""
    problems = [Problem(path, reason) for path, reason, broken in _TRANSITIONS.get(new.kind, ()) if broken(old, new)]
    if problems:
        raise ManifestError(subject_of(to_manifest(new)), problems)


def to_manifest(resource: Resource) -> dict[str, Any]:
    """The resource as a manifest: what was set, under the names that manifests use."""
    fields = resource.model_dump(by_alias=True, exclude_none=True, exclude_unset=True)
    metadata = fields.pop("metadata")
    if resource.metadata.namespace:
        metadata["namespace"] = resource.metadata.namespace
    head = {"apiVersion": resource.api_version, "kind": resource.kind, "metadata": metadata}
    return {**head, **{name: fields[name] for name in ("spec", "status") if name in fields}}


def subject_of(manifest: Mapping[Any, Any]) -> str:
    """Kind and name of a manifest in one short printable line, whatever it holds."""
    kind = manifest.get("kind")
    metadata = manifest.get("metadata")
    name = cast(Mapping[Any, Any], metadata).get("name") if isinstance(metadata, Mapping) else None
    namespace = cast(Mapping[Any, Any], metadata).get("namespace") if isinstance(metadata, Mapping) else None
    subject = _shown(kind) if kind not in KINDS else str(kind)
    if isinstance(namespace, str) and namespace not in ("", "default"):
        return f"{subject} {_bare(namespace)}/{_bare(name)}"
    return f"{subject} {_bare(name)}" if name is not None else f"{subject} without a name"


def _model_of(manifest: Mapping[Any, Any]) -> type[Region] | type[Bucket] | type[AccessKey]:
    problems: list[Problem] = []
    for field, known in (("apiVersion", (API_VERSION,)), ("kind", tuple(KINDS))):
        value = manifest.get(field)
        if value is None:
            problems.append(Problem(field, "is required"))
        elif not isinstance(value, str) or value not in known:
            problems.append(Problem(field, f"must be {_one_of(known)} (got {_shown(value)})"))
    if problems:
        raise ManifestError(subject_of(manifest), problems)
    return KINDS[manifest["kind"]]


def _unknown_metadata(model: type[BaseModel], metadata: object) -> list[Problem]:
    if not isinstance(metadata, Mapping):
        return []
    fields = ClusterMetadata if model is Region else Metadata
    known = [*_field_names(fields), *_METADATA_ONLY_KUBERNETES_USES]
    problems: list[Problem] = []
    for key in cast(Mapping[Any, Any], metadata):
        if key == "namespace" and model is Region:
            problems.append(Problem("metadata.namespace", "a Region belongs to no namespace: remove this"))
        elif key not in known:
            problems.append(Problem(_path(("metadata", key)), _unknown(str(key), known)))
    return problems


def _problem(model: type[BaseModel], details: ErrorDetails) -> Problem:
    location = details["loc"]
    reason = _REASONS.get(details["type"], _plain)
    if details["type"] == "extra_forbidden":
        return Problem(_path(location), _unknown(str(location[-1]), _field_names(_model_at(model, location[:-1]))))
    text = reason(details)
    shown = "" if details["type"] == "missing" else _got(details["input"])
    return Problem(_path(location), text + shown)


def _plain(details: ErrorDetails) -> str:
    return details["msg"][:1].lower() + details["msg"][1:]


def _must_be(text: str) -> Callable[[ErrorDetails], str]:
    return lambda details: "must be " + text.format(**details.get("ctx", {}))


def _one_of(choices: Sequence[str]) -> str:
    return choices[0] if len(choices) == 1 else f"one of {', '.join(choices)}"


# What pydantic found, in the words of somebody who writes manifests.
_REASONS: Final[Mapping[str, Callable[[ErrorDetails], str]]] = {
    "missing": lambda _: "is required",
    "value_error": lambda details: str(details.get("ctx", {}).get("error", details["msg"])),
    "literal_error": lambda details: f"must be one of {details.get('ctx', {})['expected']}".replace("'", "").replace(
        " or ", ", "
    ),
    "string_type": _must_be("a string"),
    "string_unicode": _must_be("a string of valid Unicode"),
    "string_too_short": _must_be("at least {min_length} characters"),
    "string_too_long": _must_be("at most {max_length} characters"),
    "string_pattern_mismatch": _must_be("text that matches {pattern}"),
    "bool_type": _must_be("true or false"),
    "int_type": _must_be("a whole number"),
    "list_type": _must_be("a list"),
    "dict_type": _must_be("a mapping"),
    "model_type": _must_be("a mapping"),
    "too_short": _must_be("a list of at least {min_length}"),
    "too_long": _must_be("of at most {max_length} items"),
    "greater_than_equal": _must_be("at least {ge}"),
}


def _unknown(field: str, known: Sequence[str]) -> str:
    close = difflib.get_close_matches(field[:_LONGEST_VALUE], known, n=1)
    return f"unknown field; did you mean {close[0]}?" if close else f"unknown field; known are {', '.join(known)}"


def _field_names(model: type[BaseModel]) -> list[str]:
    return [field.alias or name for name, field in model.model_fields.items()]


def _model_at(model: type[BaseModel], location: Sequence[int | str]) -> type[BaseModel]:
    """The model that holds the field at a path of `model`."""
    for step in location:
        field = next((field for field in model.model_fields.values() if field.alias == step), None)
        annotation = getattr(field, "annotation", None)
        candidates = [annotation, *getattr(annotation, "__args__", ())]
        found = [each for each in candidates if isinstance(each, type) and issubclass(each, BaseModel)]
        model = found[0] if found else model
    return model


def _path(location: Sequence[int | str]) -> str:
    """`spec.grants[0].bucket`; keys that would not read as a path are quoted."""
    path = ""
    for step in location:
        if isinstance(step, int):
            path += f"[{step}]"
        elif step.isascii() and step.replace("_", "").isalnum():
            path += f".{step}"
        else:
            path += f"[{_shown(step)}]"
    return path.removeprefix(".")


def _got(value: object) -> str:
    return f" (got {_shown(value)})"


def _shown(value: object) -> str:
    """A value for an error message: short, on one line, without control characters, never the whole of a structure."""
    if isinstance(value, str):
        short = value if len(value) <= _LONGEST_VALUE else value[:_LONGEST_VALUE] + "…"
        return json.dumps(short)
    if value is None or isinstance(value, bool):
        return json.dumps(value)
    if isinstance(value, int):
        return str(value) if abs(value) < 1 << 64 else "a number beyond 64 bits"
    if isinstance(value, float):
        return repr(value)
    return (
        "a list" if isinstance(value, list | tuple) else "a mapping" if isinstance(value, Mapping) else "another type"
    )


def _bare(name: object) -> str:
    """A name as it is when it is harmless, quoted otherwise."""
    return name if isinstance(name, str) and len(name) <= 253 and _harmless(name) else _shown(name)


def _harmless(name: str) -> bool:
    return name.isascii() and name.replace("-", "").replace(".", "").isalnum()


def _changed(read: Callable[[Any], object]) -> Callable[[Any, Any], bool]:
    return lambda old, new: read(old) != read(new)


def _provisioned_name_changed(old: Any, new: Any) -> bool:
    provisioned = old.status is not None and old.status.bucket_name is not None
    return provisioned and old.spec.bucket_name != new.spec.bucket_name


# Of each kind: a field, what to say, and whether a change broke the rule. The CRDs say the same in CEL.
_TRANSITIONS: Final[Mapping[str, Sequence[tuple[str, str, Callable[[Any, Any], bool]]]]] = {
    "Bucket": (
        (
            "spec.bucketName",
            "cannot be changed, added or removed once the bucket is provisioned",
            _provisioned_name_changed,
        ),
    ),
    "AccessKey": (
        ("spec.region", "cannot be changed, added or removed", _changed(lambda resource: resource.spec.region)),
    ),
}
