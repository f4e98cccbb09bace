"""Rank runs and the models of pools by results on whichever problems they have."""

from importlib import import_module
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from tts.cli._runs import load_series
from tts.console import flags, output
from tts.evals.laws.ranking import Ranking, rank_series
from tts.types.figures import SCHEMA

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command()
def rank(
    runs: Annotated[
        list[Path] | None, typer.Argument(help="Run folders, of any benchmarks.", metavar="RUN")
    ] = None,
    pool: flags.PoolFlag = None,
    where: Annotated[
        list[str] | None,
        typer.Option(
            "--where",
            help="Use only problems whose metadata say so, such as level=5. Repeat it for more.",
            metavar="KEY=VALUE",
        ),
    ] = None,
    keep: Annotated[
        float | None,
        typer.Option(
            "--keep",
            min=0,
            max=1,
            help="Hide all but this share of the results, to see how few would do.",
        ),
    ] = None,
    seed: Annotated[
        int, typer.Option("--seed", help="Draw intervals, and what is hidden, by this seed.")
    ] = 0,
    png: flags.PngFlag = None,
    as_json: flags.JsonFlag = False,
) -> None:
    """Rank runs, and the models of pools, with 95 % intervals.

    They need not have solved the same problems: problems that two of them share hold them together.
    Points are those of Elo: 400 more is ten times the strength. Ties count by Davidson's model.

    Example: tts rank runs/chain-* runs/countdown-*
    """
    series = load_series(runs or [], pool or [], need_fair_draw=False)
    found = rank_series(series, where=flags.to_pairs("--where", where, _FORM), keep=keep, seed=seed)
    if png is not None:
        # Loads matplotlib, which the table alone does not need.
        import_module("tts.evals.laws.ranking_plot").save_ranking(found, png)
    if as_json:
        output.print_json({"schema": SCHEMA, **found.to_json()})
        return
    output.print_table(_table(found))
    output.print_text(f"{found.problems:,} problems, {found.results:,} results, seed {seed}")
    if found.agreement is not None:
        output.print_text(
            f"rank correlation (Spearman) with the ranking by all results: {found.agreement:.3f}"
        )
    if png is not None:
        output.print_text(f"wrote {png}")


_FORM = "KEY=VALUE, such as level=5"


def _table(found: Ranking) -> Table:
    numbers = ("rank", "points", "95 %", "ranks", "accuracy", "problems")
    table = output.new_table("rank", "system", *numbers[1:], right=numbers)
    for number, entry in enumerate(found.entries, start=1):
        place = entry.place
        output.add_row(
            table,
            str(number),
            entry.name,
            f"{place.points:+,.0f}",
            f"[{place.low:+,.0f}, {place.high:+,.0f}]",
            f"{place.best}-{place.worst}",
            f"{entry.accuracy:.1%}",
            f"{entry.problems:,}",
        )
    return table
