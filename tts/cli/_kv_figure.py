"""Accuracy against KV budget, as a picture. Importing this loads matplotlib."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter, ScalarFormatter

from tts.evals.lines import cannot_write

# Okabe and Ito's palette: distinct to colour-blind readers too.
_LINES = {
    "oracle": ("oracle top-k (tokens)", "#009E73", "^"),
    "block": ("block top-k (pages)", "#0072B2", "o"),
    "window": ("local window", "#D55E00", "s"),
}
_GREY = "#8a8f98"


def plot_budgets(rows: Sequence[Mapping[str, Any]]) -> Figure:
    """Draw one line per method with 95 % intervals, dense attention as a level line.

    Args:
        rows: Cells as `CellFigures`, "dense" among them.
    """
    figure = Figure(figsize=(6.6, 4.2), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    dense = next(row for row in rows if row["method"] == "dense")
    axes.axhspan(dense["low"], dense["high"], color=_GREY, alpha=0.15, linewidth=0)
    axes.axhline(dense["accuracy"], color=_GREY, label=f"dense ({dense['budget']} tokens)")
    budgets = sorted({row["budget"] for row in rows if row["method"] != "dense"})
    for method, (label, colour, marker) in _LINES.items():
        line = sorted((r for r in rows if r["method"] == method), key=lambda r: r["budget"])
        axes.errorbar(
            [row["budget"] for row in line],
            [row["accuracy"] for row in line],
            yerr=[
                [row["accuracy"] - row["low"] for row in line],
                [row["high"] - row["accuracy"] for row in line],
            ],
            color=colour,
            marker=marker,
            capsize=3,
            label=label,
        )
    axes.set_xscale("log", base=2)
    axes.set_xticks(budgets)
    axes.xaxis.set_major_formatter(ScalarFormatter())
    axes.yaxis.set_major_formatter(PercentFormatter(1.0))
    axes.set_ylim(bottom=0)
    axes.set_xlabel("KV tokens that a decode step sees, per KV head")
    axes.set_ylabel("accuracy")
    axes.legend(frameon=False)
    axes.spines[["top", "right"]].set_visible(False)
    return figure


def save_figure(rows: Sequence[Mapping[str, Any]], path: Path) -> None:
    """Write the picture as PNG.

    Raises:
        StoreError: The file cannot be written.
    """
    try:
        plot_budgets(rows).savefig(path, format="png", dpi=160)
    except OSError as error:
        raise cannot_write(path, error) from error
