"""Compare runs with the first one, problem by problem."""

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from tts.cli import _output, _tables
from tts.errors import InputError
from tts.evals.report import compare
from tts.evals.run_store import load_run

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command("compare")
def compare_command(
    runs: Annotated[list[Path], typer.Argument(help="Run folders.", metavar="RUN")],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Compare runs of one benchmark with the first of them.

    Differences in accuracy come with 95 % intervals of a paired bootstrap over problems.

    Example: tts compare runs/chain-single-0a1b2c3d4e runs/chain-self_consistency-5f6a7b8c9d
    """
    if len(runs) < 2:
        raise InputError("name at least two runs to compare")
    first, *others = [load_run(folder) for folder in runs]
    comparisons = [compare(first, other) for other in others]
    if as_json:
        _output.print_json({"schema": 1, "comparisons": comparisons})
        return
    typer.echo(f"against {first.folder}")
    _output.print_table(_table(comparisons))


def _table(comparisons: list[dict[str, Any]]) -> Table:
    numbers = ("problems", "before", "after", "difference", "95 % interval", "tokens")
    table = _output.new_table("run", *numbers, right=numbers)
    for comparison in comparisons:
        low, high = comparison["ci95"]
        before, after = comparison["accuracy"]
        _output.add_row(
            table,
            Path(comparison["second"]).name,
            _tables.count(comparison["problems"]),
            f"{before:.1%}",
            f"{after:.1%}",
            f"{comparison['difference']:+.1%}",
            f"[{low:+.1%}, {high:+.1%}]",
            _ratio(*comparison["tokens_per_problem"]),
        )
    return table


def _ratio(before: float | None, after: float | None) -> str:
    return f"x{after / before:.2f}" if before and after is not None else "?"
