"""Every default: the server fills in what is left out, and the models fill in the same."""

from typing import Any

import pytest

from cooper_crds.manifest import parse
from e2e.crds.samples import ABSENT, at, changed, full, least
from e2e.crds.schemas import DEFINITIONS, Field, Schema, Steps, fields
from e2e.crds.server import Server

DEFAULTS = [each for kind in DEFINITIONS for each in fields(kind) if "default" in each.node]


def filled_in(node: Schema) -> Any:
    """A field's default, with those of the fields below it."""
    value = node["default"]
    if not isinstance(value, dict):
        return value
    below = {name: filled_in(field) for name, field in node.get("properties", {}).items() if "default" in field}
    return below | value


@pytest.mark.parametrize("field", DEFAULTS, ids=str)
def test_a_default(server: Server, field: Field) -> None:
    without = changed(full(field.kind), field.steps, ABSENT)
    for given in (without, changed(full(field.kind), field.steps, None)):  # null is absent
        made = server.create(field.kind, given).obj
        assert at(made, field.steps) == filled_in(field.node)
        assert parse(made, strict=False).spec == parse(given).spec


def _is_there(obj: Any, steps: Steps) -> bool:
    """Whether there is something for a default to be in."""
    return not steps or (_is_there(obj, steps[:-1]) and steps[-1] in at(obj, steps[:-1]))


@pytest.mark.parametrize("kind", DEFINITIONS)
def test_all_defaults_at_once(server: Server, kind: str) -> None:
    made = server.create(kind, least(kind)).obj
    for field in DEFAULTS:
        if field.kind == kind and _is_there(made, field.steps[:-1]):
            assert at(made, field.steps) == filled_in(field.node)
    assert parse(made, strict=False).spec == parse(least(kind)).spec


def test_a_status_has_no_defaults() -> None:
    """It is written as a whole: a default would show what nobody has observed."""
    assert {field.steps[0] for field in DEFAULTS} == {"spec"}
