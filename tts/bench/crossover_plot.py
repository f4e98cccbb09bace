"""Accuracy against cost, one panel for each level of a task and each unit, as a picture."""

from collections.abc import Sequence
from pathlib import Path

from tts.bench.crossover import UNITS, Measured
from tts.bench.crossover_figures import Point
from tts.errors import optional_import
from tts.evals.plot import BLUE, ORANGE, RED, save_figure
from tts.evals.units import LABELS

with optional_import("a picture"):
    from matplotlib.axes import Axes
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.ticker import PercentFormatter

_ARMS = {"best-of-n": BLUE, "vote": ORANGE}


def plot_crossover(found: Sequence[Measured]) -> Figure:
    """Draw a column for each level of a task, a row for each unit, bands of 95 %."""
    cells = list(dict.fromkeys((one.task, one.level) for one in found))
    figure = Figure(figsize=(3.1 * len(cells), 5.6), layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(len(UNITS), len(cells), sharey=True, squeeze=False)
    for one in found:
        row, column = UNITS.index(one.unit), cells.index((one.task, one.level))
        axes = panels[row][column]
        for arm, colour in _ARMS.items():
            _draw(axes, one.samples[arm], f"{arm}, answers at once", colour)  # type: ignore[index]
        _draw(axes, one.trace, "one trace, depth first", RED)
        at = one.crossings["best-of-n"].cost
        if at is not None:
            axes.axvline(at, color=RED, linewidth=0.8, linestyle=":")
        axes.set_xscale("log")
        axes.set_title(f"{one.task}, level {one.level}", fontsize=9.5)
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


def save_crossover(found: Sequence[Measured], path: Path) -> None:
    """Write the picture in the format of the file's ending: .png, .pdf or .svg.

    Raises:
        InputError: The ending is another.
        StoreError: The file cannot be written.
    """
    save_figure(plot_crossover(found), path)
