"""Accuracy against cost, as a picture. Importing this loads matplotlib."""

import textwrap
from collections.abc import Collection, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

from tts.errors import InputError, optional_import
from tts.evals.units import LABELS, why_unknown
from tts.storage.sealed_lines import cannot_write
from tts.types.figures import Summary, Unit

with optional_import("a picture"):
    from matplotlib import rc_context
    from matplotlib.axes import Axes
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.ticker import EngFormatter, FuncFormatter, PercentFormatter

# Okabe and Ito's palette: distinct to colour-blind readers too.
BLUE, RED, GREEN, ORANGE = "#0072B2", "#D55E00", "#009E73", "#E69F00"
COLOURS = (BLUE, RED, GREEN, "#CC79A7", ORANGE, "#56B4E9", "#000000")
_MARKERS = "os^D"  # the next once all colours were used
GREY = "#8a8f98"
_DPI = 160
_FORMATS = ("png", "pdf", "svg")
_PARALLEL: Collection[Unit] = (
    "seconds",
    "sequential",
    "joules",
)  # k samples do not cost k times one
_MAX_INSIDE = 6  # names that have room among the points
_MAX_TITLE = 2  # models that a title names; the legend names them all
_WIDTH = 84  # characters of a title; what matplotlib wraps, it measures as mathematics
_LONGEST_INSIDE = 40  # characters of such a name


@rc_context({"text.parse_math": False})  # a $ in a name is a dollar sign
def plot_accuracy(summaries: Sequence[Summary], unit: Unit = "tokens") -> Figure:
    """Draw one panel per benchmark, one point per run, with 95 % intervals.

    Where the samples of a run allow it, its maj@k is drawn as a line: what voting would have
    reached with fewer samples, at what those would have cost. Runs that are not finished have
    hollow points.

    Args:
        summaries: The runs; those whose cost is not known in this unit are named and left out.
        unit: Of the cost.

    Raises:
        InputError: No run's cost is known in this unit.
    """
    known = [summary for summary in summaries if summary.cost.of(unit)]
    if not known:
        raise InputError(
            f"none of these runs knows its cost in {unit} ({why_unknown(unit)}): choose another "
            "--unit"
        )
    benchmarks = list(dict.fromkeys(summary.benchmark for summary in known))
    figure = Figure(figsize=(6.6 * len(benchmarks), 4.2), layout="constrained")
    FigureCanvasAgg(figure)
    below = 0
    for place, benchmark in enumerate(benchmarks, start=1):
        panel = [summary for summary in known if summary.benchmark == benchmark]
        axes = figure.add_subplot(1, len(benchmarks), place)
        _draw_panel(axes, panel, unit)
        below = max(below, _draw_legend(axes))
    figure.set_figheight(4.2 + 0.22 * below)
    if missing := [summary.preset for summary in summaries if not summary.cost.of(unit)]:
        names = ", ".join(dict.fromkeys(missing))
        figure.supxlabel(f"left out, cost not known: {names}", fontsize=8, color=GREY)
    return figure


def save_plot(summaries: Sequence[Summary], path: Path, unit: Unit = "tokens") -> None:
    """Write the picture in the format of the file's ending: .png, .pdf or .svg.

    Raises:
        InputError: The ending is another, or no run's cost is known in this unit.
        StoreError: The file cannot be written.
    """
    save_figure(plot_accuracy(summaries, unit), path)


def save_figure(figure: Figure, path: Path) -> None:
    """Write a picture in the format of the file's ending: .png, .pdf or .svg.

    Raises:
        InputError: The ending is another.
        StoreError: The file cannot be written.
    """
    kind = path.suffix.removeprefix(".").lower()
    if kind not in _FORMATS:
        endings = ", ".join(f".{name}" for name in _FORMATS)
        raise InputError(f"{path}: a picture's file ends in one of {endings}")
    image = _render(figure, kind)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(image)
    except OSError as error:
        raise cannot_write(path, error) from error


def render_plot(summaries: Sequence[Summary], unit: Unit = "tokens", *, kind: str = "png") -> bytes:
    """Return the picture in a format of matplotlib's."""
    return _render(plot_accuracy(summaries, unit), kind)


def _render(figure: Figure, kind: str) -> bytes:
    image = BytesIO()
    figure.savefig(image, format=kind, dpi=_DPI)
    return image.getvalue()


