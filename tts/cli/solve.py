"""Solve one problem."""

import sys
from dataclasses import asdict
from typing import Annotated

import typer

from tts.budget import to_budget
from tts.cli._engine import EngineFlags, with_engine
from tts.console import flags, output
from tts.console.progress import live_line, pace
from tts.errors import BudgetError, ContextError, InputError
from tts.presets.load import Preset
from tts.runtime.job import Job, to_problem
from tts.runtime.progress import Progress
from tts.session.arguments import to_preset
from tts.session.runtime import DEFAULT_PRESET, Runtime
from tts.types import Budget, Problem, Result

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command()
@with_engine
def solve(
    problem: Annotated[
        str, typer.Argument(help="The problem's text; - reads it from standard input.")
    ],
    preset: Annotated[
        str, typer.Option("--preset", help="A preset's name or file.", metavar="NAME")
    ] = DEFAULT_PRESET,
    overrides: flags.SetFlag = None,
    budget: flags.BudgetFlag = None,
    seed: flags.SeedFlag = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print the whole result.")] = False,
    *,
    engine: EngineFlags,
) -> None:
    """Solve one problem and print its answer.

    Example: tts solve "What is 7 * 8?" --preset self_consistency --budget 8k
    """
    runtime = engine.runtime()
    chosen = to_preset(preset, overrides or (), runtime.parts.models)
    asked = to_problem(_read_input() if problem == "-" else problem)
    work = _solve(runtime, chosen, asked, to_budget(budget), seed)
    result = output.run_async(work, if_interrupted="interrupted")
    if as_json:
        output.print_json(asdict(result))
    if result.answer is None:
        _refuse(result)
    if not as_json:
        _print(result)


def _read_input() -> str:
    try:
        return sys.stdin.buffer.read().decode().rstrip("\r\n")
    except UnicodeDecodeError as error:
        raise InputError(f"standard input: byte {error.start + 1} is not UTF-8") from error


async def _solve(
    runtime: Runtime, preset: Preset, problem: Problem, budget: Budget | None, seed: int
) -> Result:
    job = Job.of(preset, problem, budget=budget, seed=seed)
    progress = Progress(problem.answer_type)
    async with runtime:
        runtime.check([preset])
        async with runtime.serving([preset.pipeline]) as core:

            def say(seconds: float) -> str:
                tokens = progress.tokens + core.tokens_in_flight()
                return f"{preset.name}: {_describe(progress)}, {pace(tokens, seconds)}"

            async with live_line(say) as is_shown:
                return await core.run(job, watcher=progress if is_shown else None)


def _describe(progress: Progress) -> str:
    """Return how many samples have come, and which answer leads."""
    said = progress.state()
    come = f"{said['samples']} sample{'s' * (said['samples'] != 1)}"
    if "answer" not in said:
        return come
    return f"{come}, {said['answer']} leads with {said['votes']} of {said['voters']}"


def _refuse(result: Result) -> None:
    """Say why there is no answer: bad input, or a model that found none."""
    facts = result.facts
    if any(failure.error == ContextError.__name__ for failure in facts.failures):
        raise ContextError(result.reason)
    if facts.shortfall and result.usage.calls == 0:
        raise BudgetError(f"{result.reason}: it buys no sample")
    if facts.failures:
        raise InputError(result.reason)
    output.print_error(f"no answer: {result.reason}")
    raise typer.Exit(1)


def _print(result: Result) -> None:
    assert result.answer is not None
    usage, support = result.usage, result.answer.support
    output.print_text(result.answer.text)
    output.print_note(
        f"{support.votes} of {support.voters} votes, {usage.generated_tokens} tokens generated, "
        f"{usage.seconds or 0.0:.1f} s, {result.preset}, seed {result.seed}, {result.engine}"
    )
    if result.reason:
        output.print_note(f"note: {result.reason}")
