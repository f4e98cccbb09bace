"""Train a value head on a model's own hidden states: a step verifier for any model."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from rich.table import Table

from tts.cli._choices import choice_table
from tts.cli._engine import EngineFlags, with_engine
from tts.console import flags, output
from tts.console.progress import ProgressView, watch
from tts.errors import InputError
from tts.evals.calibration.held_out import check_held_out
from tts.evals.heads import examples as learn
from tts.evals.heads.measure import Figures
from tts.evals.heads.recorded_states import recorded_states
from tts.evals.heads.solutions import Solution, read_solutions, taught
from tts.evals.runner import Plan
from tts.evals.score_figures import Choice
from tts.evals.stored_run import StoredRun, load_run
from tts.evaluation import Scope, plan_all, run_plans
from tts.heads.head import FILE
from tts.heads.read import check_layers, default_layers
from tts.parts.catalog import parse_verifier
from tts.presets.load import load_preset
from tts.session.runtime import DEFAULT_PRESET, Runtime
from tts.storage.sealed_lines import check_place
from tts.types import StateSpec

if TYPE_CHECKING:
    from tts.evals.heads.train import Joined, Trained

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
    teacher: Annotated[
        Path | None,
        typer.Option(
            "--teacher",
            help="A recorded run of the same benchmark, by a stronger model or a server, whose "
            "answers are taken for right; no reference is looked at.",
            metavar="RUN",
        ),
    ] = None,
    overrides: flags.SetFlag = None,
    data: flags.DataFlag = None,
    columns: flags.MapFlag = None,
    split: Annotated[
        str, typer.Option("--split", help="The part of the benchmark.")
    ] = "calibration",
    limit: Annotated[
        int | None,
        typer.Option(
            "--limit",
            min=1,
            help="Take the first so many problems of each benchmark, or of each run [default: 300 "
            "of a benchmark, all of a run].",
            metavar="N",
        ),
    ] = None,
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
    if teacher is not None and labels != "grader":
        raise InputError("labels come by agreement or from a teacher, one of the two")
    check_place(head / FILE)
    runtime = engine.runtime()
    names = list(dict.fromkeys(benchmarks or ()))
    scope = Scope.of(
        data=data, map=flags.to_map(columns), split=split, limit=limit or 300, seed=seed
    )
    scope.check(names)
    changes = [f"n={samples}", *(overrides or ())]
    plans = plan_all(names, DEFAULT_PRESET, scope, runtime.parts, overrides=changes)
    for plan in plans:
        check_held_out(plan.problems)
    if plans:
        count = sum(len(plan.problems) for plan in plans)
        learn.check_size(count, count * samples)
    labelling = _Labelling("teacher", load_run(teacher)) if teacher else _Labelling(labels)
    # What is recorded is refused before a model is loaded.
    recorded = labelling.of(runs, limit) if runs else None
    trained = output.run_async(
        _run(runtime, plans, recorded, labelling, tuple(dict.fromkeys(layer or ())), out, seed),
        if_interrupted="interrupted; the same command goes on",
    )
    trained.head.save(head)
    _print(trained, head)


@dataclass(frozen=True, slots=True)
class _Labelling:
    """How solutions are labelled: by grader, agreement, or teacher, which is a run."""

    name: str
    teacher: StoredRun | None = None

    def of(self, runs: Sequence[Path], limit: int | None = None) -> list[tuple[Solution, bool]]:
        """Return the solutions of runs that have a label, with it.

        Args:
            runs: Their folders.
            limit: Only the first so many problems of each.

        Raises:
            InputError: Nothing can be learnt of them.
            ProblemError: They are of test problems.
        """
        solutions = list(read_solutions(runs, limit=limit))
        check_held_out({_problem(one): one.problem for one in solutions}.values())
        labels: Sequence[bool | None] = [one.is_right for one in solutions]
        if self.teacher is not None:
            labels = taught(solutions, self.teacher)
        elif self.name == "agreement":
            classes = [one.answer_class for one in solutions]
            labels = learn.agreed([*map(_problem, solutions)], classes)
        pairs = [
            (s, label) for s, label in zip(solutions, labels, strict=True) if label is not None
        ]
        learn.check_labels([_problem(one) for one, _ in pairs], [label for _, label in pairs])
        return pairs


async def _run(
    runtime: Runtime,
    plans: Sequence[Plan],
    recorded: list[tuple[Solution, bool]] | None,
    labelling: _Labelling,
    layers: tuple[int, ...],
    out: Path,
    seed: int,
) -> "Trained":
    pipeline = load_preset(DEFAULT_PRESET).pipeline
    async with runtime, runtime.serving([pipeline]) as core:
        engine = core.engine
        layers = layers or default_layers(engine)
        check_layers(engine, layers)
        spec = StateSpec(layers)
        if recorded is None:
            kept = [replace(plan, states=spec) for plan in plans]
            summaries = await run_plans(runtime, plans=kept, out=out, watch=watch)
            recorded = labelling.of([Path(summary.out) for summary in summaries])
        solutions = [one for one, _ in recorded]
        with ProgressView("reading solutions") as view:
            states = await recorded_states(engine, solutions, spec, folder=out, show=view.show)
    place: dict[tuple[str, str], int] = {}
    examples = learn.to_examples(
        [
            learn.Solution(
                problem=place.setdefault(_problem(one), len(place)),
                answer_class=one.answer_class,
                is_right=one.is_right,
                label=label,
                states=read,
                scores={n: v for n, v in one.scores.items() if parse_verifier(n)[0] != "head"},
            )
            for (one, label), read in zip(recorded, states, strict=True)
            if read is not None
        ]
    )
    # Not before the engine has loaded torch in its own way: with its threads, and quietly.
    train = import_module("tts.evals.heads.train").train
    info = engine.info
    said: dict[str, object] = {
        "benchmarks": sorted({one.benchmark for one, _ in recorded}),
        "problems": len(place),
        "solutions": len(examples.label),
        "labels": labelling.name,
        "engine": info.fingerprint,
    }
    trained: Trained = train(
        examples,
        weights=info.weights or "",
        model=info.name,
        data=said,
        seed=seed,
        note=output.print_note,
    )
    return trained


def _problem(solution: Solution) -> tuple[str, str]:
    return solution.benchmark, solution.problem.id


def _print(trained: "Trained", head: Path) -> None:
    figures, labels = trained.held_out, trained.head.facts["data"]["labels"]
    if labels != "grader":
        output.print_text(f"labels by {labels}, {trained.labels_agree:.1%} as the grader's")
    output.print_text(f"head   {trained.recipe}")
    output.print_text(
        f"held out: {figures.problems} problems x {figures.samples:.0f} samples, "
        f"pass@1 {figures.pass_at_1:.1%}, pass@{figures.samples:.0f} {figures.pass_at_n:.1%}"
    )
    output.print_table(_quality(trained))
    output.print_table(_calibration(figures))
    output.print_table(choice_table(_choices(figures, trained.joined), vote=figures.vote))
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
    if trained.joined is not None:
        output.print_text(f'       or --set "verifier={_ensemble(trained.joined, head)}"')


def _ensemble(joined: "Joined", head: Path) -> str:
    members = ", ".join([*joined.verifiers, f"head(file='{head}')"])
    weights = ", ".join(f"{weight:.3g}" for weight in joined.weights)
    return (
        f"ensemble(verifiers=[{members}], mode=logit, weights=[{weights}], "
        f"offset={joined.offset:.3g})"
    )


def _quality(trained: "Trained") -> Table:
    numbers = ("all solutions", "of one problem")
    table: Table = output.new_table("AUROC of the value after", *numbers, right=numbers)
    for one in trained.progress:
        when = "the end" if one.share == 1 else f"{one.share:.0%} of the tokens"
        output.add_row(table, when, f"{one.auroc:.3f}", f"{one.auroc_within:.3f}")
    output.add_row(table, "by length alone", "", f"{trained.held_out.auroc_length:.3f}")
    return table


def _calibration(figures: Figures) -> Table:
    numbers = ("right", "solutions")
    table: Table = output.new_table("mean value at the end", *numbers, right=numbers)
    for mean, share, count in figures.calibration:
        output.add_row(table, f"{mean:.2f}", f"{share:.2f}", f"{count:,}")
    output.add_row(table, "mean distance", f"{figures.calibration_error:.3f}", "")
    output.add_row(table, "Brier score", f"{figures.brier:.3f}", "")
    return table


def _choices(figures: Figures, joined: "Joined | None") -> Iterator[tuple[str, Choice]]:
    yield "weighted vote", figures.weighted_vote
    yield "best of all", figures.best_of_n
    if joined is not None:
        names = " and ".join(parse_verifier(name)[0] for name in joined.verifiers)
        yield f"weighted vote, with {names}", joined.held_out.weighted_vote
        yield f"best of all, with {names}", joined.held_out.best_of_n
