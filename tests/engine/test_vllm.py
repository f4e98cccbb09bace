"""What is particular to the embedded vLLM: several engines, death, seeds, errors."""

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tts import prompts
from tts.engine.running import make_engine
from tts.engine.spec import EngineSpec
from tts.engine.translate import sampling_params
from tts.engine.vllm import VLLMEngine
from tts.errors import CapabilityError, ContextError, EngineError, InputError, ModelError
from tts.types import GenerationRequest, Message, Prompt, Sampling, ScoreRequest

CHAT = Prompt(messages=(Message("user", "What is 7 * 8?"),))
ENDLESS = Sampling(max_tokens=400, extra_body={"ignore_eos": True})


@pytest.mark.parametrize("model", ["/nowhere", "./nothing", "a/b/c", str(Path(__file__).parent)])
def test_a_path_without_a_model_is_refused_at_once(model: str) -> None:
    with pytest.raises(ModelError, match="no model at"):
        VLLMEngine(model)


def test_an_unknown_bundled_model_is_refused_at_once() -> None:
    with pytest.raises(ModelError, match=r"bundled:reasoner"):
        VLLMEngine("bundled:genius")


def test_what_is_known_only_after_the_start_says_so() -> None:
    engine = VLLMEngine()
    with pytest.raises(EngineError, match="has not started"):
        _ = engine.info
    assert engine.kv_usage() == 0.0
    asyncio.run(engine.aclose())

    async def main() -> None:
        with pytest.raises(EngineError, match="closed"):
            await engine.start()
        with pytest.raises(EngineError, match="closed"):
            await anext(engine.generate(GenerationRequest(CHAT, Sampling())))

    asyncio.run(main())


@pytest.mark.slow
def test_the_model_is_described(vllm_engine: VLLMEngine) -> None:
    info = vllm_engine.info
    assert (info.name, info.context_tokens, info.kv_block_size) == ("bundled:reasoner", 2048, 32)
    assert info.parameters is not None and 500_000 < info.parameters < 5_000_000
    assert len(info.fingerprint) == 16


@pytest.mark.slow
@pytest.mark.parametrize(
    ("sampling", "message"),
    [
        (Sampling(temperature=9.0), "temperature"),
        (Sampling(top_p=0.0), "top_p"),
        (Sampling(extra_body={"no_such_setting": 1}), "no_such_setting"),
        (Sampling(extra_body={"temperature": 1.0}), "temperature"),
    ],
)
def test_a_refused_request_leaves_the_engine_alive(
    vllm_engine: VLLMEngine, sampling: Sampling, message: str
) -> None:
    async def main() -> None:
        with pytest.raises(EngineError, match=message):
            await anext(vllm_engine.generate(GenerationRequest(CHAT, sampling)))
        await anext(vllm_engine.generate(GenerationRequest(CHAT, Sampling(max_tokens=2))))

    asyncio.run(main())


@pytest.mark.slow
def test_a_request_says_how_its_chat_is_written(vllm_engine: VLLMEngine) -> None:
    template = "{% if brief %}B{% endif %}{{ messages[0]['content'] }}"

    async def ids(**options: object) -> tuple[int, ...]:
        sampling = Sampling(max_tokens=1, chat_template_kwargs=options)
        completion = await anext(vllm_engine.generate(GenerationRequest(CHAT, sampling)))
        return completion.prompt_token_ids

    async def main() -> None:
        text = CHAT.messages[0].content
        assert await ids(chat_template=template) == await vllm_engine.tokenize(text)
        brief = await ids(chat_template=template, brief=True)
        assert brief == await vllm_engine.tokenize(f"B{text}")
        assert await ids() == await vllm_engine.encode(CHAT) != brief
        assert await vllm_engine.count_prompt(CHAT, Sampling()) == len(await ids())

    asyncio.run(main())


@pytest.mark.slow
def test_extra_fields_are_written_as_for_a_server(vllm_engine: VLLMEngine) -> None:
    extra = {"structured_outputs": {"choice": ["a", "b"]}, "min_tokens": 3}
    params = sampling_params(Sampling(extra_body=extra), max_tokens=9)
    assert (params.structured_outputs.choice, params.min_tokens) == (["a", "b"], 3)


