"""The schemas of the CRDs as the chart has them, taken apart into fields and constraints."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import yaml

from cooper_crds import problems

CRDS: Final = Path(__file__).parents[2] / "charts" / "cooper" / "files" / "crds"
Steps = tuple[str | int, ...]
Schema = Mapping[str, Any]

#: What refuses a value, if it is broken. `unknown` is in no schema: it holds for every object.
CONSTRAINTS: Final = (
    "type",
    "anyOf",
    "enum",
    "minimum",
    "maximum",
    "minLength",
    "maxLength",
    "minItems",
    "maxItems",
    "minProperties",
    "maxProperties",
    "pattern",
    "format",
    "required",
    "x-kubernetes-list-type",
    "unknown",
)
#: What says something else. Rules and defaults have tests of their own.
_OTHER: Final = (
    "description",
    "default",
    "properties",
    "items",
    "x-kubernetes-int-or-string",  # said once more by its anyOf
    "x-kubernetes-list-map-keys",
    "x-kubernetes-validations",
)


def _read() -> dict[str, dict[str, Any]]:
    documents = [yaml.safe_load(path.read_text()) for path in sorted(CRDS.glob("*.yaml"))]
    return {each["spec"]["names"]["kind"]: each for each in documents}


#: The CRD of each kind.
DEFINITIONS: Final[Mapping[str, dict[str, Any]]] = _read()


def schema_of(kind: str) -> dict[str, Any]:
    """The schema of a kind."""
    return DEFINITIONS[kind]["spec"]["versions"][0]["schema"]["openAPIV3Schema"]


@dataclass(frozen=True, slots=True)
class Field:
    """A node of a kind's schema. In `steps` 0 stands for the items of a list."""

    kind: str
    steps: Steps
    node: Schema = field(repr=False)

    @property
    def path(self) -> str:
        return problems.path(self.steps)

    def __str__(self) -> str:
        return f"{self.kind} {self.path}".strip()


@dataclass(frozen=True, slots=True)
class Constraint:
    """One thing that a schema says of a field. `argument`: what it says; of `required` and `unknown`, the name."""

    field: Field
    keyword: str
    argument: Any

    def __str__(self) -> str:
        named = f" {self.argument}" if self.keyword == "required" else ""
        return f"{self.field} {self.keyword}{named}"


def fields(kind: str) -> Iterator[Field]:
    """All fields of a kind, parents first."""
    yield from _below(Field(kind, (), schema_of(kind)))


def _below(found: Field) -> Iterator[Field]:
    yield found
    if "items" in found.node:
        yield from _below(Field(found.kind, (*found.steps, 0), found.node["items"]))
    for name, node in found.node.get("properties", {}).items():
        yield from _below(Field(found.kind, (*found.steps, name), node))


def constraints(kind: str) -> Iterator[Constraint]:
    """All constraints of a kind's schema. Raises AssertionError for a word that is not known here."""
    for each in fields(kind):
        for keyword, argument in each.node.items():
            assert keyword in CONSTRAINTS + _OTHER, f"{each}: {keyword} is new: add how it is broken"
            if keyword == "required":
                yield from (Constraint(each, keyword, name) for name in argument)
            elif keyword in CONSTRAINTS and argument != "atomic":
                yield Constraint(each, keyword, argument)
        if each.node.get("type") == "object":
            yield Constraint(each, "unknown", "unknownField")


ALL_CONSTRAINTS: Final = [each for kind in DEFINITIONS for each in constraints(kind)]
