"""What our client of servers costs, beside its_hub and a plain script."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Annotated

import typer

from tts.bench.remote_run import Cost, measure, ratio
from tts.bench.servers.own import vllm_server
from tts.console import flags, output

_PAIRS = (
    ("self_consistency", "plain script"),
    ("self_consistency", "bare aiohttp"),
    ("self_consistency", "its_hub self_consistency"),
    ("beam_search", "its_hub beam_search"),
)


def remote(
    problems: Annotated[
        int, typer.Option("--problems", min=2, help="Problems of the task chain.")
    ] = 100,
    samples: Annotated[
        int, typer.Option("--samples", min=4, help="Samples of a problem, steps of a level.")
    ] = 16,
    rounds: Annotated[
        int, typer.Option("--rounds", min=1, help="Rounds, in which all sides take turns.")
    ] = 3,
    as_json: flags.JsonFlag = False,
) -> None:
    """Measure our client against one server of vLLM, beside others that ask the same.

    Starts vLLM's own server with the bundled model. Self-consistency stands beside a plain asyncio
    script with one call of OpenAI's client a problem, and beside one on bare aiohttp; its_hub takes
    part where it is installed (pip install its_hub[lm]), with its beam search too. Our count of
    tokens stands beside the server's, with early stops too.

    Example: tts bench remote --problems 100 --samples 16
    """
    with vllm_server() as url:
        work = measure(
            url, problems=problems, samples=samples, rounds=rounds, note=output.print_note
        )
        costs = output.run_async(work, if_interrupted="interrupted")
    if as_json:
        sides = {name: [asdict(cost) for cost in taken] for name, taken in costs.items()}
        output.print_json({"schema": 1, "problems": problems, "samples": samples, "sides": sides})
        return
    output.print_text(f"{problems} problems x {samples}, {rounds} rounds, medians")
    output.print_lines(describe(costs))


def describe(costs: Mapping[str, Sequence[Cost]]) -> Iterator[str]:
    """Yield the figures as lines for people."""
    for ours, other in _PAIRS:
        if other not in costs:
            yield f"{other}: not measured"
            continue
        cpu, wall, requests = (
            ratio(costs[ours], costs[other], what)
            for what in ("cpu_seconds", "wall_seconds", "requests")
        )
        yield f"{ours} to {other}: CPU {cpu:.2f}, wall {wall:.2f}, calls {requests:.3f}"
    for name, taken in costs.items():
        tokens = sum(cost.tokens for cost in taken)
        counted = [cost.counted for cost in taken if cost.counted is not None]
        if len(counted) == len(taken):
            yield f"{name}: {sum(counted):,} tokens counted, {tokens:,} generated " + (
                f"({sum(counted) / tokens - 1:+.3%})"
            )
