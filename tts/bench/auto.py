"""`auto` against fixed strategies on the bundled models: as right for fewer tokens?"""

import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import asdict
from itertools import chain, islice
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import numpy as np
import typer
from rich.table import Table

from tts.allocation.allocator import RunAllocator
from tts.allocation.evidence import AnswerModel, gather
from tts.allocation.optimal_stopping import NUM_FACTS, SIZES, StoppingRule, standing
from tts.allocation.policy_file import Policy, save_policy
from tts.allocation.pricing import PricedRule, rule_for
from tts.allocation.support import Belief
from tts.bench.auto_figures import (
    at_equal_tokens,
    at_plateau,
    auto_curve,
    fixed_curves,
    oracle_curve,
    to_mapping,
)
from tts.bench.engines import forget, open_reward
from tts.console import flags, output
from tts.console.progress import ProgressView
from tts.engine.running import POLICY_MEMORY
from tts.engine.vllm import VLLMEngine
from tts.errors import InputError
from tts.evals.calibration.calibrate import calibrate
from tts.evals.records import Record
from tts.evals.runner import Plan, evaluate
from tts.evals.stored_run import load_run, log_of, read_events
from tts.parts.build import build_part
from tts.presets.load import Preset, load_preset
from tts.protocols import Verifier
from tts.session.runtime import DEFAULT_MODEL
from tts.session.verifiers import build_verifiers
from tts.types import Answer, Budget, Grade, Problem
from tts.types.figures import Summary

TASKS = ("chain", "countdown")
SHARES = (1 / 16, 1 / 12, 1 / 8, 1 / 4, 1 / 2)  # of the tokens of all samples
_VERIFIER = "prm"
_TIMED = 4  # problems per task whose samples are timed
_MAX_TOKENS = "sampling.max_tokens=192"  # more than any solution of the two tasks


def auto(
    problems: Annotated[
        int, typer.Option("--problems", min=8, help="Problems per task, of its test split.")
    ] = 200,
    calibration: Annotated[
        int,
        typer.Option("--calibration", min=8, help="Problems per task, of its calibration split."),
    ] = 150,
    samples: Annotated[
        int, typer.Option("--samples", min=4, help="Samples per problem of the fixed strategies.")
    ] = 32,
    dearer: Annotated[
        str | None, typer.Option("--dearer", help="The preset to escalate to, such as beam_search.")
    ] = None,
    seed: Annotated[
        int, typer.Option("--seed", help="Seed of the samples, the halves and the orders.")
    ] = 0,
    model: flags.EmbeddedModelFlag = DEFAULT_MODEL,
    out: Annotated[Path, typer.Option("--out", help="The folder that holds the runs.")] = Path(
        "runs/bench_auto"
    ),
    as_json: flags.JsonFlag = False,
) -> None:
    """Measure `auto` against voting, best-of-n and the weighted vote, chain and countdown mixed.

    A policy is fitted on calibration problems. On test problems, every fixed strategy at every size
    is worked out from one run that scores all samples; then `auto` runs under hard budgets, shares
    of that run's tokens. The same command again goes on where it was interrupted.

    Example: tts bench auto --problems 200 --calibration 150 --samples 32
    """
    bench = _Bench(samples, dearer, seed, model, out)
    figures = output.run_async(
        bench.run(problems, calibration),
        if_interrupted="interrupted; the same command goes on",
    )
    if as_json:
        output.print_json({"schema": 1, "seed": seed, "model": model, **figures})
        return
    _print(figures)
    numbers = {"problems": problems, "calibration": calibration, "samples": samples, "seed": seed}
    words = [word for name, number in numbers.items() for word in (f"--{name}", str(number))]
    words += [] if dearer is None else ["--dearer", dearer]
    words += [] if model == DEFAULT_MODEL else ["--model", model]
    output.print_again("tts", "bench", "auto", *words, "--out", out)


class _Engines(NamedTuple):
    """What all runs share; it forgets between them, so that each pays for itself."""

    engine: VLLMEngine
    rewards: Mapping[str, VLLMEngine]
    verifiers: Mapping[str, Verifier]


