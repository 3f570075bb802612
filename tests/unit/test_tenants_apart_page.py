"""The page on what was tried across namespaces names tests that are there, and all of those that are about it."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "tenants-apart.md").read_text()


def _tests(path: str) -> set[str]:
    return set(re.findall(r"^(?:async )?def (test_\w+)", (ROOT / path).read_text(), re.MULTILINE))


def test_each_row_is_a_test() -> None:
    named = re.findall(r"`((?:e2e|tests)/[\w/]+\.py)(?:::(\w+))?`", PAGE)
    assert len(named) > 10
    for path, name in named:
        assert not name or name in _tests(path), (path, name)


def test_each_test_has_a_row() -> None:
    missing = {each for each in _tests("e2e/system/test_tenants_apart.py") if each not in PAGE}
    assert not missing
