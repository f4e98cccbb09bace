"""A ranking as a picture: points with their intervals."""

from pathlib import Path

from tts.errors import optional_import
from tts.evals.laws.ranking import Ranking
from tts.evals.plot import BLUE, GREY, save_figure

with optional_import("a picture"):
    from matplotlib import rc_context
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

_LONGEST = 48  # characters of a name


@rc_context({"text.parse_math": False})  # a $ in a name is a dollar sign
def plot_ranking(ranking: Ranking) -> Figure:
    """Draw a line for each system, the strongest on top."""
    entries = ranking.entries
    figure = Figure(figsize=(9.0, 1.1 + 0.24 * len(entries)), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    rows = range(len(entries), 0, -1)
    for row, entry in zip(rows, entries, strict=True):
        axes.plot([entry.place.low, entry.place.high], [row, row], color=GREY, linewidth=2)
        axes.plot([entry.place.points], [row], "o", color=BLUE, markersize=5)
    axes.set_yticks(list(rows), [entry.name[-_LONGEST:] for entry in entries], fontsize=8)
    axes.set_ylim(0.3, len(entries) + 0.7)
    axes.set_xlabel("points (400 more: ten times the strength); bars: 95 % intervals")
    axes.grid(axis="x", alpha=0.25, linewidth=0.6)
    axes.spines[["top", "right"]].set_visible(False)
    figure.suptitle(
        f"{ranking.problems:,} problems, {ranking.results:,} results",
        x=0.02,
        ha="left",
        fontsize=10,
    )
    return figure


def save_ranking(ranking: Ranking, path: Path) -> None:
    """Write the picture in the format of the file's ending: .png, .pdf or .svg.

    Raises:
        InputError: The ending is another.
        StoreError: The file cannot be written.
    """
    save_figure(plot_ranking(ranking), path)
