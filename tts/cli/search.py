"""Search over presets and their parameters at one cost a problem."""

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from tts.cli._engine import EngineFlags, with_engine
from tts.cli._preset_text import preset_lines
from tts.cli._repeats import print_repeats
from tts.console import flags, output
from tts.console.progress import watch
from tts.errors import InputError
from tts.evals.compare import compare
from tts.evals.stored_run import load_run
from tts.evals.units import amount, parse_unit
from tts.evaluation import Scope
from tts.parts import plugins
from tts.session.runtime import Runtime
from tts.storage.sealed_lines import check_place, write_text
from tts.tuning.propose import Optimiser
from tts.tuning.repeats import Repeat, Repeats
from tts.tuning.space import Space, load_space
from tts.tuning.trial import Trial
from tts.tuning.tune import Found, Search, check_optimiser
from tts.types.figures import Summary, Unit

_SHOWN = 8
app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command("search")
@with_engine
def search_command(
    benchmark: Annotated[
        str, typer.Argument(help="The benchmark whose problems are solved.", metavar="BENCHMARK")
    ],
    space: Annotated[
        Path,
        typer.Option(
            "--space", help="A YAML file of presets and values of parameters.", metavar="FILE"
        ),
    ],
    cost: Annotated[
        float,
        typer.Option(
            "--cost", min=0, help="Most that a problem may cost, on average over problems."
        ),
    ],
    unit: Annotated[
        str,
        typer.Option(
            "--unit",
            help="Count that cost in this unit: tokens, flops, eflops, usd, as tts compare does.",
        ),
    ] = "tokens",
    trials: Annotated[
        int, typer.Option("--trials", min=1, help="Points of the space that are tried at most.")
    ] = 24,
    optimiser: Annotated[
        Optimiser,
        typer.Option(
            "--optimiser",
            help="Who proposes them: Parzen estimators, chance, or a model (the engine optimiser "
            "of --engine-for, or the run's own); reinforce learns graphs of models.",
        ),
    ] = "tpe",
    most_tokens: Annotated[
        int | None,
        typer.Option(
            "--search-tokens",
            min=1,
            help="Begin no further trial once the search has generated so many tokens.",
        ),
    ] = None,
    data: flags.DataFlag = None,
    columns: flags.MapFlag = None,
    split: Annotated[
        str, typer.Option("--split", help="The part of the benchmark that is searched on.")
    ] = "calibration",
    limit: Annotated[
        int,
        typer.Option(
            "--limit", min=1, help="Problems that finalists solve; trials begin with a quarter."
        ),
    ] = 100,
    test: Annotated[
        int | None,
        typer.Option(
            "--test",
            min=1,
            help="Solve so many problems of the test split by the choice, and by the best preset "
            "of the space as it was.",
        ),
    ] = None,
    preset: Annotated[
        Path, typer.Option("--preset", help="The preset file to write.", metavar="FILE")
    ] = Path("found.yaml"),
    seed: flags.SeedFlag = 0,
    seeds: Annotated[
        int,
        typer.Option(
            "--seeds",
            min=1,
            help="Search and test so often, from as many seeds, and say what the choices are worth "
            "on average.",
        ),
    ] = 1,
    against: Annotated[
        Optimiser | None,
        typer.Option("--against", help="Let this optimiser search with the same seeds, too."),
    ] = None,
    out: flags.OutFlag = Path("runs/search"),
    *,
    engine: EngineFlags,
) -> None:
    """Find the preset and parameters that are most often right at one cost a problem.

    Trials share their samples, and half of them is left behind at a quarter and at a half of the
    problems. The choice has the highest lower bound of its accuracy; no test problem is looked at
    before it is made. The same command again goes on where it was interrupted.

    Example: tts search chain --space space.yaml --cost 1000 --trials 24 --test 200
    """
    is_repeated = seeds > 1 or against is not None
    if is_repeated and test is None:
        raise InputError("--seeds and --against compare choices on test problems: add --test N")
    scope = Scope.of(
        data=data,
        map=flags.to_map(columns),
        split=split,
        limit=limit,
        seed=seed,
    )
    check_place(preset)
    known = load_space(space)
    optimisers = [optimiser]
    if against is not None and against != optimiser:
        optimisers.append(against)
    for name in optimisers:
        check_optimiser(name, known)
    search = Search(engine.runtime(), benchmark, scope, cost, out, parse_unit(unit), watch)
    if is_repeated and test is not None:
        repeats = Repeats(search, known, trials, test, most_tokens, _tell)
        done = output.run_async(
            _repeat(repeats, optimisers, range(seed, seed + seeds)),
            if_interrupted="interrupted; the same command goes on",
        )
        print_repeats(done, search.unit)
        best = max((one.found.best for one in done[optimiser]), key=lambda trial: trial.merit)
        _write(preset, best)
        return
    options: dict[str, Any] = {
        "trials": trials,
        "optimiser": optimiser,
        "most_tokens": most_tokens,
        "seed": seed,
        "tell": _tell,
    }
    found, tests = output.run_async(
        _run(search, known, test, options),
        if_interrupted="interrupted; the same command goes on",
    )
    _print(found, known)
    _write(preset, found.best)
    if tests:
        _print_test(tests, search.unit)
    else:
        words = ["tts", *plugins.flags(), "eval", benchmark, "--preset", str(preset)]
        words += ["--data", str(data)] if data is not None else []
        words += [word for pair in columns or () for word in ("--map", pair)]
        output.print_text(f"use    {shlex.join([*words, *engine.to_arguments()])}")