@pytest.mark.slow
def test_a_completion_leaves_free_what_it_is_told_to(vllm_engine: VLLMEngine) -> None:
    context = vllm_engine.info.context_tokens or 0
    prompt = Prompt(token_ids=(65,) * (context - 100))

    async def main() -> None:
        request = GenerationRequest(prompt, ENDLESS, keep_free=90)
        completion = await anext(vllm_engine.generate(request))
        assert (len(completion.token_ids), completion.finish_reason) == (10, "length")
        with pytest.raises(ContextError, match="100 of them kept for what follows"):
            await anext(vllm_engine.generate(replace(request, keep_free=100)))

    asyncio.run(main())


@pytest.mark.slow
def test_seeded_prompts_longer_than_a_step_do_not_kill_the_engine(
    vllm_engine: VLLMEngine,
) -> None:
    """More prompt tokens than one step takes: vLLM's own generators fail on a CPU there."""

    async def main() -> None:
        request = GenerationRequest(
            Prompt(token_ids=tuple(range(40, 440)) * 4), Sampling(max_tokens=3), n=1
        )
        async with asyncio.TaskGroup() as group:
            for shift in range(4):
                ids = request.prompt.token_ids[shift:]
                stream = vllm_engine.generate(GenerationRequest(Prompt(token_ids=ids), ENDLESS))
                group.create_task(first(stream))

    asyncio.run(main())


@pytest.mark.slow
def test_kv_blocks_may_be_smaller_than_vllm_takes_on_a_cpu(vllm_engine: VLLMEngine) -> None:
    prompt = Prompt(token_ids=tuple(range(40, 90)))  # 3 blocks of 16 tokens and 2 tokens
    request = GenerationRequest(prompt, Sampling(temperature=0.0, max_tokens=40, logprobs=0))

    async def main() -> None:
        with pytest.raises(InputError, match="KV blocks of 24 tokens"):
            await VLLMEngine(block_size=24).start()
        small = VLLMEngine(dtype="float32", block_size=16, max_model_len=512, cpu_threads=1)
        found = await anext(small.generate(request))
        again = await anext(small.generate(request))
        assert small.info.kv_block_size == 16
        assert (found.usage.cached_tokens, again.usage.cached_tokens) == (0, 48)
        stock = await anext(vllm_engine.generate(request))
        assert found.token_ids == again.token_ids == stock.token_ids
        assert found.logprobs == pytest.approx(stock.logprobs, abs=1e-4)
        await small.aclose()

    asyncio.run(asyncio.wait_for(main(), 120))


async def first(stream: Any) -> None:
    await anext(stream)
    await stream.aclose()


@pytest.mark.slow
def test_sampling_follows_the_probabilities(vllm_engine: VLLMEngine) -> None:
    """The first token of 1,000 seeds against its probability, reported as a log-probability."""

    async def main() -> None:
        sampling = Sampling(temperature=1.0, max_tokens=1, logprobs=0)
        drawn = [c async for c in vllm_engine.generate(GenerationRequest(CHAT, sampling, n=1_000))]
        ids = np.array([c.token_ids[0] for c in drawn])
        probability = {c.token_ids[0]: np.exp((c.logprobs or (0,))[0]) for c in drawn}
        for token, p in probability.items():
            count = (ids == token).sum()
            assert abs(count - 1_000 * p) < 5 * np.sqrt(1_000 * p * (1 - p)) + 1

    asyncio.run(main())


