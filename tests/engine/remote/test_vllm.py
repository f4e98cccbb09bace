"""The OpenAI engine against vLLM's own server, with the bundled reasoner."""

import asyncio
from collections.abc import Iterator
from dataclasses import replace

import pytest

from tests.support.remote import CHAT, ask, read
from tts.bench.servers.own import NEEDED, read_served, vllm_server
from tts.engine.openai import OpenAIEngine
from tts.engine.vllm import VLLMEngine
from tts.errors import ContextError
from tts.types import Prompt, sum_usage
from tts.types.thought import Thought


@pytest.fixture
def own_server(vllm_engine: VLLMEngine) -> Iterator[str]:
    for module in NEEDED:
        pytest.importorskip(module)
    with vllm_server(dtype=str(vllm_engine.info.dtype)) as url:
        yield url


async def check_counts(engine: OpenAIEngine, url: str) -> None:
    """Compare what we count with what the server does: exactly, but for what was cut."""
    before = read_served(url).tokens
    samples = await read(engine, ask(6, max_tokens=40))
    total = sum_usage([sample.usage for sample in samples])
    assert total.generated_tokens == sum(len(sample.token_ids) for sample in samples)
    assert total.estimated_calls == 0
    assert read_served(url).tokens - before == total.generated_tokens

    before = read_served(url).tokens
    endless = engine.generate(ask(4, max_tokens=1500, extra_body={"ignore_eos": True}))
    (first,) = await read(engine, ask(max_tokens=3))
    assert first.finish_reason == "length"
    await asyncio.sleep(0.2)
    cut = await endless.aclose()
    assert cut.calls == 4
    assert cut.generated_tokens is not None and cut.generated_tokens > 4
    assert cut.estimated_tokens <= 4 * 32  # since the last event of each
    await asyncio.sleep(1)  # the server notices, and its engine stops
    lag = read_served(url).tokens - before - (first.usage.generated_tokens or 0)
    lag -= cut.generated_tokens
    assert abs(lag) <= 4 * 30  # what was drawn while we hung up


@pytest.mark.slow
@pytest.mark.engine
@pytest.mark.timeout(600)
def test_vllms_own_server_agrees_with_the_embedded_engine(
    own_server: str, vllm_engine: VLLMEngine
) -> None:
    async def main() -> None:
        async with OpenAIEngine("m", base_url=own_server) as engine:
            assert engine.info.context_tokens == 2048
            greedy = ask(temperature=0.0, max_tokens=40, stop=("\n\n",), logprobs=3)
            (theirs,) = await read(engine, greedy)
            (ours,) = [c async for c in vllm_engine.generate(greedy)]
            assert (theirs.text, theirs.token_ids) == (ours.text, ours.token_ids)
            assert theirs.stop_string == ours.stop_string == "\n\n"
            assert theirs.prompt_token_ids == ours.prompt_token_ids
            assert theirs.logprobs == pytest.approx(ours.logprobs, abs=1e-3)
            assert theirs.confidences == pytest.approx(ours.confidences, abs=1e-2)
            assert theirs.usage.generated_tokens == ours.usage.generated_tokens

            placed = replace(greedy, sampling=replace(greedy.sampling, offsets=True))
            (theirs,) = await read(engine, placed)
            (ours,) = [c async for c in vllm_engine.generate(placed)]
            assert theirs.offsets == ours.offsets
            assert ours.offsets is not None and ours.offsets[-1] == len(ours.text)
            assert len(ours.offsets) == len(ours.token_ids)

            note = "Note: 7 * 8 = 56\n\n"
            assert await engine.tokenize(note) == await vllm_engine.tokenize(note)

            read_there = await engine.likelihood(CHAT, ours.text)
            read_here = await vllm_engine.likelihood(CHAT, ours.text)
            assert read_there.logprobs == pytest.approx(read_here.logprobs, abs=1e-3)
            assert read_there.usage.prompt_tokens == read_here.usage.prompt_tokens

            ids = Prompt(token_ids=theirs.prompt_token_ids)
            (again,) = await read(engine, ask(prompt=ids, temperature=0.0, max_tokens=5))
            shared = min(5, len(theirs.token_ids))
            assert again.token_ids[:shared] == theirs.token_ids[:shared]
            prefilled = Prompt(messages=CHAT.messages, prefill="7 * 8 =")
            texts = {c.index: c.text for c in await read(engine, ask(3, prefilled, max_tokens=9))}
            assert sorted(texts) == [0, 1, 2]

            for thought in (Thought("open"), Thought("closed", "7 * 8"), Thought("skipped")):
                prompt = Prompt(messages=CHAT.messages, thought=thought)
                (thinks,) = await read(engine, ask(prompt=prompt, max_tokens=3))
                assert thinks.prompt_token_ids == await vllm_engine.encode(prompt)

            # 2048 tokens of context: all but 2000 and the prompt's are left for this completion.
            used = len(theirs.prompt_token_ids)
            going_on = ask(max_tokens=1500, extra_body={"ignore_eos": True})
            for roomy in (going_on, replace(going_on, prompt=ids)):
                (short,) = await read(engine, replace(roomy, keep_free=2000))
                assert len(short.token_ids) == 2048 - 2000 - used
            with pytest.raises(ContextError, match="2040 of them kept"):
                await read(engine, replace(going_on, keep_free=2040))

            too_long = ask(prompt=Prompt(token_ids=(65,) * 3000))
            with pytest.raises(ContextError):
                await read(engine, too_long)
            await check_counts(engine, own_server)

    asyncio.run(main())
