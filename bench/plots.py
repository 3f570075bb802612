"""Plots of what was measured, as SVG."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import pygal
from pygal.style import CleanStyle


def plot(path: Path, title: str, along: str, at: Sequence[float], series: Mapping[str, Sequence[float]]) -> None:
    """A line for each of `series`, over the values `at` of what is named by `along`."""
    chart = pygal.XY(style=CleanStyle, title=title, x_title=along, width=720, height=400, js=(), range=None)
    for name, values in series.items():
        chart.add(name, list(zip(at, values, strict=True)))
    chart.render_to_file(str(path))


def bars(path: Path, title: str, at: Sequence[str], series: Mapping[str, Sequence[float | None]]) -> None:
    """Bars for each of `series` beside each other, at each of the names `at`; none where there is no value."""
    chart = pygal.Bar(style=CleanStyle, title=title, width=900, height=420, js=(), x_label_rotation=30, range=None)
    chart.x_labels = list(at)
    for name, values in series.items():
        chart.add(name, list(values))
    chart.render_to_file(str(path))