class _Bench:
    """All runs of the benchmark, on one engine."""

    def __init__(self, samples: int, dearer: str | None, seed: int, model: str, out: Path) -> None:
        self._samples = samples
        self._dearer = dearer
        self._seed = seed
        self._model = model
        self._out = out

    async def run(self, problems: int, calibration: int) -> dict[str, Any]:
        """Return all figures."""
        fixed = load_preset("best_of_n", [f"n={self._samples}", _MAX_TOKENS])
        dearer = [] if self._dearer is None else [load_preset(self._dearer, [_MAX_TOKENS])]
        async with AsyncExitStack() as opened:
            engine = await opened.enter_async_context(
                VLLMEngine(self._model, gpu_memory_utilization=POLICY_MEMORY)
            )
            rewards = await open_reward(_VERIFIER, opened)
            pipelines = [preset.pipeline for preset in (fixed, *dearer)]
            verifiers = build_verifiers(pipelines, rewards)
            for verifier in verifiers.values():
                opened.push_async_callback(verifier.aclose)
            on = _Engines(engine, rewards, verifiers)
            learnt = [
                await self._evaluate(preset, "calibration", calibration, on)
                for preset in (fixed, *dearer)
            ]
            policy, file = self._fit(learnt)
            whole = await self._evaluate(fixed, "test", problems, on)
            runs = [await self._auto(file, share, problems, whole, on) for share in SHARES]
            pace = await self._token_seconds(fixed, on)
        return {
            **_figures(policy, whole, runs),
            "allocator_share": decision_seconds() / pace * max(map(_decisions_per_token, runs)),
        }

    def _fit(self, summaries: Sequence[Summary]) -> tuple[Policy, Path]:
        runs = [load_run(Path(summary.out)) for summary in summaries]
        policy, file = calibrate(runs, seed=self._seed), self._out / "policy.yaml"
        save_policy(policy, file)
        return policy, file

    async def _auto(
        self,
        policy: Path,
        share: float,
        problems: int,
        whole: Summary,
        on: _Engines,
    ) -> Summary:
        """Run `auto` under a share of the tokens of the run with all samples."""
        budget = int(share * _generated(whole))
        each = budget / whole.problems
        settings = [f"policy={policy}", f"share={each:g}", f"n={self._samples}", _MAX_TOKENS]
        return await self._evaluate(
            load_preset("auto", settings),
            "test",
            problems,
            on,
            run_budget=Budget(tokens=budget),
            reuse=[log_of(Path(whole.out))],
        )

    async def _token_seconds(self, fixed: Preset, on: _Engines) -> float:
        """Return the CPU time of a generated token, its part of drawing and scoring samples."""
        with tempfile.TemporaryDirectory() as folder:
            start = time.process_time()
            timed = await self._evaluate(fixed, "calibration", _TIMED, on, root=Path(folder))
            return (time.process_time() - start) / _generated(timed)

    async def _evaluate(
        self,
        preset: Preset,
        split: str,
        number: int,
        on: _Engines,
        *,
        run_budget: Budget | None = None,
        reuse: Sequence[Path] = (),
        root: Path | None = None,
    ) -> Summary:
        plan = mixed_plan(preset, split, number, seed=self._seed, run_budget=run_budget)
        await forget(on.rewards.values())
        with ProgressView(f"{split} {preset.name} {run_budget or ''}") as view:
            return await evaluate(
                plan,
                on.engine,
                root=root or self._out,
                verifiers=on.verifiers,
                reuse=reuse,
                on_progress=view.show,
            )


def mixed_plan(
    preset: Preset, split: str, number: int, *, seed: int = 0, run_budget: Budget | None = None
) -> Plan:
    """Return the first `number` problems of each task in turns, each graded by its own task."""
    benchmarks = [build_part("benchmark", task, {}) for task in TASKS]
    parts = [tuple(islice(benchmark.problems(split), number)) for benchmark in benchmarks]
    grades: dict[str, Callable[[Problem, Answer], Grade]] = {
        problem.id: benchmark.grade
        for benchmark, part in zip(benchmarks, parts, strict=True)
        for problem in part
    }

    def grade(problem: Problem, answer: Answer) -> Grade:
        return grades[problem.id](problem, answer)

    return Plan(
        benchmark="+".join(TASKS),
        problems=tuple(chain.from_iterable(zip(*parts, strict=False))),
        grade=grade,
        preset=preset,
        seed=seed,
        run_budget=run_budget,
        options={"engine": "vllm", "split": split},
    )


