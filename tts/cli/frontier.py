"""Find the best model, number of samples, length and KV budget for each cost."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from importlib import import_module
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from tts.allocation.efficiency import frontier
from tts.cli._runs import load_series
from tts.console import flags, output
from tts.costs.shapes import known_shape, shape_named
from tts.errors import InputError
from tts.evals.laws.frontier import (
    FIGURES,
    FRONTIER_UNITS,
    PROMPT_TOKENS,
    Point,
    points_of,
)
from tts.evals.laws.series import Series
from tts.evals.units import amount, parse_unit
from tts.types.figures import SCHEMA

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command("frontier")
def frontier_command(
    runs: Annotated[
        list[Path] | None,
        typer.Argument(help="Run folders whose presets draw a fixed number.", metavar="RUN"),
    ] = None,
    pool: flags.PoolFlag = None,
    shape: Annotated[
        list[str] | None,
        typer.Option(
            "--shape",
            help="The model behind a series, or behind all with this in their name.",
            metavar="SERIES=MODEL",
        ),
    ] = None,
    by: Annotated[
        str, typer.Option("--by", help="What counts: maj, votes, or pass, a right one among all.")
    ] = "maj",
    unit: Annotated[
        str, typer.Option("--unit", help=f"Count costs in this unit: {', '.join(FRONTIER_UNITS)}.")
    ] = "eflops",
    png: flags.PngFlag = None,
    as_json: flags.JsonFlag = False,
) -> None:
    """Print the best way to spend each budget: which model, how many samples, how long, which KV.

    In eFLOPs, which count the traffic of the KV cache, long samples cost more than they seem to.

    Example: tts frontier runs/gsm8k-* --by pass
    """
    chosen = parse_unit(unit)
    if chosen not in FRONTIER_UNITS:
        raise InputError(f"--unit {unit}: a frontier is in one of {', '.join(FRONTIER_UNITS)}")
    if by not in FIGURES:
        raise InputError(f"--by {by}: write {' or '.join(FIGURES)}")
    named = flags.to_pairs("--shape", shape, "SERIES=MODEL, such as math=Llama-3.1-8B")
    series = _shaped(load_series(runs or [], pool or []), named)
    points = [p for one in series for p in points_of(one, unit=chosen, figure=by)]
    best = frontier(points)
    if png is not None:
        # Loads matplotlib, which the table alone does not need.
        import_module("tts.evals.laws.frontier_plot").save_frontier(points, chosen, png)
    if as_json:
        rows = {"frontier": [asdict(p) for p in best], "points": [asdict(p) for p in points]}
        output.print_json({"schema": SCHEMA, "unit": chosen, "by": by, **rows})
        return
    output.print_table(_table(best, chosen))
    output.print_text(f"each is the best from its cost to the next; of {len(points):,} ways tried")
    output.print_lines(_notes(series))
    if png is not None:
        output.print_text(f"wrote {png}")


def _shaped(series: Sequence[Series], named: Mapping[str, str]) -> list[Series]:
    """Return series with the shapes that were named, that runs wrote down, or that names tell."""
    unused = dict(named)
    found = []
    for one in series:
        own = [part for part in named if part in one.name]
        for part in own:
            unused.pop(part, None)
        shape = shape_named(named[own[0]]) if own else one.shape or known_shape(one.model)
        found.append(replace(one, shape=shape))
    if unused:
        names = ", ".join(one.name for one in series)
        raise InputError(f"--shape {next(iter(unused))}: no series is called so; there are {names}")
    return found


def _table(best: Sequence[Point], unit: str) -> Table:
    numbers = (f"{unit} from", "accuracy", "samples", "cut at", "KV read")
    table = output.new_table(*numbers[:2], "series", *numbers[2:], right=numbers)
    for point in best:
        output.add_row(
            table,
            amount(point.cost),
            f"{point.accuracy:.1%}",
            point.series,
            str(point.n),
            "-" if point.length is None else f"{point.length:,}",
            "all" if point.kv_budget is None else f"{point.kv_budget:,}",
        )
    return table


def _notes(series: Sequence[Series]) -> list[str]:
    notes = []
    for one in series:
        if one.shape is not None and one.shape.name != one.model:
            notes.append(f"note: {one.name} has the shape of {one.shape.name}")
        if not any(record.usage.prompt_tokens for record in one.records):
            notes.append(f"note: {one.name}: prompts taken for {PROMPT_TOKENS} tokens")
    return notes
