"""The page on hostile input names tests that are there, and all modules of them."""

from support.pages import ROOT, named_tests

PAGE = (ROOT / "docs" / "hostile-input.md").read_text()
ROWS = [line for line in PAGE.splitlines() if line.startswith("| ") and "|---" not in line][1:]


def test_each_row_has_an_answer_and_a_test() -> None:
    assert len(ROWS) >= 28
    for row in ROWS:
        _, _, _, answer, tests, _ = row.split("|")
        assert answer.strip(), row
        assert named_tests(tests), row


def test_each_module_of_attacks_has_a_row() -> None:
    modules = {f"tests/hostile/{each.name}" for each in (ROOT / "tests" / "hostile").glob("test_*.py")}
    # Revocation is no input; what it promises stands in docs/architecture.md.
    assert {each for each in modules if each not in PAGE} == {"tests/hostile/test_revocation.py"}
