"""What every engine must do: the scripted one, a fleet of two such, and the real one."""

import asyncio
import threading
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from dataclasses import dataclass, replace
from typing import Any

import pytest

from tests.support.members import Member
from tts.engine.fleet import Fleet
from tts.engine.scripted import Ask, Line, ScriptedEngine
from tts.engine.vllm import VLLMEngine
from tts.errors import ContextError, EngineError
from tts.protocols import CompletionStream, Engine
from tts.types import (
    Completion,
    GenerationRequest,
    Message,
    Problem,
    Prompt,
    Sampling,
    Usage,
    sum_usage,
)

CHAT = Prompt(messages=(Message("user", "What is 7 * 8?"),))


@dataclass(frozen=True)
class Subject:
    """An engine, how to ask for text that goes on to its limit, and whether it is at rest."""

    engine: Engine
    endless: Sampling
    is_idle: Callable[[], Awaitable[bool]]


def say(ask: Ask) -> Line:
    """Twelve characters and a stop for each seed; on and on where stops are ignored."""
    if ask.request.sampling.extra_body:
        return Line("x" * 5_000)
    return Line(f"{ask.seed % 1000:03d} = 7\n\n{ask.seed % 97:02d}.")


@pytest.fixture(
    params=["scripted", "fleet", pytest.param("vllm", marks=[pytest.mark.slow, pytest.mark.engine])]
)
def subject(request: pytest.FixtureRequest) -> Iterator[Subject]:
    endless = Sampling(temperature=1.0, max_tokens=300, extra_body={"ignore_eos": True})
    if request.param == "scripted":
        scripted = ScriptedEngine(say)

        async def no_sequence_runs() -> bool:
            return scripted.num_running == 0

        yield Subject(scripted, endless, no_sequence_runs)
        return
    if request.param == "fleet":
        members = [Member(say), Member(say)]

        async def no_member_works() -> bool:
            return not any(member.num_running for member in members)

        yield Subject(Fleet(members), endless, no_member_works)
        return
    vllm: VLLMEngine = request.getfixturevalue("vllm_engine")

    async def no_block_is_held() -> bool:
        return not await vllm.resident_blocks() and vllm.kv_usage() == 0.0

    yield Subject(vllm, endless, no_block_is_held)


def ask(
    n: int = 1, *, prompt: Prompt = CHAT, seed: int = 0, sampling: Sampling | None = None
) -> GenerationRequest:
    sampling = sampling or Sampling(temperature=1.0, max_tokens=20)
    return GenerationRequest(prompt, sampling, n=n, seed=seed)


async def read(stream: CompletionStream) -> list[Completion]:
    return [completion async for completion in stream]


def run(main: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(main, 60))


def test_all_arrive_once_and_say_what_they_cost(subject: Subject) -> None:
    async def main() -> None:
        stream = subject.engine.generate(ask(5))
        completions = await read(stream)
        assert sorted(c.index for c in completions) == [0, 1, 2, 3, 4]
        for c in completions:
            assert c.usage.calls == 1
            assert c.usage.generated_tokens == len(c.token_ids) > 0
            assert c.usage.prompt_tokens == len(c.prompt_token_ids) > 0
            assert 0 <= (c.usage.cached_tokens or 0) < len(c.prompt_token_ids)
            assert c.error is None
        assert await stream.aclose() == Usage()
        assert await subject.is_idle()

    run(main())


def test_an_engine_that_has_started_may_be_started_again(subject: Subject) -> None:
    async def main() -> None:
        assert await subject.engine.start() is await subject.engine.start() is subject.engine

    run(main())


def test_a_text_becomes_the_tokens_that_continue_a_prompt(subject: Subject) -> None:
    async def main() -> None:
        (first,) = await read(subject.engine.generate(ask()))
        note = "Note: 7 + 7 = 14\n\n"
        ids = await subject.engine.tokenize(note)
        assert ids and ids == await subject.engine.tokenize(note)
        prompt = Prompt(token_ids=first.prompt_token_ids + first.token_ids + ids)
        (after,) = await read(subject.engine.generate(ask(prompt=prompt)))
        assert after.prompt_token_ids[-len(ids) :] == ids
        assert await subject.engine.tokenize("") == ()  # nothing at the start, nothing at the end

    run(main())


def test_a_given_text_is_as_likely_as_when_it_was_drawn(subject: Subject) -> None:
    async def main() -> None:
        sampling = Sampling(temperature=1.0, max_tokens=20, logprobs=1)
        (drawn,) = await read(subject.engine.generate(ask(sampling=sampling)))
        ids = await subject.engine.tokenize(drawn.text)
        found = await subject.engine.likelihood(CHAT, drawn.text)
        assert ids == drawn.token_ids[: len(ids)], "the text has the tokens that were drawn"
        expected = (drawn.logprobs or ())[: len(ids)]
        assert found.logprobs == pytest.approx(expected, abs=1e-2)
        assert found.usage.prompt_tokens == len(drawn.prompt_token_ids) + len(ids)
        assert not found.usage.generated_tokens
        assert (await subject.engine.likelihood(CHAT, "")).logprobs == ()

    run(main())


