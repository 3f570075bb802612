"""How each constraint of a schema is broken, by nothing else where that can be, and how it is kept at its bound."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from cooper_crds import problems
from cooper_crds.patterns import pattern_of
from e2e.crds.samples import ABSENT, LISTS, TEXTS, Text, at, changed, full
from e2e.crds.schemas import Constraint, Steps


@dataclass(frozen=True, slots=True)
class Trial:
    """A manifest that breaks one constraint, what is said of it and where, and manifests that keep it."""

    broken: Any
    path: str
    reason: str
    kept: Sequence[Any] = ()


def trial_of(constraint: Constraint) -> Trial:
    """The trial of a constraint. Raises KeyError where a sample is missing."""
    return _TRIALS[constraint.keyword](constraint)


def _set(constraint: Constraint, broken: Any, reason: str, kept: Sequence[Any] = ()) -> Trial:
    """Other values of the field itself."""
    of, steps = full(constraint.field.kind), constraint.field.steps
    path, reason = _ENVELOPE.get(steps, (constraint.field.path, reason))
    return Trial(changed(of, steps, broken), path, reason, [changed(of, steps, value) for value in kept])


#: What is no part of a custom resource's own schema, Kubernetes reads itself, and says so in its own words.
_ENVELOPE: Final[Mapping[Steps, tuple[str, str]]] = {
    (): ("", "json: cannot unmarshal array"),
    ("apiVersion",): ("", "json: cannot unmarshal number into Go struct field .apiVersion"),
    ("kind",): ("", "json: cannot unmarshal number into Go struct field .kind"),
    ("metadata",): ("", "json: cannot unmarshal array into Go value of type v1.ObjectMeta"),
}
_OF_ANOTHER_TYPE: Final = {
    "string": (7, "integer"),
    "integer": ("7", "string"),
    "boolean": ("true", "string"),
    "array": ({}, "object"),
    "object": ([], "array"),
}


def _type(constraint: Constraint) -> Trial:
    value, is_of = _OF_ANOTHER_TYPE[constraint.argument]
    if constraint.field.steps == ("metadata", "name"):
        return Trial(changed(full(constraint.field.kind), constraint.field.steps, value), "", "ObjectMeta.name")
    return _set(constraint, value, f'must be of type {constraint.argument}: "{is_of}"')


def _any_of(constraint: Constraint) -> Trial:
    assert constraint.argument == [{"type": "integer"}, {"type": "string"}], constraint
    return _set(constraint, True, 'must be of type integer,string: "boolean"', [4096, "4Ki"])


def _enum(constraint: Constraint) -> Trial:
    return _set(constraint, "Neither", "Unsupported value", constraint.argument)


def _minimum(constraint: Constraint) -> Trial:
    least = constraint.argument
    return _set(constraint, least - 1, f"should be greater than or equal to {least}", [least])


def _maximum(constraint: Constraint) -> Trial:
    most = constraint.argument
    return _set(constraint, most + 1, f"should be less than or equal to {most}", [most])


def _text(constraint: Constraint) -> Text:
    return TEXTS[pattern_of(constraint.field.node)]


def _max_length(constraint: Constraint) -> Trial:
    most, choices = constraint.argument, constraint.field.node.get("enum")
    longest = max(choices, key=len) if choices else _text(constraint).of_length(most)
    assert len(longest) == most, f"{constraint}: no value is as long"
    too_long = longest + "a" if choices else _text(constraint).of_length(most + 1)
    return _set(constraint, too_long, f"may not be more than {most} bytes", [longest])


def _min_length(constraint: Constraint) -> Trial:
    least, text = constraint.argument, _text(constraint)
    too_short = text.of_length(least)[: least - 1]
    return _set(constraint, too_short, f"should be at least {least} chars long", [text.shortest])


def _max_items(constraint: Constraint) -> Trial:
    most, make = constraint.argument, LISTS[str(constraint.field.steps[-1])]
    return _set(constraint, make(most + 1), f"must have at most {most} items", [make(most)])


def _min_items(constraint: Constraint) -> Trial:
    least, make = constraint.argument, LISTS[str(constraint.field.steps[-1])]
    return _set(constraint, make(least - 1), f"should have at least {least} items", [make(least)])


def _pattern(constraint: Constraint) -> Trial:
    text = _text(constraint)
    return _set(constraint, text.broken, f"should match '{constraint.argument}'", [text.shortest])


def _format(constraint: Constraint) -> Trial:
    assert constraint.argument == "int64", constraint
    most = constraint.field.node.get("maximum", (1 << 63) - 1)
    return _set(constraint, 1 << 63, 'must be of type integer: "number"', [most])


def _required(constraint: Constraint) -> Trial:
    steps = (*constraint.field.steps, constraint.argument)
    return Trial(changed(full(constraint.field.kind), steps, ABSENT), problems.path(steps), "Required value")


def _list_type(constraint: Constraint) -> Trial:
    """A set has no value twice, a map no key."""
    assert constraint.argument in ("set", "map"), constraint
    of, steps = full(constraint.field.kind), constraint.field.steps
    first = at(of, (*steps, 0))
    return Trial(changed(of, steps, [first, first]), f"{constraint.field.path}[1]", "Duplicate value")


def _unknown(constraint: Constraint) -> Trial:
    steps = (*constraint.field.steps, constraint.argument)
    return Trial(changed(full(constraint.field.kind), steps, 1), problems.path(steps), "unknown field")


_TRIALS: Final[Mapping[str, Callable[[Constraint], Trial]]] = {
    "type": _type,
    "anyOf": _any_of,
    "enum": _enum,
    "minimum": _minimum,
    "maximum": _maximum,
    "maxLength": _max_length,
    "minLength": _min_length,
    "maxItems": _max_items,
    "minItems": _min_items,
    "pattern": _pattern,
    "format": _format,
    "required": _required,
    "x-kubernetes-list-type": _list_type,
    "unknown": _unknown,
}
