"""What keeping hidden states adds to the engine's time, side by side in one run."""

import asyncio
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from typing import Annotated

import typer

from tts import prompts
from tts.bench.runtime_run import Clock, Ratio, Side, ratio
from tts.console import flags, output
from tts.engine.vllm import VLLMEngine
from tts.session.runtime import DEFAULT_MODEL
from tts.tasks import chain
from tts.types import GenerationRequest, Sampling, StateSpec
from tts.types.states import At


@dataclass(frozen=True, slots=True)
class Figures:
    """What was measured.

    Attributes:
        cpu: CPU time with states to that without, median over rounds.
        wall: The same of wall time.
        rounds: (with, without).
        peak_bytes: Most memory of states that were kept, between two steps.
    """

    cpu: Ratio
    wall: Ratio
    rounds: tuple[tuple[Side, Side], ...]
    peak_bytes: int


def states(
    layer: Annotated[int, typer.Option("--layer", min=1, help="The layer whose states are kept.")],
    at: Annotated[
        At, typer.Option("--at", help="Where they are kept: end, steps or tokens.")
    ] = "steps",
    batch: Annotated[
        int, typer.Option("--batch", min=1, help="Samples that are generated at a time.")
    ] = 64,
    tokens: Annotated[int, typer.Option("--tokens", min=2, help="Tokens of each sample.")] = 128,
    rounds: Annotated[
        int, typer.Option("--rounds", min=2, help="Rounds, in which both sides take turns.")
    ] = 20,
    model: flags.EmbeddedModelFlag = DEFAULT_MODEL,
    as_json: flags.JsonFlag = False,
) -> None:
    """Measure what keeping hidden states adds to the engine's time.

    Both sides draw the same samples of one problem on the same engine, in turns; every sample has
    the same length, so that the batch stays full to the end.

    Example: tts bench states --layer 3 --batch 64
    """
    sampling = Sampling(max_tokens=tokens, extra_body={"ignore_eos": True})
    request = GenerationRequest(prompts.solve(next(chain.problems("test"))), sampling, n=batch)
    asked = replace(request, states=StateSpec((layer,), at))
    figures = output.run_async(
        _measure(model, request, asked, rounds), if_interrupted="interrupted"
    )
    if as_json:
        said = {"batch": batch, "tokens": tokens, "layer": layer, "at": at, **asdict(figures)}
        output.print_json({"schema": 1, "model": model, **said})
        return
    output.print_text(f"{batch} samples x {tokens} tokens, {rounds} rounds, seed 0")
    for line in _describe(figures):
        output.print_text(line)


async def _measure(
    model: str, plain: GenerationRequest, asked: GenerationRequest, rounds: int
) -> Figures:
    async with VLLMEngine(model) as engine:
        for request in (plain, asked):  # what happens once happens now
            await _draw(engine, request)
        peak = await _peak(engine, asked)
        pairs = []
        for number in range(rounds):
            order = (asked, plain) if number % 2 == 0 else (plain, asked)
            sides = [await _timed(engine, request) for request in order]
            pairs.append((sides[0], sides[1]) if number % 2 == 0 else (sides[1], sides[0]))
    return Figures(
        ratio([ours.cpu_seconds / alone.cpu_seconds for ours, alone in pairs]),
        ratio([ours.wall_seconds / alone.wall_seconds for ours, alone in pairs]),
        tuple(pairs),
        peak,
    )


async def _timed(engine: VLLMEngine, request: GenerationRequest) -> Side:
    with Clock() as clock:
        tokens = await _draw(engine, request)
    return clock.side(tokens)


async def _draw(engine: VLLMEngine, request: GenerationRequest) -> int:
    return sum([len(completion.token_ids) async for completion in engine.generate(request)])


async def _peak(engine: VLLMEngine, request: GenerationRequest) -> int:
    drawing = asyncio.create_task(_draw(engine, request))
    peak = 0
    while not drawing.done():
        peak = max(peak, await engine.state_bytes())
    await drawing
    return peak


def _describe(figures: Figures) -> Iterator[str]:
    for name, found in (("CPU ", figures.cpu), ("wall", figures.wall)):
        yield (
            f"{name} time, with states to without: {found.median:.3f} "
            f"[{found.low:.3f}, {found.high:.3f}] ({found.median - 1:+.1%})"
        )
    yield f"states kept at a time: at most {figures.peak_bytes / 2**20:.2f} MiB"
