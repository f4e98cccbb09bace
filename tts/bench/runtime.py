"""What the runtime adds to the CPU time of vLLM alone, side by side in one run."""

from collections.abc import Iterator
from dataclasses import asdict
from typing import Annotated

import typer

from tts.bench.runtime_run import Figures, Size, measure
from tts.console import flags, output
from tts.engine.vllm import VLLMEngine
from tts.session.runtime import DEFAULT_MODEL


def runtime(
    problems: Annotated[
        int, typer.Option("--problems", min=1, help="Problems of the task chain.")
    ] = 64,
    samples: Annotated[int, typer.Option("--samples", min=1, help="Samples per problem.")] = 16,
    rounds: Annotated[
        int, typer.Option("--rounds", min=2, help="Rounds, in which both sides take turns.")
    ] = 8,
    model: flags.EmbeddedModelFlag = DEFAULT_MODEL,
    as_json: flags.JsonFlag = False,
) -> None:
    """Measure what the runtime adds to the CPU time of vLLM alone.

    Both sides send the same prompts, sampling parameters and seeds to the same engine, in turns:
    ours as self-consistency through the runtime, the other as a loop over vLLM's own `LLMEngine`
    in the same thread. Then the early stop: when the vote is decided, when the slowest sample
    would have ended, and the tokens saved.

    Example: tts bench runtime --problems 64 --samples 16 --rounds 8
    """
    size = Size(problems, samples, rounds)
    figures = output.run_async(_measure(model, size), if_interrupted="interrupted")
    if as_json:
        output.print_json({"schema": 1, "model": model, **asdict(figures)})
        return
    for line in describe(figures):
        output.print_text(line)


async def _measure(model: str, size: Size) -> Figures:
    async with VLLMEngine(model) as engine:
        return await measure(engine, size, note=output.print_note)


def describe(figures: Figures) -> Iterator[str]:
    """Yield the figures as lines for people."""
    size, early = figures.size, figures.early_stop
    yield f"{size.problems} problems x {size.samples} samples, {size.rounds} rounds, seed 0"
    for name, ratio in (("CPU ", figures.cpu), ("wall", figures.wall)):
        yield (
            f"{name} time, ours to vLLM alone: {ratio.median:.3f} "
            f"[{ratio.low:.3f}, {ratio.high:.3f}] ({ratio.median - 1:+.1%})"
        )
    yield (
        f"early stop: {early.decided} of {early.problems} votes decided before their slowest "
        f"sample ended"
    )
    yield (
        f"  at {early.decision_seconds:.2f} s in place of {early.slowest_seconds:.2f} s (medians); "
        f"{early.aborted} samples aborted"
    )
    saved = 1 - early.tokens / early.tokens_without
    yield f"  {early.tokens:,} tokens in place of {early.tokens_without:,}, {saved:.0%} saved"
