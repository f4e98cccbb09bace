"""Compare runs with the first one, problem by problem."""

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from tts.cli._laws import law_lines
from tts.console import flags, output, tables
from tts.errors import InputError
from tts.evals.compare import compare
from tts.evals.run_store import load_run

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command("compare")
def compare_command(
    runs: Annotated[
        list[Path],
        typer.Argument(help="Run folders; the others are compared with the first.", metavar="RUN"),
    ],
    as_json: flags.JsonFlag = False,
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
        output.print_json({"schema": 1, "comparisons": comparisons})
        return
    typer.echo(f"against {first.folder}")
    output.print_table(_table(comparisons))
    for comparison in comparisons:
        output.print_lines(_equal_cost(comparison))
    for run in (first, *others):
        output.print_lines(law_lines(run.folder.name, run.records))


def _table(comparisons: list[dict[str, Any]]) -> Table:
    numbers = ("problems", "before", "after", "difference", "95 % interval", "tokens")
    table = output.new_table("run", *numbers, right=numbers)
    for comparison in comparisons:
        low, high = comparison["ci95"]
        before, after = comparison["accuracy"]
        output.add_row(
            table,
            Path(comparison["second"]).name,
            tables.count(comparison["problems"]),
            f"{before:.1%}",
            f"{after:.1%}",
            f"{comparison['difference']:+.1%}",
            f"[{low:+.1%}, {high:+.1%}]",
            _ratio(*comparison["tokens_per_problem"]),
        )
    return table


def _equal_cost(comparison: dict[str, Any]) -> list[str]:
    """Say what voting over the first run's samples gives at equal cost, and what else differs."""
    name, equal = Path(comparison["second"]).name, comparison["equal_cost"]
    lines = [f"note: {name}: {note}" for note in comparison["notes"]]
    if "reason" in equal:
        return [*lines, f"equal cost, {name}: {equal['reason']}"]
    (low, high), unit = equal["ci95"], equal["unit"]
    before, after = equal["accuracy"]
    lines.append(f"equal cost, {name}: at {equal['cost']:,.1f} {unit} a problem")
    lines.append(
        f"  {after:.1%} against {before:.1%} by voting over the first run's samples: "
        f"{after - before:+.1%} [{low:+.1%}, {high:+.1%}]"
    )
    if equal["ratio"] is None:
        return [*lines, f"  which never reach {after:.1%}"]
    low, high = equal["ratio_ci95"]
    same = f"{equal['cost_of_same_accuracy']:,.1f} {unit}"
    ratio = f"x{equal['ratio']:.2f} [{low:.2f}, {high:.2f}]"
    return [*lines, f"  which need {same} for {after:.1%}: {ratio}"]


def _ratio(before: float | None, after: float | None) -> str:
    return f"x{after / before:.2f}" if before and after is not None else "?"
