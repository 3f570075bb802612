"""Every CEL rule: what breaks it is refused in its words, what keeps it is not, on creation and on change."""

from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from cooper_crds import problems
from cooper_crds.patterns import is_pattern, pattern_of
from e2e.crds.rules import FREE, RULES, Changes, Values
from e2e.crds.samples import ABSENT, TEXTS, changed, full, least
from e2e.crds.schemas import DEFINITIONS, Field, Steps, fields
from e2e.crds.server import Server, Verdict

WITH_RULES: list[tuple[Field, dict[str, Any]]] = [
    (each, rule)
    for kind in DEFINITIONS
    for each in fields(kind)
    for rule in each.node.get("x-kubernetes-validations", ())
]
#: Patterns in words: what breaks and keeps them the samples know, by the pattern.
PATTERNS = {
    (each.kind, each.path, rule["message"]): Values([text.broken], [text.shortest])
    for each, rule in WITH_RULES
    if is_pattern(rule)
    for text in (TEXTS[pattern_of(each.node)],)
}
EVERY = {**RULES, **PATTERNS}
VALUES = [(each, rule["message"]) for each, rule in WITH_RULES if "oldSelf" not in rule["rule"]]
CHANGES = [(each, rule) for each, rule in WITH_RULES if "oldSelf" in rule["rule"]]


def row(field: Field, message: str) -> Values | Changes:
    return EVERY[field.kind, field.path, message]


def test_every_rule_has_a_row_and_every_row_a_rule() -> None:
    keys = [(each.kind, each.path, rule["message"]) for each, rule in WITH_RULES]
    assert sorted(keys) == sorted(EVERY)
    assert not RULES.keys() & PATTERNS.keys()


def test_no_pattern_is_said_of_what_people_write() -> None:
    bare = [each for kind in DEFINITIONS for each in fields(kind) if "pattern" in each.node]
    assert {each.steps[0] for each in bare} == {"status"}, [str(each) for each in bare if each.steps[0] != "status"]


@pytest.mark.parametrize(("field", "message"), VALUES, ids=lambda each: str(each))
def test_a_rule_of_a_value(server: Server, field: Field, message: str) -> None:
    values = row(field, message)
    assert isinstance(values, Values)
    for value in values.broken:
        verdict = server.create(field.kind, changed(full(field.kind), field.steps, value))
        assert [at for at, _ in verdict.mistakes] == [field.path], (value, verdict)
        assert verdict.says(field.path, message), (value, verdict)
    for value in values.kept:
        verdict = server.create(field.kind, changed(full(field.kind), field.steps, value))
        assert verdict.accepted, (value, verdict)


def with_value(obj: dict[str, Any], steps: Steps, value: str | None) -> dict[str, Any]:
    there = changed(obj, steps, value)
    return changed(there, steps, ABSENT) if value is None else there


def trials(server: Server, kind: str, steps: Steps, changes: Changes) -> Iterator[tuple[Any, bool, Verdict]]:
    """Each change, whether it may be made, and what the server says of it on a real object."""
    every = [(change, allowed) for rows, allowed in ((changes.broken, False), (changes.kept, True)) for change in rows]
    for before in dict.fromkeys(change[0] for change, _ in every):
        obj = made(server, kind, with_value(least(kind), steps, before), changes.status)
        try:
            for change, allowed in every:
                if change[0] == before:
                    edited = with_value(obj, steps, change[1])
                    edited.pop("status")  # people write none, and what one says here plays no part
                    yield change, allowed, server.update(edited)
            assert server.update_status({**obj, "status": {}}).accepted
        finally:
            server.delete(kind, obj["metadata"]["name"])


def made(server: Server, kind: str, manifest: dict[str, Any], status: Mapping[str, Any]) -> dict[str, Any]:
    manifest["metadata"]["name"] = f"{server.namespace}-changes"
    created = server.create(kind, manifest, keep=True)
    assert created.accepted, created
    return server.update_status({**created.obj, "status": dict(status)}, keep=True).obj


@pytest.mark.parametrize(("field", "rule"), CHANGES, ids=lambda each: str(each) if isinstance(each, Field) else "")
def test_a_rule_of_a_change(server: Server, field: Field, rule: dict[str, Any]) -> None:
    changes = row(field, rule["message"])
    assert isinstance(changes, Changes)
    steps = (*field.steps, *rule["fieldPath"].removeprefix(".").split("."))
    for change, allowed, verdict in trials(server, field.kind, steps, changes):
        assert verdict.accepted == allowed, (change, verdict)
        if not allowed:
            assert [at for at, _ in verdict.mistakes] == [problems.path(steps)], (change, verdict)
            assert verdict.says(problems.path(steps), rule["message"]), (change, verdict)


def test_a_bucket_that_is_not_provisioned_can_be_renamed(server: Server) -> None:
    for change, _, verdict in trials(server, "Bucket", ("spec", "bucketName"), FREE):
        assert verdict.accepted, (change, verdict)
