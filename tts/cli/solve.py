"""Solve one problem."""

from dataclasses import asdict
from typing import Annotated

import typer

from tts.api import DEFAULT_MODEL, DEFAULT_PRESET, make_job
from tts.cli import _engine
from tts.console import flags, output
from tts.errors import BudgetError, ContextError, InputError
from tts.presets.load import load_preset
from tts.runtime.job import Job
from tts.runtime.runtime import Runtime
from tts.types import Result

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command()
def solve(
    problem: Annotated[str, typer.Argument(help="The problem's text.")],
    preset: Annotated[
        str, typer.Option("--preset", help="A preset's name or file.", metavar="P")
    ] = DEFAULT_PRESET,
    overrides: flags.SetFlag = None,
    budget: Annotated[
        str | None,
        typer.Option("--budget", help="Hard limits: 8k (tokens), 30s, 64calls.", metavar="B"),
    ] = None,
    seed: flags.SeedFlag = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print the whole result.")] = False,
    engine: _engine.EngineFlag = "vllm",
    model: _engine.ModelFlag = DEFAULT_MODEL,
    verifier: _engine.VerifierFlag = None,
    base_url: _engine.BaseUrlFlag = None,
    unsafe_execution: _engine.UnsafeFlag = False,
    sparse: _engine.SparseFlag = None,
    engine_for: _engine.EngineForFlag = None,
) -> None:
    """Solve one problem and print its answer.

    Example: tts solve "What is 7 * 8?" --preset self_consistency --budget 8k
    """
    options = _engine.parse_engine(
        engine,
        model,
        verifiers=verifier,
        base_url=base_url,
        sparse=sparse,
        others=engine_for,
        unsafe_execution=unsafe_execution,
    )
    job = make_job(
        problem,
        preset=load_preset(preset, overrides or ()),
        budget=budget,
        seed=seed,
    )
    result = output.run_async(_solve(job, options), if_interrupted="interrupted")
    if as_json:
        output.print_json(asdict(result))
    if result.answer is None:
        _refuse(result)
    if not as_json:
        _print(result)


async def _solve(job: Job, options: _engine.EngineOptions) -> Result:
    async with _engine.open_engines(options, [job.pipeline]) as opened:
        engine, verifiers, others = opened.engine, opened.verifiers, opened.others
        async with Runtime(engine, verifiers=verifiers, engines=others) as runtime:
            return await runtime.run(job)


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
    typer.echo(result.answer.text)
    output.print_note(
        f"{support.votes} of {support.voters} votes, {usage.generated_tokens} tokens generated, "
        f"{usage.seconds or 0.0:.1f} s, {result.preset}, seed {result.seed}, {result.engine}"
    )
    if result.reason:
        output.print_note(f"note: {result.reason}")
