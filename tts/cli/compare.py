"""Compare runs with the first one, problem by problem."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from tts.cli._laws import law_lines
from tts.cli._runs import load_runs
from tts.console import flags, output, tables
from tts.errors import InputError
from tts.evals.compare import Comparison, EqualCost, compare
from tts.evals.mixed_votes import Mixed, mixed_votes
from tts.evals.units import amount, parse_unit
from tts.types.figures import SCHEMA

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command("compare")
def compare_command(
    runs: Annotated[
        list[Path],
        typer.Argument(help="Run folders; the others are compared with the first.", metavar="RUN"),
    ],
    unit: flags.UnitFlag = None,
    by: Annotated[
        str | None,
        typer.Option(
            "--by",
            help="At equal cost, choose the first run's sample that this verifier has scored "
            "highest, such as execution, instead of voting over them.",
            metavar="VERIFIER",
        ),
    ] = None,
    mix: Annotated[
        bool,
        typer.Option(
            "--mix", help="Vote over as many samples of the first run as of another, too."
        ),
    ] = False,
    as_json: flags.JsonFlag = False,
) -> None:
    """Compare runs of one benchmark with the first of them.

    Differences in accuracy come with 95 % intervals of a paired bootstrap over problems.

    Example: tts compare runs/chain-single-0a1b2c3d4e runs/chain-self_consistency-5f6a7b8c9d
    """
    asked = None if unit is None else parse_unit(unit)
    stored = load_runs(runs)
    if len(stored) < 2:
        raise InputError("name at least two runs to compare")
    first, *others = stored
    comparisons = [compare(first, other, unit=asked, by=by) for other in others]
    mixed = [
        mixed_votes(first, other, comparison.unit) if mix else []
        for other, comparison in zip(others, comparisons, strict=True)
    ]
    if as_json:
        found = [
            asdict(comparison) | ({"mixed": [asdict(vote) for vote in votes]} if mix else {})
            for comparison, votes in zip(comparisons, mixed, strict=True)
        ]
        output.print_json({"schema": SCHEMA, "comparisons": found})
        return
    output.print_text(f"against {first.folder}")
    # All are of one benchmark, whose name their folders begin with.
    prefix = f"{first.config['benchmark']}-"
    names = {str(run.folder): run.folder.name.removeprefix(prefix) for run in stored}
    output.print_table(_table(comparisons, names))
    for comparison, votes in zip(comparisons, mixed, strict=True):
        name = names[comparison.second]
        output.print_lines(_lines(name, comparison, by))
        if votes:
            output.print_text(f"votes over samples of both, {name}; differences at equal cost")
            output.print_table(_mixed(votes, comparison.unit))
    output.print_lines(law_lines((names[str(run.folder)], run.records) for run in stored))


def _table(comparisons: Sequence[Comparison], names: Mapping[str, str]) -> Table:
    numbers = ("before", "after", "difference", "95 % interval", "cost")
    table = output.new_table("run", *numbers, right=numbers)
    for comparison in comparisons:
        before, after = comparison.accuracy
        difference, low, high = comparison.difference
        output.add_row(
            table,
            names[comparison.second],
            f"{before:.1%}",
            f"{after:.1%}",
            f"{difference:+.1%}",
            f"[{low:+.1%}, {high:+.1%}]",
            _ratio(*comparison.cost),
        )
    return table


def _lines(name: str, comparison: Comparison, by: str | None) -> Iterator[str]:
    """Say what the runs cost, what voting over the first gives at equal cost, what else differs."""
    unit = comparison.unit
    before, after = (amount(value) for value in comparison.cost)
    yield (
        f"{name}: on {comparison.problems:,} problems that both finished; {after} {unit} a "
        f"problem, {before} before"
    )
    yield from (f"note: {name}: {note}" for note in comparison.notes)
    if comparison.equal_cost is None:
        yield f"equal cost, {name}: {comparison.reason}"
    else:
        yield from _equal_cost(name, comparison.equal_cost, unit, by)


def _equal_cost(name: str, equal: EqualCost, unit: str, by: str | None) -> Iterator[str]:
    before, after = equal.accuracy
    how = "voting over" if by is None else f"{by} choosing among"
    yield f"equal cost, {name}: at {amount(equal.cost)} {unit} a problem"
    yield (
        f"  {after:.1%} against {before:.1%} by {how} the first run's samples: "
        f"{tables.gain(equal.difference)}"
    )
    if equal.ratio is None:
        yield f"  which never reach {after:.1%}"
        return
    low, high = equal.ratio_interval
    same = f"{amount(equal.cost_of_same_accuracy)} {unit}"
    yield f"  which need {same} for {after:.1%}: x{equal.ratio:.2f} [{low:.2f}, {high:.2f}]"


def _mixed(votes: Sequence[Mixed], unit: str) -> Table:
    numbers = ("accuracy", "95 % interval", unit, "to the first's alone", "to the other's")
    table = output.new_table("samples", *numbers, right=numbers)
    for vote in votes:
        low, high = vote.interval
        gains = ("" if over is None else tables.gain(over) for over in vote.over)
        cells = (f"{vote.accuracy:.1%}", f"{low:.1%}-{high:.1%}", amount(vote.cost), *gains)
        output.add_row(table, f"{vote.each} + {vote.each}", *cells)
    return table


def _ratio(before: float | None, after: float | None) -> str:
    return f"x{after / before:.2f}" if before and after is not None else "?"