@pytest.mark.slow
@pytest.mark.engine
def test_a_reward_model_reads_a_shared_prefix_once_and_scores_as_if_it_read_all() -> None:
    tag = prompts.STEP_TAG
    problem = "Start with 17. " * 30  # fills two KV blocks
    texts = [f"{problem}{tag}17 * 3 = 51{tag}51 + {i} = {51 + i}{tag}" for i in range(4)]
    requests = [ScoreRequest(Prompt(text=text), step_tag=tag) for text in texts]

    async def main() -> None:
        engine = VLLMEngine("bundled:prm", runner="pooling", max_model_len=512, cpu_threads=1)
        scores = await asyncio.gather(*(engine.score(request) for request in requests))
        block = engine.info.kv_block_size or 0
        assert all((found.usage.cached_tokens or 0) >= 2 * block for found in scores[1:])

        whole = {"task": "token_classify", "skip_reading_prefix_cache": True}
        (tag_id,) = await engine.encode(Prompt(text=tag))
        for request, found in zip(requests, scores, strict=True):
            rows = (await engine._pool(request.prompt, whole)).values
            is_tag = np.array(await engine.encode(request.prompt)) == tag_id
            assert found.values == pytest.approx(rows[is_tag, 1], abs=1e-5)

        await engine.forget()
        again = await engine.score(requests[0])
        assert (again.usage.calls, again.usage.cached_tokens) == (1, 0)
        await engine.aclose()

    asyncio.run(asyncio.wait_for(main(), 120))


@pytest.mark.slow
@pytest.mark.engine
def test_a_named_embedding_model_says_which_steps_are_alike(vllm_engine: VLLMEngine) -> None:
    texts = ["17 * 2 = 34", "so the answer is", "17 * 2 = 34", "18 * 2 = 36"]

    async def main() -> None:
        engine = await make_engine(EngineSpec.parse("bundled:reasoner?pooling"))
        found = await engine.embed(texts)
        assert isinstance(engine, VLLMEngine)
        # A model that generates: its mean hidden state, where vLLM would take the last.
        config = engine._stepper.engine.vllm_config.model_config.pooler_config
        assert config.seq_pooling_type == "MEAN"
        unit = found.vectors / np.linalg.norm(found.vectors, axis=1, keepdims=True)
        words, same, other = (unit @ unit[0])[1:]
        assert same == pytest.approx(1.0, abs=1e-5)
        assert same > other > words
        lengths = [len(await vllm_engine.encode(Prompt(text=text))) for text in texts]
        assert (found.usage.prompt_tokens, found.usage.calls) == (sum(lengths), 4)
        with pytest.raises(ContextError):
            await engine.embed([*texts, "17 " * (engine.info.context_tokens or 0)])
        await engine.aclose()
        with pytest.raises(CapabilityError, match="pooling"):
            await vllm_engine.embed(texts)

    asyncio.run(asyncio.wait_for(main(), 120))


@pytest.mark.slow
@pytest.mark.engine
def test_a_second_engine_scores_dies_and_leaves_the_first_alone(vllm_engine: VLLMEngine) -> None:
    async def main() -> None:
        second = VLLMEngine("bundled:prm", runner="pooling", max_model_len=512, cpu_threads=1)
        busy = vllm_engine.generate(GenerationRequest(CHAT, ENDLESS, n=4))
        tag = prompts.STEP_TAG
        request = ScoreRequest(Prompt(text=f"7 * 8 = 56{tag}56 + 1 = 2{tag}"), step_tag=tag)
        scores = await second.score(request)
        assert len(scores.values) == 2
        assert all(0.0 <= value <= 1.0 for value in scores.values)
        assert scores.usage.prompt_tokens == len(await second.encode(request.prompt))
        again = await second.score(request)
        assert (again.values, again.usage.calls) == (scores.values, 0)
        with pytest.raises(CapabilityError, match="cannot generate"):
            await anext(second.generate(GenerationRequest(CHAT, Sampling())))
        with pytest.raises(CapabilityError, match="pooling"):
            await vllm_engine.score(request)
        with pytest.raises(EngineError, match="requests are running"):
            await vllm_engine.forget()

        kill(second)
        unread = ScoreRequest(Prompt(text=f"7 * 8 = 57{tag}"), step_tag=tag)
        for _ in range(2):
            with pytest.raises(EngineError, match="the engine died: RuntimeError: broken"):
                await second.score(unread)
        await second.aclose()
        await second.aclose()
        assert (await anext(busy)).finish_reason == "length"
        await busy.aclose()

    asyncio.run(asyncio.wait_for(main(), 120))


def kill(engine: VLLMEngine) -> None:
    """Make the next step fail, as a broken kernel would."""

    def step() -> None:
        raise RuntimeError("broken")

    engine._stepper.engine.step = step
