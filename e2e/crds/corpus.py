"""Manifests for two judges who must say the same, by the field that is tried."""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Any, Final

from cooper_crds.problems import path
from e2e.crds.edges import ANYTHING, BY_FIELD, METADATA
from e2e.crds.rules import RULES, Values
from e2e.crds.samples import ABSENT, changed, full, least, manifest
from e2e.crds.schemas import ALL_CONSTRAINTS, DEFINITIONS, fields
from e2e.crds.violations import trial_of
from unit.crds.test_manifest import MISTAKES, SPECS

#: Kind, path of what is tried, manifest.
_Case = tuple[str, str, Any]


def _values(kind: str) -> Iterator[_Case]:
    for field in fields(kind):
        if field.steps[:1] == ("spec",):
            values = (*ANYTHING, *BY_FIELD.get(str(field.steps[-1]), ()), ABSENT)
            yield from ((kind, field.path, changed(full(kind), field.steps, value)) for value in values)
            if field.node.get("type") == "object":
                unknown = (*field.steps, "unknownField")
                yield from ((kind, path(unknown), changed(full(kind), unknown, value)) for value in (None, 1, {}))


def _envelopes(kind: str) -> Iterator[_Case]:
    of = least(kind)
    for name, values in METADATA.items():
        yield from (
            (kind, f"metadata.{name}", changed(of, ("metadata", name), value)) for value in (*values, ABSENT)[:-1]
        )
    yield kind, "metadata.name", changed(of, ("metadata", "name"), ABSENT)
    for name in ("metadata", "spec", "status"):
        yield from ((kind, name, of | {name: value}) for value in ANYTHING)
    yield kind, "spec", changed(of, ("spec",), ABSENT)
    yield from ((kind, name, of | {name: value}) for name in ("sepc", "Spec", "data") for value in (None, {}, 1))
    yield from ((kind, "apiVersion", of | {"apiVersion": each}) for each in ("v1", "cooper.dev/v1", "", None, 1))


def _tables() -> Iterator[_Case]:
    for constraint in ALL_CONSTRAINTS:
        if constraint.field.steps[:1] != ("status",):
            trial = trial_of(constraint)
            yield from ((constraint.field.kind, constraint.field.path, each) for each in (trial.broken, *trial.kept))
    for (kind, at, _), rows in RULES.items():
        if isinstance(rows, Values):
            (steps,) = {each.steps for each in fields(kind) if each.path == at}
            yield from ((kind, at, changed(full(kind), steps, value)) for value in (*rows.broken, *rows.kept))
    yield from ((kind, at, manifest(kind, SPECS[kind] | spec)) for kind, spec, at, _ in MISTAKES)


def _grouped() -> dict[tuple[str, str], list[Any]]:
    found: dict[tuple[str, str], dict[str, Any]] = defaultdict(dict)
    every = [case for kind in DEFINITIONS for case in (*_values(kind), *_envelopes(kind))]
    for kind, at, each in (*every, *_tables()):
        found[kind, at][repr(each)] = each
    return {key: list(cases.values()) for key, cases in found.items()}


#: The manifests by kind and path of what is tried, each once.
CORPUS: Final[Mapping[tuple[str, str], list[Any]]] = _grouped()
