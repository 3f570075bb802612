"""Options of commands that serve metrics and health."""

from collections.abc import Callable
from typing import Any

import click

metrics_host_option = click.option(
    "--metrics-host",
    default="127.0.0.1",
    show_default=True,
    help="Address of metrics and health, which ask for no credentials.",
)


def metrics_port_option(default: int) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """The port, with the default of one command: programs that run side by side have different ones."""
    return click.option(
        "--metrics-port",
        type=click.IntRange(0, 65535),
        default=default,
        show_default=True,
        help="Port of metrics and health; 0 chooses one.",
    )
