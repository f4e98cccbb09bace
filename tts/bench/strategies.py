"""Strategies side by side at equal generated tokens, on one engine in one run."""

import inspect
import os
import shlex
from collections.abc import Iterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import asdict, dataclass
from importlib import import_module
from itertools import islice
from pathlib import Path
from statistics import median
from typing import Annotated

import typer
from rich.table import Table

from tts.bench.engines import forget, open_reward
from tts.bench.strategies_figures import (
    BASE,
    METHODS,
    TIMED,
    Figures,
    markdown,
    method_preset,
    plot_summaries,
    points,
    replace_between,
    row_cells,
    task_figures,
)
from tts.console import flags, output
from tts.engine.running import POLICY_MEMORY
from tts.engine.vllm import VLLMEngine
from tts.errors import InputError
from tts.evals.environment import cpu_model, gpus
from tts.evals.runner import Plan, evaluate
from tts.evals.stored_run import StoredRun, load_run
from tts.parts.build import build_part
from tts.protocols import Engine
from tts.runtime.job import Job
from tts.runtime.runtime import Runtime
from tts.session.runtime import DEFAULT_MODEL
from tts.session.verifiers import build_verifiers

BEGIN, END = "<!-- tts bench strategies -->", "<!-- end of tts bench strategies -->"
_TASKS = ("chain", "countdown")
_WARM_UP_PROBLEMS = 8


@dataclass(frozen=True, slots=True)
class Size:
    """How much is measured, and of what: options of the command by their names.

    Attributes:
        problems: Problems per task.
        samples: Of the long votes.
        rounds: Seeds of what is timed.
        seed: The first of them.
        verifier: Of the methods that score.
        model: Of the embedded vLLM.
        out: The folder that holds the runs.
    """

    problems: int
    samples: int
    rounds: int
    seed: int
    verifier: str
    model: str
    out: Path


def strategies(
    problems: Annotated[int, typer.Option("--problems", min=2, help="Problems per task.")] = 100,
    samples: Annotated[
        int,
        typer.Option(
            "--samples",
            min=4,
            help="Samples of the long votes; the other methods take half as many.",
        ),
    ] = 32,
    rounds: Annotated[
        int, typer.Option("--rounds", min=1, help="Rounds of the methods that are timed.")
    ] = 3,
    methods: Annotated[
        list[str] | None,
        typer.Option("--method", help="The method. Repeat it for more [default: all]."),
    ] = None,
    tasks: Annotated[
        list[str] | None,
        typer.Option("--task", help="The task. Repeat it for more [default: chain, countdown]."),
    ] = None,
    verifier: Annotated[
        str, typer.Option("--scorer", help="The verifier that scores solutions.")
    ] = "prm",
    model: flags.EmbeddedModelFlag = DEFAULT_MODEL,
    seed: Annotated[int, typer.Option("--seed", help="The same seed gives the same samples.")] = 0,
    full: Annotated[
        bool, typer.Option("--full", help="Run 400 problems with 64 samples each.")
    ] = False,
    out: Annotated[Path, typer.Option("--out", help="The folder that holds the runs.")] = Path(
        "runs/bench_strategies"
    ),
    readme: Annotated[
        Path | None,
        typer.Option("--readme", help="A Markdown file whose table is replaced by this one."),
    ] = None,
    as_json: flags.JsonFlag = False,
) -> None:
    """Measure strategies against voting at equal generated tokens; draw the plot.

    Then the same adaptive vote with and without a barrier, and what scoring adds to the time of
    sampling. The same command again goes on where it was interrupted.

    Example: tts bench strategies --problems 50 --samples 16 --task chain
    """
    chosen = tuple(dict.fromkeys((BASE, *(methods or (*METHODS, *TIMED)))))
    if unknown := sorted(set(chosen) - set(METHODS) - set(TIMED)):
        raise InputError(f"no method {unknown[0]!r}; there are {', '.join(METHODS)}")
    number, most = (400, 64) if full else (problems, samples)
    size = Size(number, most, rounds, seed, verifier, model, out)
    names = tuple(dict.fromkeys(tasks or _TASKS))
    if readme is not None:
        _with_table(readme, "")  # so that it fails before a token is spent
    work = measure(names, chosen, size)
    runs = output.run_async(work, if_interrupted="interrupted; the same command goes on")
    figures = [task_figures(task, runs[task]) for task in names]
    picture = out / "strategies.png"
    summaries = [summary for task in names for summary in plot_summaries(runs[task])]
    # Loads matplotlib.
    import_module("tts.evals.plot").save_plot(summaries, picture)
    command = _command(size, names, methods or ())
    if readme is not None:
        readme.write_text(
            _with_table(readme, markdown(figures, _caption(shlex.join(command), size)))
        )
    if as_json:
        rows = [asdict(task) for task in figures]
        output.print_json({"schema": 1, "model": model, "seed": seed, "tasks": rows})
        return
    for task in figures:
        _print(task)
    output.print_text(f"plot  {picture}")
    output.print_text(f"seed  {seed}, {model} on {_machine()}")
    output.print_again(*command)


