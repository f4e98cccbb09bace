"""Run benchmarks by presets: accuracy, tokens and seconds, with intervals."""

import hashlib
import shlex
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any

import typer

from tts.cli._engine import EngineFlags, with_engine
from tts.console import flags, output, tables
from tts.console.progress import watch
from tts.errors import InputError, MissingExtraError
from tts.evals.run_store import load_run, log_of
from tts.evals.runner import Plan
from tts.evals.units import choose_unit
from tts.evaluation import Scope, plan_all, run_plans
from tts.parts import plugins
from tts.session.runtime import DEFAULT_PRESET, Runtime
from tts.types.figures import SCHEMA, Summary

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@dataclass(frozen=True, slots=True)
class _Typed:
    """The command line, to be typed again."""

    benchmarks: Sequence[str]
    presets: Sequence[str]
    overrides: Sequence[str]
    scope: Scope
    out: Path
    reuse: Sequence[Path]
    engine: EngineFlags

    def __str__(self) -> str:
        """Return the command line that does the same again, or goes on with it."""
        scope = self.scope
        pairs: list[tuple[str, Any]] = [("--preset", name) for name in self.presets]
        pairs += [("--set", text) for text in self.overrides]
        pairs += [("--data", scope.data)]
        pairs += [("--map", f"{column}={name}") for column, name in scope.map.items()]
        pairs += [("--split", scope.split), ("--limit", scope.limit)]
        pairs += [("--epochs", scope.epochs), ("--seed", scope.seed), ("--budget", scope.budget)]
        pairs += [("--run-budget", scope.run_budget), ("--out", self.out)]
        pairs += [("--reuse", path) for path in self.reuse]
        hidden = {"--split": "test", "--epochs": 1, "--out": Path("runs")}
        words = ["tts", *plugins.flags(), "eval", *self.benchmarks]
        for flag, value in pairs:
            if value is not None and hidden.get(flag) != value:
                words += [flag, str(value)]
        return shlex.join([*words, *self.engine.to_arguments()])


@app.command("eval")
@with_engine
def evaluate_command(
    benchmarks: Annotated[
        list[str],
        typer.Argument(help="Names of benchmarks, such as chain or math500.", metavar="BENCHMARK"),
    ],
    preset: flags.PresetFlag = None,
    overrides: flags.SetFlag = None,
    data: flags.DataFlag = None,
    columns: flags.MapFlag = None,
    split: Annotated[
        str, typer.Option("--split", help="The part of the benchmark that is solved.")
    ] = "test",
    limit: flags.LimitFlag = None,
    epochs: Annotated[
        int, typer.Option("--epochs", min=1, help="Solve every problem this often.")
    ] = 1,
    seed: flags.SeedFlag = 0,
    budget: flags.BudgetFlag = None,
    run_budget: Annotated[
        str | None,
        typer.Option(
            "--run-budget", help="Limit what each run as a whole may cost.", metavar="LIMIT"
        ),
    ] = None,
    out: flags.OutFlag = Path("runs"),
    reuse: Annotated[
        list[Path] | None,
        typer.Option(
            "--reuse", help="A run folder whose samples are not drawn again.", metavar="RUN"
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the figures as JSON.")] = False,
    *,
    engine: EngineFlags,
) -> None:
    """Solve benchmarks by presets and report accuracy, tokens and seconds.

    The same command again goes on where it was interrupted.

    Example: tts eval chain --preset single --preset self_consistency --limit 100
    """
    scope = Scope.of(
        data=data,
        map=flags.to_map(columns),
        split=split,
        limit=limit,
        epochs=epochs,
        seed=seed,
        budget=budget,
        run_budget=run_budget,
    )
    typed = _Typed(
        benchmarks=tuple(dict.fromkeys(benchmarks)),
        presets=tuple(dict.fromkeys(preset or (DEFAULT_PRESET,))),
        overrides=tuple(overrides or ()),
        scope=scope,
        out=out,
        reuse=tuple(reuse or ()),
        engine=engine,
    )
    scope.check(typed.benchmarks)
    runtime = engine.runtime()
    plans = plan_all(
        typed.benchmarks, typed.presets, scope, runtime.parts, overrides=typed.overrides
    )
    summaries = output.run_async(
        _run(runtime, plans, out, [log_of(run) for run in typed.reuse]),
        if_interrupted=f"interrupted; what was finished is kept. Go on with:\n  {typed}",
    )
    picture = _save_plot(summaries, out)
    if as_json:
        runs = [summary.to_json() for summary in summaries]
        output.print_json({"schema": SCHEMA, "runs": runs})
    else:
        _print(summaries, typed, picture)
    if any(summary.unanswered for summary in summaries):
        raise typer.Exit(output.UNFINISHED)
    if not any(summary.samples for summary in summaries):
        raise InputError(f"no problem could be solved: {_reasons(summaries[0]) or 'no samples'}")


async def _run(
    runtime: Runtime, plans: Sequence[Plan], out: Path, logs: Sequence[Path]
) -> list[Summary]:
    async with runtime:
        return await run_plans(runtime, plans=plans, out=out, logs=logs, watch=watch)


def _save_plot(summaries: Sequence[Summary], out: Path) -> Path | None:
    if len({summary.preset for summary in summaries}) < 2:
        return None
    digest = hashlib.blake2b(digest_size=4)
    for summary in summaries:
        digest.update(summary.out.encode())
    names = "-".join(dict.fromkeys(summary.benchmark for summary in summaries))
    path = out / f"{names}-accuracy-{digest.hexdigest()}.png"
    unit = choose_unit([summary.cost for summary in summaries], models_differ=False)
    try:
        # Loads matplotlib, which one preset alone does not need.
        import_module("tts.evals.plot").save_plot(summaries, path, unit)
    except MissingExtraError as error:
        output.print_note(f"note: no plot; {error}")
        return None
    return path


def _print(summaries: Sequence[Summary], typed: _Typed, picture: Path | None) -> None:
    output.print_table(tables.summary_table(summaries, width=output.width()))
    output.print_text()
    output.print_lines(tables.notes(summaries))
    for summary in summaries:
        if reasons := _reasons(summary):
            output.print_text(f"note: {summary.benchmark} {summary.preset}: {reasons}")
        output.print_text(f"run   {summary.out}")
        if read := tables.kv_read(summary.kv_bytes):
            output.print_text(f"KV    {read}")
    if picture is not None:
        output.print_text(f"plot  {picture}")
    first = summaries[0]
    output.print_text(f"seed  {typed.scope.seed}, {first.model} on {first.engine}")
    output.print_text(f"again {typed}")


def _reasons(summary: Summary) -> str:
    """Return the most frequent reason for missing answers, with its count."""
    missing = summary.done - summary.answered
    if not missing:
        return ""
    records = load_run(Path(summary.out)).records
    (reason, count), *_ = Counter(r.error for r in records if r.answer is None).most_common(1)
    return f"{missing} without an answer ({count}: {reason})"
