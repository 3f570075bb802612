"""The page on hostile input names tests that are there, and all modules of them."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "hostile-input.md").read_text()
ROWS = [line for line in PAGE.splitlines() if line.startswith("| ") and "|---" not in line][1:]


def _tests(path: str) -> set[str]:
    return set(re.findall(r"^(?:async )?def (test_\w+)", (ROOT / path).read_text(), re.MULTILINE))


def test_each_row_has_an_answer_and_a_test() -> None:
    assert len(ROWS) >= 28
    for row in ROWS:
        _, _, _, answer, tests, _ = row.split("|")
        assert answer.strip(), row
        named = re.findall(r"`((?:e2e|tests)/[\w/]+\.py)(?:::(\w+))?`", tests)
        assert named, row
        for path, name in named:
            assert not name or name in _tests(path), (path, name)


def test_each_module_of_attacks_has_a_row() -> None:
    modules = {f"tests/hostile/{each.name}" for each in (ROOT / "tests" / "hostile").glob("test_*.py")}
    # Revocation is no input; what it promises stands in docs/architecture.md.
    assert {each for each in modules if each not in PAGE} == {"tests/hostile/test_revocation.py"}
