"""From pydantic's JSON schemas to the structural schemas that Kubernetes takes. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final, cast

from pydantic import BaseModel

from cooper_crds.patterns import WORDS, in_words

Schema = dict[str, Any]

# The order in which a person reads a field.
_ORDER: Final = ("description", "type", "format", "x-kubernetes-int-or-string", "anyOf", "enum", "default")
_NULL: Final = {"type": "null"}


def structural_schema(model: type[BaseModel]) -> Schema:
    """The structural schema of a resource: no references, a type at every node, metadata left to Kubernetes."""
    schema = model.model_json_schema(by_alias=True)
    root = _convert(schema, schema.get("$defs", {}), _Within())
    properties = root["properties"]
    properties["apiVersion"] = {"description": "Version of the resource's form: cooper.dev/v1alpha1.", "type": "string"}
    properties["kind"] = {"description": f"Kind of the resource: {model.__name__}.", "type": "string"}
    name = _metadata_name(schema)
    properties["metadata"] = {"type": "object"} | ({"properties": {"name": name}} if name else {})
    # "apiVersion, kind and metadata" are Kubernetes' own: it checks them itself, and requires them.
    required = [field for field in root.pop("required", []) if field not in ("apiVersion", "kind", "metadata")]
    return root | ({"required": required} if required else {})


def _metadata_name(schema: Schema) -> Schema:
    """What a resource's name must be beyond Kubernetes' own rules: only name and generateName may be restricted."""
    bound = schema.get("x-cooper-name-max-length")
    return {"type": "string", "maxLength": bound} if bound else {}


@dataclass(frozen=True, slots=True)
class _Within:
    """Where a node is: in a status, in an atomic list."""

    status: bool = False
    atomic: bool = False

    @property
    def defaults(self) -> bool:
        """Whether the API server is to fill defaults in.

        The operator writes a status as a whole: a default would show what nobody has observed. Server-side apply
        compares an atomic list as a whole: with what a default filled in it is another one than in the manifest, and
        whoever else applies that manifest is told of a conflict.
        """
        return not (self.status or self.atomic)


def _convert(schema: Mapping[str, Any], defs: Mapping[str, Any], within: _Within) -> Schema:
    node = _cleaned(_resolved(schema, defs), within)
    # "Lists without a list type are atomic." (Kubernetes, Server-Side Apply: merge strategy)
    atomic = within.atomic or node.get("x-kubernetes-list-type", "atomic") == "atomic"
    if "items" in node:
        node["items"] = _convert(node["items"], defs, replace(within, atomic=atomic))
    if isinstance(node.get("additionalProperties"), Mapping):
        node["additionalProperties"] = _convert(node["additionalProperties"], defs, within)
    if "properties" in node:
        node["properties"] = {
            name: _convert(field, defs, replace(within, status=within.status or name == "status"))
            for name, field in cast(Mapping[str, Any], node["properties"]).items()
        }
    return {key: node[key] for key in (*_ORDER, *(key for key in node if key not in _ORDER)) if key in node}


def _cleaned(node: Schema, within: _Within) -> Schema:
    """The node itself as Kubernetes wants it; what is below it is left as it is."""
    for key in ("title", "$defs", "x-cooper-name-max-length"):
        node.pop(key, None)
    if node.get("additionalProperties") in (False, True):
        # Kubernetes drops what is not known, or refuses it: "additionalProperties: false" is forbidden.
        del node["additionalProperties"]
    if "const" in node:
        node["enum"] = [node.pop("const")]
    if node.get("default", ...) is None or not within.defaults:
        node.pop("default", None)
    if within.status:
        # Rules are meant for people, and would cost the API server time at every write.
        node.pop("x-kubernetes-validations", None)
        node.pop(WORDS, None)
    if node.get("type") == "integer":
        node.setdefault("format", "int64")
    return in_words(node)


def _resolved(schema: Mapping[str, Any], defs: Mapping[str, Any]) -> Schema:
    """The schema with its reference, and its choice between something and null, replaced by what they stand for."""
    node = dict(schema)
    choices = [choice for choice in node.get("anyOf", ()) if choice != _NULL]
    if len(choices) == 1:
        del node["anyOf"]
        return _resolved(choices[0], defs) | node
    if "$ref" in node:
        return _resolved(defs[node.pop("$ref").removeprefix("#/$defs/")], defs) | node
    return node
