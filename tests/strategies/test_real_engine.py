"""Each preset that needs no reward model, on the real engine with the bundled model."""

import asyncio
from dataclasses import replace

import pytest

from tests.support.verifiers import open_verifier
from tts.engine.vllm import VLLMEngine
from tts.operators.think import Think
from tts.parts import catalog
from tts.pipeline import Pipeline
from tts.presets.load import Preset, load_preset
from tts.runtime.job import Job
from tts.runtime.runtime import Runtime
from tts.tasks import chain, countdown
from tts.types import Problem, Result, Sampling

pytestmark = pytest.mark.slow
PROBLEM = chain.generate_problem("test", 1, 0)
PUZZLE = countdown.generate_problem("test", 1, 0)  # for what is asked puzzles alone


def verifiers_of(preset: Preset) -> list[str]:
    return [name for _, node in preset.pipeline for name in node.operator.spec.verifiers]


def without_rewards() -> list[str]:
    """Return one preset of each strategy that needs no reward model."""
    presets = [load_preset(name) for name in catalog.preset_files()]
    plain = [preset for preset in presets if "prm" not in verifiers_of(preset)]
    return sorted({str(preset.values.get("strategy")): preset.name for preset in plain}.values())


def solve(
    engine: VLLMEngine, pipeline: Pipeline, sampling: Sampling, problem: Problem = PROBLEM
) -> Result:
    names = [name for _, node in pipeline for name in node.operator.spec.verifiers]
    verifiers = {name: open_verifier(name) for name in names}
    for verifier in list(verifiers.values()):
        verifiers |= {name: open_verifier(name) for name in verifier.spec.verifiers}

    async def run() -> Result:
        async with Runtime(engine, verifiers=verifiers) as runtime:
            return await runtime.run(Job(pipeline, problem, sampling))

    return asyncio.run(run())


@pytest.mark.parametrize("name", without_rewards())
def test_it_solves_or_says_why_not(name: str, vllm_engine: VLLMEngine) -> None:
    preset = load_preset(name)
    sampling = replace(preset.sampling, max_tokens=60)
    problem = PUZZLE if name == "apr" else PROBLEM
    result = solve(vllm_engine, preset.pipeline, sampling, problem)
    assert result.answer is not None or result.reason
    assert (result.usage.generated_tokens or 0) > 0
    assert not any(event.kind == "error" for event in result.trace)


def test_a_thought_in_slices_is_the_same_thought(vllm_engine: VLLMEngine) -> None:
    greedy = Sampling(temperature=0.0, max_tokens=100)
    whole = solve(vllm_engine, Pipeline.of(Think()), greedy)
    sliced = solve(vllm_engine, Pipeline.of(Think(slice_tokens=16, max_repeats=50)), greedy)
    assert sliced.trajectories[0].text == whole.trajectories[0].text
    block = vllm_engine.info.kv_block_size or 1
    for event in [e for e in sliced.trace if e.kind == "completion"][2:]:
        assert event.fields["cached"] >= block
