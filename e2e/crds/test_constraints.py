"""Every constraint of the schemas: broken alone it is refused by its field's path, and kept at its bound accepted."""

from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from e2e.crds.samples import ABSENT, at, changed, full, least
from e2e.crds.schemas import ALL_CONSTRAINTS, CONSTRAINTS, DEFINITIONS, Constraint, fields, schema_of
from e2e.crds.server import Server, Verdict
from e2e.crds.violations import trial_of


def sent(server: Server, stored: dict[str, str], constraint: Constraint, manifest: Any) -> Verdict:
    """What the server says; of a status, where a status is written."""
    kind = constraint.field.kind
    if constraint.field.steps[:1] != ("status",):
        return server.create(kind, manifest)
    return server.update_status({**server.get(kind, stored[kind]), "status": manifest["status"]})


@pytest.mark.parametrize("constraint", ALL_CONSTRAINTS, ids=str)
def test_a_constraint(server: Server, stored: dict[str, str], constraint: Constraint) -> None:
    trial = trial_of(constraint)
    refused = sent(server, stored, constraint, trial.broken)
    assert not refused.accepted
    assert refused.says(trial.path, trial.reason), (refused, trial.path, trial.reason)
    for kept in trial.kept:
        accepted = sent(server, stored, constraint, kept)
        assert accepted.accepted, accepted
        steps = constraint.field.steps
        assert at(accepted.obj, steps) == at(kept, steps)


@pytest.mark.parametrize("kind", DEFINITIONS)
def test_a_manifest_with_every_field_is_accepted_and_one_with_none(
    server: Server, stored: dict[str, str], kind: str
) -> None:
    whole = full(kind)
    for each in fields(kind):
        at(whole, each.steps)
    assert server.create(kind, whole).accepted
    assert server.create(kind, least(kind)).accepted
    status = {**server.get(kind, stored[kind]), "status": whole["status"]}
    assert server.update_status(status).obj["status"] == whole["status"]
    assert server.update_status({**status, "status": {}}).accepted


@pytest.mark.parametrize("kind", DEFINITIONS)
def test_what_is_not_required_can_be_left_out(server: Server, stored: dict[str, str], kind: str) -> None:
    for each in fields(kind):
        if len(each.steps) < 2 or each.steps[0] == "metadata" or each.steps[-1] == 0:
            continue
        *parent, name = each.steps
        holder = next(f for f in fields(kind) if f.steps == tuple(parent))
        if name in holder.node.get("required", ()):
            continue
        without = changed(full(kind), each.steps, ABSENT)
        verdict = (
            server.update_status({**server.get(kind, stored[kind]), "status": without["status"]})
            if each.steps[0] == "status"
            else server.create(kind, without)
        )
        assert verdict.accepted, (each, verdict)


def occurrences(value: Any) -> Iterator[str]:
    """Words of constraints in a schema, found without knowing how schemas are made."""
    if isinstance(value, dict):
        for key, below in value.items():
            if key in CONSTRAINTS and not isinstance(below, dict) and below != "atomic":
                yield from [key] * (len(below) if key == "required" else 1)
            if key != "anyOf":
                yield from occurrences(below)
        if value.get("type") == "object":
            yield "unknown"
    elif isinstance(value, list):
        for each in value:
            yield from occurrences(each)


def test_no_constraint_is_left_out() -> None:
    found = Counter(each for kind in DEFINITIONS for each in occurrences(schema_of(kind)))
    assert Counter(each.keyword for each in ALL_CONSTRAINTS) == found
    assert len(set(map(str, ALL_CONSTRAINTS))) == sum(found.values())
