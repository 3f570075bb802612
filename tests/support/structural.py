"""The rules of Kubernetes for structural schemas, as its documentation has them, applied to a CRD's schema.

Source of the quotations: "Extend the Kubernetes API with CustomResourceDefinitions", section "Specifying a structural
schema", and "Validation rules".
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from cooper_crds.patterns import pattern_of

Schema = Mapping[str, Any]

_JUNCTORS = ("allOf", "anyOf", "oneOf")
_TYPES = {"string": str, "integer": int, "number": (int, float), "boolean": bool, "array": list, "object": dict}
# "The following fields are not supported"
_UNSUPPORTED = (
    "definitions", "$defs", "dependencies", "deprecated", "discriminator", "id", "patternProperties", "readOnly",
    "writeOnly", "xml", "$ref", "const", "if", "then", "else", "title",
)  # fmt: skip
# "does not set description, type, default, additionalProperties, nullable within an allOf, anyOf, oneOf or not"
_NOT_IN_JUNCTORS = ("description", "type", "default", "additionalProperties", "nullable")
# The exception: "with the exception of the two patterns for x-kubernetes-int-or-string: true"
_INT_OR_STRING = [{"type": "integer"}, {"type": "string"}]


def problems_of(root: Schema) -> list[str]:
    """Everything about a CRD's schema that Kubernetes would refuse, or would find too costly to validate."""
    found = list(_walk(root, ""))
    metadata = root.get("properties", {}).get("metadata", {})
    # "if metadata is specified, then only restrictions on metadata.name and metadata.generateName are allowed"
    if metadata and (set(metadata) - {"type", "properties"} or set(metadata.get("properties", {})) - _METADATA):
        found.append(".metadata: restricts more than name and generateName")
    return found


_METADATA = {"name", "generateName"}


def _walk(node: Schema, path: str) -> Iterator[str]:
    at = path or "."
    yield from (f"{at}: {key} is not supported" for key in _UNSUPPORTED if key in node)
    yield from _type_rules(node, at)
    yield from _container_rules(node, at)
    yield from _bounds(node, at)
    yield from _junctor_rules(node, at)
    yield from _list_rules(node, at)
    if "default" in node:
        yield from (f"{at}: the default is not valid: {text}" for text in value_problems(node, node["default"], ""))
    yield from _cel_rules(node, at)
    for name, field in node.get("properties", {}).items():
        yield from _walk(field, f"{path}.{name}")
    for key in ("items", "additionalProperties"):
        if isinstance(node.get(key), Mapping):
            yield from _walk(node[key], f"{path}[{key}]")


def _type_rules(node: Schema, at: str) -> Iterator[str]:
    # "specifies a non-empty type … for the root, for each specified field of an object node and for each item in an
    # array node, with the exception of a node with x-kubernetes-int-or-string: true"
    if node.get("x-kubernetes-int-or-string"):
        if "type" in node:
            yield f"{at}: type and x-kubernetes-int-or-string exclude one another"
    elif node.get("type") not in _TYPES:
        yield f"{at}: has no type"
    if not node.get("description") and ".metadata" not in at and "[" not in at.rsplit(".", 1)[-1]:
        yield f"{at}: has no description"


def _container_rules(node: Schema, at: str) -> Iterator[str]:
    # "The field uniqueItems cannot be set to true."
    if node.get("uniqueItems"):
        yield f"{at}: uniqueItems is set"
    # "The field additionalProperties cannot be set to false." / "is mutually exclusive with properties"
    if node.get("additionalProperties") is False:
        yield f"{at}: additionalProperties is false"
    if "additionalProperties" in node and "properties" in node:
        yield f"{at}: additionalProperties and properties exclude one another"
    if node.get("type") == "array" and not isinstance(node.get("items"), Mapping):
        yield f"{at}: an array says what its items are"
    yield from (f"{at}: requires {name}, which it does not have" for name in _missing(node))


def _missing(node: Schema) -> list[str]:
    return [name for name in node.get("required", ()) if name not in node.get("properties", {})]


def _bounds(node: Schema, at: str) -> Iterator[str]:
    # CEL's cost is estimated from these bounds, and nothing that people write may be endless.
    if at in (".apiVersion", ".kind") or at.startswith(".metadata"):
        return
    text = node.get("type") == "string" or node.get("x-kubernetes-int-or-string")
    if text and "enum" not in node and "maxLength" not in node:
        yield f"{at}: a string without maxLength"
    if node.get("type") == "array" and "maxItems" not in node:
        yield f"{at}: an array without maxItems"
    if isinstance(node.get("additionalProperties"), Mapping) and "maxProperties" not in node:
        yield f"{at}: a map without maxProperties"


def _junctor_rules(node: Schema, at: str) -> Iterator[str]:
    if node.get("x-kubernetes-int-or-string") and node.get("anyOf") == _INT_OR_STRING:
        node = {key: value for key, value in node.items() if key != "anyOf"}
    inside = [part for key in _JUNCTORS for part in node.get(key, ())] + ([node["not"]] if "not" in node else [])
    for part in inside:
        yield from (f"{at}: {key} inside of anyOf, allOf, oneOf or not" for key in _NOT_IN_JUNCTORS if key in part)
        # "for each field in an object and each item in an array which is specified within any of allOf, anyOf, oneOf or
        # not, the schema also specifies the field/item outside of those logical junctors"
        outside = node.get("properties", {})
        yield from (f"{at}: {name} is only inside" for name in part.get("properties", {}) if name not in outside)
        if "items" in part and "items" not in node:
            yield f"{at}: items is only inside"


