"""Writes what is made in values.schema.json of a chart, or checks it: `python -m charts.values_schema [--check] CHART`.

The rest is written by hand. What is made:

- `region.spec`: the schema of a Region's spec, from the model that the CRD is from, so that helm refuses what the
  operator would. Rules in CEL are left out, but for those that a pattern can say.
- `required`: every section, and every value but a map whose default is more than nothing. Helm drops a value that is
  set to null, and templates would go on with nothing, which they can where it is the default.
"""

import argparse
import json
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import yaml

from cooper_crds.generated import settle
from cooper_crds.patterns import pattern_of
from cooper_crds.region import Region
from cooper_crds.structural import structural_schema

#: What JSON schema and Kubernetes mean the same by.
_KEPT: Final = ("description", "type", "anyOf", "enum", "minLength", "maxLength", "minimum", "maximum")
_CONTAINS: Final = re.compile(r"self\.contains\('([^']+)'\)")


def region_spec() -> dict[str, Any]:
    """The schema of `region.spec`: any field of a Region's spec, none of which must be there."""
    spec = _strict(structural_schema(Region)["properties"]["spec"])
    # Other values fill these in.
    return {key: value for key, value in spec.items() if key != "required"}


def _strict(schema: Mapping[str, Any]) -> dict[str, Any]:
    """As a draft-07 schema, in which a field that is not known is an error."""
    node = {key: schema[key] for key in _KEPT if key in schema}
    if (pattern := pattern_of(schema)) is not None:
        node["pattern"] = pattern
    rules = (_CONTAINS.fullmatch(each["rule"]) for each in schema.get("x-kubernetes-validations", ()))
    if patterns := [{"pattern": re.escape(rule[1])} for rule in rules if rule]:
        node["allOf"] = patterns
    if schema.get("type") == "object":
        node["properties"] = {name: _strict(field) for name, field in schema["properties"].items()}
        node["additionalProperties"] = False
        node |= {"required": schema["required"]} if "required" in schema else {}
    if "items" in schema:
        node["items"] = _strict(schema["items"])
    return node


def completed(schema: Mapping[str, Any], defaults: Mapping[str, Any]) -> dict[str, Any]:
    """The whole schema, with what is made in the place of what was."""
    region: Mapping[str, Any] = schema["properties"]["region"]
    region = {**region, "properties": {**region["properties"], "spec": region_spec()}}
    return _requiring({**schema, "properties": {**schema["properties"], "region": region}}, defaults)


def _requiring(schema: Mapping[str, Any], defaults: Mapping[str, Any]) -> dict[str, Any]:
    fields = {
        name: _requiring(field, defaults[name]) if is_section(field, defaults.get(name)) else field
        for name, field in schema["properties"].items()
    }
    needed = [name for name, field in fields.items() if _needed(field, defaults.get(name))]
    rest = {key: value for key, value in schema.items() if key != "required"}
    return {**rest, "properties": fields} | ({"required": needed} if needed else {})


def _needed(schema: Mapping[str, Any], default: Any) -> bool:
    """Whether templates cannot go on without it. What is left of a map that is nothing is an empty one."""
    return is_section(schema, default) or (bool(default) and not isinstance(default, dict))


def is_section(schema: Mapping[str, Any], default: Any) -> bool:
    """Whether it is a map with values of the chart below it, rather than a value."""
    return "properties" in schema and bool(default)


def main(arguments: Sequence[str]) -> int:
    """Write or check the file; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m charts.values_schema", description="Complete values.schema.json.")
    parser.add_argument("chart", type=Path, metavar="CHART", help="the chart's folder (charts/cooper)")
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 and say what differs")
    options = parser.parse_args(arguments)
    chart: Path = options.chart
    path = chart / "values.schema.json"
    wanted = completed(json.loads(path.read_text()), yaml.safe_load((chart / "values.yaml").read_text()))
    return settle(path, json.dumps(wanted, indent=2, ensure_ascii=False) + "\n", check=options.check)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
