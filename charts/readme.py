"""Writes the chart's README, or checks it: `python -m charts.readme [--check] CHART`.

The chart's values.yaml says what a value is for (the comment above it) and its default, values.schema.json its type. A
value that one of them does not have is an error.
"""

import argparse
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

from charts.values_schema import is_section
from cooper_crds.generated import settle

_HEAD: Final = """\
# {name}

<!-- Generated from Chart.yaml, values.yaml and values.schema.json by `make generate`. -->

{description}. Version {version}, of Cooper {appVersion}; for Kubernetes {kubernetes} or newer.

```
helm install cooper charts/cooper --namespace cooper-system --create-namespace \\
  --set image.repository=REGISTRY/cooper --wait
helm test cooper --namespace cooper-system
```

How it is installed: [install.md](../../docs/install.md). How a service is linked to a bucket:
[link-your-service.md](../../docs/link-your-service.md). How a release is upgraded, backed up and restored:
[upgrade-and-backup.md](../../docs/upgrade-and-backup.md).

## Values

What is misspelt, or of another type, is refused.
"""
_TITLES: Final = ("value", "type", "default", "what it is for")
#: Values that only helm itself knows.
_HELMS_OWN: Final = frozenset({"global"})


class Undescribed(Exception):
    """A value lacks its comment, or is in one of both files only; the message names it."""


@dataclass(frozen=True, slots=True)
class Value:
    """One row of the reference. Of a section, which has values below it, only what it is for."""

    path: str
    type: str
    default: str
    description: str


def readme(chart: Mapping[str, Any], values: str, schema: Mapping[str, Any]) -> str:
    """The whole page (Markdown). Raises Undescribed."""
    head = _HEAD.format(**chart, kubernetes=chart["kubeVersion"].removeprefix(">=").removesuffix(".0-0"))
    rows = [_TITLES, ("---",) * len(_TITLES)]
    rows += [
        (f"`{each.path}`", each.type, f"`{each.default}`" if each.type else "", each.description)
        for each in described(values, schema)
    ]
    return head + "\n" + "".join(_row(row) for row in rows)


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |\n"


def described(values: str, schema: Mapping[str, Any]) -> list[Value]:
    """All values that can be set, in their order, and sections that have a comment. Raises Undescribed."""
    root = yaml.compose(values, yaml.SafeLoader)
    return list(_below(root, yaml.safe_load(values), schema, "", values.splitlines()))


def _below(
    node: yaml.Node | None, defaults: Mapping[str, Any], schema: Mapping[str, Any], above: str, lines: Sequence[str]
) -> Iterator[Value]:
    assert isinstance(node, yaml.MappingNode)
    found: dict[str, tuple[yaml.Node, yaml.Node]] = {key.value: (key, value) for key, value in node.value}
    allowed: Mapping[str, Any] = schema["properties"]
    for name in sorted(found.keys() ^ (allowed.keys() - (_HELMS_OWN if not above else frozenset()))):
        raise Undescribed(f"{above}{name} is in {'values.yaml' if name in found else 'values.schema.json'} only")
    for name, (key, value) in found.items():
        path = f"{above}{name}"
        comment = _comment(key.start_mark.line, key.start_mark.column, lines)
        if is_section(allowed[name], defaults[name]):
            if comment:
                yield Value(path, "", "", comment)
            yield from _below(value, defaults[name], allowed[name], f"{path}.", lines)
            continue
        if not comment:
            raise Undescribed(f"values.yaml, line {key.start_mark.line + 1}: {path} has no comment above it")
        yield Value(path, _type(allowed[name]), _default(defaults[name]), comment)


def _comment(line: int, column: int, lines: Sequence[str]) -> str:
    """The text of the comment that ends above a line, indented alike; of several lines one."""
    start, found = f"{' ' * column}# ", list[str]()
    while line > 0 and lines[line - 1].startswith(start):
        line -= 1
        found.insert(0, lines[line].removeprefix(start))
    return " ".join(found)


def _type(schema: Mapping[str, Any]) -> str:
    if choices := schema.get("enum"):
        return " or ".join(f"`{choice}`" for choice in choices)
    if schema["type"] == "array":
        return f"list of {_type(schema['items'])}s" if "type" in schema.get("items", {}) else "list"
    if schema["type"] == "object":
        inner: Mapping[str, Any] = schema.get("additionalProperties") or {}
        return f"map of {_type(inner)}s" if inner else "map"
    limits = (schema.get("minimum"), schema.get("maximum"))
    return f"{schema['type']}, {limits[0]} to {limits[1]}" if None not in limits else str(schema["type"])


def _default(value: Any) -> str:
    if isinstance(value, str):
        return value or '""'
    return yaml.safe_dump(value, default_flow_style=True, sort_keys=False, width=10_000).removesuffix("...\n").strip()


def main(arguments: Sequence[str]) -> int:
    """Write or check the page; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m charts.readme", description="Write the chart's README.")
    parser.add_argument("chart", type=Path, metavar="CHART", help="the chart's folder (charts/cooper)")
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 and say what differs")
    options = parser.parse_args(arguments)
    chart: Path = options.chart
    path = chart / "README.md"
    try:
        wanted = readme(
            yaml.safe_load((chart / "Chart.yaml").read_text()),
            (chart / "values.yaml").read_text(),
            json.loads((chart / "values.schema.json").read_text()),
        )
    except Undescribed as error:
        sys.stdout.write(f"{chart}: {error}\n")
        return 1
    return settle(path, wanted, check=options.check)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
