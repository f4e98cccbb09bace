"""One long search trace against many short samples: which is worth more at equal cost.

Source: Qin et al. 2025, "To Backtrack or Not to Backtrack", arXiv:2504.07052.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import asdict
from importlib import import_module
from itertools import islice
from pathlib import Path
from typing import Annotated

import typer

from tts.bench.crossover_figures import UNITS, Measured, compare, in_order, table_of, trace_curve
from tts.console import flags, output
from tts.engine.running import POLICY_MEMORY
from tts.engine.vllm import VLLMEngine
from tts.evals.laws.series import Series, series_of_run
from tts.evals.runner import Plan, evaluate
from tts.evals.stored_run import load_run
from tts.parts.build import build_part
from tts.presets.load import Preset, load_preset
from tts.types import Problem
from tts.types.figures import Unit

CELLS = (("countdown", 1), ("countdown", 2), ("sudoku", 1), ("sudoku", 2))
_SHORT = 64  # tokens; more than any answer that is given at once


def crossover(
    problems: Annotated[int, typer.Option("--problems", min=2, help="Problems per level.")] = 100,
    samples: Annotated[
        int, typer.Option("--samples", min=2, help="Samples of the model that answers at once.")
    ] = 64,
    tokens: Annotated[
        int, typer.Option("--tokens", min=32, help="Tokens after which the one trace is cut.")
    ] = 4096,
    direct: Annotated[
        str, typer.Option("--direct", help="The model that answers at once.", metavar="MODEL")
    ] = "bundled:direct",
    search: Annotated[
        str, typer.Option("--search", help="The model that writes searches.", metavar="MODEL")
    ] = "bundled:dfs",
    seed: flags.SeedFlag = 0,
    out: Annotated[Path, typer.Option("--out", help="The folder that holds the runs.")] = Path(
        "runs/bench_crossover"
    ),
    png: flags.PngFlag = None,
    as_json: flags.JsonFlag = False,
) -> None:
    """Measure one trace of a depth-first search against many samples that answer at once.

    Both models have the same size and saw as many tokens of the same puzzles. The trace is greedy
    and is cut at growing lengths; of n samples either one that the rules accept counts, or their
    vote. The same command again goes on where it was interrupted.

    Example: tts bench crossover --problems 50 --png crossover.png
    """
    wide = load_preset("self_consistency", [f"n={samples}", f"sampling.max_tokens={_SHORT}"])
    deep = load_preset("single", ["sampling.temperature=0", f"sampling.max_tokens={tokens}"])
    work = _measure({"dfs": (search, deep), "direct": (direct, wide)}, problems, seed, out)
    series = output.run_async(work, if_interrupted="interrupted; the same command goes on")
    found = [
        figures_of(cell, series["direct", cell], series["dfs", cell], unit, seed=seed)
        for cell in CELLS
        for unit in UNITS
    ]
    if png is not None:
        # Loads matplotlib.
        labels = ("answers at once", "one trace, depth first")
        import_module("tts.bench.crossover_plot").save_crossover(found, png, labels)
    if as_json:
        output.print_json({"schema": 1, "seed": seed, "cells": [asdict(one) for one in found]})
        return
    output.print_table(table_of(found))
    output.print_lines(_notes(found))


Cell = tuple[str, int]


async def _measure(
    arms: Mapping[str, tuple[str, Preset]], problems: int, seed: int, out: Path
) -> dict[tuple[str, Cell], Series]:
    found = {}
    for name, (model, preset) in arms.items():
        async with AsyncExitStack() as opened:
            engine = await opened.enter_async_context(
                VLLMEngine(model, gpu_memory_utilization=POLICY_MEMORY)
            )
            for task, level in CELLS:
                benchmark = build_part("benchmark", task, {})
                plan = Plan(
                    benchmark=task,
                    problems=tuple(islice(_of_level(benchmark.problems("test"), level), problems)),
                    grade=benchmark.grade,
                    preset=preset,
                    seed=seed,
                    options={"engine": "vllm", "arm": name, "level": level},
                )
                output.print_note(f"{name}: {task}, level {level}")
                summary = await evaluate(plan, engine, root=out)
                run = load_run(Path(summary.out))
                found[name, (task, level)] = series_of_run(run, f"{name} {task} {level}")
    return found


def _of_level(problems: Iterator[Problem], level: int) -> Iterator[Problem]:
    return (problem for problem in problems if problem.metadata["level"] == level)


def figures_of(cell: Cell, direct: Series, search: Series, unit: Unit, *, seed: int) -> Measured:
    """Return the figures of one level in one unit, problems paired by their ids."""
    task, level = cell
    trace = trace_curve(in_order(search), unit)
    return compare(f"{task} {level}", direct, trace, unit, seed=seed)


def _notes(found: Sequence[Measured]) -> Iterator[str]:
    for one in found:
        if one.unit == UNITS[0]:
            best, whole = one.samples["best-of-n"], one.trace[-1]
            yield (
                f"{one.name}: one sample {best[0].accuracy:.1%} for "
                f"{best[0].cost:,.0f} tokens, {best[-1].size} samples {best[-1].accuracy:.1%}, "
                f"their vote {one.samples['vote'][-1].accuracy:.1%}; the trace "
                f"{whole.accuracy:.1%} for {whole.cost:,.0f}"
            )
