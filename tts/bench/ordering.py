"""Problems that share documents, in the given order and grouped, on a small KV cache."""

import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from itertools import islice
from statistics import median
from typing import Annotated

import typer

from tts.console import flags, output
from tts.engine.vllm import VLLMEngine
from tts.presets.load import load_preset
from tts.runtime.admission import Admission
from tts.runtime.job import Job
from tts.runtime.ordering import Placed, in_order
from tts.runtime.runtime import DEFAULT_MAX_PROBLEMS, RunMany, Runtime
from tts.session.runtime import DEFAULT_MODEL
from tts.tasks import chain
from tts.types import Message, Problem, sum_usage

_BLOCK_SIZE = 32


@dataclass(frozen=True, slots=True)
class Side:
    """What one order came to.

    Attributes:
        wall_seconds: Of the run.
        cached_share: Of the prompts' tokens.
        prompt_tokens: All of them, samples apart.
        tokens: Generated.
        preemptions: Requests that lost their KV blocks.
    """

    wall_seconds: float
    cached_share: float
    prompt_tokens: int
    tokens: int
    preemptions: int


def ordering(
    documents: Annotated[
        int, typer.Option("--documents", min=2, help="Blocks of worked examples.")
    ] = 8,
    questions: Annotated[
        int, typer.Option("--questions", min=2, help="Problems that begin with each.")
    ] = 6,
    examples: Annotated[int, typer.Option("--examples", min=1, help="Examples in a block.")] = 40,
    samples: Annotated[int, typer.Option("--samples", min=1, help="Samples of a problem.")] = 2,
    cache: Annotated[
        int, typer.Option("--cache", min=64, help=f"KV blocks, of {_BLOCK_SIZE} tokens.")
    ] = 256,
    rounds: Annotated[
        int, typer.Option("--rounds", min=1, help="Rounds, in which both orders take turns.")
    ] = 3,
    model: flags.EmbeddedModelFlag = DEFAULT_MODEL,
    as_json: flags.JsonFlag = False,
) -> None:
    """Measure what grouping problems by what they begin with does for a small KV cache.

    Each problem begins with one of several blocks of worked examples; in the order in which they
    are given, neighbours begin differently. Both sides solve the same problems by self-consistency
    on one embedded engine, in turns: in the given order, admitted by count, and as every run does
    it, grouped and admitted by what the cache holds.

    Example: tts bench ordering --documents 8 --questions 6
    """
    work = _measure(documents, questions, examples, samples, cache, rounds, model)
    sides = output.run_async(work, if_interrupted="interrupted")
    if as_json:
        values = {name: [asdict(side) for side in found] for name, found in sides.items()}
        output.print_json({"schema": 1, "model": model, "cache": cache, "sides": values})
        return
    output.print_text(
        f"{documents} blocks of {examples} examples x {questions} problems x {samples} samples, "
        f"{cache} KV blocks of {_BLOCK_SIZE}, {rounds} rounds, medians"
    )
    output.print_lines(_describe(sides))


def _describe(sides: dict[str, list[Side]]) -> Iterator[str]:
    for name, found in sides.items():
        share, wall = (
            median(getattr(s, key) for s in found) for key in ("cached_share", "wall_seconds")
        )
        yield (
            f"{name}: {share:.1%} of the prompts' tokens cached, {wall:.2f} s, "
            f"{sum(side.preemptions for side in found)} preemptions"
        )
    given, grouped = sides.values()
    pace = median(a.wall_seconds / b.wall_seconds for a, b in zip(given, grouped, strict=True))
    yield f"pace, grouped to given: {pace:.2f}"


async def _measure(
    documents: int, questions: int, examples: int, samples: int, cache: int, rounds: int, model: str
) -> dict[str, list[Side]]:
    preset = load_preset("self_consistency", [f"n={samples}", "sampling.max_tokens=100"])
    jobs = list(Job.of_all(preset, _problems(documents, questions, examples)))
    given = [Placed(job, place, 0, 0) for place, job in enumerate(jobs)]
    sides: dict[str, list[Side]] = {"as given": [], "grouped": []}
    engine = VLLMEngine(
        model,
        block_size=_BLOCK_SIZE,
        num_gpu_blocks_override=cache,
        max_model_len=min(16_384, (cache - 1) * _BLOCK_SIZE),  # a block is vLLM's own
    )
    async with engine:
        for number in range(rounds + 1):
            orders = [("as given", given, False), ("grouped", in_order(jobs), True)]
            for name, placed, predicts in orders if number % 2 else orders[::-1]:
                side = await _run(engine, placed, predicts=predicts)
                if number:  # the first round warms up
                    sides[name].append(side)
                    output.print_note(f"{name}: {side.wall_seconds:.1f} s")
    return sides


def _problems(documents: int, questions: int, examples: int) -> Iterator[Problem]:
    """Yield problems, each after worked examples; neighbours begin with different ones."""
    asked = chain.problems("test", per_level=10_000)
    shown = chain.problems("calibration", per_level=10_000)
    blocks = [
        "\n\n".join(f"{p.statement} {p.reference}" for p in islice(shown, examples))
        for _ in range(documents)
    ]
    for _ in range(questions):
        for block in blocks:
            problem = next(asked)
            yield replace(problem, messages=(Message("user", f"{block}\n\n{problem.statement}"),))


async def _run(engine: VLLMEngine, placed: list[Placed], *, predicts: bool) -> Side:
    await engine.forget()
    before = engine.num_preemptions() or 0
    async with Runtime(engine) as runtime:
        if not predicts:
            runtime.admission = Admission(
                DEFAULT_MAX_PROBLEMS, kv_usage=lambda: engine.kv_usage() or 0.0
            )
        began = time.perf_counter()
        async with RunMany(runtime, placed) as results:
            usage = sum_usage([result.usage async for result in results])
        wall = time.perf_counter() - began
    prompt = usage.prompt_tokens or 0
    cached = (usage.cached_tokens or 0) / max(1, prompt)
    preemptions = (engine.num_preemptions() or 0) - before
    return Side(wall, cached, prompt, usage.generated_tokens or 0, preemptions)
