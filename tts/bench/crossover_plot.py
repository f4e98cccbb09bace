"""Accuracy against cost, one panel for each level of a task and each unit, as a picture."""

from collections.abc import Sequence
from pathlib import Path

from tts.bench.crossover_figures import UNITS, Measured, Point
from tts.errors import optional_import
from tts.evals.plot import BLUE, ORANGE, RED, save_figure
from tts.evals.units import LABELS

with optional_import("a picture"):
    from matplotlib.axes import Axes
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.ticker import PercentFormatter

_ARMS = {"best-of-n": BLUE, "vote": ORANGE}


def plot_crossover(found: Sequence[Measured], labels: tuple[str, str]) -> Figure:
    """Draw a column for each name, a row for each unit, bands of 95 %.

    Args:
        found: What is drawn.
        labels: What samples are, and what a trace is.
    """
    names = list(dict.fromkeys(one.name for one in found))
    units = [unit for unit in UNITS if any(one.unit == unit for one in found)]
    size = (max(6.2, 3.1 * len(names)), 0.4 + 2.6 * len(units))
    figure = Figure(figsize=size, layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(len(units), len(names), sharey=True, squeeze=False)
    for one in found:
        row, column = units.index(one.unit), names.index(one.name)
        axes = panels[row][column]
        for arm, colour in _ARMS.items():
            _draw(axes, one.samples[arm], f"{arm}, {labels[0]}", colour)  # type: ignore[index]
        _draw(axes, one.trace, labels[1], RED)
        at = one.crossings["best-of-n"].cost
        if at is not None:
            axes.axvline(at, color=RED, linewidth=0.8, linestyle=":")
        axes.set_xscale("log")
        axes.set_title(one.name, fontsize=9.5)
        axes.set_xlabel(LABELS[one.unit], fontsize=8)
        axes.yaxis.set_major_formatter(PercentFormatter(xmax=1, decimals=0))
        axes.grid(alpha=0.25, linewidth=0.6)
        axes.spines[["top", "right"]].set_visible(False)
    lines, labels = panels[0][0].get_legend_handles_labels()
    figure.legend(lines, labels, frameon=False, fontsize=8.5, loc="outside upper center", ncols=3)
    return figure


def _draw(axes: Axes, points: Sequence[Point], label: str, colour: str) -> None:
    costs = [point.cost for point in points]
    axes.plot(costs, [p.accuracy for p in points], "o-", ms=3, color=colour, label=label)
    low, high = [p.low for p in points], [p.high for p in points]
    axes.fill_between(costs, low, high, color=colour, alpha=0.15, linewidth=0)


def save_crossover(found: Sequence[Measured], path: Path, labels: tuple[str, str]) -> None:
    """Write what `plot_crossover` draws in the format of the file's ending: .png, .pdf or .svg.

    Raises:
        InputError: The ending is another.
        StoreError: The file cannot be written.
    """
    save_figure(plot_crossover(found, labels), path)
