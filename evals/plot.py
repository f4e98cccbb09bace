"""Accuracy against tokens, as a picture. Importing this loads matplotlib."""

from collections.abc import Mapping, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

from tts.allocation.laws import fit_saturation, saturating_accuracy
from tts.errors import optional_import
from tts.evals.report import generated_per_problem
from tts.storage.sealed_lines import cannot_write

with optional_import("a picture"):
    from matplotlib.axes import Axes
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.ticker import FuncFormatter, PercentFormatter

# Okabe and Ito's palette: distinct to colour-blind readers too.
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
_MARKERS = "os^D"  # the next once all colours were used
_GREY = "#8a8f98"
_DPI = 160
_FIT = "saturation, fitted"
_MAX_INSIDE = 6  # names that fit beside the points


def plot_accuracy(summaries: Sequence[Mapping[str, Any]]) -> Figure:
    """Draw one panel per benchmark, one point per run, with 95 % intervals.

    Where the samples of a run allow it, its maj@k is drawn as a line: what voting would have
    reached with fewer samples, at the tokens that those would have cost; and, dotted, the
    saturating curve fitted to it (TTSPM, arXiv:2505.20522).
    """
    known = [s for s in summaries if generated_per_problem(s)]
    benchmarks = list(dict.fromkeys(s["benchmark"] for s in known))
    figure = Figure(figsize=(6.6 * max(1, len(benchmarks)), 4.2), layout="constrained")
    FigureCanvasAgg(figure)
    for place, benchmark in enumerate(benchmarks, start=1):
        panel = [s for s in known if s["benchmark"] == benchmark]
        _draw_panel(figure.add_subplot(1, len(benchmarks), place), benchmark, panel)
    return figure


def save_plot(summaries: Sequence[Mapping[str, Any]], path: Path) -> None:
    """Write the picture as PNG.

    Raises:
        StoreError: The file cannot be written.
    """
    image = render_plot(summaries)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(image)
    except OSError as error:
        raise cannot_write(path, error) from error


def render_plot(summaries: Sequence[Mapping[str, Any]]) -> bytes:
    """Return the picture as PNG."""
    image = BytesIO()
    plot_accuracy(summaries).savefig(image, format="png", dpi=_DPI)
    return image.getvalue()


def _draw_panel(axes: Axes, benchmark: str, summaries: Sequence[Mapping[str, Any]]) -> None:
    for place, summary in enumerate(summaries):
        times, colour = divmod(place, len(_COLOURS))
        _draw_point(axes, summary, _COLOURS[colour], _MARKERS[times % len(_MARKERS)])
    for place, summary in enumerate(summaries):
        _draw_curve(axes, summary, _COLOURS[place % len(_COLOURS)])
    models = ", ".join(dict.fromkeys(str(s["model"]) for s in summaries))
    first = summaries[0]
    title = f"{benchmark}, {first['problems']} problems, {models}"
    axes.set_title(title, loc="left", fontsize=10, pad=10)
    axes.set_xscale("log", base=2)
    axes.set_xlabel("generated tokens per problem")
    axes.set_ylabel("accuracy")
    axes.yaxis.set_major_formatter(PercentFormatter(xmax=1, decimals=0))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,g}"))
    axes.tick_params(labelsize=9)
    axes.margins(x=0.12, y=0.12)
    axes.set_ylim(max(0.0, axes.get_ylim()[0]), min(1.0, axes.get_ylim()[1]))
    axes.grid(alpha=0.25, linewidth=0.6)
    axes.spines[["top", "right"]].set_visible(False)
    look: dict[str, Any] = {"frameon": False, "fontsize": 8.5, "alignment": "left"}
    if len(axes.get_legend_handles_labels()[1]) > _MAX_INSIDE:
        axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), **look)
    else:
        axes.legend(loc="best", **look)
    axes.annotate(
        "bars: 95 % intervals", (1, 0), (-4, 6), "axes fraction", "offset points",
        ha="right", fontsize=8, color=_GREY,
    )  # fmt: skip


def _draw_point(axes: Axes, summary: Mapping[str, Any], colour: str, marker: str) -> None:
    accuracy, (low, high) = summary["accuracy"], summary["ci95"]
    axes.errorbar(
        [generated_per_problem(summary) or 0.0],
        [accuracy],
        yerr=[[max(0.0, accuracy - low)], [max(0.0, high - accuracy)]],
        fmt=marker,
        color=colour,
        markersize=7,
        capsize=3.5,
        elinewidth=1.6,
        alpha=0.85,
        label=summary["preset"],
        zorder=3,
    )


def _draw_curve(axes: Axes, summary: Mapping[str, Any], colour: str) -> None:
    curve = {int(k): share for k, share in summary["maj_at_k"].items()}
    if len(curve) < 2:
        return
    per_sample = summary["tokens"]["generated"] / summary["samples"]
    axes.plot(
        [k * per_sample for k in curve],
        list(curve.values()),
        color=colour,
        alpha=0.5,
        linewidth=1.4,
        marker=".",
        label=f"{summary['preset']}: maj@1 to maj@{max(curve)}",
        zorder=2,
    )
    _draw_fit(axes, curve, per_sample, colour)


def _draw_fit(axes: Axes, curve: Mapping[int, float], per_sample: float, colour: str) -> None:
    """Draw the saturating curve of maj@k (TTSPM), on to twice the samples."""
    fit = fit_saturation(list(curve), [min(1.0, share) for share in curve.values()])
    sizes = [*curve, 2 * max(curve)]
    axes.plot(
        [k * per_sample for k in sizes],
        [saturating_accuracy(fit, k) for k in sizes],
        color=colour,
        alpha=0.35,
        linewidth=1.0,
        linestyle=":",
        label=None if _FIT in axes.get_legend_handles_labels()[1] else _FIT,
        zorder=1,
    )
