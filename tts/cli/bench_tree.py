"""Tree searches side by side: KV blocks, tokens, accuracy and pace, on one engine in one run.

Every cell (method, width, task) is a run of `tts eval` in a folder of its own, so that the same
command goes on where it was killed, and prints all cells once they are there. KV blocks are the
logical ones of the live leaves at every decision, shared ones counted once (`tts.runtime.tree`),
before and after the decision's pruning; the mean is over decisions, then over problems. `x` says
how much fewer distinct tokens than REBASE's a search holds before pruning (the literature's
measure; blocks of 32 hide what steps of ten tokens share, since each leaf has a partly filled one).
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import islice
from pathlib import Path
from statistics import fmean
from typing import Annotated, Any

import typer
from rich.table import Table

from tts.api import DEFAULT_MODEL, open_verifiers
from tts.catalog import load
from tts.cli import _output
from tts.engine.vllm import VLLMEngine
from tts.evals.runner import Plan, evaluate
from tts.presets import Preset, load_preset
from tts.types import Problem

LEVELS = (3, 4, 5)
COVERAGE = {16: 1.5, 64: 1.4, 256: 1.45}  # as published for ETS, by width
METHODS: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "weighted_vote": ("weighted_vote", ("n={width}",)),
    "beam_search": ("beam_search", ("width={width}", "branching=4")),
    "dvts": ("dvts", ("width={width}", "branching=4")),
    "mcts": ("mcts", ("solutions={width}", "expansions={twice}")),
    "rebase": ("rebase", ("width={width}",)),
    "rebase-async": ("rebase", ("width={width}", "barrier=false")),
    "rebase+merge": ("rebase", ("width={width}", "merge=true")),
    "ets": ("ets", ("width={width}", "coverage={coverage}")),
    "ets+merge": ("ets", ("width={width}", "coverage={coverage}", "merge=true")),
}
WIDEST = ("rebase", "rebase+merge", "ets", "ets+merge")  # those that --full runs at width 256


@dataclass(frozen=True, slots=True)
class Cell:
    """One method at one width on one task."""

    task: str
    method: str
    width: int


@dataclass(frozen=True, slots=True)
class CellFigures:
    """What came of a cell.

    Attributes:
        task: Benchmark.
        method: Name in `METHODS`.
        width: Leaves, beam width or samples.
        accuracy: Share of right answers.
        low: Lower end of its 95 % interval.
        high: Upper end.
        tokens: Generated per problem, lookahead and pruned branches included.
        kv_mean: Logical KV blocks before pruning, mean over decisions; None without a tree.
        kv_kept: The same after pruning.
        kv_peak: Most blocks of one problem, mean over problems.
        kv_tokens: Distinct tokens held before pruning, mean over decisions.
        kv_tokens_kept: The same after pruning.
        cached_share: Part of the reusable prompt tokens that the engine reused.
        steps: Tree nodes per problem.
        steps_per_second: Over the whole cell.
        seconds: Of the whole cell, all its sessions.
    """

    task: str
    method: str
    width: int
    accuracy: float
    low: float
    high: float
    tokens: float | None
    kv_mean: float | None
    kv_kept: float | None
    kv_peak: float | None
    kv_tokens: float | None
    kv_tokens_kept: float | None
    cached_share: float | None
    steps: float | None
    steps_per_second: float | None
    seconds: float


def cells(tasks: Sequence[str], widths: Sequence[int], methods: Sequence[str]) -> list[Cell]:
    """Return all cells, methods of one task and width next to each other."""
    return [
        Cell(task, method, width)
        for task in tasks
        for width in widths
        for method in methods
        if width < 256 or method in WIDEST
    ]


def cell_preset(cell: Cell, verifier: str) -> Preset:
    """Return the preset of a cell, all with the same sampling profile."""
    name, settings = METHODS[cell.method]
    values = {
        "width": cell.width,
        "twice": 2 * cell.width,
        "coverage": COVERAGE.get(cell.width, 1.5),
    }
    overrides = [setting.format(**values) for setting in settings]
    overrides += [f"verifier={verifier}", "sampling.temperature=1.0", "sampling.max_tokens=512"]
    return replace(load_preset(name, overrides), name=cell.method)


def task_problems(task: str, number: int) -> tuple[Problem, ...]:
    """Return the first problems of the hard levels of a task."""
    found = load("benchmark", task).load().problems("test")
    return tuple(islice((p for p in found if p.metadata.get("level") in LEVELS), number))


def cell_figures(cell: Cell, summary: Mapping[str, Any]) -> CellFigures:
    """Return the figures of a finished cell from its summary and its trace."""
    searches = _searches(Path(summary["out"]) / "trace.jsonl")
    reusable = sum(search["reusable_tokens"] for search in searches)
    generated = summary["tokens"]["generated"]
    steps = [search["steps"] for search in searches]
    return CellFigures(
        **asdict(cell),
        accuracy=summary["accuracy"],
        low=summary["ci95"][0],
        high=summary["ci95"][1],
        tokens=None if generated is None else generated / summary["problems"],
        kv_mean=_mean(searches, "mean_kv_blocks"),
        kv_kept=_mean(searches, "mean_kv_blocks_kept"),
        kv_peak=_mean(searches, "peak_kv_blocks"),
        kv_tokens=_mean(searches, "mean_kv_tokens"),
        kv_tokens_kept=_mean(searches, "mean_kv_tokens_kept"),
        cached_share=sum(s["cached_tokens"] for s in searches) / reusable if reusable else None,
        steps=fmean(steps) if steps else None,
        steps_per_second=sum(steps) / summary["seconds"] if steps and summary["seconds"] else None,
        seconds=summary["seconds"],
    )


def figures_table(task: str, rows: Sequence[CellFigures]) -> Table:
    """Return one row per cell of a task; KV blocks and tokens are those before pruning."""
    numbers = ("width", "right", "95 %", "tokens", "blocks", "peak", "KV tok", "x", "step/s")
    table = _output.new_table(task, *numbers, right=numbers)
    base = {row.width: row.kv_tokens for row in rows if row.method == "rebase"}
    for row in rows:
        rebase = base.get(row.width)
        _output.add_row(
            table,
            row.method,
            str(row.width),
            f"{row.accuracy:.0%}",
            f"{row.low:.0%}-{row.high:.0%}",
            _number(row.tokens, "{:.0f}"),
            _number(row.kv_mean, "{:.1f}"),
            _number(row.kv_peak, "{:.0f}"),
            _number(row.kv_tokens, "{:.0f}"),
            _number(rebase / row.kv_tokens if rebase and row.kv_tokens else None, "{:.2f}"),
            _number(row.steps_per_second, "{:.0f}"),
        )
    return table


async def measure(
    plan: Sequence[Cell],
    *,
    problems: int,
    verifier: str,
    model: str,
    kv_bytes: int | None,
    out: Path,
) -> list[CellFigures]:
    """Run all cells on one engine, or what is left of them."""
    presets = {cell: cell_preset(cell, verifier) for cell in plan}
    rows = []
    async with VLLMEngine(model, kv_cache_memory_bytes=kv_bytes) as engine:
        verifiers = await open_verifiers([preset.pipeline for preset in presets.values()])
        try:
            for cell, preset in presets.items():
                _output.print_note(f"{cell.task} {cell.method} {cell.width}")
                run = Plan(
                    benchmark=cell.task,
                    problems=task_problems(cell.task, problems),
                    grade=load("benchmark", cell.task).load().grade,
                    preset=preset,
                    options={"engine": "vllm", "kv_bytes": kv_bytes},
                )
                summary = await evaluate(run, engine, root=out, verifiers=verifiers)
                rows.append(cell_figures(cell, summary))
        finally:
            for verifier_object in verifiers.values():
                await verifier_object.aclose()
    return rows


def tree(
    problems: Annotated[int, typer.Option("--problems", min=1, help="Of each task.")] = 50,
    widths: Annotated[
        list[int] | None, typer.Option("--width", help="May be repeated; 16 and 64.")
    ] = None,
    methods: Annotated[
        list[str] | None, typer.Option("--method", help="May be repeated; all of them.")
    ] = None,
    tasks: Annotated[
        list[str] | None, typer.Option("--task", help="chain or countdown; both.")
    ] = None,
    verifier: Annotated[str, typer.Option("--verifier", help="Scores steps.")] = "prm",
    model: Annotated[str, typer.Option("--model", help="Of the embedded vLLM.")] = DEFAULT_MODEL,
    kv_bytes: Annotated[
        int | None, typer.Option("--kv-bytes", help="Size of the KV cache; the engine's choice.")
    ] = None,
    full: Annotated[bool, typer.Option("--full", help="200 problems, and width 256.")] = False,
    out: Annotated[Path, typer.Option("--out", help="Holds the runs.")] = Path("runs/bench_tree"),
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Measure tree searches side by side: KV blocks, tokens, accuracy, pace.

    The same command again goes on where it was interrupted.

    Example: tts bench tree --problems 50 --width 16 --method rebase --method ets
    """
    chosen = tuple(methods or METHODS)
    if unknown := sorted(set(chosen) - set(METHODS)):
        raise typer.BadParameter(f"no method {unknown[0]!r}; there are {', '.join(METHODS)}")
    plan = cells(
        tasks or ("chain", "countdown"), widths or ((16, 64, 256) if full else (16, 64)), chosen
    )
    work = measure(
        plan,
        problems=200 if full else problems,
        verifier=verifier,
        model=model,
        kv_bytes=kv_bytes,
        out=out,
    )
    rows = _output.run_async(work, if_interrupted="interrupted; the same command goes on")
    if as_json:
        _output.print_json({"schema": 1, "model": model, "cells": [asdict(row) for row in rows]})
    else:
        for task in dict.fromkeys(row.task for row in rows):
            _output.print_table(figures_table(task, [row for row in rows if row.task == task]))


def _searches(trace: Path) -> list[dict[str, Any]]:
    """Return the figures of the searches in a run's trace, without their trees."""
    found = []
    with trace.open(encoding="utf-8") as file:
        for line in file:
            event = json.loads(line)
            if event.get("kind") == "search":
                event.pop("tree", None)
                found.append(event)
    return found


def _mean(searches: Sequence[Mapping[str, Any]], name: str) -> float | None:
    return fmean(search[name] for search in searches) if searches else None


def _number(value: float | None, form: str) -> str:
    return "-" if value is None else form.format(value)


if __name__ == "__main__":
    typer.run(tree)
