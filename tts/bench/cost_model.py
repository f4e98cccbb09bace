"""The cost model's predictions against measured seconds of the real engine."""

import asyncio
import random
import time
from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import asdict, replace
from statistics import median
from typing import Annotated, Any

import typer
from rich.table import Table

from tts.bench.cost_model_figures import EngineFigures, judge_cost_model, settings
from tts.console import flags, output
from tts.costs.flops import Workload
from tts.engine.vllm import VLLMEngine
from tts.protocols import Engine
from tts.session.runtime import DEFAULT_MODEL
from tts.types import GenerationRequest, Prompt, Sampling

_TOKENS = range(300, 1_000)  # ids of plain words in any vocabulary


def cost_model(
    rounds: Annotated[int, typer.Option("--rounds", min=1, help="Rounds over all settings.")] = 3,
    seed: Annotated[int, typer.Option("--seed", help="Seed of the prompts and the halves.")] = 0,
    model: flags.EmbeddedModelFlag = DEFAULT_MODEL,
    as_json: flags.JsonFlag = False,
) -> None:
    """Measure how well predicted cost ranks and meets the engine's seconds.

    36 settings: prompts of 32 to 1,024 tokens, outputs of 16 to 160, one sequence, eight prompts at
    once, eight samples of one prompt, four of each of four. A setting's time is the median over the
    rounds. The profile (FLOP/s, bytes/s, seconds per step) is fitted to one half of the settings
    and predicts the other, both ways round.

    Example: tts bench cost_model --rounds 3
    """
    figures = output.run_async(_measure(model, rounds, seed), if_interrupted="interrupted")
    if as_json:
        output.print_json({"schema": 1, "model": model, "seed": seed, **_to_json(figures)})
        return
    output.print_table(_table(figures))
    rank, error = figures.accuracy
    output.print_text(
        f"rank correlation {rank:.3f} [{figures.rank_interval.low:.3f}, "
        f"{figures.rank_interval.high:.3f}], median error {error:.0%} "
        f"[{figures.error_interval.low:.0%}, {figures.error_interval.high:.0%}]"
    )
    found = figures.hardware
    output.print_text(
        f"profile {found.flops_per_second / 1e9:,.2f} GFLOP/s, {found.bytes_per_second / 1e9:,.2f} "
        f"GB/s, {found.step_seconds * 1e3:.2f} ms a step"
    )


async def _measure(model: str, rounds: int, seed: int) -> EngineFigures:
    loads = settings()
    async with VLLMEngine(model) as running:
        seconds: list[list[float]] = [[] for _ in loads]
        await run_setting(running, loads[-1], random.Random(-1))  # warms up
        for number in range(rounds):
            rng = random.Random(f"{seed}{number}")
            for place in rng.sample(range(len(loads)), len(loads)):
                seconds[place].append(await run_setting(running, loads[place], rng))
            output.print_note(f"round {number + 1} of {rounds}")
        return judge_cost_model(running.info, loads, [median(s) for s in seconds], seed=seed)


async def run_setting(running: Engine, load: Workload, rng: random.Random) -> float:
    """Return the seconds of a setting on prompts that were never sent before."""
    sampling = Sampling(max_tokens=load.generated_tokens, extra_body={"ignore_eos": True})
    requests = [
        GenerationRequest(
            Prompt(token_ids=tuple(rng.choices(_TOKENS, k=load.prompt_tokens))),
            sampling,
            n=load.num_samples,
            seed=rng.randrange(2**31),
        )
        for _ in range(load.num_prompts)
    ]
    start = time.perf_counter()
    await asyncio.gather(*(_drain(running, request) for request in requests))
    return time.perf_counter() - start


async def _drain(running: Engine, request: GenerationRequest) -> None:
    async with aclosing(running.generate(request)) as stream:
        async for _ in stream:
            pass


def _table(figures: EngineFigures) -> Table:
    numbers = ("prompt", "output", "prompts", "samples", "measured", "predicted")
    table = output.new_table(*numbers, right=numbers)
    rows = zip(figures.loads, figures.measured, figures.predicted, strict=True)
    for load, measured, predicted in rows:
        counts = (load.prompt_tokens, load.generated_tokens, load.num_prompts, load.num_samples)
        output.add_row(table, *map(str, counts), f"{measured:.3f}", f"{predicted:.3f}")
    return table


def _to_json(figures: EngineFigures) -> dict[str, Any]:
    values = asdict(replace(figures, loads=()))
    return {
        **values,
        "accuracy": figures.accuracy._asdict(),
        "loads": [_load_values(load) for load in figures.loads],
    }


def _load_values(load: Workload) -> dict[str, int]:
    names: Sequence[str] = ("prompt_tokens", "generated_tokens", "num_prompts", "num_samples")
    return {name: getattr(load, name) for name in names}