def test_it_says_of_itself_what_it_can(subject: Subject) -> None:
    async def main() -> None:
        engine = subject.engine
        await read(engine.generate(ask(2)))
        used, preempted = engine.kv_usage(), engine.num_preemptions()
        assert used is None or 0.0 <= used <= 1.0
        assert preempted is None or preempted >= 0
        assert engine.holds(Problem(id="p", statement="What is 7 * 8?"))
        await engine.forget()
        await read(engine.generate(ask(1)))

    run(main())


def test_a_seed_gives_the_same_completion(subject: Subject) -> None:
    async def main() -> None:
        texts = []
        for seed in (11, 11, 500_000_000_000):
            completions = await read(subject.engine.generate(ask(4, seed=seed)))
            texts.append({c.index: c.text for c in completions})
        assert texts[0] == texts[1] != texts[2]
        assert len(set(texts[0].values())) > 1

    run(main())


def test_sample_i_draws_with_the_seed_plus_i(subject: Subject) -> None:
    async def main() -> None:
        together = await read(subject.engine.generate(ask(3, seed=70)))
        streams = [subject.engine.generate(ask(1, seed=70 + i)) for i in range(3)]
        alone = [(await read(stream))[0] for stream in streams]
        assert {c.index: c.text for c in together} == {i: c.text for i, c in enumerate(alone)}

    run(main())


def test_a_closed_stream_counts_what_it_did_not_return(subject: Subject) -> None:
    async def main() -> None:
        stream = subject.engine.generate(ask(4, sampling=subject.endless))
        await wait_for_tokens(subject)
        usage = await stream.aclose()
        assert usage.calls == 4
        assert 0 < (usage.generated_tokens or 0) < 4 * 300
        assert (usage.prompt_tokens or 0) > 0
        assert await subject.is_idle()
        assert await stream.aclose() == usage
        assert await read(stream) == []

    run(main())


async def wait_for_tokens(subject: Subject) -> None:
    """Let the engine take a few steps: a second request runs beside the others."""
    await read(subject.engine.generate(ask(1, sampling=replace(subject.endless, max_tokens=5))))


def test_finished_and_unread_completions_are_counted_once(subject: Subject) -> None:
    async def main() -> None:
        brief = replace(subject.endless, max_tokens=2)
        stream = subject.engine.generate(ask(4, sampling=brief))
        first = await anext(stream)
        await wait_for_tokens(subject)  # by now the other three have ended too
        total = sum_usage([first.usage, await stream.aclose()])
        assert (total.calls, total.generated_tokens) == (4, 8)
        assert total.prompt_tokens == 4 * len(first.prompt_token_ids)

    run(main())


def test_a_cancelled_reader_leaves_a_stream_that_can_be_closed(subject: Subject) -> None:
    async def main() -> None:
        stream = subject.engine.generate(ask(2, sampling=subject.endless))
        reader = asyncio.create_task(read(stream))
        await wait_for_tokens(subject)
        reader.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reader
        assert (await stream.aclose()).calls == 2
        assert await subject.is_idle()

    run(main())


def test_closing_wakes_a_reader(subject: Subject) -> None:
    async def main() -> None:
        stream = subject.engine.generate(ask(2, sampling=subject.endless))
        reader = asyncio.create_task(read(stream))
        await wait_for_tokens(subject)
        await stream.aclose()
        assert await reader == []

    run(main())


def test_a_short_request_overtakes_a_long_one(subject: Subject) -> None:
    async def main() -> None:
        order = []

        async def follow(name: str, max_tokens: int) -> None:
            sampling = replace(subject.endless, max_tokens=max_tokens)
            await read(subject.engine.generate(ask(2, sampling=sampling)))
            order.append(name)

        async with asyncio.TaskGroup() as group:
            group.create_task(follow("long", 60))
            group.create_task(follow("short", 3))
        assert order == ["short", "long"]

    run(main())


def test_limits_and_stop_strings_end_a_completion(subject: Subject) -> None:
    async def main() -> None:
        brief = replace(subject.endless, max_tokens=7)
        (cut,) = await read(subject.engine.generate(ask(sampling=brief)))
        assert (cut.finish_reason, len(cut.token_ids)) == ("length", 7)
        stopping = Sampling(temperature=0.0, max_tokens=100, stop=("nowhere", "\n\n"))
        (stopped,) = await read(subject.engine.generate(ask(sampling=stopping)))
        assert (stopped.finish_reason, stopped.stop_string) == ("stop", "\n\n")
        assert stopped.text and "\n\n" not in stopped.text

    run(main())


