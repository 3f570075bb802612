"""Patterns that texts have to match, and what is said in words of a text that does not. Pure.

Of a `pattern` an API server says nothing but the pattern: "should match '^...$'". So a field that people write has a
rule in CEL in its place, whose message is the one that the models give. A status, which people do not write, keeps the
pattern: rules are left out of it.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from pydantic import WithJsonSchema

Schema = dict[str, Any]

#: Beside a pattern, what is said of a text that does not match it.
WORDS: Final = "x-cooper-words"
_RULES: Final = "x-kubernetes-validations"
# Raw texts of CEL: "Preceded by an r or R character, the string is a raw string, and does not interpret escape
# sequences" (Common Expression Language, string and bytes values).
_CALL: Final = re.compile(r"""self\.matches\(r(['"])(?P<pattern>.*?)\1\)""", re.DOTALL)
_ELSE_NUMBER: Final = "type(self) != string || "


def text(
    pattern: str, words: str, longest: int, *, shortest: int = 1, rules: Sequence[Mapping[str, str]] = ()
) -> WithJsonSchema:
    """The schema of a text that matches a pattern, and keeps some rules beside it."""
    schema = {"type": "string", "pattern": pattern, WORDS: words, "minLength": shortest, "maxLength": longest}
    return WithJsonSchema(schema | ({_RULES: list(rules)} if rules else {}))


def matches(pattern: str) -> str:
    """In CEL: whether the text matches."""
    quote = '"' if "'" in pattern else "'"
    return f"self.matches(r{quote}{pattern}{quote})"


def in_words(node: Schema) -> Schema:
    """The node with a rule in the place of its pattern, where there are words for it."""
    if WORDS not in node:
        return node
    rest = {key: value for key, value in node.items() if key not in (WORDS, "pattern", _RULES)}
    rule = (_ELSE_NUMBER if "anyOf" in node else "") + matches(node["pattern"])
    return {**rest, _RULES: [{"rule": rule, "message": node[WORDS]}, *node.get(_RULES, ())]}


def pattern_of(node: Mapping[str, Any]) -> str | None:
    """The pattern that a node's text has to match, whether it or a rule says so."""
    if "pattern" in node:
        return node["pattern"]
    found = (_CALL.match(each["rule"].removeprefix(_ELSE_NUMBER)) for each in node.get(_RULES, ()))
    return next((call["pattern"] for call in found if call), None)


def is_pattern(rule: Mapping[str, Any]) -> bool:
    """Whether a rule of a node is its pattern in words, and nothing else."""
    return _CALL.fullmatch(rule["rule"].removeprefix(_ELSE_NUMBER)) is not None
