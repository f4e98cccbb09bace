"""Measure ourselves against vLLM alone, side by side in one run."""

import asyncio
from dataclasses import asdict
from typing import Annotated

import typer

from tts.api import DEFAULT_MODEL
from tts.cli import _bench_runtime, _output
from tts.engine.vllm import VLLMEngine

app = typer.Typer(
    add_completion=False,
    rich_markup_mode=None,
    help="Measure ourselves, side by side in one run.\n\nExample: tts bench runtime",
)


@app.callback()
def _main() -> None:
    """Keep `runtime` a subcommand while it is the only one."""


@app.command()
def runtime(
    problems: Annotated[int, typer.Option("--problems", min=1, help="Problems of chain.")] = 64,
    samples: Annotated[int, typer.Option("--samples", min=1, help="Samples of each.")] = 16,
    rounds: Annotated[int, typer.Option("--rounds", min=2, help="Rounds of both sides.")] = 8,
    model: Annotated[str, typer.Option("--model", help="Model of the embedded vLLM.")] = (
        DEFAULT_MODEL
    ),
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Measure what the runtime adds to the CPU time of vLLM alone.

    Both sides send the same prompts, sampling parameters and seeds to the same engine, in turns:
    ours as self-consistency through the runtime, the other as a loop over vLLM's own `LLMEngine`
    in the same thread. Then the early stop: when the vote is decided, when the slowest sample
    would have ended, and the tokens saved.

    Example: tts bench runtime --problems 64 --samples 16 --rounds 8
    """
    size = _bench_runtime.Size(problems, samples, rounds)
    figures = _output.run_async(_measure(model, size), if_interrupted="interrupted")
    if as_json:
        _output.print_json({"schema": 1, "model": model, **asdict(figures)})
        return
    for line in _bench_runtime.describe(figures):
        typer.echo(line)


async def _measure(model: str, size: _bench_runtime.Size) -> _bench_runtime.Figures:
    async with VLLMEngine(model) as engine:
        # Not the loop's own thread pool: its idle threads would count as ours.
        await asyncio.sleep(0)
        return await _bench_runtime.measure(engine, size, note=_output.print_note)
