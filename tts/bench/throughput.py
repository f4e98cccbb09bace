"""Tokens per second of self-consistency beside vLLM's own `LLM.generate`, in one run."""

from dataclasses import asdict
from itertools import islice
from typing import Annotated

import typer

from tts.bench.throughput_run import Size, measure
from tts.console import flags, output
from tts.parts.build import build_part


def throughput(
    benchmark: Annotated[str, typer.Argument(help="Whose problems are solved.")] = "gsm8k",
    problems: Annotated[int, typer.Option("--problems", min=1, help="The first so many.")] = 8,
    samples: Annotated[int, typer.Option("--samples", min=1, help="Samples per problem.")] = 8,
    rounds: Annotated[
        int, typer.Option("--rounds", min=2, help="Rounds, in which both sides take turns.")
    ] = 3,
    max_tokens: Annotated[
        int, typer.Option("--max-tokens", min=1, help="Limit of one sample.")
    ] = 512,
    top_p: Annotated[
        float, typer.Option("--top-p", min=0.01, max=1.0, help="Nucleus of both sides.")
    ] = 0.95,
    context: Annotated[
        int, typer.Option("--context", min=64, help="Tokens of prompt and sample.")
    ] = 2048,
    model: flags.EmbeddedModelFlag = "Qwen/Qwen2.5-Coder-0.5B-Instruct",
    as_json: flags.JsonFlag = False,
) -> None:
    """Measure tokens per second beside vLLM's own `LLM.generate`.

    Both sides load the model in a process of their own, get the same prompts as token ids and the
    same sampling parameters, and take turns; a first round warms up and does not count.

    Example: tts bench throughput gsm8k --model FOLDER --problems 8 --samples 8
    """
    chosen = tuple(islice(build_part("benchmark", benchmark, {}).problems("test"), problems))
    size = Size(samples, rounds, max_tokens, context, top_p)
    work = measure(model, chosen, size, note=output.print_note)
    figures = output.run_async(work, if_interrupted="interrupted")
    if as_json:
        output.print_json({"schema": 1, "model": model, **asdict(size), **asdict(figures)})
        return
    found = figures.throughput
    output.print_text(
        f"{len(chosen)} problems x {samples} samples, top_p {top_p}, {rounds} rounds: tokens per "
        f"second {found.median:.2f} times those of LLM.generate [{found.low:.2f}, {found.high:.2f}]"
    )
