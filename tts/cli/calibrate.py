"""Run presets on calibration problems and fit the policy that `auto` reads."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from tts.allocation.policy_file import Policy, save_policy
from tts.api import DEFAULT_MODEL
from tts.cli import _engine
from tts.console import flags, output
from tts.console.progress import ProgressView
from tts.errors import InputError, ProblemError
from tts.evals.calibration.calibrate import calibrate
from tts.evals.calibration.samples import labelled_scores
from tts.evals.environment import versions
from tts.evals.run_store import StoredRun, load_run
from tts.evals.runner import Plan, evaluate
from tts.parts import build_part
from tts.presets.load import Preset, load_preset
from tts.storage.sealed_lines import write_json
from tts.verifiers._calibration import fit_isotonic, fit_platt

_SHOWN_PRICES = 7
_ENOUGH_FOR_ISOTONIC = 300  # labelled scores; fewer fit two numbers
app = typer.Typer(add_completion=False, rich_markup_mode=None)


@dataclass(frozen=True, slots=True)
class _Part:
    """Which problems: a file in place of the download, a split, the first few; and the seed."""

    data: Path | None
    split: str | None
    limit: int | None
    seed: int


@app.command("calibrate")
def calibrate_command(
    benchmarks: Annotated[
        list[str], typer.Argument(help="Names, such as chain or pool.", metavar="BENCHMARK")
    ],
    presets: Annotated[
        str, typer.Option("--presets", help="Comma-separated; one must draw many samples.")
    ] = "self_consistency",
    out: Annotated[Path, typer.Option("--out", help="The policy file.")] = Path("policy.yaml"),
    overrides: flags.SetFlag = None,
    data: flags.DataFlag = None,
    split: Annotated[
        str | None, typer.Option("--split", help="Part of the benchmark [default: calibration].")
    ] = None,
    limit: flags.LimitFlag = None,
    seed: Annotated[int, typer.Option("--seed", help="Of samples, halves and orders.")] = 0,
    runs: Annotated[Path, typer.Option("--runs", help="Holds the run folders.")] = Path("runs"),
    engine: _engine.EngineFlag = "vllm",
    model: _engine.ModelFlag = DEFAULT_MODEL,
    verifier: _engine.VerifierFlag = None,
    base_url: _engine.BaseUrlFlag = None,
    pool: _engine.PoolFlag = None,
    sparse: _engine.SparseFlag = None,
    engine_for: _engine.EngineForFlag = None,
) -> None:
    """Fit the policy that --preset auto reads, from runs on problems kept for calibration.

    Its figures are two-fold cross-validated. The same command again goes on where it was
    interrupted.

    Example: tts calibrate chain countdown --presets self_consistency --set n=32 --out policy.yaml
    """
    options = _engine.parse_engine(
        engine,
        model,
        verifiers=verifier,
        base_url=base_url,
        pool=pool,
        sparse=sparse,
        others=engine_for,
    )
    names = [name.strip() for name in presets.split(",") if name.strip()]
    if not names:
        raise InputError("--presets names no preset")
    if data is not None and len(benchmarks) > 1:
        raise InputError("--data belongs to one benchmark; name one")
    loaded = [load_preset(name, overrides or ()) for name in dict.fromkeys(names)]
    plans = [
        plan
        for name in dict.fromkeys(benchmarks)
        for plan in _plans(name, loaded, _Part(data, split, limit, seed), options)
    ]
    folders = output.run_async(
        _run(plans, options, runs), if_interrupted="interrupted; the same command goes on"
    )
    stored = [load_run(folder) for folder in folders]
    policy = calibrate(stored, seed=seed, provenance={"versions": versions()})
    save_policy(policy, out)
    files = _save_calibrators(stored, out)
    _print(policy, out)
    for name, file in files.items():
        typer.echo(f"scores calibrated(verifier={name}, file='{file}') gives probabilities")


def _plans(
    name: str, presets: Sequence[Preset], part: _Part, options: _engine.EngineOptions
) -> list[Plan]:
    """Load the calibration problems of one benchmark."""
    pool = options.own.pool if name == "pool" else None
    data = Path(pool) if pool is not None else part.data
    split = part.split or ("test" if name == "pool" else "calibration")
    benchmark = build_part("benchmark", name, {"data": data})
    problems = tuple(islice(benchmark.problems(split), part.limit))
    if not problems:
        raise ProblemError(f"{name}: the split {split!r} has no problems")
    return [
        Plan(
            name,
            problems,
            benchmark.grade,
            preset,
            part.seed,
            options={"split": split, **options.config},
        )
        for preset in presets
    ]


async def _run(plans: Sequence[Plan], options: _engine.EngineOptions, runs: Path) -> list[Path]:
    pipelines = [plan.preset.pipeline for plan in plans]
    folders = []
    async with _engine.open_engines(options, pipelines) as opened:
        for plan in plans:
            plan.check(opened.engine, opened.verifiers, opened.others)
        for plan in plans:
            with ProgressView(f"{plan.benchmark} {plan.preset.name}") as view:
                summary: dict[str, Any] = await evaluate(
                    plan,
                    opened.engine,
                    root=runs,
                    verifiers=opened.verifiers,
                    engines=opened.others,
                    on_progress=view.show,
                )
            folders.append(Path(summary["out"]))
    return folders


def _save_calibrators(runs: Sequence[StoredRun], out: Path) -> dict[str, Path]:
    """Write a calibration of each verifier that scored samples: right and wrong ones, that is."""
    files = {}
    for name, (scores, labels) in labelled_scores(runs).items():
        if len(set(labels)) < 2:
            continue
        fit = fit_isotonic if len(scores) >= _ENOUGH_FOR_ISOTONIC else fit_platt
        short = re.sub(r"\W+", "_", name).strip("_")
        files[name] = out.with_name(f"{out.stem}.{short}.json")
        write_json(files[name], fit(scores, labels).to_mapping())
    return files


def _print(policy: Policy, out: Path) -> None:
    numbers = ("price", "samples", "tokens", "accuracy", "95 % interval")
    table: Table = output.new_table(*numbers, right=numbers)
    points = policy.prices if policy.ladder is None else policy.ladder.points
    step = max(1, len(points) // _SHOWN_PRICES)
    for point in points[::step]:
        output.add_row(
            table,
            f"{point.price:.1e}",
            f"{point.samples:.1f}",
            "?" if point.tokens is None else f"{point.tokens:,.0f}",
            f"{point.accuracy:.1%}",
            f"[{point.low:.1%}, {point.high:.1%}]",
        )
    output.print_table(table)
    typer.echo()
    for note in policy.notes:
        typer.echo(f"note   {note}")
    if policy.ladder is not None:
        then = policy.ladder.dearer
        rest = "" if then is None else f", then {then.strategy}"
        typer.echo(f"ladder samples scored by {policy.ladder.verifier}{rest}")
    typer.echo(f"policy {out}, {policy.provenance['problems']} problems by {policy.model}")
    unit = "400k" if policy.in_tokens else "2kcalls"
    typer.echo(f"use    tts eval ... --preset auto --set policy={out} --run-budget {unit}")