async def measure(
    tasks: Sequence[str], methods: Sequence[str], size: Size
) -> dict[str, dict[str, list[StoredRun]]]:
    """Run all cells on one engine, or what is left of them; what is timed takes turns."""
    runs: dict[str, dict[str, list[StoredRun]]] = {}
    async with AsyncExitStack() as opened:
        engine = await opened.enter_async_context(
            VLLMEngine(size.model, gpu_memory_utilization=POLICY_MEMORY)
        )
        rewards = await open_reward(size.verifier, opened)
        await _warm_up(tasks[0], size, engine, rewards)
        for task in tasks:
            runs[task] = {method: [] for method in methods}
            for number in range(size.rounds):
                for method in methods:
                    if number == 0 or method in TIMED:
                        output.print_note(f"{task} {method}, round {number + 1}")
                        await forget(rewards.values())
                        run = await _run(task, method, size, number, engine, rewards)
                        runs[task][method].append(run)
    return runs


async def _run(
    task: str,
    method: str,
    size: Size,
    number: int,
    engine: Engine,
    rewards: dict[str, VLLMEngine],
) -> StoredRun:
    benchmark = build_part("benchmark", task, {})
    preset = method_preset(method, size.samples, size.verifier)
    plan = Plan(
        benchmark=task,
        problems=tuple(islice(benchmark.problems("test"), size.problems)),
        grade=benchmark.grade,
        preset=preset,
        seed=size.seed + number,
        options={"engine": "vllm", "split": "test"},
    )
    verifiers = build_verifiers([preset.pipeline], rewards)
    summary = await evaluate(plan, engine, root=size.out, verifiers=verifiers)
    return load_run(Path(summary.out))


async def _warm_up(task: str, size: Size, engine: Engine, rewards: dict[str, VLLMEngine]) -> None:
    """Let both engines run a little, so that the first cell does not pay for it."""
    preset = method_preset("best_of_n", 4, size.verifier)
    verifiers = build_verifiers([preset.pipeline], rewards)
    found = build_part("benchmark", task, {}).problems("train")
    few = Job.of_all(preset, islice(found, _WARM_UP_PROBLEMS))
    async with Runtime(engine, verifiers=verifiers) as runtime, runtime.run_many(few) as results:
        async for _ in results:
            pass


def _print(figures: Figures) -> None:
    numbers = ("right %", "95 %", "tokens", "scored", "s", "against voting")
    table = output.new_table(figures.task, *numbers, right=numbers)
    for row in figures.rows:
        output.add_row(table, *row_cells(row))
    output.print_table(table)
    output.print_text()
    if figures.paces:
        output.print_table(_pace_table(figures))
        output.print_text()
    for line in describe(figures):
        output.print_text(line)
    output.print_text()


def _pace_table(figures: Figures) -> Table:
    numbers = ("right", "tokens", "s", "s to an answer")
    table = output.new_table("the same vote", *numbers, right=numbers)
    for pace in figures.paces:
        output.add_row(
            table,
            pace.form,
            f"{pace.accuracy:.1%}",
            f"{pace.tokens:,.0f}",
            f"{pace.seconds:,.1f}",
            f"{pace.wait:.2f}",
        )
    return table


def describe(figures: Figures) -> Iterator[str]:
    """Yield what the tables do not show, as lines for people."""
    for saved in figures.savings:
        yield (
            f"{saved.method}: {saved.tokens:.0%} fewer tokens than all samples, "
            f"{points(saved.gain)} points"
        )
    if figures.scoring:
        shares = ", ".join(f"{share:+.0%}" for share in figures.scoring)
        yield f"scoring adds {median(figures.scoring):+.0%} to the time of sampling ({shares})"


def _caption(command: str, size: Size) -> str:
    return (
        f"`{command}`: seed {size.seed}, {size.model} on {_machine()}. Tokens are generated ones, "
        "and those that a reward model read, per problem; seconds are of the whole run. The last "
        "column is the accuracy less that of voting at equal generated tokens, in points, with "
        "its 95 % paired bootstrap interval."
    )


def _machine() -> str:
    return "; ".join(gpus()) or f"{len(os.sched_getaffinity(0))} cores of {cpu_model()}"


def _command(size: Size, tasks: Sequence[str], methods: Sequence[str]) -> list[str]:
    options = inspect.signature(strategies).parameters
    words = ["tts", "bench", "strategies"]
    for name, value in asdict(size).items():
        if value != options[name].default:
            words += [f"--{name}", str(value)]
    if tuple(tasks) != _TASKS:
        words += [word for task in tasks for word in ("--task", task)]
    words += [word for method in methods for word in ("--method", method)]
    return words


def _with_table(path: Path, table: str) -> str:
    try:
        return replace_between(path.read_text(encoding="utf-8"), BEGIN, END, table, path)
    except (OSError, ValueError) as error:
        raise InputError(f"--readme {error}") from error
