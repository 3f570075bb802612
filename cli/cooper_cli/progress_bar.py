"""How far a command is, on a terminal."""

import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager

import click


@contextmanager
def bar(label: str) -> Generator[Callable[[int, int], None]]:
    """Shows how many are done, and of how many: call what it yields with both. Without a terminal nothing is shown."""
    if not sys.stderr.isatty():
        yield lambda done, of: None
        return
    with click.progressbar(length=1, label=label, file=sys.stderr) as shown:

        def progress(done: int, of: int) -> None:
            shown.length = of
            shown.update(done - shown.pos)

        yield progress
