"""Run presets on calibration problems and fit the policy that `auto` reads."""

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from tts.allocation.policy_file import LadderPart, Policy, save_policy
from tts.cli._conformal import save_conformal
from tts.cli._engine import EngineFlags, with_engine
from tts.console import flags, output
from tts.console.progress import watch
from tts.evals.calibration.calibrate import calibrate
from tts.evals.calibration.held_out import check_held_out
from tts.evals.calibration.samples import labelled_scores
from tts.evals.calibration.share import how_to_share
from tts.evals.environment import versions
from tts.evals.runner import Plan
from tts.evals.stored_run import StoredRun, load_run
from tts.evals.units import amount, parse_counted
from tts.evaluation import POOL, Scope, plan_all, run_plans
from tts.session.runtime import DEFAULT_PRESET, Runtime
from tts.storage.sealed_lines import check_place, write_json
from tts.types.figures import COUNTED
from tts.types.statement import statement_key
from tts.verifiers._calibration import fit_isotonic, fit_platt

_DRAFTING = "atts"
_SHOWN_PRICES = 7
_ENOUGH_FOR_ISOTONIC = 300  # labelled scores; fewer fit two numbers
app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command("calibrate")
@with_engine
def calibrate_command(
    benchmarks: Annotated[
        list[str],
        typer.Argument(help="Names of benchmarks, such as chain or pool.", metavar="BENCHMARK"),
    ],
    preset: Annotated[
        list[str] | None,
        typer.Option(
            "--preset",
            help="A preset's name or file. Repeat it for more; one must draw many samples.",
            metavar="NAME",
        ),
    ] = None,
    overrides: flags.SetFlag = None,
    data: flags.DataFlag = None,
    columns: flags.MapFlag = None,
    split: Annotated[
        str | None,
        typer.Option("--split", help="The part of the benchmark [default: calibration]."),
    ] = None,
    limit: flags.LimitFlag = None,
    seed: flags.SeedFlag = 0,
    unit: Annotated[
        str | None,
        typer.Option(
            "--unit",
            help=f"Count costs in one of {', '.join(COUNTED)} [default: tokens where they are "
            "counted, else calls].",
        ),
    ] = None,
    out: flags.OutFlag = Path("runs"),
    policy: Annotated[
        Path, typer.Option("--policy", help="The policy file to write.", metavar="FILE")
    ] = Path("policy.yaml"),
    conformal: Annotated[
        Path | None,
        typer.Option(
            "--conformal",
            help="Write the scores that --preset atts reads, and no policy; the draft model is "
            "named by --set draft=NAME --engine-for NAME=SPEC.",
            metavar="FILE",
        ),
    ] = None,
    *,
    engine: EngineFlags,
) -> None:
    """Fit the policy that --preset auto reads, from runs on problems kept for calibration.

    A problem of a published test set is refused, whatever file it comes from.
    Its figures are two-fold cross-validated. The same command again goes on where it was
    interrupted.

    Example: tts calibrate chain countdown --preset self_consistency --set n=32
    """
    counted = None if unit is None else parse_counted(unit)
    check_place(policy if conformal is None else conformal)
    runtime = engine.runtime()
    scope = Scope.of(data=data, map=flags.to_map(columns), limit=limit, seed=seed)
    names = tuple(dict.fromkeys(benchmarks))
    usual = DEFAULT_PRESET if conformal is None else _DRAFTING
    scope.check(names)
    plans = [
        plan
        for name in names
        for plan in plan_all(
            [name],
            list(dict.fromkeys(preset or (usual,))),
            replace(scope, split=split or ("test" if name == POOL else "calibration")),
            runtime.parts,
            overrides=overrides or (),
        )
    ]
    for plan in plans:
        if plan.benchmark != POOL:  # recorded before anybody could choose
            check_held_out(plan.problems)
    folders = output.run_async(
        _run(runtime, plans, out), if_interrupted="interrupted; the same command goes on"
    )
    stored = [load_run(folder) for folder in folders]
    if conformal is not None:
        save_conformal(stored, plans[0].preset, conformal)
        return
    keys = sorted({statement_key(problem.statement) for plan in plans for problem in plan.problems})
    fitted = calibrate(stored, unit=counted, seed=seed, provenance={"versions": versions()})
    fitted = fitted.model_copy(update={"problems": " ".join(keys)})
    save_policy(fitted, policy)
    files = _save_calibrators(stored, policy)
    _print(fitted, policy)
    for name, file in files.items():
        output.print_text(f"scores calibrated(verifier={name}, file='{file}') gives probabilities")


async def _run(runtime: Runtime, plans: Sequence[Plan], out: Path) -> list[Path]:
    async with runtime:
        summaries = await run_plans(runtime, plans=plans, out=out, watch=watch)
    return [Path(summary.out) for summary in summaries]


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
    numbers = ("price", "samples", policy.unit, "accuracy", "95 % interval")
    table: Table = output.new_table(*numbers, right=numbers)
    points = policy.prices if policy.ladder is None else policy.ladder.points
    step = max(1, len(points) // _SHOWN_PRICES)
    for point in points[::step]:
        output.add_row(
            table,
            f"{point.price:.1e}",
            f"{point.samples:.1f}",
            amount(point.cost),
            f"{point.accuracy:.1%}",
            f"[{point.low:.1%}, {point.high:.1%}]",
        )
    output.print_table(table)
    output.print_text()
    for note in policy.notes:
        output.print_text(f"note   {note}")
    if policy.ladder is not None:
        _print_choices(policy.ladder)
    output.print_text(f"policy {out}, {policy.provenance['problems']} problems by {policy.model}")
    shared = how_to_share(policy.unit)
    output.print_text(f"use    tts eval ... --preset auto --set policy={out} {shared}")


def _print_choices(ladder: LadderPart) -> None:
    """Print what other strategies did in each bin of predicted difficulty."""
    output.print_text(f"ladder samples scored by {ladder.verifier}")
    if not ladder.choices:
        return
    edges = [0.0, *ladder.edges, 1.0]
    numbers = ("chance so far", "accuracy", "at least", "samples' cost")
    table: Table = output.new_table("then", *numbers, right=numbers)
    for choice in ladder.choices:
        for i, part in enumerate(choice.bins):
            output.add_row(
                table,
                "" if i else choice.preset,
                f"{edges[i]:.2f} to {edges[i + 1]:.2f}",
                f"{part.accuracy:.1%}",
                f"{part.low:.1%}",
                f"{part.cost:.1f}",
            )
    output.print_table(table)
