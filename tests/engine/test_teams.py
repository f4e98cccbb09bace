"""Workers over one cache, on the real engine: equal to plain decoding, and to a dense layout."""

import asyncio
from collections.abc import Coroutine, Sequence
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from tests.engine.written_out import TEAM, Dense, team_of
from tts.engine.teamwork import Row
from tts.engine.vllm import VLLMEngine
from tts.errors import CapabilityError, ContextError
from tts.types import Completion, GenerationRequest, Message, Prompt, Sampling, Team, Usage

pytestmark = [pytest.mark.slow, pytest.mark.engine]
CHAT = Prompt(
    messages=(Message("user", "Start with 3. Add 4. Then multiply by 5. What is the result?"),)
)
GREEDY = Sampling(temperature=0.0, max_tokens=40)
DRAWN = Sampling(temperature=0.8, top_p=0.9, max_tokens=40)


def run(main: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(main, 120))


def ask(team: Team | None, sampling: Sampling = GREEDY, **changes: Any) -> GenerationRequest:
    return GenerationRequest(CHAT, sampling, seed=11, team=team, **changes)


async def read(engine: VLLMEngine, request: GenerationRequest) -> list[Completion]:
    stream = engine.generate(request)
    found = [completion async for completion in stream]
    assert await stream.aclose() == Usage()
    return sorted(found, key=lambda completion: completion.index)


async def inside(engine: VLLMEngine, job: Any) -> Any:
    """Run a job in the engine's thread."""
    return await asyncio.wrap_future(engine._stepper.call(job))


@pytest.mark.parametrize("sampling", [GREEDY, DRAWN])
def test_one_worker_writes_what_plain_decoding_writes(
    vllm_engine: VLLMEngine, sampling: Sampling
) -> None:
    async def main() -> None:
        team = team_of("A", step="", banned=(), answer_mark="")
        (alone,) = await read(vllm_engine, ask(team, sampling))
        opening = await vllm_engine.tokenize(team.openings[0])
        begun = Prompt(token_ids=(*alone.prompt_token_ids, *opening))
        assert vllm_engine._encoder is not None
        banned = dict.fromkeys(vllm_engine._encoder.special_ids(), -100.0)
        plainly = replace(sampling, extra_body={"logit_bias": banned})
        (plain,) = await read(vllm_engine, GenerationRequest(begun, plainly, seed=11))
        assert alone.token_ids == (*opening, *plain.token_ids)
        assert len(plain.token_ids) == alone.usage.generated_tokens == 40

    run(main())


class Recorder:
    """Notes what the model is asked in each step, and what it says."""

    def __init__(self, forward: Any) -> None:
        self.forward, self.segments = forward, forward.segments
        self.steps: list[tuple[list[Row], Tensor]] = []

    def run(self, rows: Sequence[Row]) -> Tensor:
        kept = [Row(list(row.tokens), list(row.view)) for row in rows]
        logits: Tensor = self.forward.run(rows)
        self.steps.append((kept, logits.clone()))
        return logits


async def record(engine: VLLMEngine, request: GenerationRequest) -> Recorder:
    await read(engine, replace(request, sampling=replace(request.sampling, max_tokens=2)))
    teams = engine._teams
    forward = teams._forward
    recorder = teams._forward = Recorder(forward)
    await read(engine, request)
    teams._forward = forward
    return recorder


@pytest.mark.parametrize(
    "team",
    [
        replace(TEAM, step_ends="paragraph", check_every=20),
        team_of("A", "B", "C", step_ends="paragraph", check_every=30),
    ],
)
def test_logits_are_those_of_a_dense_model_over_the_layout_written_out(
    vllm_engine: VLLMEngine, team: Team
) -> None:
    async def main() -> None:
        sampling = replace(DRAWN, max_tokens=60 * len(team.names))
        recorder = await record(vllm_engine, ask(team, sampling))
        dense = Dense()
        assert max(len(row.view) for row in recorder.steps[-1][0]) >= 4 + 2  # steps have ended
        for rows, logits in recorder.steps:
            torch.testing.assert_close(logits, dense.run(rows), rtol=1e-4, atol=1e-4)

    run(main())


