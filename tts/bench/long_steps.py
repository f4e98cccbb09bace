"""What pruning and taking turns gain where steps are long and KV blocks scarce."""

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from tts.bench.long_steps_run import SEARCHES, Case, ReplayFigures, replay
from tts.bench.tree_run import BASE, Cell, Settings, measure
from tts.console import flags, output
from tts.session.runtime import DEFAULT_MODEL


def long_steps(
    problems: Annotated[
        int, typer.Option("--problems", min=1, help="Problems that are searched.")
    ] = 50,
    trees: Annotated[
        int, typer.Option("--trees", min=1, help="Trees that are grown again, of these problems.")
    ] = 10,
    width: Annotated[int, typer.Option("--width", min=2, help="Width of the searches.")] = 64,
    task: Annotated[str, typer.Option("--task", help="The task: chain or countdown.")] = "chain",
    step_tokens: Annotated[
        int, typer.Option("--step-tokens", min=1, help="Tokens in each step.")
    ] = 64,
    blocks: Annotated[
        list[int] | None,
        typer.Option(
            "--blocks",
            min=64,
            help="KV blocks of the cache. Repeat it for more [default: 16384, 4096, 2048].",
        ),
    ] = None,
    verifier: Annotated[
        str, typer.Option("--scorer", help="The verifier that scores steps.")
    ] = "prm",
    model: flags.EmbeddedModelFlag = DEFAULT_MODEL,
    out: Annotated[Path, typer.Option("--out", help="The folder that holds the runs.")] = Path(
        "runs/bench_tree"
    ),
    as_json: flags.JsonFlag = False,
) -> None:
    """Grow recorded searches again with long steps, on KV caches in which few of them fit.

    The searches are those of `tts bench tree`, run here if they have not been. A search decides
    what to expand as it did then, but each of its steps has a given number of tokens, no two alike.
    The same command again goes on where it was interrupted.

    Example: tts bench long_steps --trees 10 --blocks 4096
    """
    cells = {name: Cell(task, name, width, "ample") for name, _ in SEARCHES.values()}
    settings = Settings(problems, verifier, model, kv_bytes=None, out=out)
    rows = output.run_async(
        measure(list(cells.values()), settings, output.print_note),
        if_interrupted="interrupted; the same command goes on",
    )
    cases = [
        Case(name, rows[cells[method]].out, size, step_tokens, min(trees, problems))
        for size in blocks or (16_384, 4_096, 2_048)
        for name, (method, _) in SEARCHES.items()
    ]
    folder = out / "long_steps"
    folder.mkdir(exist_ok=True)
    measured = output.run_async(
        replay(cases, task=task, model=model, out=folder, note=output.print_note),
        if_interrupted="interrupted; the same command goes on",
    )
    if as_json:
        shown = [{**asdict(case), **asdict(figures)} for case, figures in measured.items()]
        output.print_json({"schema": 1, "model": model, "cases": shown})
        return
    output.print_table(figures_table(measured))


def figures_table(measured: Mapping[Case, ReplayFigures]) -> Table:
    """Return one row per case; the pace is REBASE's seconds on the same cache over the case's."""
    numbers = ("cache", "held", "peak", "preempted", "prefilled", "hits", "tok/s", "pace", "own")
    table = output.new_table("method", *numbers, right=numbers)
    seconds = {case.blocks: row.seconds for case, row in measured.items() if case.method == BASE}
    for case, row in measured.items():
        values: tuple[Any, ...] = (
            f"{case.blocks:,}",
            f"{row.kv_blocks:.0f}",
            f"{row.kv_blocks_peak:.0f}",
            str(row.preemptions),
            f"{row.prefilled_tokens:,}",
            f"{row.cached_share:.0%}",
            f"{row.tokens / row.seconds:.0f}",
            f"{seconds[case.blocks] / row.seconds:.2f}",
            f"{row.loop:.0%}",
        )
        output.add_row(table, case.method, *values)
    return table
