"""Every reason that the operator gives is documented, and every one that is documented is given."""

import ast
import gc
from collections.abc import Iterator
from pathlib import Path

import pytest

import cooper_operator.main
from cooper_operator import troubleshooting
from cooper_operator.plan import reasons
from cooper_operator.plan.reasons import REASONS, Reason

SOURCE = Path(cooper_operator.main.__file__).parent
CONSTANTS = {name: found for name, found in vars(reasons).items() if isinstance(found, Reason)}
#: Where a reason is passed, by the function's name: its position, and what it is called.
TAKES_REASON = {"Say": 2, "emit": 2, "_emit": 1, "_write_problem": 1, "set_condition": 3, "Condition": -1}


def modules() -> Iterator[tuple[Path, ast.Module]]:
    for path in sorted(SOURCE.rglob("*.py")):
        if path.name != "reasons.py":
            yield path, parsed(path.read_text())


def parsed(text: str) -> ast.Module:
    """CPython 3.11 counts the depth of all trees that it makes in one place: the collector may come by in the middle
    and run what makes one too, as a traceback does, and then it raises SystemError."""
    gc.disable()
    try:
        return ast.parse(text)
    finally:
        gc.enable()


def name_of(function: ast.expr) -> str:
    return function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")


def literal_reasons(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Reasons that are written out where they are given, with their lines."""
    for call in (node for node in ast.walk(tree) if isinstance(node, ast.Call)):
        position = TAKES_REASON.get(name_of(call.func))
        if position is None:
            continue
        given = [word.value for word in call.keywords if word.arg == "reason"]
        given += call.args[position : position + 1] if position >= 0 else []
        for value in given:
            if isinstance(value, ast.Constant) and isinstance(value.value, str):
                yield call.lineno, value.value


def test_every_reason_that_is_documented_is_given() -> None:
    used = {node.id for _, tree in modules() for node in ast.walk(tree) if isinstance(node, ast.Name)}
    assert [found.name for name, found in CONSTANTS.items() if name not in used] == []


def test_every_reason_that_is_given_is_documented() -> None:
    unknown = [
        f"{path.name}:{line}: {reason}"
        for path, tree in modules()
        for line, reason in literal_reasons(tree)
        if reason not in REASONS
    ]
    assert unknown == []
    assert {found.name for found in CONSTANTS.values()} == REASONS.keys()


def test_a_reason_that_is_written_out_is_found() -> None:
    tree = ast.parse(
        'Say("Ready", "False", "Made")\nself._cluster.emit(obj, "Normal", "Up", "x")\nCondition(reason="Z")'
    )
    assert [reason for _, reason in literal_reasons(tree)] == ["Made", "Up", "Z"]


def test_every_reason_says_when_and_what_to_do() -> None:
    for name, reason in REASONS.items():
        assert name == reason.name
        assert name[0].isupper()
        assert name.isalnum()
        for text in (reason.when, reason.advice):
            assert text.endswith(".")
            assert "|" not in text


def test_the_page_has_every_reason_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "troubleshooting.md"
    assert troubleshooting.main(["--check", str(file)]) == 1
    assert "make generate" in capsys.readouterr().out
    assert troubleshooting.main([str(file)]) == 0
    assert troubleshooting.main(["--check", str(file)]) == 0
    text = file.read_text()
    assert [text.count(f"| `{name}` |") for name in REASONS] == [1] * len(REASONS)
