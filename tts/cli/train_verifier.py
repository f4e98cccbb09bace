"""Train a value head on a model's own hidden states: a step verifier for any model."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.table import Table

from tts.cli._engine import EngineFlags, with_engine
from tts.console import flags, output
from tts.console.progress import watch
from tts.errors import InputError
from tts.evals.calibration.held_out import check_held_out
from tts.evals.heads import examples as learn
from tts.evals.heads.measure import Choice, Figures
from tts.evals.heads.solutions import Solution, read_solutions
from tts.evals.heads.train import Trained, train
from tts.evals.runner import Plan
from tts.evaluation import Scope, plan_all, run_plans
from tts.heads.read import check_layers, default_layers, read_all, text_ids
from tts.presets.load import load_preset
from tts.protocols import Engine
from tts.session.runtime import DEFAULT_PRESET, Runtime
from tts.types import StateSpec

Labels = Literal["grader", "agreement"]
app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command("train-verifier")
@with_engine
def train_verifier_command(
    benchmarks: Annotated[
        list[str] | None,
        typer.Argument(help="Benchmarks whose problems are sampled.", metavar="[BENCHMARK]..."),
    ] = None,
    head: Annotated[
        Path, typer.Option("-o", "--head", help="The head's folder.", metavar="FOLDER")
    ] = Path("head"),
    runs: Annotated[
        list[Path] | None,
        typer.Option(
            "--from",
            help="Learn from the samples of this recorded run of the model, instead of new ones. "
            "Repeat it for more.",
            metavar="RUN",
        ),
    ] = None,
    samples: Annotated[
        int, typer.Option("--samples", min=2, help="Samples of each problem.", metavar="N")
    ] = 16,
    layer: Annotated[
        list[int] | None,
        typer.Option(
            "--layer",
            help="A layer whose states are tried, counted from 1. Repeat it for more [default: the "
            "ones at a half, three quarters and the end].",
        ),
    ] = None,
    labels: Annotated[
        Labels,
        typer.Option(
            "--labels",
            help="What is learnt: which answers are right (grader), or, without looking at any "
            "reference, which most samples agree upon (agreement).",
        ),
    ] = "grader",
    overrides: flags.SetFlag = None,
    data: flags.DataFlag = None,
    columns: flags.MapFlag = None,
    split: Annotated[
        str, typer.Option("--split", help="The part of the benchmark.")
    ] = "calibration",
    limit: flags.LimitFlag = 300,
    seed: flags.SeedFlag = 0,
    out: flags.OutFlag = Path("runs"),
    *,
    engine: EngineFlags,
) -> None:
    """Train a value head on a model's own hidden states: a step verifier for any model.

    Samples the model on problems that no test holds, reads the hidden states at the end of every
    paragraph, and learns which solutions come out right. A quarter of the problems is held out for
    the figures that are printed. The same command again goes on where it was interrupted.

    Example: tts train-verifier chain countdown --split train -o head/
    """
    if bool(benchmarks) == bool(runs):
        raise InputError("name benchmarks to sample, or recorded runs with --from, one of the two")
    runtime = engine.runtime()
    names = list(dict.fromkeys(benchmarks or ()))
    scope = Scope.of(data=data, map=flags.to_map(columns), split=split, limit=limit, seed=seed)
    scope.check(names)
    changes = [f"n={samples}", *(overrides or ())]
    plans = plan_all(names, DEFAULT_PRESET, scope, runtime.parts, overrides=changes)
    for plan in plans:
        check_held_out(plan.problems)
    trained = output.run_async(
        _run(runtime, plans, tuple(runs or ()), tuple(layer or ()), labels, out, seed),
        if_interrupted="interrupted; the same command goes on",
    )
    trained.head.save(head)
    _print(trained, labels, head)


async def _run(
    runtime: Runtime,
    plans: Sequence[Plan],
    runs: Sequence[Path],
    layers: tuple[int, ...],
    labels: Labels,
    out: Path,
    seed: int,
) -> Trained:
    pipeline = load_preset(DEFAULT_PRESET).pipeline
    async with runtime, runtime.serving([pipeline]) as core:
        engine = core.engine
        tried = layers or default_layers(engine)
        check_layers(engine, tried)
        if plans:
            summaries = await run_plans(runtime, plans=plans, out=out, watch=watch)
            runs = [Path(summary.out) for summary in summaries]
        solutions = list(read_solutions(runs))
        for problem in {one.problem.id: one.problem for one in solutions}.values():
            check_held_out([problem])
        found = await _read(engine, solutions, StateSpec(tried))
    examples = learn.to_examples(found, by_agreement=labels == "agreement")
    benchmarks = sorted({one.benchmark for one in solutions})
    said: dict[str, object] = {
        "benchmarks": benchmarks,
        "problems": len({(one.benchmark, one.problem.id) for one in solutions}),
        "solutions": len(found),
        "labels": labels,
        "engine": engine.info.fingerprint,
    }
    info = engine.info
    return train(
        examples,
        weights=info.weights or "",
        model=info.name,
        data=said,
        seed=seed,
        note=output.print_note,
    )


async def _read(
    engine: Engine, solutions: Sequence[Solution], spec: StateSpec
) -> list[learn.Solution]:
    """Return solutions with their states; those too long for the engine's context are left out."""
    texts = [
        await text_ids(
            engine,
            one.problem,
            one.text,
            prompt_token_ids=one.prompt_token_ids,
            token_ids=one.token_ids,
        )
        for one in solutions
    ]
    output.print_note(f"reading {len(texts):,} solutions")
    states = await read_all(engine, texts, spec)
    place: dict[tuple[str, str], int] = {}
    return [
        learn.Solution(
            problem=place.setdefault((one.benchmark, one.problem.id), len(place)),
            answer_class=one.answer_class,
            is_right=one.is_right,
            states=read,
        )
        for one, read in zip(solutions, states, strict=True)
        if read is not None
    ]


