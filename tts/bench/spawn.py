"""A model that spawns searches against its twin, which writes the same searches in turn.

Source: Pan et al. 2025, "Learning Adaptive Parallel Reasoning with Language Models",
arXiv:2504.15466.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from tts.bench.engines import runtime_of
from tts.bench.spawn_figures import Arm, Measured, arm_of, measure
from tts.console import flags, output, tables
from tts.console.progress import watch
from tts.evals.runner import Plan
from tts.evals.stored_run import load_run
from tts.evaluation import run_plans
from tts.parts.build import build_part
from tts.presets.load import load_preset
from tts.tasks import countdown

_NUMBERS = (3, 4)  # of a puzzle


def spawn(
    spawner: Annotated[str, typer.Argument(help="The model that spawns.", metavar="SPAWNER")],
    serial: Annotated[
        str, typer.Argument(help="The model that writes all of a search.", metavar="SERIAL")
    ],
    problems: Annotated[
        int, typer.Option("--problems", min=2, help="Puzzles of three numbers, and of four.")
    ] = 100,
    samples: Annotated[
        int, typer.Option("--samples", min=2, help="Attempts of each model at a puzzle.")
    ] = 8,
    tokens: Annotated[
        int, typer.Option("--tokens", min=64, help="Tokens after which a text is cut.")
    ] = 2048,
    temperature: Annotated[
        float, typer.Option("--temperature", min=0.0, help="At which both models sample.")
    ] = 1.0,
    split: Annotated[
        str, typer.Option("--split", help="The part of the puzzles that is used.")
    ] = "test",
    engine_args: flags.EngineArgFlag = None,
    seed: flags.SeedFlag = 0,
    out: Annotated[Path, typer.Option("--out", help="The folder that holds the runs.")] = Path(
        "runs/bench_spawn"
    ),
    as_json: flags.JsonFlag = False,
) -> None:
    """Measure searches that spawn children against the same searches written one after the other.

    Both models solve small countdown puzzles by the preset apr. What each solves is counted within
    a limit on the context that a text may fill, on the tokens that are drawn one after the other
    (B_seq), and at as many tokens in all; of several attempts one must be right, as the rules can
    tell. The same command again goes on where it was interrupted.

    Example: tts bench spawn lab/weights/spawn lab/weights/serial --problems 50
    """
    bench = _Bench(problems, samples, tokens, temperature, split, engine_args, seed, out)
    work = bench.run({"spawn": spawner, "serial": serial})
    found = output.run_async(work, if_interrupted="interrupted; the same command goes on")
    if as_json:
        output.print_json({"schema": 1, "seed": seed, "cells": [asdict(one) for one in found]})
        return
    for one in found:
        output.print_lines(_notes(one))
        output.print_table(_table(one))


@dataclass(frozen=True, slots=True)
class _Bench:
    """All runs of the benchmark: each model on each size of puzzles."""

    problems: int
    samples: int
    tokens: int
    temperature: float
    split: str
    engine_args: Sequence[str] | None
    seed: int
    out: Path

    async def run(self, models: Mapping[str, str]) -> list[Measured]:
        """Return the figures of each size of puzzles, by the models of the two arms."""
        arms = {name: await self._arms(name, model) for name, model in models.items()}
        return [
            measure(f"{size} numbers", *(arms[name][size] for name in models), seed=self.seed)
            for size in _NUMBERS
        ]

    async def _arms(self, name: str, model: str) -> dict[int, Arm]:
        found = {}
        async with runtime_of(model, self.engine_args) as runtime:
            plans = [self._plan(name, size) for size in _NUMBERS]
            done = await run_plans(runtime, plans=plans, out=self.out, watch=watch)
            for size, summary in zip(_NUMBERS, done, strict=True):
                found[size] = arm_of(load_run(Path(summary.out)).records)
        return found

    def _plan(self, name: str, size: int) -> Plan:
        limits = (f"sampling.max_tokens={self.tokens}", f"child_tokens={self.tokens}")
        heat = f"sampling.temperature={self.temperature:g}"
        return Plan(
            benchmark="countdown",
            problems=tuple(islice(countdown.small_problems(self.split, size), self.problems)),
            grade=build_part("benchmark", "countdown", {}).grade,
            preset=load_preset("apr", [f"n={self.samples}", heat, *limits]),
            seed=self.seed,
            options={"engine": "vllm", "arm": name, "numbers": size, "split": self.split},
        )


def _notes(found: Measured) -> Iterator[str]:
    yield f"{found.name}, {found.problems} puzzles; an attempt takes"
    for name, costs in (("spawn", found.spawn), ("serial", found.serial)):
        yield (
            f"  {name}: {costs.tokens:,.0f} tokens, {costs.sequence:,.0f} of them one after the "
            f"other, in a context of {costs.context:,.0f}"
        )
    yield (
        f"  serial x {found.ratio:.2f}: as many tokens as spawn, {found.longest:,.0f} of them one "
        "after the other; one of them is to be right"
    )


def _table(found: Measured) -> Table:
    numbers = ("at most", "n", "spawn", "serial", "as many", "less serial", "less as many")
    table = output.new_table("limit on", *numbers, right=numbers)
    for row in found.rows:
        output.add_row(
            table,
            row.limit,
            f"{row.size:,.0f}",
            str(row.n),
            *(f"{one.mean:.1%}" for one in (row.spawn, row.serial, row.equal)),
            *(tables.gain(one) for one in (row.to_serial, row.to_equal)),
        )
    return table
