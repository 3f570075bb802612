"""Mistakes in manifests, in words: the path of the field, the reason, and what was there."""

import difflib
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, cast

from pydantic import BaseModel
from pydantic_core import ErrorDetails

_LONGEST_VALUE: Final = 60
_MOST_SHOWN: Final = 20


@dataclass(frozen=True, slots=True)
class Problem:
    """One mistake in a manifest: the path of the field (empty for the whole), and the reason."""

    path: str
    reason: str

    def __str__(self) -> str:
        return f"{self.path}: {self.reason}" if self.path else self.reason


class ManifestError(ValueError):
    """A manifest that cannot be used: whose it is, and everything that is wrong with it."""

    def __init__(self, subject: str, problems: Sequence[Problem]) -> None:
        self.subject = subject
        self.problems = tuple(problems)
        more = f"; and {len(problems) - _MOST_SHOWN} more" if len(problems) > _MOST_SHOWN else ""
        super().__init__(f"{subject}: {'; '.join(map(str, self.problems[:_MOST_SHOWN]))}{more}")


def explain(model: type[BaseModel], details: ErrorDetails) -> Problem:
    """What pydantic found in a manifest of `model`, in the words of somebody who writes manifests."""
    location = details["loc"]
    if details["type"] == "extra_forbidden":
        return Problem(path(location), unknown(str(location[-1]), field_names(_model_at(model, location[:-1]))))
    reason = _REASONS.get(details["type"], _plain)(details)
    hint = meant(details["input"], _choices(details)) if details["type"] == "literal_error" else ""
    return Problem(path(location), reason + _got(details) + hint)


def unknown(field: str, known: Sequence[str]) -> str:
    """The reason for a field that does not exist, with the one that was probably meant."""
    return "unknown field" + (meant(field, known) or f"; known are {', '.join(known)}")


def meant(given: object, known: Sequence[str]) -> str:
    """`; did you mean …?` where something that is known is close to what was given, whatever its case."""
    if not isinstance(given, str):
        return ""
    folded = {each.casefold(): each for each in known}
    close = difflib.get_close_matches(given[:_LONGEST_VALUE].casefold(), folded, n=1)
    return f"; did you mean {folded[close[0]]}?" if close else ""


def field_names(model: type[BaseModel]) -> list[str]:
    """The fields of a model as manifests name them."""
    return [field.alias or name for name, field in model.model_fields.items()]


def one_of(choices: Sequence[str]) -> str:
    """`must be …` for a list of choices."""
    return f"must be {choices[0]}" if len(choices) == 1 else f"must be one of {', '.join(choices)}"


def path(location: Sequence[int | str]) -> str:
    """`spec.grants[0].bucket`; keys that would not read as a path are quoted."""
    text = ""
    for step in location:
        if isinstance(step, int):
            text += f"[{step}]"
        elif len(step) <= _LONGEST_VALUE and step.isascii() and step.replace("_", "").isalnum():
            text += f".{step}"
        else:
            text += f"[{shown(step)}]"
    return text.removeprefix(".")


_STRUCTURES: Final[Mapping[type, str]] = {list: "a list", dict: "a mapping"}


def shown(value: object) -> str:
    """A value for an error message: short, on one line, without control characters, never the whole of a structure."""
    if isinstance(value, str):
        return json.dumps(value if len(value) <= _LONGEST_VALUE else value[:_LONGEST_VALUE] + "...")
    if value is None or isinstance(value, bool | float):
        return json.dumps(value)
    if isinstance(value, int):
        return str(value) if abs(value) < 1 << 64 else "a number beyond 64 bits"
    return _STRUCTURES.get(type(value), "another type")


def subject_of(manifest: Mapping[Any, Any]) -> str:
    """Kind and name of a manifest in one short printable line, whatever it holds."""
    metadata: object = manifest.get("metadata")
    fields: Mapping[Any, Any] = cast(Mapping[Any, Any], metadata) if isinstance(metadata, Mapping) else {}
    kind, name, namespace = bare(manifest.get("kind", "manifest")), fields.get("name"), fields.get("namespace")
    if name is None:
        return f"{kind} without a name"
    return f"{kind} {bare(name)}" if namespace in (None, "", "default") else f"{kind} {bare(namespace)}/{bare(name)}"


def bare(name: object) -> str:
    """A name as it is when it is harmless, quoted otherwise."""
    if isinstance(name, str) and len(name) <= 253 and name.isascii() and name.translate(_PUNCTUATION).isalnum():
        return name
    return shown(name)


_PUNCTUATION: Final = str.maketrans("", "", "-.")


def _choices(details: ErrorDetails) -> list[str]:
    return re.findall("'([^']*)'", str(details.get("ctx", {}).get("expected", "")))


def _plain(details: ErrorDetails) -> str:
    return details["msg"][:1].lower() + details["msg"][1:]


def _must(text: str) -> Callable[[ErrorDetails], str]:
    return lambda details: "must " + text.format(**details.get("ctx", {}))


_REASONS: Final[Mapping[str, Callable[[ErrorDetails], str]]] = {
    "missing": lambda _: "is required",
    "value_error": lambda details: str(details.get("ctx", {}).get("error", details["msg"])),
    "literal_error": lambda details: one_of(_choices(details)),
    "string_type": _must("be a string"),
    "string_unicode": _must("be a string of valid Unicode"),
    "string_too_short": _must("have at least {min_length} characters"),
    "string_too_long": _must("have at most {max_length} characters"),
    "string_pattern_mismatch": _must("match {pattern}"),
    "bool_type": _must("be true or false"),
    "int_type": _must("be a whole number"),
    "list_type": _must("be a list"),
    "dict_type": _must("be a mapping"),
    "model_type": _must("be a mapping"),
    "too_short": _must("have at least {min_length} items"),
    "too_long": _must("have at most {max_length} items"),
    "greater_than_equal": _must("be at least {ge}"),
    "less_than_equal": _must("be at most {le}"),
    "invalid_key": lambda _: "field names must be strings",
}


def _got(details: ErrorDetails) -> str:
    """What was there, where that helps: a structure is named only when another type was wanted."""
    value: object = details["input"]
    if details["type"] == "missing" or (type(value) in _STRUCTURES and not details["type"].endswith("_type")):
        return ""
    return f" (got {shown(value)})"


def _model_at(model: type[BaseModel], location: Sequence[int | str]) -> type[BaseModel]:
    """The model that holds the fields at a path of `model`."""
    for step in location:
        field = next((field for field in model.model_fields.values() if field.alias == step), None)
        annotation = getattr(field, "annotation", None)
        candidates = [annotation, *getattr(annotation, "__args__", ())]
        found = [each for each in candidates if isinstance(each, type) and issubclass(each, BaseModel)]
        model = found[0] if found else model
    return model
