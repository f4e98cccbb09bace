"""Entropy and self-certainty over the whole vocabulary: by hand, in a batch, on the real engine."""

import asyncio
import math
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM

from tts.bundled import resolve
from tts.engine.certainty import CERTAINTY_KEY, Readings
from tts.engine.certainty_processor import CertaintyProcessor, measure
from tts.engine.vllm import VLLMEngine
from tts.types import Completion, GenerationRequest, Prompt, Sampling


def test_measures_by_hand() -> None:
    halves = torch.tensor([[0.5, 0.25, 0.25]]).log() + 7.0  # a shift changes nothing
    entropy, certainty = measure(halves)[0].tolist()
    assert entropy == pytest.approx(1.5 * math.log(2))  # log(2)/2 + 2 * log(4)/4
    assert certainty == pytest.approx(-(math.log(3 / 2) + 2 * math.log(3 / 4)) / 3)
    assert measure(torch.zeros(1, 8))[0].tolist() == pytest.approx([math.log(8), 0.0])
    forbidden = torch.tensor([[0.0, 0.0, -math.inf]])
    assert measure(forbidden)[0].tolist() == pytest.approx([math.log(2), math.inf])


def test_the_last_look_at_a_token_counts() -> None:
    readings = Readings()
    assert readings.of_first(0) == ((), ())
    for place, value in ((0, 9.0), (0, 1.0), (1, 8.0), (2, 7.0), (1, 2.0), (2, 3.0)):
        readings.put(place, value, -value)
    assert readings.of_first(2) == ((1.0, 2.0), (-1.0, -2.0))
    assert readings.of_first(3) == ((1.0, 2.0, 3.0), (-1.0, -2.0, -3.0))
    assert readings.of_first(4) is None


def test_only_the_rows_that_asked_for_it_are_read() -> None:
    processor, readings = CertaintyProcessor(None, None, False), Readings()
    asked = SimpleNamespace(extra_args={CERTAINTY_KEY: readings})
    output_ids: list[int] = []
    added: list[Any] = [
        (0, SimpleNamespace(extra_args=None), None, []),
        (1, asked, None, output_ids),
    ]
    processor.update_state(SimpleNamespace(removed=[], moved=[], added=added))
    logits = torch.tensor([[0.0, 9.0], [0.0, 0.0]])
    assert processor.apply(logits) is logits
    output_ids.append(1)
    swap: list[Any] = [(0, 1, SimpleNamespace(name="SWAP"))]
    processor.update_state(SimpleNamespace(removed=[], moved=swap, added=[]))
    processor.apply(logits.flip(0))
    found = readings.of_first(2)
    assert found is not None
    assert found[0] == pytest.approx((math.log(2), math.log(2)))
    assert found[1] == pytest.approx((0.0, 0.0))


def draw(engine: VLLMEngine, sampling: Sampling, n: int) -> list[Completion]:
    async def work() -> list[Completion]:
        request = GenerationRequest(Prompt(text="Start with 3. Add 4."), sampling, n=n, seed=5)
        return [completion async for completion in engine.generate(request)]

    return sorted(asyncio.run(work()), key=lambda completion: completion.index)


@pytest.mark.parametrize(
    ("options", "can_tell"),
    [
        ({}, True),
        ({"tensor_parallel_size": 2}, False),  # their workers are processes of their own
        ({"distributed_executor_backend": "mp"}, False),
        ({"speculative_config": {"method": "ngram"}}, False),  # vLLM then takes no processors
    ],
)
def test_only_an_engine_that_draws_in_this_process_can_tell(
    options: dict[str, Any], can_tell: bool
) -> None:
    assert VLLMEngine("some/model", **options).capabilities.certainties == can_tell
    assert not VLLMEngine("some/model", runner="pooling").capabilities.certainties


@pytest.mark.parametrize("temperature", [0.0, 0.7])
def test_the_real_engine_agrees_with_transformers(
    vllm_engine: VLLMEngine, temperature: float
) -> None:
    sampling = Sampling(temperature=temperature, top_p=0.9, max_tokens=12, certainties=True)
    model = AutoModelForCausalLM.from_pretrained(resolve("reasoner"), dtype=torch.float32)
    for completion in draw(vllm_engine, sampling, n=3):
        token_ids = completion.prompt_token_ids + completion.token_ids
        with torch.inference_mode():
            logits = model(torch.tensor([token_ids])).logits[0].float()
        logprobs = torch.log_softmax(logits[len(completion.prompt_token_ids) - 1 : -1], dim=-1)
        entropies = -(logprobs.exp() * logprobs).sum(dim=-1)
        certainties = -(logprobs + math.log(logprobs.shape[-1])).mean(dim=-1)
        assert completion.entropies == pytest.approx(entropies.tolist(), abs=1e-3)
        assert completion.self_certainties == pytest.approx(certainties.tolist(), abs=1e-3)


def test_reading_changes_no_sample_and_is_left_out_unasked(vllm_engine: VLLMEngine) -> None:
    sampling = Sampling(temperature=1.0, max_tokens=12)
    plain = draw(vllm_engine, sampling, n=2)
    read = draw(vllm_engine, Sampling(temperature=1.0, max_tokens=12, certainties=True), n=2)
    assert [c.text for c in plain] == [c.text for c in read]
    assert all(c.entropies is None and c.self_certainties is None for c in plain)
    assert all(len(c.entropies or ()) == len(c.token_ids) for c in read)