def test_nothing_is_copied_and_all_is_given_back(vllm_engine: VLLMEngine) -> None:
    async def main() -> None:
        team = replace(TEAM, step_ends="paragraph")
        recorder = await record(vllm_engine, ask(team, DRAWN, n=3))
        prompt = recorder.steps[0][0][0]
        # The prompt is read once, by nobody's worker; then each of six workers sees that segment.
        assert len(recorder.steps[0][0]) == 3  # it, and what stands before others and own
        for rows, _ in recorder.steps[1:]:
            assert {row.view[0] for row in rows} == set(prompt.view)
            assert not any(row.view[-1] == prompt.view[0] for row in rows)
        assert recorder.segments.num_pages == 0

    run(main())


def test_teams_of_several_requests_do_not_touch_each_other(vllm_engine: VLLMEngine) -> None:
    async def main() -> None:
        team = replace(TEAM, step_ends="paragraph")
        (alone,) = await read(vllm_engine, ask(team, DRAWN))
        async with asyncio.TaskGroup() as group:
            plain = group.create_task(read(vllm_engine, ask(None, DRAWN, n=4)))
            same = group.create_task(read(vllm_engine, ask(team, DRAWN, n=2)))
            other = group.create_task(read(vllm_engine, ask(team_of("A", "B", "C"), DRAWN)))
        assert len(plain.result()) == 4 and len(other.result()) == 1
        first, second = same.result()
        assert first.token_ids == alone.token_ids != second.token_ids
        seen = [await vllm_engine.tokenize(text) for text in (team.others, team.own)]
        shared = len(alone.prompt_token_ids) + sum(map(len, seen))
        assert (first.usage.cached_tokens, second.usage.cached_tokens) == (0, shared)

    run(main())


def test_a_reader_that_leaves_is_told_what_it_cost(vllm_engine: VLLMEngine) -> None:
    async def main() -> None:
        await read(vllm_engine, ask(TEAM))
        endless = replace(GREEDY, max_tokens=3_000)
        stream = vllm_engine.generate(ask(team_of("A", "B", answer_mark=""), endless))
        await asyncio.sleep(0.3)
        spent = await stream.aclose()
        assert spent.calls == 1 and 0 < (spent.generated_tokens or 0) < 3_000
        assert await inside(vllm_engine, lambda: vllm_engine._teams.is_busy) is False
        pages = await inside(vllm_engine, lambda: vllm_engine._teams._forward.segments.num_pages)
        assert pages == 0

    run(main())


def test_the_context_ends_the_work(vllm_engine: VLLMEngine) -> None:
    async def main() -> None:
        context = vllm_engine.info.context_tokens or 0
        prompt_tokens = await vllm_engine.count_prompt(CHAT, GREEDY)
        free = prompt_tokens + 60
        sampling = replace(GREEDY, max_tokens=4_000)
        team = team_of("A", "B", answer_mark="", step="")
        (done,) = await read(vllm_engine, ask(team, sampling, keep_free=context - free))
        assert done.finish_reason == "length"
        assert 20 < (done.usage.generated_tokens or 0) < 60
        with pytest.raises(ContextError, match="no room to generate"):
            await read(vllm_engine, ask(TEAM, keep_free=context))

    run(main())


def test_what_teams_cannot_report_is_refused(vllm_engine: VLLMEngine) -> None:
    async def main() -> None:
        for sampling in (replace(GREEDY, logprobs=5), replace(GREEDY, stop=("x",))):
            with pytest.raises(CapabilityError, match="workers over one cache have no"):
                await read(vllm_engine, ask(TEAM, sampling))
        assert vllm_engine.capabilities.teams

    run(main())


def test_a_failing_step_ends_the_teams_and_not_the_engine(vllm_engine: VLLMEngine) -> None:
    async def main() -> None:
        await read(vllm_engine, ask(TEAM))
        teams = vllm_engine._teams
        forward, segments = teams._forward, teams._forward.segments

        class Broken:
            def __init__(self) -> None:
                self.segments = segments

            def run(self, rows: Sequence[Row]) -> Tensor:
                raise MemoryError("none left")

        teams._forward = Broken()
        with pytest.raises(Exception, match="workers over one cache failed: MemoryError: none"):
            await read(vllm_engine, ask(TEAM))
        teams._forward = forward
        assert len(await read(vllm_engine, ask(TEAM))) == 1
        assert segments.num_pages == 0

    run(main())
