"""Accuracy against KV budget, as a picture. Importing this loads matplotlib."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tts.errors import optional_import
from tts.storage.sealed_lines import cannot_write

with optional_import("a picture"):
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.ticker import PercentFormatter

# Okabe and Ito's palette: distinct to colour-blind readers too.
_LINES = {
    "oracle": ("oracle top-k", "#009E73", "^"),
    "block": ("block top-k", "#0072B2", "o"),
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
            markersize=5,
            elinewidth=1,
            capsize=2.5,
            label=label,
        )
    axes.set_xscale("log", base=2)
    shares = [f"{n}\n{min(1.0, n / dense['budget']):.0%}" for n in budgets]
    axes.set_xticks(budgets, shares)
    axes.yaxis.set_major_formatter(PercentFormatter(1.0))
    # Room below zero, so that markers on the axis are whole.
    axes.set_ylim(bottom=-0.015)
    axes.set_xlabel("KV budget: tokens that a decode step sees, and their share of the context")
    axes.set_ylabel("accuracy")
    title = f"chain, {dense['problems']} problems; bars and band: 95 % intervals"
    axes.set_title(title, loc="left", fontsize=10)
    axes.grid(axis="y", alpha=0.25, linewidth=0.6)
    figure.legend(loc="outside upper center", ncols=4, frameon=False, fontsize=9)
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
