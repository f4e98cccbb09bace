"""Accuracy against cost, as a picture. Importing this loads matplotlib."""

import textwrap
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any, NamedTuple

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
GREY = "#6b7078"
_FORMATS = ("png", "pdf", "svg")
# A line scales the mean cost of a sample by k, and in these k samples do not cost k times one.
PARALLEL: Collection[Unit] = ("seconds", "sequential", "joules")
_MAX_TITLE = 2  # models that a title names; the labels name them all
_LONGEST = 40  # characters of a label
_CLOSE = 0.012  # of a panel's size, within which points lie in one place


@dataclass(frozen=True, slots=True)
class Look:
    """How a picture looks.

    Attributes:
        width: Of a panel, in inches; a column of a paper is 3.3, a page 6.8.
        height: Of the picture, in inches.
        font: A font of this machine, or one of serif, sans-serif and monospace.
        font_size: In points.
        dpi: Dots per inch of a .png.
    """

    width: float = 6.6
    height: float = 4.2
    font: str = "sans-serif"
    font_size: float = 9.0
    dpi: int = 160


class Band(NamedTuple):
    """The 95 % interval of a vote over so many samples, at what those cost."""

    cost: float
    low: float
    high: float


Bands = Mapping[str, Sequence[Band]]  # by the folder of a run
_PLAIN_LOOK = Look()


def plot_accuracy(
    summaries: Sequence[Summary],
    unit: Unit = "tokens",
    *,
    look: Look = _PLAIN_LOOK,
    bands: Bands | None = None,
) -> Figure:
    """Draw one panel per benchmark, one point per run, with 95 % intervals.

    Where the samples of a run allow it, its maj@k is drawn as a line: what voting would have
    reached with fewer samples, at what those would have cost. Runs that are not finished have
    hollow points; those that lie in one place are rings around each other. A preset has the same
    colour in every panel, and its name stands beside its point; a model, where all runs are of one
    preset.

    Args:
        summaries: The runs; those whose cost is not known in this unit are named and left out.
        unit: Of the cost.
        look: Sizes and fonts.
        bands: Intervals of the lines, where they are known.

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
    by_model = _have_one_preset(summaries)
    names = sorted({_named(summary, by_model=by_model) for summary in summaries})
    settings: dict[Any, Any] = {
        "text.parse_math": False,  # a $ in a name is a dollar sign
        "font.family": look.font,
        "font.size": look.font_size,
        "pdf.fonttype": 42,  # letters stay letters, which printers of papers ask for
        "svg.fonttype": "none",
    }
    with rc_context(settings):
        figure = Figure(figsize=(look.width * len(benchmarks), look.height), layout="constrained")
        FigureCanvasAgg(figure)
        for place, benchmark in enumerate(benchmarks, start=1):
            panel = [summary for summary in known if summary.benchmark == benchmark]
            axes = figure.add_subplot(1, len(benchmarks), place)
            _draw_panel(axes, panel, unit, names, bands or {}, look, by_model=by_model)
        if missing := [s.preset for s in summaries if not s.cost.of(unit)]:
            said = ", ".join(dict.fromkeys(missing))
            small = look.font_size - 1
            figure.supxlabel(f"left out, cost not known: {said}", fontsize=small, color=GREY)
    return figure


def save_plot(
    summaries: Sequence[Summary],
    path: Path,
    unit: Unit = "tokens",
    *,
    look: Look = _PLAIN_LOOK,
    bands: Bands | None = None,
) -> None:
    """Write the picture in the format of the file's ending: .png, .pdf or .svg.

    Raises:
        InputError: The ending is another, or no run's cost is known in this unit.
        StoreError: The file cannot be written.
    """
    save_figure(plot_accuracy(summaries, unit, look=look, bands=bands), path, dpi=look.dpi)


def save_figure(figure: Figure, path: Path, *, dpi: int = _PLAIN_LOOK.dpi) -> None:
    """Write a picture in the format of the file's ending: .png, .pdf or .svg.

    Raises:
        InputError: The ending is another.
        StoreError: The file cannot be written.
    """
    kind = path.suffix.removeprefix(".").lower()
    if kind not in _FORMATS:
        endings = ", ".join(f".{name}" for name in _FORMATS)
        raise InputError(f"{path}: a picture's file ends in one of {endings}")
    image = BytesIO()
    with rc_context({"pdf.fonttype": 42, "svg.fonttype": "none"}):
        figure.savefig(image, format=kind, dpi=dpi)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(image.getvalue())
    except OSError as error:
        raise cannot_write(path, error) from error


def _have_one_preset(summaries: Sequence[Summary]) -> bool:
    """Return whether runs are of several models and of one preset."""
    presets, models = ({one.preset for one in summaries}, {one.model for one in summaries})
    return len(presets) == 1 < len(models)


def _named(summary: Summary, *, by_model: bool) -> str:
    """Return what tells a run from the others: its preset, or its model where all have one."""
    return summary.model_name if by_model else summary.preset


def _draw_panel(
    axes: Axes,
    summaries: Sequence[Summary],
    unit: Unit,
    names: Sequence[str],
    bands: Bands,
    look: Look,
    *,
    by_model: bool,
) -> None:
    models = list(dict.fromkeys(summary.model_name for summary in summaries))
    labels = []
    for summary in summaries:
        name = _named(summary, by_model=by_model)
        times, colour = divmod(names.index(name), len(COLOURS))
        if len(models) > 1 and not by_model:
            name = f"{name}, {summary.model_name}"
        style = _Style(name, COLOURS[colour], _MARKERS[times % len(_MARKERS)])
        _draw_point(axes, summary, unit, style)
        if unit not in PARALLEL:
            _draw_curve(axes, summary, unit, style, bands.get(summary.out, ()))
        labels.append((summary, style))
    first = summaries[0]
    shown = ", ".join(models) if len(models) <= _MAX_TITLE else f"{len(models)} models"
    title = f"{first.benchmark}, {first.problems} problems, {shown}"
    columns = max(20, int(look.width * 105 / look.font_size))
    axes.set_title(textwrap.fill(title, columns), loc="left", fontsize=look.font_size + 1, pad=8)
    axes.set_xscale("log", base=2 if unit in ("tokens", "calls", "sequential") else 10)
    axes.set_xlabel(LABELS[unit])
    axes.set_ylabel("accuracy")
    axes.yaxis.set_major_formatter(PercentFormatter(xmax=1, decimals=0))
    axes.xaxis.set_major_formatter(
        EngFormatter(sep="") if unit in ("flops", "eflops") else FuncFormatter(_tick)
    )
    axes.margins(x=0.08, y=0.12)
    # A little beyond 0 and 1, so that points on the edge are whole.
    axes.set_ylim(max(-0.02, axes.get_ylim()[0]), min(1.02, axes.get_ylim()[1]))
    axes.grid(alpha=0.25, linewidth=0.6)
    axes.spines[["top", "right"]].set_visible(False)
    _draw_labels(axes, labels, unit, look)
    _ring_hidden(axes)


class _Style(NamedTuple):
    """What a run is drawn with."""

    name: str
    colour: str
    marker: str


def _draw_labels(
    axes: Axes, labels: Sequence[tuple[Summary, _Style]], unit: Unit, look: Look
) -> None:
    """Write the runs' names at the right, as high as their points, apart from each other."""
    low, high = axes.get_ylim()
    gap = 1.35 * look.font_size / 72 / (0.72 * look.height)  # of the panel's height
    wanted = sorted(
        (((summary.accuracy - low) / (high - low), summary, style) for summary, style in labels),
        key=lambda label: label[0],
    )
    places: list[float] = []
    for height, _, _ in wanted:
        places.append(max(height, places[-1] + gap) if places else max(height, 0.02))
    above = max(0.0, places[-1] - 1.0)
    for i in range(len(places) - 1, -1, -1):  # down again from the top
        most = 1.0 if i == len(places) - 1 else places[i + 1] - gap
        places[i] = min(places[i], most) if above else places[i]
    for (height, summary, style), place in zip(wanted, places, strict=True):
        x = axes.transLimits.transform(
            axes.transScale.transform((summary.cost.of(unit) or 0.0, summary.accuracy))
        )[0]
        axes.annotate(
            textwrap.shorten(style.name, _LONGEST, placeholder="…"),
            (float(x), height),
            (1.02, place),
            "axes fraction",
            "axes fraction",
            va="center",
            color=style.colour,
            arrowprops={"arrowstyle": "-", "color": style.colour, "alpha": 0.35, "linewidth": 0.7},
            annotation_clip=False,
        )


