"""The laws of several series as a picture: coverage and its laws, and accuracy against cost."""

from collections.abc import Sequence
from pathlib import Path

from tts.errors import InputError, optional_import
from tts.evals.laws.figures import Figures
from tts.evals.plot import BLUE, GREEN, GREY, ORANGE, RED, save_figure

with optional_import("a picture"):
    from matplotlib import rc_context
    from matplotlib.axes import Axes
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.ticker import FuncFormatter, PercentFormatter

_MOST = 6  # series in one picture


@rc_context({"text.parse_math": False})  # a $ in a name is a dollar sign
def plot_laws(found: Sequence[Figures]) -> Figure:
    """Draw a row for each series.

    First pass@k, maj@k and the worst of k as measured, and pass@k by both laws, up to four times
    the samples; then votes, and the best by verdicts, against cost; then the cost of a right
    answer.

    Raises:
        InputError: There are more than six series.
    """
    if len(found) > _MOST:
        raise InputError(f"a picture has room for {_MOST} series, not {len(found)}: name fewer")
    figure = Figure(figsize=(14.0, 3.9 * len(found)), layout="constrained")
    FigureCanvasAgg(figure)
    for row, figures in enumerate(found):
        for column, draw in enumerate((_draw_coverage, _draw_cost, _draw_cost_of_pass), start=1):
            draw(figure.add_subplot(len(found), 3, 3 * row + column), figures)
    return figure


def save_laws(found: Sequence[Figures], path: Path) -> None:
    """Write the picture in the format of the file's ending: .png, .pdf or .svg.

    Raises:
        InputError: The ending is another, or there are too many series.
        StoreError: The file cannot be written.
    """
    save_figure(plot_laws(found), path)


def _draw_coverage(axes: Axes, figures: Figures) -> None:
    measured = [size for size in figures.sizes if size.passed is not None]
    sizes = [size.k for size in measured]
    for name, colour, values in (
        ("pass@k", BLUE, [size.passed for size in measured]),
        ("maj@k", ORANGE, [size.voted for size in measured]),
        ("worst of k", GREEN, [size.worst for size in measured]),
    ):
        shares = [share or 0.0 for share in values]
        axes.plot(sizes, shares, color=colour, marker="o", markersize=5, label=name)
    for name, style, law in (
        ("pass@k, beta-binomial", "--", [size.beta_binomial for size in figures.sizes]),
        ("pass@k, TTSPM", ":", [size.ttspm for size in figures.sizes]),
    ):
        if None not in law:
            shares = [share or 0.0 for share in law]
            axes.plot([s.k for s in figures.sizes], shares, style, color=GREY, label=name)
    axes.set_xlabel("k, samples of a problem")
    axes.set_title(f"{figures.name}, {figures.problems:,} problems", loc="left", fontsize=10)
    _finish(axes)
    _draw_shares(axes)


def _draw_cost(axes: Axes, figures: Figures) -> None:
    unit = "samples" if figures.tokens is None else "generated tokens"
    voted = [size for size in figures.sizes if size.voted is not None]
    shares = [size.voted or 0.0 for size in voted]
    axes.plot([s.cost for s in voted], shares, color=ORANGE, marker="o", markersize=5, label="vote")
    if figures.splits:
        (grid, *_), each = figures.splits, figures.tokens or 1.0
        for verdicts in sorted({split.verdicts for split in grid.splits} - {0}):
            row = [split for split in grid.splits if split.verdicts == verdicts]
            axes.plot(
                [split.cost * each for split in row],
                [split.accuracy for split in row],
                marker="^",
                markersize=5,
                alpha=0.8,
                label=f"{verdicts} verdicts on each",
            )
    axes.set_xlabel(f"{unit} per problem")
    _finish(axes)
    _draw_shares(axes)


def _draw_cost_of_pass(axes: Axes, figures: Figures) -> None:
    unit = "samples" if figures.tokens is None else "generated tokens"
    right = [size for size in figures.sizes if size.cost_of_pass is not None]
    costs = [size.cost_of_pass or 0.0 for size in right]
    axes.plot([s.k for s in right], costs, color=RED, marker="o", markersize=5, label="vote")
    axes.set_xlabel("k, samples that vote")
    axes.set_ylabel(f"{unit} per right answer")
    axes.set_yscale("log", base=2)
    axes.yaxis.set_major_formatter(FuncFormatter(_tick))
    _finish(axes)


def _tick(value: float, _: float | None = None) -> str:
    return f"{value:,.0f}" if value >= 10 else f"{value:g}"


def _draw_shares(axes: Axes) -> None:
    axes.set_ylabel("share of problems")
    axes.yaxis.set_major_formatter(PercentFormatter(xmax=1, decimals=0))
    axes.set_ylim(-0.02, 1.02)


def _finish(axes: Axes) -> None:
    axes.set_xscale("log", base=2)
    axes.xaxis.set_major_formatter(FuncFormatter(_tick))
    axes.tick_params(labelsize=9)
    axes.grid(alpha=0.25, linewidth=0.6)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, fontsize=8.5, loc="best")