def _model_name(summary: Summary) -> str:
    """Return a model as its spec says it, or the name of the folder that holds it."""
    return Path(summary.model).name if Path(summary.model).is_absolute() else summary.model


def _draw_panel(axes: Axes, summaries: Sequence[Summary], unit: Unit) -> None:
    models = list(dict.fromkeys(map(_model_name, summaries)))
    for place, summary in enumerate(summaries):
        times, colour = divmod(place, len(COLOURS))
        name = summary.preset if len(models) == 1 else f"{summary.preset}, {_model_name(summary)}"
        marker = _MARKERS[times % len(_MARKERS)]
        _draw_point(axes, summary, unit, name, COLOURS[colour], marker)
        if unit not in _PARALLEL:
            _draw_curve(axes, summary, unit, name, COLOURS[colour])
    first = summaries[0]
    shown = ", ".join(models) if len(models) <= _MAX_TITLE else f"{len(models)} models"
    title = f"{first.benchmark}, {first.problems} problems, {shown}"
    axes.set_title(textwrap.fill(title, _WIDTH), loc="left", fontsize=10, pad=10)
    axes.set_xscale("log", base=2 if unit in ("tokens", "calls", "sequential") else 10)
    axes.set_xlabel(LABELS[unit])
    axes.set_ylabel("accuracy")
    axes.yaxis.set_major_formatter(PercentFormatter(xmax=1, decimals=0))
    axes.xaxis.set_major_formatter(
        EngFormatter(sep="") if unit in ("flops", "eflops") else FuncFormatter(_tick)
    )
    axes.tick_params(labelsize=9)
    axes.margins(x=0.12, y=0.12)
    # A little beyond 0 and 1, so that points on the edge are whole.
    axes.set_ylim(max(-0.02, axes.get_ylim()[0]), min(1.02, axes.get_ylim()[1]))
    axes.grid(alpha=0.25, linewidth=0.6)
    axes.spines[["top", "right"]].set_visible(False)
    axes.annotate(
        "bars: 95 % intervals", (1, 0), (-4, 6), "axes fraction", "offset points",
        ha="right", fontsize=8, color=GREY,
    )  # fmt: skip


def _draw_legend(axes: Axes) -> int:
    """Draw the legend among the points, or below where its names are many or long.

    Returns:
        Its lines below the panel.
    """
    look: dict[str, Any] = {"frameon": False, "fontsize": 8.5, "alignment": "left"}
    names = axes.get_legend_handles_labels()[1]
    if len(names) <= _MAX_INSIDE and max(map(len, names)) <= _LONGEST_INSIDE:
        axes.legend(loc="best", **look)
        return 0
    axes.legend(loc="upper left", bbox_to_anchor=(0.0, -0.16), **look)
    return len(names)


def _draw_point(
    axes: Axes, summary: Summary, unit: Unit, name: str, colour: str, marker: str
) -> None:
    accuracy, (low, high) = summary.accuracy, summary.interval
    state = "" if summary.is_finished else f" (unfinished, {summary.done} of {summary.planned})"
    axes.errorbar(
        [summary.cost.of(unit) or 0.0],
        [accuracy],
        yerr=[[max(0.0, accuracy - low)], [max(0.0, high - accuracy)]],
        fmt=marker,
        color=colour,
        markerfacecolor=colour if summary.is_finished else "none",
        markersize=7,
        capsize=3.5,
        elinewidth=1.6,
        alpha=0.85,
        label=f"{name}{state}",
        zorder=3,
    )


def _draw_curve(axes: Axes, summary: Summary, unit: Unit, name: str, colour: str) -> None:
    curve, cost = summary.maj_at_k, summary.cost.of(unit)
    if len(curve) < 2 or cost is None:
        return
    per_sample = cost * summary.done / summary.samples
    axes.plot(
        [k * per_sample for k in curve],
        list(curve.values()),
        color=colour,
        alpha=0.5,
        linewidth=1.4,
        marker=".",
        label=f"{name}: maj@1 to maj@{max(curve)}",
        zorder=2,
    )


def _tick(value: float, _: float | None = None) -> str:
    return f"{value:,.0f}" if value >= 10 else f"{value:g}"
