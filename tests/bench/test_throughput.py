"""Throughput beside `LLM.generate`: one small run of both sides."""

import asyncio
from itertools import islice

import pytest

from tts.bench.throughput_run import Size, measure
from tts.tasks import chain


@pytest.mark.slow
@pytest.mark.engine
def test_both_sides_take_turns() -> None:
    notes: list[str] = []
    problems = list(islice(chain.problems("test"), 3))
    size = Size(samples=2, rounds=2, max_tokens=32, context=256, top_p=0.95)
    figures = asyncio.run(measure("bundled:reasoner", problems, size, note=notes.append))
    assert len(notes) == len(figures.rounds) == 2
    for ours, theirs in figures.rounds:
        assert 6 <= ours.tokens <= 6 * 32 and 6 <= theirs.tokens <= 6 * 32
    assert 0 < figures.throughput.low <= figures.throughput.median <= figures.throughput.high
