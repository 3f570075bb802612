"""How a command that lists things writes them: `--output`."""

import json
from collections.abc import Callable, Mapping
from typing import Any

import click
import yaml

output_option = click.option(
    "--output",
    "-o",
    type=click.Choice(["table", "json", "yaml"]),
    default="table",
    show_default=True,
    help="A table to read, or everything for a program.",
)


def rendered(output: str, values: Callable[[], Any], table: Callable[[], str]) -> str:
    """The text for `--output`: `values`, of nothing but JSON's types, or the `table`."""
    return table() if output == "table" else _WRITERS[output](values())


def _as_json(values: Any) -> str:
    return json.dumps(values, indent=2)


def _as_yaml(values: Any) -> str:
    return yaml.safe_dump(values, sort_keys=False, allow_unicode=True).rstrip("\n")


_WRITERS: Mapping[str, Callable[[Any], str]] = {"json": _as_json, "yaml": _as_yaml}