def _print(trained: Trained, labels: Labels, head: Path) -> None:
    figures = trained.held_out
    if labels == "agreement":
        output.print_text(f"labels by agreement, {trained.labels_agree:.1%} as the grader's")
    output.print_text(f"head   {trained.recipe}")
    output.print_text(
        f"held out: {figures.problems} problems x {figures.samples:.0f} samples, "
        f"pass@1 {figures.pass_at_1:.1%}, pass@{figures.samples:.0f} {figures.pass_at_n:.1%}"
    )
    output.print_table(_quality(figures))
    output.print_table(_choices(figures))
    bars = ", ".join(
        f"{bar['saved']:.0%} for {bar['loss']:.1%}" for bar in trained.head.facts["bars"]
    )
    output.print_text(f"tokens saved by giving up solutions, for right ones lost: {bars}")
    if figures.weighted_vote.low <= 0:
        output.print_text(
            "note   on held-out problems it gained no more than chance may: look at the AUROC of "
            "solutions of one problem (0.5 is chance) before you trust it, above all in a tree"
        )
    output.print_text(f"use    tts eval ... --preset weighted_vote --verifier head={head}")


def _quality(figures: Figures) -> Table:
    table: Table = output.new_table("value at the end", "", right=("",))
    for name, value in (
        ("AUROC, all solutions", figures.auroc),
        ("AUROC, solutions of one problem", figures.auroc_within),
        ("  by length alone", figures.auroc_length),
        ("Brier score", figures.brier),
        ("calibration error", figures.calibration_error),
    ):
        output.add_row(table, name, "?" if value is None else f"{value:.3f}")
    return table


def _choices(figures: Figures) -> Table:
    numbers = ("accuracy", "to the vote", "95 % interval")
    table: Table = output.new_table("choice", *numbers, right=numbers)
    output.add_row(table, "plain vote", f"{figures.vote:.1%}", "", "")
    _add_choice(table, "weighted vote", figures.weighted_vote)
    _add_choice(table, "best of all", figures.best_of_n)
    return table


def _add_choice(table: Table, name: str, choice: Choice) -> None:
    interval = f"[{choice.low:+.1%}, {choice.high:+.1%}]"
    output.add_row(table, name, f"{choice.accuracy:.1%}", f"{choice.gain:+.1%}", interval)