def _list_rules(node: Schema, at: str) -> Iterator[str]:
    kind = node.get("x-kubernetes-list-type")
    items = node.get("items", {})
    if kind is None:
        return
    if node.get("type") != "array" or kind not in ("atomic", "set", "map"):
        yield f"{at}: x-kubernetes-list-type {kind} does not fit"
    if kind == "set" and items.get("type") in ("object", "array"):
        yield f"{at}: a set holds single values"
    keys = node.get("x-kubernetes-list-map-keys", [])
    if (kind == "map") != bool(keys):
        yield f"{at}: a list of type map, and no other, has x-kubernetes-list-map-keys"
    for key in keys:
        # "the keys must be required or have a default"
        if key not in items.get("required", ()) and "default" not in items.get("properties", {}).get(key, {}):
            yield f"{at}: the key {key} is neither required nor has it a default"


def value_problems(node: Schema, value: Any, path: str) -> Iterator[str]:
    """What is wrong with a value, by a structural schema (rules in CEL left out, but for patterns in words)."""
    if node.get("x-kubernetes-int-or-string"):
        fits = isinstance(value, int | str) and not isinstance(value, bool)
    else:
        fits = isinstance(value, _TYPES.get(node.get("type", ""), object))
        fits = fits and (node.get("type") == "boolean" or not isinstance(value, bool))
    if not fits:
        yield f"{path or '.'}: {value!r} has the wrong type"
        return
    if "enum" in node and value not in node["enum"]:
        yield f"{path}: {value!r} is not in the enum"
    if isinstance(value, str):
        yield from _text_problems(node, value, path)
    elif isinstance(value, int | float) and not isinstance(value, bool) and value < node.get("minimum", value):
        yield f"{path}: {value} is too small"
    elif isinstance(value, list):
        if not node.get("minItems", 0) <= len(value) <= node.get("maxItems", len(value)):
            yield f"{path}: wrong number of items"
        for index, item in enumerate(value):
            yield from value_problems(node["items"], item, f"{path}[{index}]")
    elif isinstance(value, dict):
        yield from _object_problems(node, value, path)


def _text_problems(node: Schema, value: str, path: str) -> Iterator[str]:
    if not node.get("minLength", 0) <= len(value) <= node.get("maxLength", len(value)):
        yield f"{path}: wrong length"
    # A pattern of Kubernetes ends at the very end (RE2), where Python's `$` lets a line feed follow.
    pattern = pattern_of(node)
    if pattern is not None and ("\n" in value or not re.search(pattern, value)):
        yield f"{path}: {value!r} does not match {pattern}"


def _object_problems(node: Schema, value: dict[str, Any], path: str) -> Iterator[str]:
    properties = node.get("properties", {})
    yield from (f"{path}.{name}: is required" for name in node.get("required", ()) if name not in value)
    for name, field in value.items():
        inner = properties.get(name, node.get("additionalProperties"))
        if inner is None:
            yield f"{path}.{name}: unknown field"
        elif not (name == "metadata" and not path):
            yield from value_problems(inner, field, f"{path}.{name}")


_MACRO = re.compile(r"(?P<list>[\w.]+)\.(?:all|exists|exists_one|map|filter)\((?P<variable>\w+),")
#: Words of the language: "a property name that is one is accessed as __{name}__" (Kubernetes, CEL: escaping).
_RESERVED = frozenset(
    (
        *("true", "false", "null", "in", "as", "break", "const", "continue", "else", "for", "function", "if"),
        *("import", "let", "loop", "package", "namespace", "return", "var", "void", "while"),
    )
)
_STEPS = r"((?:\.[A-Za-z_]\w*(?![\w(]))+)"


def _cel_rules(node: Schema, at: str) -> Iterator[str]:
    """A rule names only fields that exist; its fieldPath does too."""
    for rule in node.get("x-kubernetes-validations", ()):
        if set(rule) - {"rule", "message", "messageExpression", "reason", "fieldPath", "optionalOldSelf"}:
            yield f"{at}: a rule with unknown fields"
        if not rule.get("rule") or not rule.get("message") or "\n" in rule["message"]:
            yield f"{at}: a rule has a message of one line"
        scopes: dict[str, Schema] = {"self": node, "oldSelf": node}
        for macro in _MACRO.finditer(rule.get("rule", "")):
            scopes[macro["variable"]] = (_at(scopes, macro["list"]) or {}).get("items", {})
        for variable in scopes:
            for steps in re.findall(rf"\b{variable}{_STEPS}", rule.get("rule", "")):
                if _at(scopes, variable + steps) is None:
                    yield f"{at}: the rule names {variable}{steps}, which does not exist"
        if "fieldPath" in rule and _at(scopes, "self" + rule["fieldPath"]) is None:
            yield f"{at}: fieldPath {rule['fieldPath']} does not exist"


def _at(scopes: Mapping[str, Schema], path: str) -> Schema | None:
    variable, *steps = path.split(".")
    node: Schema | None = scopes.get(variable)
    for step in steps:
        node = None if node is None else node.get("properties", {}).get(_field_named(step))
    return node


def _field_named(step: str) -> str | None:
    """The field that a rule means. None: it cannot be named so."""
    plain = step.removeprefix("__").removesuffix("__")
    return (plain if step == f"__{plain}__" else None) if plain in _RESERVED else step
