"""Pages of the documentation that name tests."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]


def names_of_tests(path: str) -> set[str]:
    """Names of the tests of a module."""
    return set(re.findall(r"^(?:async )?def (test_\w+)", (ROOT / path).read_text(), re.MULTILINE))


def named_tests(text: str) -> list[tuple[str, str]]:
    """The tests that a text names, by module and name, which is empty for all of a module. Each is there."""
    named = re.findall(r"`((?:e2e|tests)/[\w/]+\.py)(?:::(\w+))?`", text)
    for path, name in named:
        assert not name or name in names_of_tests(path), (path, name)
    return named