def test_logprobs_and_confidences_belong_to_the_tokens(subject: Subject) -> None:
    async def main() -> None:
        for top, has_confidences in ((0, False), (4, True)):
            sampling = Sampling(temperature=1.0, max_tokens=9, logprobs=top)
            for c in await read(subject.engine.generate(ask(2, sampling=sampling))):
                assert c.logprobs is not None
                assert len(c.logprobs) == len(c.token_ids)
                assert max(c.logprobs) <= 0.0
                assert (c.confidences is not None) == has_confidences
                assert len(c.confidences or c.logprobs) == len(c.token_ids)
        (plain,) = await read(subject.engine.generate(ask()))
        assert plain.logprobs is None and plain.confidences is None
        assert plain.entropies is None and plain.self_certainties is None
        certain = Sampling(temperature=1.0, max_tokens=9, certainties=True)
        for c in await read(subject.engine.generate(ask(2, sampling=certain))):
            for values in (c.entropies, c.self_certainties):
                assert (values is not None) == subject.engine.capabilities.certainties
                assert values is None or len(values) == len(c.token_ids)

    run(main())


def test_tokens_are_told_while_they_are_generated(subject: Subject) -> None:
    async def main() -> None:
        assert subject.engine.tokens_in_flight() == 0
        stream = subject.engine.generate(ask(2, sampling=subject.endless))
        seen = 0
        while not seen:
            await asyncio.sleep(0)
            seen = subject.engine.tokens_in_flight()
        cost = await stream.aclose()
        assert 0 < seen <= (cost.generated_tokens or 0) <= 600
        assert subject.engine.tokens_in_flight() == 0

    run(main())


def test_token_ids_continue_where_a_completion_ended(subject: Subject) -> None:
    async def main() -> None:
        greedy = Sampling(temperature=0.0, max_tokens=40)
        (whole,) = await read(subject.engine.generate(ask(sampling=greedy)))
        again = Prompt(token_ids=whole.prompt_token_ids)
        (same,) = await read(subject.engine.generate(ask(prompt=again, sampling=greedy)))
        assert same.text == whole.text
        assert same.prompt_token_ids == whole.prompt_token_ids

    run(main())


def test_a_prompt_seen_before_comes_from_the_cache(subject: Subject) -> None:
    async def main() -> None:
        prompt = Prompt(messages=(Message("user", "What is 1 + 2? " * 40),))
        await read(subject.engine.generate(ask(prompt=prompt)))
        (second,) = await read(subject.engine.generate(ask(prompt=prompt)))
        block = subject.engine.info.kv_block_size or 1
        # All full blocks are reused, but at least one token is computed.
        assert second.usage.cached_tokens == (len(second.prompt_token_ids) - 1) // block * block

    run(main())


def test_a_prompt_that_does_not_fit_is_refused(subject: Subject) -> None:
    async def main() -> None:
        context = subject.engine.info.context_tokens or 0
        for size in (context, context + 1):
            stream = subject.engine.generate(ask(prompt=Prompt(token_ids=(65,) * size)))
            with pytest.raises(ContextError, match=rf"{size} tokens.*{context}"):
                await anext(stream)
            assert await stream.aclose() == Usage()
        fitting = ask(prompt=Prompt(token_ids=(65,) * (context - 1)), sampling=subject.endless)
        (last,) = await read(subject.engine.generate(fitting))
        assert len(last.token_ids) == 1

    run(main())


def test_two_event_loops_share_an_engine(subject: Subject) -> None:
    if not isinstance(subject.engine, VLLMEngine):
        pytest.skip("the scripted engine lives in one loop")
    counts = []

    def other() -> None:
        async def main() -> None:
            counts.append(len(await read(subject.engine.generate(ask(3)))))

        run(main())

    threads = [threading.Thread(target=other) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert counts == [3, 3]


@pytest.mark.parametrize("how", ["fails", "dies", "closes"])
def test_a_stream_of_a_dead_engine_raises(how: str) -> None:
    async def main() -> None:
        engine = ScriptedEngine(lambda _: Line("x" * 50), die_at=5 if how == "dies" else None)
        if how == "fails":
            engine.fail_at = {0: EngineError("busy")}
        stream = engine.generate(ask(2))
        if how == "closes":
            await asyncio.sleep(0)
            await engine.aclose()
        with pytest.raises(EngineError):
            await anext(stream)
        # Two sequences, a token per tick: dead at tick 5, when four had been drawn.
        assert (await stream.aclose()).generated_tokens == (8 if how == "dies" else 0)
        await engine.aclose()
        await engine.aclose()
        with pytest.raises(EngineError, match=r"closed|died"):
            await anext(engine.generate(ask()))

    run(main())