def _figures(policy: Policy, whole: Summary, runs: Sequence[Summary]) -> dict[str, Any]:
    records = _records(whole)
    fixed, oracle = fixed_curves(records, _VERIFIER), oracle_curve(records)
    auto = auto_curve([_records(run) for run in runs])
    return {
        "problems": whole.problems,
        "calibration_problems": policy.provenance["problems"],
        "curves": [
            {"name": c.name, "tokens": c.tokens, "accuracy": c.accuracy}
            for c in (*fixed, oracle, auto)
        ],
        "plateau": [to_mapping(at_plateau(curve, auto)) for curve in fixed],
        "equal_tokens": [asdict(found) for found in at_equal_tokens(fixed, auto)],
        "seconds_per_slice_of_10000": slice_seconds(10_000),
        "runs": [run.out for run in (whole, *runs)],
    }


def _records(summary: Summary) -> list[Record]:
    """Return the records of a run by problem, whatever order they ended in."""
    return sorted(load_run(Path(summary.out)).records, key=lambda record: record.id)


def _decisions_per_token(summary: Summary) -> float:
    decisions = sum(1 for _ in read_events(Path(summary.out), "allocate"))
    return decisions / _generated(summary)


def _generated(summary: Summary) -> int:
    if summary.tokens.generated is None:
        raise InputError(f"{summary.out}: the engine counted no tokens, which this bench goes by")
    return summary.tokens.generated


def decision_seconds(samples: int = 32, rounds: int = 200) -> float:
    """Return the mean CPU time of one decision about a problem with so many samples."""
    rng = np.random.default_rng(0)
    classes, scores = rng.integers(0, 8, samples).tolist(), rng.random(samples).tolist()
    model, weights = AnswerModel(), ((0.1,) * NUM_FACTS,) * (len(SIZES) - 1)
    rules = [PricedRule(float(cost), 0.1, weights) for cost in range(1, 23)]
    start = time.thread_time()
    for _ in range(rounds):
        now = standing(model, gather(classes, scores))
        StoppingRule(SIZES, rule_for(rules, 3.5, 0.5).weights).gain(0, now.facts)
    return (time.thread_time() - start) / rounds


def slice_seconds(problems: int) -> float:
    """Return the time to allocate one slice of a run's budget among problems with a probe each."""
    allocator = RunAllocator(Belief(), 100.0 * problems)
    allocator.add(problems)
    grants = allocator.next_slice(2.0 * problems)
    places = np.repeat(np.arange(problems), grants)
    classes = np.random.default_rng(0).integers(0, 4, len(places))
    start = time.perf_counter()
    allocator.observe(places, classes)
    allocator.next_slice(0.1 * problems)
    return time.perf_counter() - start


def _print(figures: Mapping[str, Any]) -> None:
    output.print_table(_curves(figures["curves"]))
    output.print_text()
    for plateau in figures["plateau"]:
        for line in _plateau_lines(plateau):
            output.print_text(line)
    for found in figures["equal_tokens"]:
        difference, low, high = found["difference"]
        output.print_text(
            f"at {found['tokens']:,.0f} tokens a problem: auto {found['accuracy']:.1%}, best fixed "
            f"({found['fixed']}) {found['fixed_accuracy']:.1%}"
        )
        output.print_text(f"  difference {difference:+.1%} [{low:+.1%}, {high:+.1%}]")
    output.print_text(
        f"decisions {figures['allocator_share']:.2%} of a run's CPU time at most; a slice for "
        f"10,000 problems {figures['seconds_per_slice_of_10000']:.3f} s"
    )


def _curves(curves: Sequence[Mapping[str, Any]]) -> Table:
    table = output.new_table("strategy", "tokens", "accuracy", right=("tokens", "accuracy"))
    for curve in curves:
        points = zip(curve["tokens"], curve["accuracy"], strict=True)
        for i, (tokens, accuracy) in enumerate(points):
            name = "" if i else curve["name"]
            output.add_row(table, name, f"{tokens:,.0f}", f"{accuracy:.1%}")
    return table


def _plateau_lines(plateau: Mapping[str, Any]) -> list[str]:
    head = (
        f"{plateau['name']} at its plateau, {plateau['num_samples']} samples: "
        f"{plateau['accuracy']:.1%} for {plateau['tokens']:,.0f} tokens a problem"
    )
    if plateau["needed"] is None:
        return [head, "  auto never gets there"]
    high = "never" if plateau["high"] is None else f"{plateau['high']:.2f}"
    low = "never" if plateau["low"] is None else f"{plateau['low']:.2f}"
    return [
        head,
        f"  auto needs {plateau['needed']:,.0f}: ratio {plateau['ratio']:.2f} [{low}, {high}]",
    ]
