"""What of the chart's schema is made: it is fresh, and what it says of values."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from charts.values_schema import completed, main, region_spec
from cooper_crds.region import RegionSpec

CHART = Path(__file__).parents[2] / "charts" / "cooper"


def test_it_is_fresh(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--check", str(CHART)]) == 0, capsys.readouterr().out


def test_a_region_s_field_is_what_the_model_says() -> None:
    spec = region_spec()
    assert set(spec["properties"]) == {field.alias for field in RegionSpec.model_fields.values()}
    assert "required" not in spec
    limits = spec["properties"]["limits"]
    assert limits["additionalProperties"] is False
    assert limits["properties"]["maxObjectSize"]["anyOf"] == [{"type": "integer"}, {"type": "string"}]
    assert spec["properties"]["endpoints"]["properties"]["public"]["pattern"].startswith("^https?://")
    assert spec["properties"]["service"]["properties"]["scheme"]["enum"] == ["http", "https"]
    assert spec["properties"]["bucketNameTemplate"]["allOf"] == [{"pattern": r"\{name\}"}]


def test_nothing_is_in_it_that_only_kubernetes_knows() -> None:
    assert re.findall(r'"(x-kubernetes-[a-z-]+|default|format)": ', json.dumps(_but_default(region_spec()))) == []


def _but_default(spec: dict[str, Any]) -> dict[str, Any]:
    """Without the field of that name."""
    return {**spec, "properties": {key: value for key, value in spec["properties"].items() if key != "default"}}


def test_what_a_template_needs_is_required() -> None:
    text = {"type": "string"}
    schema = {
        "required": ["old"],
        "properties": {
            "name": text,
            "other": text,
            "on": {"type": "boolean"},
            "limits": {"type": "object"},
            "region": {"properties": {"spec": {}, "tag": text}},
        },
    }
    defaults = yaml.safe_load("{name: a, other: '', on: false, limits: {cpu: 1}, region: {spec: {}, tag: ''}}")
    made = completed(schema, defaults)
    assert made["required"] == ["name", "region"]
    assert made["properties"]["region"] == {"properties": {"spec": region_spec(), "tag": text}}


def test_a_default_that_is_something_now_makes_it_stale(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("values.yaml", "values.schema.json"):
        (tmp_path / name).write_text((CHART / name).read_text())
    assert main(["--check", str(tmp_path)]) == 0
    values = tmp_path / "values.yaml"
    values.write_text(values.read_text().replace('nameOverride: ""', "nameOverride: s3"))
    assert main(["--check", str(tmp_path)]) == 1
    assert "make generate" in capsys.readouterr().out
    assert main([str(tmp_path)]) == 0
    assert "nameOverride" in json.loads((tmp_path / "values.schema.json").read_text())["required"]
