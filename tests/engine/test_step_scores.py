"""Step scores read past cached prefixes: positions, memory, and what happens when it forgets."""

import asyncio
from typing import Any

import numpy as np
import pytest

from tts.engine.step_scores import StepReader
from tts.engine.translate import Pooled
from tts.errors import CapabilityError, EngineError
from tts.types import Usage

TAG = 9


class Model:
    """Gives token i of a prompt the probability i / 100, leaving out what it has cached.

    Args:
        cached: Tokens that it leaves out wherever it may.
        classes: Columns of a row.
    """

    def __init__(self, cached: int = 0, classes: int = 2) -> None:
        self.cached, self.classes = cached, classes
        self.calls: list[tuple[tuple[int, ...], bool]] = []

    async def pool(self, token_ids: tuple[int, ...], may_skip: bool) -> Pooled:
        self.calls.append((token_ids, may_skip))
        await asyncio.sleep(0)
        first = self.cached if may_skip else 0
        right = np.arange(first, len(token_ids)) / 100
        rows: Any = np.stack([1 - right] * (self.classes - 1) + [right], axis=1)
        return Pooled(rows, Usage(prompt_tokens=len(token_ids), cached_tokens=first, calls=1))


def step_ends(ids: tuple[int, ...]) -> list[int]:
    return [place for place, token in enumerate(ids) if token == TAG]


def read(reader: StepReader, *ids: int) -> tuple[tuple[float, ...], int]:
    scores = asyncio.run(reader.read(ids, step_ends(ids)))
    return scores.values, scores.usage.calls


def test_a_score_belongs_to_the_token_of_its_tag() -> None:
    model = Model()
    assert read(StepReader(model.pool), 1, 2, TAG, 3, TAG) == ((0.02, 0.04), 1)


def test_scored_prefixes_are_remembered_and_other_steps_are_read() -> None:
    model = Model()
    reader = StepReader(model.pool)
    read(reader, 1, TAG, 2, TAG)
    assert read(reader, 1, TAG) == ((0.01,), 0)
    assert read(reader, 1, TAG, 2, TAG) == ((0.01, 0.03), 0)
    model.cached = 2  # the engine still has what it read for the first prompt
    assert read(reader, 1, TAG, 5, 6, TAG) == ((0.01, 0.04), 1)
    assert len(model.calls) == 2


def test_another_problem_shares_nothing() -> None:
    model = Model()
    reader = StepReader(model.pool)
    read(reader, 1, TAG, 2, TAG)
    assert read(reader, 4, TAG, 2, TAG)[1] == 1


def test_a_cache_that_outlives_the_memory_costs_a_second_reading() -> None:
    model = Model(cached=2)
    reader = StepReader(model.pool)
    assert read(reader, 1, TAG, 2, TAG) == ((0.01, 0.03), 2)
    assert [may_skip for _, may_skip in model.calls] == [True, False]


def test_the_longest_unused_scores_go_first() -> None:
    model = Model()
    reader = StepReader(model.pool, max_entries=2)
    read(reader, 1, TAG)
    read(reader, 2, TAG)
    read(reader, 1, TAG)  # known, and in use again
    read(reader, 3, TAG)
    assert read(reader, 1, TAG)[1] == 0
    assert read(reader, 2, TAG)[1] == 1


def test_nothing_to_score_asks_nothing() -> None:
    assert read(StepReader(Model().pool), 1, 2, 3) == ((), 0)


def test_the_same_prompt_twice_at_once() -> None:
    model = Model()
    reader = StepReader(model.pool)

    async def main() -> list[tuple[float, ...]]:
        both = await asyncio.gather(*(reader.read((1, TAG), [1]) for _ in range(2)))
        return [scores.values for scores in both]

    assert asyncio.run(main()) == [(0.01,), (0.01,)]


def test_one_class_is_the_score_itself_and_three_are_refused() -> None:
    assert read(StepReader(Model(classes=1).pool), 1, TAG) == ((0.01,), 1)
    with pytest.raises(CapabilityError, match="one or two"):
        read(StepReader(Model(classes=3).pool), 1, TAG)


def test_an_engine_that_leaves_out_what_it_must_read_is_an_error() -> None:
    class Forgetful(Model):
        async def pool(self, token_ids: tuple[int, ...], may_skip: bool) -> Pooled:
            return await super().pool(token_ids, True)

    with pytest.raises(EngineError, match="1 of 2 steps have no score"):
        read(StepReader(Forgetful(cached=2).pool), 1, TAG, 2, TAG)
