"""Accuracy against cost of every way to spend, with the frontier, as a picture."""

from collections.abc import Sequence
from pathlib import Path

from tts.allocation.efficiency import frontier
from tts.errors import optional_import
from tts.evals.laws.frontier import Point
from tts.evals.plot import COLOURS, GREY, save_figure
from tts.evals.units import LABELS
from tts.types.figures import Unit

with optional_import("a picture"):
    from matplotlib import rc_context
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.ticker import PercentFormatter


@rc_context({"text.parse_math": False})  # a $ in a name is a dollar sign
def plot_frontier(points: Sequence[Point], unit: Unit) -> Figure:
    """Draw a dot for every way to spend, a colour for each series, and the frontier as a line."""
    figure = Figure(figsize=(8.5, 5.2), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    for place, name in enumerate(dict.fromkeys(point.series for point in points)):
        own = [point for point in points if point.series == name]
        colour = COLOURS[place % len(COLOURS)]
        xs, ys = [point.cost for point in own], [point.accuracy for point in own]
        axes.scatter(xs, ys, s=14, alpha=0.35, color=colour, label=name)
    best = frontier(points)
    axes.plot([p.cost for p in best], [p.accuracy for p in best], color=GREY, zorder=1)
    for place, point in enumerate(best):
        length = "" if point.length is None else f", {point.length}"
        if place % max(1, len(best) // 8) == 0 or point is best[-1]:
            axes.annotate(
                f"{point.n}{length}", (point.cost, point.accuracy), (3, -11),
                textcoords="offset points", fontsize=7.5,
            )  # fmt: skip
    axes.set_xscale("log")
    axes.set_xlabel(f"{LABELS[unit]}; on the line: samples, and the length where they are cut")
    axes.set_ylabel("accuracy")
    axes.yaxis.set_major_formatter(PercentFormatter(xmax=1, decimals=0))
    axes.grid(alpha=0.25, linewidth=0.6)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, fontsize=8.5, loc="upper left")
    return figure


def save_frontier(points: Sequence[Point], unit: Unit, path: Path) -> None:
    """Write the picture in the format of the file's ending: .png, .pdf or .svg.

    Raises:
        InputError: The ending is another.
        StoreError: The file cannot be written.
    """
    save_figure(plot_frontier(points, unit), path)
