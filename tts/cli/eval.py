"""Run benchmarks by presets: accuracy, tokens and seconds, with intervals."""

import hashlib
import shlex
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from itertools import islice
from pathlib import Path
from typing import Annotated, Any

import typer

from tts import plugins
from tts.api import DEFAULT_MODEL, DEFAULT_PRESET
from tts.cli import _engine
from tts.console import flags, output, tables
from tts.console.progress import ProgressView
from tts.errors import InputError, ProblemError, StoreError
from tts.evals.calibration.share import with_share
from tts.evals.run_store import GENERATIONS, load_run
from tts.evals.runner import Plan, evaluate
from tts.parts import build_part
from tts.presets.load import Preset, load_preset
from tts.types import Budget

SCHEMA = 1
app = typer.Typer(add_completion=False, rich_markup_mode=None)


@dataclass(frozen=True, slots=True)
class _Request:
    """What the user typed, checked."""

    benchmarks: tuple[str, ...]
    presets: tuple[str, ...]
    overrides: tuple[str, ...]
    data: Path | None
    split: str
    limit: int | None
    repeats: int
    seed: int
    budget: Budget | None
    run_budget: Budget | None
    out: Path
    reuse: tuple[Path, ...]
    engine: _engine.EngineOptions

    def command(self) -> str:
        """Return the command line that does the same again, or goes on with it."""
        pairs: list[tuple[str, Any]] = [("--preset", name) for name in self.presets]
        pairs += [("--set", text) for text in self.overrides]
        pairs += [("--data", self.data), ("--split", self.split), ("--limit", self.limit)]
        pairs += [("--repeat", self.repeats), ("--seed", self.seed), ("--budget", self.budget)]
        pairs += [("--run-budget", self.run_budget), ("--out", self.out)]
        pairs += [("--reuse", path) for path in self.reuse]
        hidden = {"--split": "test", "--repeat": 1, "--out": Path("runs")}
        words = ["tts", *plugins.flags(), "eval", *self.benchmarks]
        for flag, value in pairs:
            if value is not None and hidden.get(flag) != value:
                words += [flag, str(value)]
        return shlex.join([*words, *self.engine.to_arguments()])


