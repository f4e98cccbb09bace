"""Run benchmarks by presets: accuracy, tokens and seconds, with intervals."""

import hashlib
import shlex
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any

import typer

from tts.cli._engine import MODEL_HELP, EngineFlags, with_engine
from tts.cli._suite import Suite, load_suite, parse_seeds
from tts.console import flags, output, tables
from tts.console.progress import watch
from tts.engine.spec import mask_login
from tts.errors import InputError, MissingExtraError
from tts.evals.runner import Plan
from tts.evals.stored_run import load_run, log_of
from tts.evals.units import choose_unit
from tts.evaluation import Scope, run_plans
from tts.parts import plugins
from tts.session.runtime import DEFAULT_MODEL, DEFAULT_PRESET, Runtime
from tts.types.figures import SCHEMA, Summary, short_model

app = typer.Typer(add_completion=False, rich_markup_mode=None)

_NOTHING_REUSED = (
    "nothing was reused; a run fits that drew samples of the same problems with the same model, "
    "prompt, sampling and seed"
)


@dataclass(frozen=True, slots=True)
class _Typed:
    """The command line, to be typed again.

    Attributes:
        suite: What is run.
        file: Says so, in place of flags; None for none.
        models: As typed.
    """

    suite: Suite
    file: Path | None
    models: Sequence[str]
    out: Path
    reuse: Sequence[Path]
    engine: EngineFlags

    def __str__(self) -> str:
        """Return the command line that does the same again, or goes on with it."""
        pairs = [] if self.file is not None else list(self._asked())
        pairs += [("--out", self.out), *(("--reuse", path) for path in self.reuse)]
        pairs += [("--model", mask_login(model)) for model in self.models]
        hidden = {"--split": "test", "--epochs": 1, "--out": Path("runs")}
        names = self.suite.benchmarks if self.file is None else [str(self.file)]
        words = ["tts", *plugins.flags(), "eval", *names]
        for flag, value in pairs:
            if value is not None and hidden.get(flag) != value:
                words += [flag, str(value)]
        return shlex.join([*words, *self.engine.to_arguments()])

    def _asked(self) -> Iterator[tuple[str, Any]]:
        """Yield the flags that say what is run."""
        scope = self.suite.scope
        yield from (("--preset", name) for name in self.suite.presets)
        yield from (("--set", text) for text in self.suite.overrides)
        yield "--data", scope.data
        yield from (("--map", f"{column}={name}") for column, name in scope.map.items())
        yield "--split", scope.split
        last = scope.skip + (scope.limit or 0)
        yield "--limit", f"{scope.skip + 1}-{last}" if scope.skip else scope.limit
        yield "--ids", ",".join(scope.ids) or None
        yield from (("--shuffle", scope.shuffle), ("--epochs", scope.epochs))
        yield "--seed", ",".join(map(str, self.suite.seeds))
        yield from (("--budget", scope.budget), ("--run-budget", scope.run_budget))


