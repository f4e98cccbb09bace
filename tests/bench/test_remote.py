"""The benchmark of servers: its arithmetic, and one small run against vLLM's own server."""

import asyncio

import pytest

from tts.bench.remote import describe
from tts.bench.remote_run import Cost, measure, ratio
from tts.bench.servers.own import NEEDED, vllm_server


def cost(cpu: float, *, requests: int = 4, tokens: int = 1000, counted: int | None = None) -> Cost:
    return Cost(cpu, 2 * cpu, requests, tokens, counted)


def test_ratios_are_medians_over_rounds() -> None:
    ours, other = [cost(1.0), cost(3.0), cost(2.0)], [cost(1.0), cost(1.0), cost(1.0)]
    assert ratio(ours, other, "cpu_seconds") == 2.0


def test_sides_stand_beside_each_other() -> None:
    lines = list(
        describe(
            {
                "self_consistency": [cost(0.3, counted=999)],
                "plain script": [cost(0.2, counted=1000)],
                "beam_search": [cost(1.0, counted=1000)],
                "its_hub beam_search": [cost(2.0, requests=64)],
            }
        )
    )
    assert lines == [
        "self_consistency to plain script: CPU 1.50, wall 1.50, calls 1.000",
        "bare aiohttp: not measured",
        "its_hub self_consistency: not measured",
        "beam_search to its_hub beam_search: CPU 0.50, wall 0.50, calls 0.062",
        "self_consistency: 999 tokens counted, 1,000 generated (-0.100%)",
        "plain script: 1,000 tokens counted, 1,000 generated (+0.000%)",
        "beam_search: 1,000 tokens counted, 1,000 generated (+0.000%)",
    ]


@pytest.mark.slow
@pytest.mark.engine
@pytest.mark.timeout(600)
def test_our_count_is_the_servers() -> None:
    for module in ("vllm", *NEEDED):
        pytest.importorskip(module)
    with vllm_server() as url:
        found = asyncio.run(measure(url, problems=3, samples=8, rounds=1, note=print))
    for name in ("self_consistency", "beam_search"):
        (taken,) = found[name]
        assert taken.counted == taken.tokens > 0
    (vote,), (early,) = found["self_consistency"], found["early_stop"]
    assert vote.requests == 3
    # Of three calls, some tokens of those that were cut; over a hundred problems they even out.
    assert early.counted == pytest.approx(early.tokens, rel=0.05)