def _ring_hidden(axes: Axes) -> None:
    """Make points that lie in one place rings around each other, so that none is hidden."""
    seen: list[tuple[float, float]] = []
    for container in axes.containers:
        point = container[0]
        data = (float(point.get_xdata()[0]), float(point.get_ydata()[0]))
        x, y = axes.transLimits.transform(axes.transScale.transform(data))
        below = sum(abs(x - a) < _CLOSE and abs(y - b) < _CLOSE for a, b in seen)
        if below:
            point.set_markerfacecolor("none")
            point.set_markersize(point.get_markersize() + 5 * below)
            point.set_markeredgewidth(1.8)
        seen.append((float(x), float(y)))


def _draw_point(axes: Axes, summary: Summary, unit: Unit, style: _Style) -> None:
    accuracy, (low, high) = summary.accuracy, summary.interval
    state = "" if summary.is_finished else f" (unfinished, {summary.done} of {summary.planned})"
    axes.errorbar(
        [summary.cost.of(unit) or 0.0],
        [accuracy],
        yerr=[[max(0.0, accuracy - low)], [max(0.0, high - accuracy)]],
        fmt=style.marker,
        color=style.colour,
        markerfacecolor=style.colour if summary.is_finished else "none",
        markersize=6,
        capsize=3,
        elinewidth=1.4,
        alpha=0.9,
        label=f"{style.name}{state}",
        zorder=3,
    )


def _draw_curve(
    axes: Axes, summary: Summary, unit: Unit, style: _Style, band: Sequence[Band]
) -> None:
    curve, cost = summary.maj_at_k, summary.cost.of(unit)
    if len(curve) < 2 or cost is None:
        return
    per_sample = cost * summary.done / summary.samples
    axes.plot(
        [k * per_sample for k in curve],
        list(curve.values()),
        color=style.colour,
        alpha=0.6,
        linewidth=1.3,
        marker=".",
        label=f"{style.name}: maj@1 to maj@{max(curve)}",
        zorder=2,
    )
    if band:
        axes.fill_between(
            [point.cost for point in band],
            [point.low for point in band],
            [point.high for point in band],
            color=style.colour,
            alpha=0.13,
            linewidth=0,
            label=f"{style.name}: 95 %",
        )


def _tick(value: float, _: float | None = None) -> str:
    return f"{value:,.0f}" if value >= 10 else f"{value:g}"
