"""How fast a command may read: `--rate`."""

from typing import Any

import click

from cooper_crds.quantities import parse_quantity


class Rate(click.ParamType[int]):
    """Bytes a second: `50MiB`, `50Mi`, `500k`; 0 is no limit."""

    name = "rate"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """The number of bytes."""
        if isinstance(value, int):
            return value
        try:
            return parse_quantity(value.removesuffix("/s").removesuffix("B"))
        except ValueError:
            self.fail(f"{value!r} is no rate: name bytes a second such as 50MiB, or 0 for no limit", param, ctx)
