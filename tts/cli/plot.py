"""Draw accuracy against cost, for a paper or a slide."""

from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any

import typer

from tts.cli._runs import load_runs
from tts.console import flags, output
from tts.errors import InputError
from tts.evals.compare import models_differ, voting_band
from tts.evals.report import summary_of
from tts.evals.stored_run import StoredRun
from tts.evals.units import choose_unit, parse_unit
from tts.types.figures import Unit

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command()
def plot(
    runs: flags.RunsArgument,
    out: Annotated[Path, flags.out_file("The picture: FILE.pdf, .svg (both vectors) or .png.")],
    unit: flags.UnitFlag = None,
    size: Annotated[
        str,
        typer.Option(
            "--size",
            help="Width of a panel and height of the picture, in inches: 3.3x2.4 fits a column of "
            "a paper, 6.8x3.6 a page.",
            metavar="WxH",
        ),
    ] = "6.6x4.2",
    font: Annotated[
        str, typer.Option("--font", help="A font: serif, sans-serif, or the name of one.")
    ] = "sans-serif",
    font_size: Annotated[
        float, typer.Option("--font-size", min=4, max=40, help="Size of letters, in points.")
    ] = 9.0,
    dpi: Annotated[int, typer.Option("--dpi", min=50, help="Dots per inch of a .png.")] = 160,
) -> None:
    """Draw accuracy against cost: a point for each run, with its interval.

    Lines say what a vote over fewer of a run's samples would have reached, bands their 95 %
    intervals. A preset keeps its colour from panel to panel.

    Example: tts plot runs/gsm8k-* -o figure.pdf --size 3.3x2.4 --font serif
    """
    stored = load_runs(runs)
    summaries = [summary_of(run) for run in stored]
    differ = models_differ(stored)
    chosen = (
        choose_unit([summary.cost for summary in summaries], models_differ=differ)
        if unit is None
        else parse_unit(unit)
    )
    width, height = _size(size)
    drawing: Any = import_module("tts.evals.plot")  # loads matplotlib
    look = drawing.Look(width, height, font, font_size, dpi)
    drawn = [] if chosen in drawing.PARALLEL else stored
    bands = {str(run.folder): _band(drawing, run, chosen) for run in drawn}
    drawing.save_plot(summaries, out, chosen, look=look, bands=bands)
    output.print_text(f"wrote {out}")


def _band(drawing: Any, run: StoredRun, unit: Unit) -> Sequence[Any]:
    return [drawing.Band(cost, *interval) for cost, interval in voting_band(run, unit)]


def _size(text: str) -> tuple[float, float]:
    width, _, height = text.partition("x")
    try:
        found = float(width), float(height)
    except ValueError as error:
        raise InputError(f"--size {text}: write WIDTHxHEIGHT in inches, such as 3.3x2.4") from error
    if not all(0.5 <= inches <= 100 for inches in found):
        raise InputError(f"--size {text}: each side is 0.5 to 100 inches")
    return found