async def _repeat(
    repeats: Repeats, optimisers: Sequence[Optimiser], seeds: Sequence[int]
) -> dict[Optimiser, list[Repeat]]:
    async with repeats.search.runtime:
        return await repeats.run(optimisers, seeds)


async def _run(
    search: Search, space: Space, test: int | None, options: dict[str, Any]
) -> tuple[Found, list[Summary]]:
    runtime: Runtime = search.runtime
    async with runtime:
        found = await search.run(space, **options)
        if test is None:
            return found, []
        points = dict.fromkeys((found.unchanged.point, found.best.point))
        return found, await search.test(points, "test", test)


def _write(preset: Path, best: Trial) -> None:
    write_text(preset, "\n".join(preset_lines(best.point.load())) + "\n")
    output.print_text(f"choice {best.point}")
    output.print_text(f"preset {preset}")


def _tell(trial: Trial) -> None:
    summary = trial.summary
    output.print_note(
        f"{summary.accuracy:6.1%} of {summary.problems}, {amount(trial.cost)} {trial.unit} a "
        f"problem: {trial.point}"
    )


def _print(found: Found, space: Space) -> None:
    numbers = ("accuracy", "95 % interval", f"{found.unchanged.unit} a problem")
    table = output.new_table("point", *numbers, right=numbers)
    shown = (found.unchanged, *found.finalists[:_SHOWN])
    for trial in {trial.point: trial for trial in shown}.values():
        low, high = trial.summary.interval
        output.add_row(
            table,
            str(trial.point),
            f"{trial.summary.accuracy:.1%}",
            f"[{low:.1%}, {high:.1%}]",
            amount(trial.cost),
        )
    output.print_table(table)
    output.print_text()
    what = "graphs" if space.models is not None else f"of {space.size:,} points"
    output.print_text(
        f"tried  {found.tried} {what} and {len(space.choices)} presets as they are, "
        f"{found.spent:,} tokens"
    )
    for note in found.notes:
        output.print_text(f"note   {note}")
    if found.best is found.unchanged:
        output.print_text("note   no change is better than the best preset as it is, by its bound")
    output.print_text(
        "note   the best of many looks better than it is: its figures on the test split count"
    )


def _print_test(tests: list[Summary], unit: Unit) -> None:
    for summary in tests:
        low, high = summary.interval
        output.print_text(
            f"test   {summary.preset}: {summary.accuracy:.1%} [{low:.1%}, {high:.1%}], "
            f"{amount(summary.cost.of(unit))} {unit} a problem"
        )
    if len(tests) == 2:
        runs = [load_run(Path(summary.out)) for summary in tests]
        gain = compare(*runs).difference
        mean, low, high = (100 * value for value in gain)
        output.print_text(
            f"gain   {mean:+.1f} [{low:+.1f}, {high:+.1f}] points, paired, of the choice over the "
            "best preset as it was"
        )