@app.command("eval")
@with_engine
def evaluate_command(
    benchmarks: Annotated[
        list[str],
        typer.Argument(
            help="Names of benchmarks, such as chain or math500; or the YAML file of a suite.",
            metavar="BENCHMARK",
        ),
    ],
    preset: flags.PresetFlag = None,
    overrides: flags.SetFlag = None,
    data: flags.DataFlag = None,
    columns: flags.MapFlag = None,
    split: Annotated[
        str, typer.Option("--split", help="The part of the benchmark that is solved.")
    ] = "test",
    limit: Annotated[
        str | None,
        typer.Option(
            "--limit",
            help="Use only the first problems, so many, or those at the places FIRST-LAST.",
            metavar="N|A-B",
        ),
    ] = None,
    ids: Annotated[
        str | None,
        typer.Option("--ids", help="Use only the problems of these ids.", metavar="ID,ID,..."),
    ] = None,
    shuffle: Annotated[
        int | None,
        typer.Option(
            "--shuffle", help="Shuffle the problems by this seed before --limit takes its part."
        ),
    ] = None,
    epochs: Annotated[
        int, typer.Option("--epochs", min=1, help="Solve every problem this often.")
    ] = 1,
    seeds: Annotated[
        list[str] | None,
        typer.Option(
            "--seed",
            help="The same seed gives the same samples; 0 where none is given. Several, such as "
            "0,1,2, are a run each.",
            metavar="N,N,...",
        ),
    ] = None,
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
            "--reuse",
            help="A run folder whose samples are not drawn again; the model is loaded only for "
            "what is missing.",
            metavar="RUN",
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the figures as JSON.")] = False,
    model: Annotated[
        list[str] | None,
        typer.Option(
            "--model",
            help=f"{MODEL_HELP} {DEFAULT_MODEL} where none is given. Repeat it for more, one "
            "after the other.",
            metavar="SPEC",
        ),
    ] = None,
    *,
    engine: EngineFlags,
) -> None:
    """Solve benchmarks by presets and report accuracy, tokens and seconds.

    The same command again goes on where it was interrupted. Every benchmark, preset, model and seed
    is a run; "--set n=4,8,16" makes three of each preset, "--set NAME:n=4" changes one preset
    alone. A file says the same in YAML (docs/suites.md).

    Example: tts eval chain --preset single --preset self_consistency --limit 100
    """
    scope = Scope.of(
        data=data,
        map=flags.to_map(columns),
        split=split,
        limit=limit,
        ids=tuple(filter(None, (ids or "").split(","))),
        shuffle=shuffle,
        epochs=epochs,
        budget=budget,
        run_budget=run_budget,
    )
    models = tuple(dict.fromkeys(model or ()))
    first, *more = benchmarks
    file = Path(first) if first.endswith((".yaml", ".yml")) else None
    if file is None:
        suite = Suite(
            benchmarks=tuple(dict.fromkeys(benchmarks)),
            presets=tuple(dict.fromkeys(preset or (DEFAULT_PRESET,))),
            overrides=tuple(overrides or ()),
            models=models or (DEFAULT_MODEL,),
            seeds=parse_seeds(seeds or ("0",)),
            scope=scope,
        )
    elif more or preset or overrides or seeds or scope != Scope.of():
        raise InputError(
            f"{first}: a suite says itself what is run; beside it stand the flags of engines, "
            "--out, --reuse and --json alone"
        )
    else:
        suite = load_suite(file, models)
    typed = _Typed(suite, file, models, out, tuple(reuse or ()), engine)
    works = list(suite.works(engine))
    summaries = output.run_async(
        _run(works, suite, out, [log_of(run) for run in typed.reuse]),
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
    works: Sequence[tuple[Runtime, list[Plan]]], suite: Suite, out: Path, logs: Sequence[Path]
) -> list[Summary]:
    summaries: list[Summary] = []
    for model, (runtime, plans) in zip(suite.models, works, strict=True):
        shown = partial(
            watch,
            model=short_model(mask_login(model)) if len(suite.models) > 1 else "",
            has_seeds=len(suite.seeds) > 1,
        )
        async with runtime:
            summaries += await run_plans(runtime, plans=plans, out=out, logs=logs, watch=shown)
    return summaries


def _save_plot(summaries: Sequence[Summary], out: Path) -> Path | None:
    if len({(summary.preset, summary.model) for summary in summaries}) < 2:
        return None
    digest = hashlib.blake2b(digest_size=4)
    for summary in summaries:
        digest.update(summary.out.encode())
    names = "-".join(dict.fromkeys(summary.benchmark for summary in summaries))
    path = out / f"{names}-accuracy-{digest.hexdigest()}.png"
    models_differ = len({summary.model for summary in summaries}) > 1
    unit = choose_unit([summary.cost for summary in summaries], models_differ=models_differ)
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
    for name, summary in zip(tables.names_of(summaries), summaries, strict=True):
        if reasons := _reasons(summary):
            output.print_text(f"note: {name}: {reasons}")
        output.print_text(f"run   {summary.out}")
        if read := tables.kv_read(summary.kv_bytes):
            output.print_text(f"KV    {read}")
    if typed.reuse and not any(summary.tokens.reused for summary in summaries):
        output.print_text(f"note: {_NOTHING_REUSED}")
    if picture is not None:
        output.print_text(f"plot  {picture}")
    if len({(one.model, one.engine, one.seed) for one in summaries}) == 1:
        first = summaries[0]
        output.print_text(f"seed  {first.seed}, {first.model} on {first.engine}")
    output.print_text(f"again {typed}")


def _reasons(summary: Summary) -> str:
    """Return the most frequent reason for missing answers, with its count."""
    missing = summary.done - summary.answered
    if not missing:
        return ""
    records = load_run(Path(summary.out)).records
    (reason, count), *_ = Counter(r.error for r in records if r.answer is None).most_common(1)
    return f"{missing} without an answer ({count}: {reason})"