@app.command("eval")
def evaluate_command(
    benchmarks: Annotated[
        list[str], typer.Argument(help="Names, such as chain or math500.", metavar="BENCHMARK")
    ],
    preset: Annotated[
        list[str] | None,
        typer.Option("--preset", help="A preset's name or file; may be repeated.", metavar="P"),
    ] = None,
    overrides: flags.SetFlag = None,
    data: flags.DataFlag = None,
    split: Annotated[str, typer.Option("--split", help="Part of the benchmark.")] = "test",
    limit: flags.LimitFlag = None,
    repeat: Annotated[
        int, typer.Option("--repeat", min=1, help="Solve every problem this often.")
    ] = 1,
    seed: flags.SeedFlag = 0,
    budget: Annotated[
        str | None, typer.Option("--budget", help="Per problem: 8k (tokens), 30s, 64calls.")
    ] = None,
    run_budget: Annotated[
        str | None, typer.Option("--run-budget", help="For each run as a whole.")
    ] = None,
    out: Annotated[Path, typer.Option("--out", help="Holds the run folders.")] = Path("runs"),
    reuse: Annotated[
        list[Path] | None,
        typer.Option("--reuse", help="A run whose samples are not drawn again.", metavar="RUN"),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the figures as JSON.")] = False,
    engine: _engine.EngineFlag = "vllm",
    model: _engine.ModelFlag = DEFAULT_MODEL,
    verifier: _engine.VerifierFlag = None,
    base_url: _engine.BaseUrlFlag = None,
    pool: _engine.PoolFlag = None,
    unsafe_execution: _engine.UnsafeFlag = False,
    sparse: _engine.SparseFlag = None,
    engine_for: _engine.EngineForFlag = None,
) -> None:
    """Solve benchmarks by presets and report accuracy, tokens and seconds.

    The same command again goes on where it was interrupted.

    Example: tts eval chain --preset single --preset self_consistency --limit 100
    """
    request = _Request(
        benchmarks=tuple(dict.fromkeys(benchmarks)),
        presets=tuple(dict.fromkeys(preset or (DEFAULT_PRESET,))),
        overrides=tuple(overrides or ()),
        data=data,
        split=split,
        limit=limit,
        repeats=repeat,
        seed=seed,
        budget=None if budget is None else Budget.parse(budget),
        run_budget=None if run_budget is None else Budget.parse(run_budget),
        out=out,
        reuse=tuple(reuse or ()),
        engine=_engine.parse_engine(
            engine,
            model,
            verifiers=verifier,
            base_url=base_url,
            pool=pool,
            sparse=sparse,
            others=engine_for,
            unsafe_execution=unsafe_execution,
        ),
    )
    plans = _plans(request)
    logs = [_log_of(run) for run in request.reuse]
    summaries = output.run_async(
        _run(plans, request, logs),
        if_interrupted=f"interrupted; what was finished is kept. Go on with:\n  "
        f"{request.command()}",
    )
    picture = _save_plot(summaries, request.out)
    if as_json:
        output.print_json({"schema": SCHEMA, "runs": summaries})
    else:
        _print(summaries, request, picture)
    if not any(summary["samples"] for summary in summaries):
        raise InputError(f"no problem could be solved: {_reasons(summaries[0]) or 'no samples'}")


def _plans(request: _Request) -> list[Plan]:
    """Load everything that the run needs, before an engine is started."""
    if request.data is not None and len(request.benchmarks) > 1:
        raise InputError("--data belongs to one benchmark; name one")
    presets = [load_preset(name, request.overrides) for name in request.presets]
    return [
        plan for name in request.benchmarks for plan in _plans_of_benchmark(name, presets, request)
    ]


def _plans_of_benchmark(name: str, presets: Sequence[Preset], request: _Request) -> list[Plan]:
    own_pool = request.engine.own.pool if name == "pool" else None
    data = request.data if own_pool is None else Path(own_pool)
    benchmark = build_part("benchmark", name, {"data": data})
    problems = tuple(islice(benchmark.problems(request.split), request.limit))
    if not problems:
        raise ProblemError(f"{name}: the split {request.split!r} has no problems")
    size = len(problems) * request.repeats
    return [
        Plan(
            benchmark=name,
            problems=problems,
            grade=benchmark.grade,
            preset=with_share(preset, request.run_budget, size),
            seed=request.seed,
            repeats=request.repeats,
            budget=request.budget,
            run_budget=request.run_budget,
            options={"split": request.split, **request.engine.config},
        )
        for preset in presets
    ]


def _log_of(run: Path) -> Path:
    log = run / GENERATIONS
    if not log.is_file():
        raise StoreError(f"--reuse {run}: no run here ({GENERATIONS} is missing)")
    return log


async def _run(
    plans: Sequence[Plan], request: _Request, logs: Sequence[Path]
) -> list[dict[str, Any]]:
    pipelines = [plan.preset.pipeline for plan in plans]
    async with _engine.open_engines(request.engine, pipelines) as opened:
        for plan in plans:
            plan.check(opened.engine, opened.verifiers, opened.others)
        summaries: list[dict[str, Any]] = []
        for plan in plans:
            with ProgressView(f"{plan.benchmark} {plan.preset.name}") as view:
                summary = await evaluate(
                    plan,
                    opened.engine,
                    root=request.out,
                    verifiers=opened.verifiers,
                    engines=opened.others,
                    reuse=logs,
                    on_progress=view.show,
                )
            summaries.append(summary)
    return summaries


def _save_plot(summaries: Sequence[dict[str, Any]], out: Path) -> Path | None:
    if len({summary["preset"] for summary in summaries}) < 2:
        return None
    digest = hashlib.blake2b(digest_size=4)
    for summary in summaries:
        digest.update(summary["out"].encode())
    names = "-".join(dict.fromkeys(summary["benchmark"] for summary in summaries))
    path = out / f"{names}-accuracy-{digest.hexdigest()}.png"
    # Loads matplotlib, which one preset alone does not need.
    import_module("tts.evals.plot").save_plot(summaries, path)
    return path


def _print(summaries: Sequence[dict[str, Any]], request: _Request, picture: Path | None) -> None:
    output.print_table(tables.summary_table(summaries))
    typer.echo()
    for summary in summaries:
        if reasons := _reasons(summary):
            typer.echo(f"note: {summary['benchmark']} {summary['preset']}: {reasons}")
        typer.echo(f"run   {summary['out']}")
        if read := tables.kv_read(summary):
            typer.echo(f"KV    {read}")
    if picture is not None:
        typer.echo(f"plot  {picture}")
    own = request.engine.own
    typer.echo(f"seed  {request.seed}, {own.model} on {own.kind}")
    typer.echo(f"again {request.command()}")


def _reasons(summary: dict[str, Any]) -> str:
    """Return the most frequent reason for missing answers, with its count."""
    missing = summary["problems"] * summary["repeats"] - summary["answered"]
    if not missing:
        return ""
    records = load_run(Path(summary["out"])).records
    (reason, count), *_ = Counter(r.error for r in records if r.answer is None).most_common(1)
    return f"{missing} without an answer ({count}: {reason})"
