"""One model's budget forcing and its revisions against as many tokens of its samples.

Sources: Muennighoff et al. 2025, "s1: Simple test-time scaling", arXiv:2501.19393 (budget forcing);
Snell et al. 2024, "Scaling LLM Test-Time Compute Optimally", arXiv:2408.03314 (revisions against
samples).
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib import import_module
from pathlib import Path
from typing import Annotated

import typer

from tts.bench.crossover_figures import Measured, Point, compare, runs_curve, table_of
from tts.bench.engines import load_finished, runtime_of
from tts.console import flags, output
from tts.console.progress import watch
from tts.engine.spec import EngineSpec
from tts.errors import InputError
from tts.evals.independent_samples import powers_of_two
from tts.evals.laws.series import series_of_run
from tts.evals.records import Record
from tts.evals.stored_run import StoredRun, log_of
from tts.evaluation import Scope, plan_all, run_plans
from tts.operators.force import force
from tts.presets.load import Preset, load_preset
from tts.protocols import Engine
from tts.session.runtime import DEFAULT_MODEL, Runtime
from tts.types import Budget, Sampling

LABELS = ("side by side", "one after the other")
_SHORTEST = 64  # tokens of the first limit
Runs = Mapping[int, Sequence[Record]]


def sequential(
    benchmark: Annotated[
        str, typer.Argument(help="The benchmark whose problems are solved.", metavar="BENCHMARK")
    ],
    data: flags.DataFlag = None,
    split: Annotated[
        str, typer.Option("--split", help="The part of the benchmark that is used.")
    ] = "test",
    limit: flags.LimitFlag = None,
    samples: Annotated[
        int, typer.Option("--samples", min=2, help="Samples per problem that are drawn at once.")
    ] = 16,
    revisions: Annotated[
        int, typer.Option("--revisions", min=2, help="Attempts of the longest chain of revisions.")
    ] = 8,
    tokens: Annotated[
        int, typer.Option("--tokens", min=_SHORTEST, help="Limit of a sample and of an attempt.")
    ] = 1024,
    model: flags.ModelFlag = DEFAULT_MODEL,
    engine_args: flags.EngineArgFlag = None,
    seed: flags.SeedFlag = 0,
    out: flags.OutFlag = Path("runs/bench_sequential"),
    png: flags.PngFlag = None,
    as_json: flags.JsonFlag = False,
) -> None:
    """Set what a model does one after the other against as many tokens of its samples.

    Budget forcing is one greedy attempt whose limit doubles: with a model that thinks, the thought
    is closed there, and its own end is ignored once; with any other, the answer is asked for.
    Revisions are chains of 1, 2, 4, ... attempts, decided by their vote. Every point is a run in
    a folder of its own. The same command again goes on where it was interrupted.

    Example: tts bench sequential gsm8k --model FOLDER --split calibration --limit 100
    """
    scope = Scope.of(data=data, split=split, limit=limit, seed=seed)
    runtime = runtime_of(model, engine_args)
    _refuse_recorded(runtime.parts.own)
    bench = _Bench(runtime, benchmark, scope, samples, revisions, tokens, out)
    found = output.run_async(bench.run(), if_interrupted="interrupted; the same command goes on")
    if png is not None:
        # Loads matplotlib.
        import_module("tts.bench.crossover_plot").save_crossover(found, png, LABELS)
    if as_json:
        cells = [asdict(one) for one in found]
        output.print_json({"schema": 1, "seed": seed, "model": model, "cells": cells})
        return
    output.print_table(table_of(found))
    output.print_lines(_notes(found))


def _refuse_recorded(own: EngineSpec | Engine) -> None:
    """Refuse recorded samples, before any is drawn.

    Raises:
        InputError: The engine is of that kind.
    """
    if isinstance(own, EngineSpec) and own.pool is not None:
        raise InputError(
            f"--model {own}: recorded samples answer the problem alone, and here a model goes "
            "on with what it wrote; name the model itself, or one on a server (MODEL@URL)"
        )


@dataclass(frozen=True, slots=True)
class _Bench:
    """All runs of the benchmark."""

    runtime: Runtime
    benchmark: str
    scope: Scope
    samples: int
    revisions: int
    tokens: int
    out: Path

    async def run(self) -> list[Measured]:
        """Return the figures of forcing and of revisions."""
        limit = f"sampling.max_tokens={self.tokens}"
        wide = load_preset("self_consistency", [f"n={self.samples}", limit])
        async with self.runtime:
            drawn = series_of_run(await self._solve(wide), "samples")
            async with self.runtime.serving([wide.pipeline]) as core:
                thinks = core.engine.capabilities.thoughts
            long = {
                "forcing": await self._forced(thinks=thinks),
                "revisions": await self._revised(limit),
            }
        return [
            compare(
                f"{self.benchmark} {name}", drawn, runs_curve(runs), "tokens", seed=self.scope.seed
            )
            for name, runs in long.items()
        ]

    async def _forced(self, *, thinks: bool) -> Runs:
        """Return records by limit; a limit that nobody has reached is the last."""
        shorter = [size for size in powers_of_two(self.tokens - 1) if size >= _SHORTEST]
        runs: dict[int, Sequence[Record]] = {}
        for limit in (*shorter, self.tokens):
            preset = _thinking_for(limit) if thinks else _writing_for(limit)
            runs[limit] = (await self._solve(preset)).records
            spent = (s.tokens or 0 for record in runs[limit] for s in record.samples)
            if max(spent, default=0) < limit:
                break
        return runs

    async def _revised(self, limit: str) -> Runs:
        """Return records by attempts of a chain; what a shorter one wrote is not drawn again."""
        runs: dict[int, Sequence[Record]] = {}
        logs: list[Path] = []
        for length in powers_of_two(self.revisions):
            preset = load_preset("revisions", ["chains=1", f"length={length}", limit])
            run = await self._solve(preset, logs)
            runs[length] = run.records
            logs.append(log_of(run.folder))
        return runs

    async def _solve(self, preset: Preset, logs: Sequence[Path] = ()) -> StoredRun:
        """Solve all problems by a preset.

        Raises:
            OutageError: A server left some without samples.
        """
        plans = plan_all([self.benchmark], preset, self.scope, self.runtime.parts)
        (done,) = await run_plans(self.runtime, plans=plans, out=self.out, logs=logs, watch=watch)
        return load_finished(Path(done.out))


def _thinking_for(limit: int) -> Preset:
    return load_preset("budget_forcing", [f"max_thinking={limit}"])


def _writing_for(limit: int) -> Preset:
    sampling = {"temperature": 0.0, "max_tokens": limit}
    return Preset(
        "forced_answer",
        "Write up to a limit, then answer.",
        force(),
        Sampling(temperature=0.0, max_tokens=limit),
        Budget(),
        {"sampling": sampling},
    )


def _notes(found: Sequence[Measured]) -> Iterator[str]:
    for arm, points in found[0].samples.items():
        yield f"{arm} of so many samples (tokens): {_shown(points)}"
    for one in found:
        yield f"{one.name}: {_shown(one.trace)}"


def _shown(points: Sequence[Point]) -> str:
    return ", ".join(f"{p.size}: {p.accuracy:.1%} ({p.cost:,.0f})" for p in points)
