"""The runtime's benchmark: its arithmetic, and one small run on the real engine."""

import asyncio
from dataclasses import asdict

import pytest

from tests.support.values import trajectory
from tts.bench.runtime import describe
from tts.bench.runtime_run import Figures, Size, _decision, measure, ratio
from tts.engine.vllm import VLLMEngine
from tts.types import Event, Problem, Result, Usage


def result(*answers: str | None) -> Result:
    """Sample i ends at second i + 1."""
    ends = [Event(i + 1.0, "completion", "sample", {"index": i}) for i in range(len(answers))]
    samples = tuple(trajectory(i, answer) for i, answer in enumerate(answers))
    return Result(Problem("p"), None, "", (), Usage(), tuple(ends), 0, "vote", "model", samples)


@pytest.mark.parametrize(
    ("answers", "expected"),
    [
        # Four votes against none: 1 - (1/2)^5 = 0.97 of the posterior.
        (("7", "7", "7", "7", "7", "7"), (4.0, 6.0)),
        # Three to one is 0.81; the fifth vote is the last but one, and 4 > 1 + 1 settles it.
        (("7", "8", "7", "7", "7", "8"), (5.0, 6.0)),
        (("7", "8", "7", "8", "7", "8"), None),
        ((None, None, None), None),
    ],
)
def test_decision_is_the_first_vote_that_decides(
    answers: tuple[str | None, ...], expected: tuple[float, float] | None
) -> None:
    assert _decision(result(*answers), len(answers), stop_at=0.95) == expected


def test_ratio_is_the_median_of_the_rounds() -> None:
    found = ratio([1.0, 1.1, 1.02])
    assert found.median == 1.02
    assert (found.low, found.high) == (1.0, 1.1)


@pytest.mark.slow
def test_both_sides_generate_the_same_tokens(vllm_engine: VLLMEngine) -> None:
    notes: list[str] = []

    async def work() -> Figures:
        return await measure(vllm_engine, Size(problems=3, samples=4, rounds=2), note=notes.append)

    figures = asyncio.run(work())
    assert len(notes) == 2
    for ours, alone in figures.rounds:
        assert ours.tokens == alone.tokens > 0
        assert ours.cpu_seconds > 0 and alone.cpu_seconds > 0
    assert figures.early_stop.problems == 3
    assert figures.early_stop.tokens <= figures.early_stop.tokens_without
    assert set(asdict(figures)) == {"size", "cpu", "wall", "rounds", "early_stop"}
    assert any("CPU" in line for line in describe(figures))
