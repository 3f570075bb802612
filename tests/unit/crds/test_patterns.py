"""Patterns that are said in words: every one of a spec, and what the rule in its place says."""

import datetime
import re
from collections.abc import Iterator
from typing import Any

import pytest

from cooper_crds.fields import TIME_PATTERN, unix_seconds
from cooper_crds.manifest import KINDS
from cooper_crds.patterns import WORDS, in_words, is_pattern, matches, pattern_of
from cooper_crds.structural import structural_schema


def nodes(node: Any, path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    yield path, node
    if "items" in node:
        yield from nodes(node["items"], f"{path}[]")
    for name, below in node.get("properties", {}).items():
        yield from nodes(below, f"{path}.{name}")


@pytest.mark.parametrize("kind", KINDS)
def test_an_api_server_has_words_for_what_people_write(kind: str) -> None:
    found = list(nodes(structural_schema(KINDS[kind])))
    assert [path for path, node in found if "pattern" in node and not path.startswith(".status")] == []
    assert [path for path, node in found if WORDS in node] == []
    said = [
        each["message"] for _, node in found for each in node.get("x-kubernetes-validations", ()) if is_pattern(each)
    ]
    assert said
    assert all(message.startswith("must ") for message in said)


@pytest.mark.parametrize("pattern", [r"^[a-z]+\.[^\x00-\x1f]$", r"^[!#$%&'+.^_`|~-]+$"])
def test_a_pattern_is_found_again_in_its_rule(pattern: str) -> None:
    rules = [{"rule": "self != 'a'", "message": "must not be a"}]
    for more in ({"type": "string"}, {"anyOf": [{"type": "integer"}, {"type": "string"}]}):
        node = {**more, "pattern": pattern, WORDS: "must be so", "x-kubernetes-validations": rules}
        made = in_words(node)
        first, second = made["x-kubernetes-validations"]
        assert (first["message"], second) == ("must be so", rules[0])
        assert "pattern" not in made
        assert pattern_of(made) == pattern_of(node) == pattern
        assert is_pattern(first)
        assert not is_pattern(second)


def test_what_a_rule_says_beside_its_pattern_is_no_pattern() -> None:
    rule = {"rule": f"{matches('^a$')} && self.size() == 1", "message": "must be a"}
    assert not is_pattern(rule)
    assert pattern_of({"x-kubernetes-validations": [rule]}) == "^a$"
    assert pattern_of({"type": "string"}) is None


def days() -> Iterator[str]:
    """Every month and day that can be written, in years around what makes one a leap year."""
    for year in (1000, 1004, 1900, 1904, 1999, 2000, 2004, 2010, 2012, 2023, 2024, 2096, 2100, 2104, 2400, 9996, 9999):
        for month in range(14):
            yield from (f"{year}-{month:02}-{day:02}" for day in range(33))


def test_a_time_by_the_pattern_is_one_by_the_calendar() -> None:
    for day in days():
        text = f"{day}T12:00:00Z"
        try:
            datetime.date.fromisoformat(day)
            unix_seconds(text)
        except ValueError:
            assert not re.search(TIME_PATTERN, text), text
        else:
            assert re.search(TIME_PATTERN, text), text
