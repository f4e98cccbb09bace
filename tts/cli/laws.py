"""Say what the laws of test-time scaling make of runs and pools."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from importlib import import_module
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from tts.cli._laws import judged
from tts.cli._runs import load_runs, load_series
from tts.console import flags, output
from tts.errors import InputError
from tts.evals.laws.figures import (
    SUCCESSES,
    Arise,
    Figures,
    arise_of_runs,
    figures_of,
)
from tts.evals.laws.verification import ACCEPT_AT
from tts.evals.units import amount
from tts.types.figures import SCHEMA

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command()
def laws(
    runs: Annotated[
        list[Path] | None,
        typer.Argument(help="Run folders whose presets draw a fixed number.", metavar="RUN"),
    ] = None,
    pool: flags.PoolFlag = None,
    png: flags.PngFlag = None,
    levels: Annotated[
        bool,
        typer.Option("--levels", help="The runs are rising levels of compute: print their ARISE."),
    ] = False,
    accept_at: Annotated[
        float,
        typer.Option("--accept-at", min=0, max=1, help="Score with which a verifier accepts."),
    ] = ACCEPT_AT,
    until: Annotated[
        int, typer.Option("--until", min=2, help="Right samples at which PassUntil stops.")
    ] = SUCCESSES,
    as_json: flags.JsonFlag = False,
) -> None:
    """Print and draw what the laws of test-time scaling say of samples that were drawn.

    Coverage, votes and the worst of k; where more samples stop to pay; what verifiers let through;
    what a right answer costs; solving against verifying; ARISE; PassUntil.

    Example: tts laws runs/chain-self_consistency-d40c69fa2a --png laws.png
    """
    if levels:
        if pool or png is not None:
            raise InputError("--levels compares runs by their ARISE: leave --pool and --png out")
        _print_levels(runs or [], as_json=as_json)
        return
    found = [
        figures_of(series, accept_at=accept_at, successes=until)
        for series in load_series(runs or [], pool or [])
    ]
    if png is not None:
        # Loads matplotlib, which the figures alone do not need.
        import_module("tts.evals.laws.plot").save_laws(found, png)
    if as_json:
        output.print_json({"schema": SCHEMA, "series": [asdict(figures) for figures in found]})
        return
    for figures in found:
        each = "" if figures.tokens is None else f" of {figures.tokens:,.0f} tokens"
        output.print_text(
            f"{figures.name}: {figures.problems:,} problems, {figures.samples} samples{each}"
        )
        output.print_table(_table(figures))
        output.print_lines(_lines(figures))
        output.print_text()
    if any(figures.ceilings for figures in found):
        output.print_table(_verifiers(found))
    if png is not None:
        output.print_text(f"wrote {png}")


def _table(figures: Figures) -> Table:
    unit = "samples" if figures.tokens is None else "tokens"
    numbers = ("k", "pass@k", "beta-binomial", "TTSPM", "maj@k", "worst of k", f"{unit} per right")
    table = output.new_table(*numbers, right=numbers)
    for size in figures.sizes:
        shares = (size.passed, size.beta_binomial, size.ttspm, size.voted, size.worst)
        cost = "" if size.cost_of_pass is None else amount(size.cost_of_pass)
        output.add_row(table, str(size.k), *map(_share, shares), cost)
    return table


def _lines(figures: Figures) -> Iterator[str]:
    if figures.laws is not None:
        yield from (judged(law) for law in figures.laws.held_out)
        if figures.ttspm_enough is not None:
            yield (
                f"TTSPM, fitted to all samples, would stop after {figures.ttspm_enough}; it takes "
                "all problems for equally hard, and so stops too early"
            )
    else:
        yield "no law is held to account: that takes eight samples of each problem"
    if (least := figures.cheapest) is not None:
        unit = "samples" if figures.tokens is None else "tokens"
        yield (
            f"cost of pass: a right answer is cheapest with a vote of {least.k}, "
            f"{amount(least.cost_of_pass)} {unit}"
        )
    for grid in figures.splits:
        yield (
            f"solve or verify: a verdict of {grid.verifier} takes {grid.relative_tokens:.2f} of a "
            "solution; what nothing as cheap beats:"
        )
        for split in figures.best_splits:
            yield (
                f"  {split.cost:6.1f} solutions' tokens: {split.solutions} solutions, "
                f"{split.verdicts} verdicts on each: {split.accuracy:.1%}"
            )
    if figures.arise is not None:
        yield from _arise_lines(figures.arise)
    elif figures.tokens is None:
        yield "no ARISE: tokens were not counted"
    if (until := figures.until) is not None:
        yield (
            f"PassUntil {until.successes} right ones: {until.chance:.1%} per sample from "
            f"{until.samples:.1f} samples a problem, {until.measured:.1%} from all "
            f"{figures.samples}; {until.held:.0%} of the problems' 95 % intervals hold their share"
        )


def _arise_lines(found: Arise) -> Iterator[str]:
    steps = ", ".join(
        f"{name} {accuracy:.1%} for {tokens:,.0f}"
        for name, accuracy, tokens in zip(found.levels, found.accuracy, found.tokens, strict=True)
    )
    yield f"ARISE {found.score:+.3f} ({steps} tokens)"
    yield (
        f"  its sampling rule took {found.runs:.1f} runs of a problem and level; of "
        f"{found.short:.0%} it may have wanted more than there are"
    )


def _verifiers(found: Sequence[Figures]) -> Table:
    """Return what each model's samples make of each verifier."""
    numbers = ("problems", "wrong accepted", "right accepted", "ceiling", "best n")
    table = output.new_table("samples of", "verifier", *numbers, right=numbers)
    for figures in found:
        for ceiling in figures.ceilings:
            rates = (ceiling.false_positive_rate, ceiling.recall, ceiling.accuracy)
            best = str(ceiling.best_n)
            cells = (str(ceiling.problems), *map(_share, rates), best)
            output.add_row(table, figures.name, ceiling.verifier, *cells)
    return table


def _share(value: float | None) -> str:
    return "" if value is None else f"{value:.1%}"


def _print_levels(paths: Sequence[Path], *, as_json: bool) -> None:
    if len(paths) < 2:
        raise InputError("--levels needs two runs or more, in rising order of compute")
    stored = load_runs(paths)
    found = arise_of_runs(stored, [str(run.config["preset"]) for run in stored])
    if as_json:
        output.print_json({"schema": SCHEMA, "arise": asdict(found)})
        return
    output.print_lines(_arise_lines(found))
