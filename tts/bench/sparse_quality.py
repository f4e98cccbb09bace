"""Accuracy against KV budget: dense, block top-k, oracle top-k and a local window.

Chain problems of the test split get so many sentences beside the point that their prompts fill the
context; the model then solves them while decode sees only part of what it has read. Prefill and
the first layer are dense throughout, as in the engine. Figure as in Kinetics (arXiv:2506.05333).
The methods run as masks in transformers; that the engine computes what block top-k says is a test
of its own, and how fast is `tts bench sparse`.
"""

from collections.abc import Sequence
from dataclasses import asdict
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from tts.console import flags, output
from tts.engine.model_files import folder_digest
from tts.errors import ModelError
from tts.kernels.budget import select_budget_pages
from tts.session.runtime import DEFAULT_MODEL

BUDGETS = (64, 128, 256, 512)


def sparse_quality(
    problems: Annotated[
        int, typer.Option("--problems", min=1, help="Problems of the test split, over all levels.")
    ] = 100,
    distractors: Annotated[
        int,
        typer.Option("--distractors", min=0, help="Sentences in each problem that do not matter."),
    ] = 200,
    levels: Annotated[
        list[int] | None,
        typer.Option(
            "--level",
            min=1,
            max=5,
            help="Level of the problems. Repeat it for more [default: 1, 2, 3].",
        ),
    ] = None,
    kv_tokens: Annotated[
        list[int] | None,
        typer.Option(
            "--kv-tokens",
            help="KV tokens that a decode step sees. Repeat it for more [default: 64, 128, 256, "
            "512].",
        ),
    ] = None,
    page: Annotated[int, typer.Option("--page", min=1, help="Tokens in each KV page.")] = 16,
    samples: Annotated[int, typer.Option("--samples", min=1, help="Samples per problem.")] = 4,
    temperature: Annotated[
        float, typer.Option("--temperature", min=0.01, help="Temperature of the samples.")
    ] = 0.6,
    max_tokens: Annotated[
        int, typer.Option("--max-tokens", min=1, help="Most generated tokens of each sample.")
    ] = 256,
    seed: Annotated[
        int, typer.Option("--seed", help="Seed of the wording and of the samples.")
    ] = 0,
    model: Annotated[
        str, typer.Option("--model", help="The model: a bundled name or a folder.")
    ] = DEFAULT_MODEL,
    out: Annotated[
        Path, typer.Option("--out", help="The folder that holds the cells and the figure.")
    ] = Path("runs/sparse_quality"),
    as_json: flags.JsonFlag = False,
) -> None:
    """Measure accuracy against KV budget on long chain problems.

    The same command again goes on where it was interrupted.

    Example: tts bench sparse_quality --problems 100 --distractors 200 --kv-tokens 256
    """
    chosen = tuple(kv_tokens or BUDGETS)
    for budget in chosen:
        try:
            select_budget_pages(budget, page)
        except ValueError as error:
            raise typer.BadParameter(str(error)) from error
    folder = import_module("tts.engine.build").resolve_model(model)
    if folder is None:
        raise ModelError(f"{model}: name a bundled model or a folder with its files")
    # Loads torch; `tts bench --help` does without.
    bench = import_module("tts.bench.sparse_quality_run")
    selection = import_module("tts.bench.sparse_quality_selection")
    plan = bench.QualityPlan(
        model=folder_digest(folder),
        problems=problems,
        levels=tuple(levels or (1, 2, 3)),
        distractors=distractors,
        samples=samples,
        temperature=temperature,
        max_tokens=max_tokens,
        seed=seed,
    )
    cells = [selection.KVBudget("dense")] + [
        selection.KVBudget(method, budget, page_size=page)
        for method in selection.METHODS
        if method != "dense"
        for budget in chosen
    ]
    try:
        rows = bench.measure_cells(
            plan, cells, lambda: bench.BudgetedModel(folder), out, output.print_note
        )
    except KeyboardInterrupt:
        output.print_note("\ninterrupted; the same command goes on")
        raise typer.Exit(output.INTERRUPTED) from None
    found = [asdict(row) for row in rows]
    picture = out / "accuracy.png"
    import_module("tts.bench.sparse_quality_plot").save_figure(found, picture)
    if as_json:
        output.print_json({"schema": 1, "plan": asdict(plan), "page": page, "cells": found})
    else:
        output.print_table(quality_table(found))
        output.print_text(f"plot  {picture}")


def quality_table(rows: Sequence[dict[str, Any]]) -> Table:
    """Return one line per cell; "seen" is the part of the mean context that a step sees."""
    numbers = ("budget", "seen", "accuracy", "95 %", "tokens")
    table = output.new_table("method", *numbers, right=numbers)
    context = next(row["budget"] for row in rows if row["method"] == "dense")
    for row in rows:
        output.add_row(
            table,
            row["method"],
            str(row["budget"]),
            f"{min(1.0, row['budget'] / context):.0%}",
            f"{row['accuracy']:.1%}",
            f"{row['low']:.0%}-{row['high']:.0%}",
            f"{row['generated_tokens']:.0f}",
        )
    return table
