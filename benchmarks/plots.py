"""Draws plots as SVG, the same file for the same figures."""

from __future__ import annotations

from pathlib import Path

import matplotlib as mpl
from matplotlib.figure import Figure

from .report import Plot

# Text stays text, and ids and dates do not change from run to run.
mpl.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "sessionstore", "font.size": 9, "axes.axisbelow": True})

_MARKERS = "os^vD<>Ph*Xpd"


def draw(plot: Plot, path: Path) -> None:
    """Draws a plot into a file."""
    figure = Figure(figsize=(9, 4.5), layout="constrained")
    axes = figure.add_subplot()
    colours = mpl.colormaps["tab20"]
    places = range(len(plot.ticks))
    width = 0.8 / max(1, len(plot.series))
    for i, (name, values) in enumerate(plot.series.items()):
        colour = colours((i * 2) % 20 + (i >= 10))
        if plot.lines:
            axes.plot(places, values, label=name, color=colour, marker=_MARKERS[i % len(_MARKERS)])
        else:
            offset = (i - (len(plot.series) - 1) / 2) * width
            axes.bar([place + offset for place in places], values, width, label=name, color=colour)
    axes.set_xticks(
        places, plot.ticks, rotation=0 if len(plot.ticks) < 8 else 30, ha="center" if len(plot.ticks) < 8 else "right"
    )
    axes.set_title(plot.title)
    axes.set_xlabel(plot.along)
    axes.set_ylabel(plot.axis)
    if plot.logarithmic:
        axes.set_yscale("log")
    else:
        axes.set_ylim(bottom=0)
    axes.grid(visible=True, axis="y", alpha=0.3)
    if len(plot.series) > 1:
        figure.legend(loc="outside right upper")
    figure.savefig(path, metadata={"Date": None})
