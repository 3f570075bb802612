"""The chart's README says of every value what it is for, and every value is for something."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from charts.readme import Undescribed, Value, described, main

CHART = Path(__file__).parents[2] / "charts" / "cooper"
SCHEMA: dict[str, Any] = {
    "properties": {
        "global": {"type": "object"},
        "name": {"type": "string"},
        "gateway": {
            "properties": {
                "workers": {"type": "integer", "minimum": 1, "maximum": 64},
                "policy": {"enum": ["Always", "Never"]},
                "labels": {"type": "object", "additionalProperties": {"type": "string"}},
                "limits": {"type": "object"},
                "names": {"type": "array", "items": {"type": "string"}},
            }
        },
    }
}
VALUES = """\
# Its name.
name: ""

# What serves.
gateway:
  # Processes.
  # As many as cores.
  workers: 2
  # When.
  policy: Never
  # Of Pods.
  labels: {}
  # At most.
  limits:
    memory: 1Gi
  # Of tenants.
  names: [a, b]
"""


def test_it_is_fresh(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--check", str(CHART)]) == 0, capsys.readouterr().out


def test_every_value_is_read_by_a_template() -> None:
    templates = "".join(path.read_text() for path in (CHART / "templates").iterdir())
    values = described((CHART / "values.yaml").read_text(), json.loads((CHART / "values.schema.json").read_text()))
    assert len(values) > 50
    unread = [each.path for each in values if not re.search(rf"\.Values\.{re.escape(each.path)}\b", templates)]
    assert unread == []


def test_values_with_types_defaults_and_comments() -> None:
    assert described(VALUES, SCHEMA) == [
        Value("name", "string", '""', "Its name."),
        Value("gateway", "", "", "What serves."),
        Value("gateway.workers", "integer, 1 to 64", "2", "Processes. As many as cores."),
        Value("gateway.policy", "`Always` or `Never`", "Never", "When."),
        Value("gateway.labels", "map of strings", "{}", "Of Pods."),
        Value("gateway.limits", "map", "{memory: 1Gi}", "At most."),
        Value("gateway.names", "list of strings", "[a, b]", "Of tenants."),
    ]


@pytest.mark.parametrize(
    ("values", "said"),
    [
        (VALUES.replace("  # When.\n", ""), "gateway.policy has no comment"),
        (VALUES.replace("  # When.\n", "  # When.\n\n"), "line 11: gateway.policy has no comment"),
        (VALUES.replace("name:", "nmae:"), "name is in values.schema.json only"),
        (VALUES + "  # More.\n  more: 1\n", "gateway.more is in values.yaml only"),
    ],
)
def test_what_is_missing_is_told(values: str, said: str) -> None:
    with pytest.raises(Undescribed) as raised:
        described(values, SCHEMA)
    assert said in str(raised.value)


def test_a_changed_default_makes_it_stale(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("Chart.yaml", "values.yaml", "values.schema.json"):
        (tmp_path / name).write_text((CHART / name).read_text())
    assert main(["--check", str(tmp_path)]) == 1
    assert main([str(tmp_path)]) == 0
    assert main(["--check", str(tmp_path)]) == 0
    values = tmp_path / "values.yaml"
    values.write_text(values.read_text().replace("workers: 2", "workers: 3"))
    assert main(["--check", str(tmp_path)]) == 1
    assert "make generate" in capsys.readouterr().out
