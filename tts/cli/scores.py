"""Print what the scores of runs are worth: which verifier can tell right from wrong."""

import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import typer
from rich.table import Table

from tts.cli._choices import choice_table
from tts.cli._runs import load_runs, unique_names
from tts.console import flags, output
from tts.errors import InputError
from tts.evals.compare import unfinished_note
from tts.evals.metrics import bootstrap_interval
from tts.evals.score_figures import (
    Choice,
    Progress,
    ScoredSamples,
    ScoreFigures,
    progress_of_steps,
    score_figures,
)
from tts.evals.stored_run import StoredRun
from tts.types.figures import SCHEMA

Baseline = Literal["vote", "one"]
_SHORTEST = "fewest tokens"
app = typer.Typer(add_completion=False, rich_markup_mode=None)


@dataclass(frozen=True, slots=True)
class _Measured:
    """A run's scores.

    Attributes:
        figures: By verifier; and of minus the length, which is what a verifier must beat.
        progress: By verifier of steps.
    """

    name: str
    samples: ScoredSamples
    figures: dict[str, ScoreFigures]
    progress: dict[str, list[Progress]]


@app.command()
def scores(
    runs: Annotated[
        list[Path],
        typer.Argument(help="Run folders whose samples have scores.", metavar="RUN"),
    ],
    to: Annotated[
        Baseline,
        typer.Option(
            "--to",
            help="What choices are compared with: a plain vote, or one sample, as for programs, "
            "which seldom are equal.",
        ),
    ] = "vote",
    seed: Annotated[int, typer.Option("--seed", help="Draw intervals by this seed.")] = 0,
    as_json: flags.JsonFlag = False,
) -> None:
    """Measure each verifier of runs: AUROC, calibration, weighted vote and best of all.

    Of two samples of one problem, how often does the right one score higher? That decides what
    choosing by it is worth; an AUROC over all samples also counts that it knows hard problems.
    Intervals resample problems.

    Example: tts scores runs/countdown-weighted_vote-6f1f0c8f0e
    """
    stored = load_runs(runs)
    names = unique_names(stored)
    measured = [_measure(run, name, to, seed) for run, name in zip(stored, names, strict=True)]
    if as_json:
        output.print_json({"schema": SCHEMA, "runs": [_to_json(one) for one in measured]})
        return
    for one in measured:
        _print(one, to)


def _measure(run: StoredRun, name: str, to: Baseline, seed: int) -> _Measured:
    if note := unfinished_note(run):
        output.print_note(f"note: {note}")
    records = [r for r in run.records if r.correct is not None and r.independent_samples]
    all_samples = [sample for record in records for sample in record.independent_samples]
    verifiers = sorted({name for sample in all_samples for name in sample.scores})
    if not verifiers:
        raise InputError(
            f"{run.folder}: no verifier has scored its samples; a preset that scores does, such as "
            "weighted_vote (with --reuse RUN, the samples of a run)"
        )
    samples = ScoredSamples.of_records(records)
    plain = samples.ones if to == "one" else None
    figures, progress = {}, {}
    for verifier in verifiers:
        values = np.array([s.scores.get(verifier, np.nan) for s in all_samples], np.float64)
        figures[verifier] = score_figures(samples, values, plain=plain, seed=seed)
        steps = [sample.step_scores.get(verifier) for sample in all_samples]
        if any(steps):
            progress[verifier] = progress_of_steps(samples, steps)
    if not np.isnan(samples.tokens).all():
        figures[_SHORTEST] = score_figures(samples, -samples.tokens, plain=plain, seed=seed)
    return _Measured(name, samples, figures, progress)


def _to_json(one: _Measured) -> dict[str, object]:
    return {
        "run": one.name,
        **_facts(one.samples),
        "scores": {name: _known(asdict(figures)) for name, figures in one.figures.items()},
        "progress": {
            name: [_known(asdict(row)) for row in rows] for name, rows in one.progress.items()
        },
    }


def _known(figures: dict[str, object]) -> dict[str, object]:
    """Return figures with null for those that nobody can tell, for JSON has no NaN."""
    return {
        name: None if isinstance(value, float) and math.isnan(value) else value
        for name, value in figures.items()
    }


def _facts(samples: ScoredSamples) -> dict[str, float]:
    return {
        "problems": len(samples.of_each),
        "samples": len(samples.problem),
        "pass_at_1": samples.pass_at_1,
        "pass_at_n": samples.pass_at_n,
        "vote": float(samples.votes(np.ones(len(samples.problem))).mean()),
    }


def _print(one: _Measured, to: Baseline) -> None:
    facts = _facts(one.samples)
    low, high = bootstrap_interval(one.samples.ones.tolist(), seed=0)
    output.print_text(
        f"{one.name}: {facts['problems']:,} problems, {facts['samples']:,} samples; one sample "
        f"{facts['pass_at_1']:.1%} [{low:.1%}, {high:.1%}], any {facts['pass_at_n']:.1%}, plain "
        f"vote {facts['vote']:.1%}"
    )
    output.print_table(_quality(one.figures))
    against = {"vote": "the vote", "one": "one sample"}[to]
    output.print_table(choice_table(_chosen(one.figures, to), to=against))
    if one.progress:
        output.print_table(_progress(one.progress))


def _quality(figures: dict[str, ScoreFigures]) -> Table:
    numbers = ("samples", "AUROC", "of one problem", "95 % interval", "Brier", "error")
    table: Table = output.new_table("score", *numbers, right=numbers)
    for name, of in figures.items():
        chance = (f"{of.auroc_within:.3f}", f"{of.low:.3f}-{of.high:.3f}")
        errors = (_error(of.brier), _error(of.calibration_error))
        output.add_row(table, name, f"{of.scored:,}", f"{of.auroc:.3f}", *chance, *errors)
    return table


def _error(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"


def _chosen(figures: dict[str, ScoreFigures], to: Baseline) -> Iterator[tuple[str, Choice]]:
    for name, of in figures.items():
        if to == "vote" and of.weighted_vote is not None:
            yield f"vote weighted by {name}", of.weighted_vote
        yield f"best by {name}", of.best


def _progress(progress: dict[str, list[Progress]]) -> Table:
    shares = [f"{one.share:.0%}" for one in next(iter(progress.values()))]
    table: Table = output.new_table("AUROC of one problem after steps", *shares, right=(*shares,))
    for name, rows in progress.items():
        output.add_row(table, name, *(f"{one.auroc_within:.3f}" for one in rows))
    return table
