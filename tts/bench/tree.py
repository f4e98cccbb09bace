"""Tree searches side by side: KV held, tokens, accuracy and pace, in one resumable run."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from tts.bench.tree_figures import Comparison, Outcome, Ratio, compare_searches, load_outcomes
from tts.bench.tree_run import (
    BASE,
    METHODS,
    Cell,
    CellFigures,
    Settings,
    default_methods,
    measure,
    plan_cells,
)
from tts.console import flags, output
from tts.session.runtime import DEFAULT_MODEL

_POOLED = "all"


def tree(
    problems: Annotated[int, typer.Option("--problems", min=1, help="Problems per task.")] = 50,
    widths: Annotated[
        list[int] | None,
        typer.Option(
            "--width", help="Width of the searches. Repeat it for more [default: 16, 64]."
        ),
    ] = None,
    methods: Annotated[
        list[str] | None,
        typer.Option("--method", help=f"The method: {', '.join(METHODS)}. Repeat it for more."),
    ] = None,
    tasks: Annotated[
        list[str] | None,
        typer.Option("--task", help="The task: chain or countdown [default: both]."),
    ] = None,
    verifier: Annotated[
        str, typer.Option("--scorer", help="The verifier that scores steps.")
    ] = "prm",
    model: flags.EmbeddedModelFlag = DEFAULT_MODEL,
    kv_bytes: Annotated[
        int | None,
        typer.Option(
            "--kv-bytes", help="Size of the scarce KV cache in bytes [default: 128 blocks]."
        ),
    ] = None,
    full: Annotated[bool, typer.Option("--full", help="Run 200 problems and more cells.")] = False,
    out: Annotated[Path, typer.Option("--out", help="The folder that holds the runs.")] = Path(
        "runs/bench_tree"
    ),
    as_json: flags.JsonFlag = False,
) -> None:
    """Measure tree searches side by side: KV held, tokens, accuracy, pace.

    Best-of-n draws as many samples as cost what REBASE generated. The same command again goes on
    where it was interrupted.

    Example: tts bench tree --problems 50 --width 16 --method rebase --method ets
    """
    if unknown := sorted(set(methods or ()) - set(METHODS)):
        raise typer.BadParameter(f"no method {unknown[0]!r}; there are {', '.join(METHODS)}")
    chosen = {
        width: methods or default_methods(width, full=full)
        for width in widths or ((16, 64, 256) if full else (16, 64))
    }
    plan = plan_cells(tasks or ("chain", "countdown"), chosen)
    settings = Settings(200 if full else problems, verifier, model, kv_bytes, out)
    measured = output.run_async(
        measure(plan, settings, output.print_note),
        if_interrupted="interrupted; the same command goes on",
    )
    outcomes = {cell: load_outcomes(Path(row.out)) for cell, row in measured.items()}
    compared = comparisons(plan, outcomes)
    if as_json:
        output.print_json(_to_json(model, measured, compared))
        return
    for title in dict.fromkeys((row.cell.task, row.cell.cache) for row in measured.values()):
        rows = [row for row in measured.values() if (row.cell.task, row.cell.cache) == title]
        output.print_text(f"\n{title[0]}, {title[1]} KV cache")
        output.print_table(figures_table(rows))
        if any(row.preemptions for row in rows):
            output.print_lines([preempted(rows)])
    if compared:
        output.print_text("\nhow many times less than REBASE, and points of accuracy")
        output.print_table(comparison_table(compared, measured))


def comparisons(
    plan: Sequence[Cell], outcomes: Mapping[Cell, Mapping[str, Outcome]]
) -> dict[Cell, Comparison]:
    """Set every cell against REBASE's of the same task, width and cache.

    Where a method ran on several tasks, a cell with the task "all" pools their problems.
    """
    compared = {}
    for cell in plan:
        base = replace(cell, method=BASE)
        if cell.method != BASE and base in outcomes:
            compared[cell] = compare_searches(outcomes[base], outcomes[cell])
    for pooled in dict.fromkeys(replace(cell, task=_POOLED) for cell in compared):
        parts = [cell for cell in compared if replace(cell, task=_POOLED) == pooled]
        if len(parts) > 1:
            bases = [replace(cell, method=BASE) for cell in parts]
            compared[pooled] = compare_searches(_pool(bases, outcomes), _pool(parts, outcomes))
    return compared


def figures_table(rows: Sequence[CellFigures]) -> Table:
    """Return one row per cell; what is held is that of one problem before pruning."""
    numbers = ("w", "right", "95 %", "tokens", "blocks", "peak", "KV tok", "hits", "step/s", "own")
    table = output.new_table("method", *numbers, right=numbers)
    for row in rows:
        low, high = row.interval
        output.add_row(
            table,
            row.cell.method,
            str(row.samples),
            f"{row.accuracy:.0%}",
            f"{100 * low:.0f}-{100 * high:.0f}",
            _number(row.tokens, "{:.0f}"),
            _number(row.search.kv_blocks, "{:.1f}"),
            _number(row.search.kv_blocks_peak, "{:.0f}"),
            _number(row.search.kv_node_tokens, "{:.0f}"),
            _number(row.search.cached_share, "{:.0%}"),
            _number(row.steps_per_second, "{:.0f}"),
            f"{row.loop.of_wall:.0%}",
        )
    return table


def preempted(rows: Sequence[CellFigures]) -> str:
    """Return how many running requests the engine preempted in each cell, by method and width."""
    known = [row for row in rows if row.preemptions is not None]
    parts = [f"{row.cell.method} {row.samples}: {row.preemptions}" for row in known]
    return f"preempted: {', '.join(parts)}"


def comparison_table(
    compared: Mapping[Cell, Comparison], rows: Mapping[Cell, CellFigures]
) -> Table:
    """Return one row per cell: how many times less than REBASE, and points of accuracy."""
    numbers = ("w", "KV tok", "95 %", "kept", "blocks", "right", "95 %", "time")
    table = output.new_table("method", "on", *numbers, right=numbers)
    for cell, figure in compared.items():
        shown = cell.task if cell.cache == "ample" else f"{cell.task} ({cell.cache})"
        speed = _speed_up(cell, rows)
        points = [100 * value for value in figure.accuracy]
        output.add_row(
            table,
            cell.method,
            shown,
            str(cell.width),
            _value(figure.kv_node_tokens),
            _bounds(figure.kv_node_tokens),
            _value(figure.kv_node_tokens_kept),
            _value(figure.kv_blocks),
            f"{points[0]:+.1f}",
            f"{points[1]:+.0f}..{points[2]:+.0f}",
            _number(speed, "{:.2f}"),
        )
    return table


def _speed_up(cell: Cell, rows: Mapping[Cell, CellFigures]) -> float | None:
    """Return REBASE's seconds over the cell's; None for pooled cells."""
    if cell not in rows or not rows[cell].seconds:
        return None
    return rows[replace(cell, method=BASE)].seconds / rows[cell].seconds


def _pool(
    cells: Sequence[Cell], outcomes: Mapping[Cell, Mapping[str, Outcome]]
) -> dict[str, Outcome]:
    return {
        f"{cell.task} {name}": outcome for cell in cells for name, outcome in outcomes[cell].items()
    }


def _to_json(
    model: str, rows: Mapping[Cell, CellFigures], compared: Mapping[Cell, Comparison]
) -> dict[str, Any]:
    return {
        "schema": 2,
        "model": model,
        "cells": [row.to_json() for row in rows.values()],
        "against_rebase": [
            {**asdict(cell), "speed_up": _speed_up(cell, rows), **_named(figure)}
            for cell, figure in compared.items()
        ],
    }


def _named(figure: Comparison) -> dict[str, Any]:
    """Return a comparison with its named tuples as objects."""
    return {
        "problems": figure.problems,
        "accuracy": figure.accuracy._asdict(),
        **{
            name: None if ratio is None else ratio._asdict()
            for name, ratio in (
                ("kv_node_tokens", figure.kv_node_tokens),
                ("kv_node_tokens_kept", figure.kv_node_tokens_kept),
                ("kv_tokens", figure.kv_tokens),
                ("kv_blocks", figure.kv_blocks),
                ("tokens", figure.tokens),
            )
        },
    }


def _value(ratio: Ratio | None) -> str:
    return "-" if ratio is None else f"{ratio.value:.2f}"


def _bounds(ratio: Ratio | None) -> str:
    return "-" if ratio is None else f"{ratio.low:.2f}-{ratio.high:.2f}"


def _number(value: float | None, form: str) -> str:
    return "-" if value is None else form.format(value)
