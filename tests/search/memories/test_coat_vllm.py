"""Associative memory on the real engine: what children are sent, and what of it is in the cache."""

import asyncio
from collections.abc import Sequence

import pytest

from tts.engine.vllm import VLLMEngine
from tts.protocols import Context, VerifierSpec
from tts.runtime.job import Job
from tts.runtime.log import Entry, GenerationLog
from tts.runtime.runtime import Runtime
from tts.search.memories import function
from tts.search.memories.base import Cue
from tts.strategies.mcts import Config, build
from tts.tasks.chain import generate_problem
from tts.types import Completion, Sampling, Score, Trajectory


class Even:
    """Finds every solution as good as any other."""

    spec = VerifierSpec(unit_interval=True)

    async def score(self, context: Context, trajectories: Sequence[Trajectory]) -> list[Score]:
        return [Score(0.5)] * len(trajectories)

    async def aclose(self) -> None:
        pass


class Kept(GenerationLog):
    """Keeps all completions in a list."""

    def __init__(self) -> None:
        super().__init__()
        self.completions: list[Completion] = []

    def record(self, entry: Entry, completion: Completion) -> None:
        self.completions.append(completion)
        super().record(entry, completion)


async def recall(cue: Cue) -> str:
    return f"{len(cue.steps)} of the steps are done"


@pytest.mark.slow
def test_children_continue_step_and_memory_and_find_what_the_parent_computed(
    vllm_engine: VLLMEngine,
) -> None:
    log = Kept()

    async def main() -> list[tuple[int, ...]]:
        await vllm_engine.forget()
        memory = function.build(function.Config(function=recall))
        config = Config(memory=memory, branching=2, solutions=1, expansions=4, parallel=1)
        sampling = Sampling(temperature=1.0, max_tokens=200)
        problem = generate_problem("test", 3, 0)
        async with Runtime(vllm_engine, verifiers={"prm": Even()}, log=log) as runtime:
            result = await runtime.run(Job(build(config), problem, sampling))
        notes = {e.fields["text"] for e in result.trace if e.kind == "recall"}
        return [await vllm_engine.tokenize(f"Note: {text}\n\n") for text in sorted(notes)]

    notes = asyncio.run(main())
    root = log.completions[0].prompt_token_ids
    ends = {c.prompt_token_ids + c.token_ids for c in log.completions}
    children = [c for c in log.completions if c.prompt_token_ids != root]
    assert notes and children
    block = vllm_engine.info.kv_block_size or 0
    for child in children:
        prompt = child.prompt_token_ids
        (parent,) = [prompt[: -len(note)] for note in notes if prompt[-len(note) :] == note]
        assert parent in ends
        # The token drawn last is not computed by the one who draws it.
        assert (child.usage.cached_tokens or 0) >= (len(parent) - 1) // block * block
