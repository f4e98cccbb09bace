"""The wave on reflection words in vLLM's batch, and on the real engine."""

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from tts.engine.reflection import EXTRA_KEY, Schedule
from tts.engine.reflection_processor import ReflectionProcessor
from tts.engine.vllm import VLLMEngine
from tts.errors import CapabilityError
from tts.types import Completion, GenerationRequest, Prompt, Reflection, Sampling

SCHEDULE = Schedule(Reflection(amplitude=2.0, period=8), (1, 3), (9,))


def batch(**changes: Any) -> SimpleNamespace:
    return SimpleNamespace(**{"removed": [], "added": [], "moved": [], **changes})


def params(has_wave: bool) -> SimpleNamespace:
    return SimpleNamespace(extra_args={EXTRA_KEY: SCHEDULE} if has_wave else None)


def test_only_the_rows_that_asked_for_it_change_and_it_moves_with_them() -> None:
    processor = ReflectionProcessor(None, None, False)
    added = [(0, params(True), None, [5, 5]), (1, params(False), None, [5, 5])]
    processor.update_state(batch(added=added))
    high = torch.tensor([[0.0, 2.0, 0.0, 2.0], [0.0] * 4])
    assert torch.equal(processor.apply(torch.zeros(2, 4)), high)
    processor.update_state(batch(moved=[(0, 1, SimpleNamespace(name="SWAP"))]))
    assert torch.equal(processor.apply(torch.zeros(2, 4)), high.flip(0))
    processor.update_state(batch(removed=[1]))
    processor.update_state(None)
    assert torch.equal(processor.apply(torch.zeros(2, 4)), torch.zeros(2, 4))


def ask(engine: VLLMEngine, reflection: Reflection) -> Completion:
    sampling = Sampling(temperature=1.0, max_tokens=4, reflection=reflection)

    async def work() -> Completion:
        request = GenerationRequest(Prompt(text="Start with 3."), sampling)
        return await anext(engine.generate(request))

    return asyncio.run(work())


def test_on_the_real_engine_a_steep_wave_leaves_nothing_else(vllm_engine: VLLMEngine) -> None:
    steep = Reflection(amplitude=1e6, period=10**6, shift=0.25)  # the top, four tokens long
    assert set(ask(vllm_engine, steep).text) <= set("Wait ")
    with pytest.raises(CapabilityError, match="none of these as one token"):
        ask(vllm_engine, Reflection(words=("zyzzyva",)))
