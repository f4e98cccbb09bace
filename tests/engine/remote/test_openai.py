"""The OpenAI engine: what it sends, and how it takes what a server in order answers."""

import asyncio
import time
from dataclasses import replace

import pytest

from tests.support.remote import CHAT, ask, draw, read, run, vllm
from tts.bench.servers.misbehaving import (
    Asked,
    Events,
    Hang,
    Json,
    Reply,
    Server,
    choice,
    delta,
    models,
    refusal,
    vllm_talk,
    whole,
)
from tts.engine.openai import OpenAIEngine
from tts.engine.remote.address import read_address
from tts.engine.remote.http import Limits, Transport
from tts.engine.remote.server import ask_server
from tts.errors import CapabilityError, EngineError, InputError, ModelError
from tts.types import GenerationRequest, Prompt, Sampling, sum_usage
from tts.types.thought import Thought


@pytest.mark.parametrize("server", [Server(), vllm()])
def test_the_samples_of_a_request_come_with_one_call(server: Server) -> None:
    completions = draw(server, 5)
    assert [c.index for c in completions] == [0, 1, 2, 3, 4]
    assert [(body["n"], body["stream"]) for body in server.bodies] == [(5, True)]


def test_samples_go_out_in_calls_of_max_n_each_with_its_seed() -> None:
    server = Server()
    assert len(draw(server, 5, max_n=2)) == 5
    assert sorted((b.get("n", 1), b["seed"]) for b in server.bodies) == [
        (1, 104),
        (2, 100),
        (2, 102),
    ]


def test_a_sample_is_handed_on_when_it_finishes() -> None:
    events = [delta(0, "a"), delta(1, "b"), delta(1, finish="stop")]
    server = Server(lambda asked: Events(events, "hang"))

    async def use(engine: OpenAIEngine) -> None:
        stream = engine.generate(ask(2))
        first = await anext(stream)
        assert (first.index, first.text) == (1, "b")
        assert engine.tokens_in_flight() == 1  # "a", of the one that goes on
        await stream.aclose()
        assert engine.tokens_in_flight() == 0
        await server.hung_up.wait()

    run(server, use)


def test_sampling_is_sent_as_the_api_names_it() -> None:
    server = Server()

    async def use(engine: OpenAIEngine) -> None:
        await read(
            engine,
            ask(temperature=0.5, top_p=0.9, top_k=7, min_p=0.1, max_tokens=30, stop=("x",)),
        )
        (body,) = server.bodies
        assert (body["temperature"], body["top_p"], body["top_k"]) == (0.5, 0.9, 7)
        assert (body["min_p"], body["max_tokens"], body["stop"]) == (0.1, 30, ["x"])
        assert body["stream_options"] == {"include_usage": True}

    run(server, use)


def test_what_presets_say_of_requests_reaches_the_server() -> None:
    server = Server()

    async def use(engine: OpenAIEngine) -> None:
        thinking = {"enable_thinking": False}
        extra = {"reasoning_effort": "low", "n": 7}
        await read(engine, ask(chat_template_kwargs=thinking, extra_body=extra))
        assert server.bodies[0]["chat_template_kwargs"] == thinking
        assert server.bodies[0]["reasoning_effort"] == "low"
        assert "n" not in server.bodies[0]  # what a request says is not to be changed

    run(server, use)


def test_a_whole_answer_is_as_good_as_a_stream() -> None:
    server = Server(lambda a: whole(*[choice(i, "ab" * (i + 1)) for i in range(a.n)]))
    completions = draw(server, 3, price_in=1.0, price_out=2.0)
    assert [c.text for c in completions] == ["ab", "abab", "ababab"]
    total = sum_usage([c.usage for c in completions])
    # One call of 12 tokens; each sample counts the prompt, but only one computed it.
    assert (total.calls, total.generated_tokens, total.estimated_calls) == (3, 12, 0)
    assert (total.prompt_tokens, total.cached_tokens) == (30, 20)
    # $1 a million for 10 prompt tokens, $2 for 12 generated ones.
    assert total.usd == pytest.approx((10 * 1 + 12 * 2) / 1e6)


def test_vllm_reports_ids_so_that_tokens_are_counted() -> None:
    server = vllm()
    completions = draw(server, 4)
    assert all(c.token_ids == (7, 7, 7) for c in completions)
    assert all(c.prompt_token_ids == (1, 2, 3, 4, 5) for c in completions)
    assert [c.usage.generated_tokens for c in completions] == [3, 3, 3, 3]
    total = sum_usage([c.usage for c in completions])
    assert (total.prompt_tokens, total.cached_tokens, total.estimated_calls) == (20, 15, 0)
    assert server.bodies[0]["return_token_ids"] is True


@pytest.mark.parametrize("prompt", [CHAT, Prompt(token_ids=(1, 2))])
def test_where_tokens_end_is_told_by_their_texts(prompt: Prompt) -> None:
    def answer(asked: Asked) -> Reply:
        is_chat = bool(prompt.messages)
        assert asked.body["logprobs"] == (True if is_chat else 0)
        texts, events = ["So", " it", ".\n"], []
        for text in texts:
            told: dict[str, object] = {"content": [{"token": text, "logprob": -0.1}]}
            if not is_chat:
                told = {"tokens": [text], "token_logprobs": [-0.1]}
            said = {"delta": {"content": text}} if is_chat else {"text": text}
            events.append({"choices": [{"index": 0, "token_ids": [7], "logprobs": told, **said}]})
        return Events(events)

    server = vllm()
    server.answer = answer

    async def use(engine: OpenAIEngine) -> None:
        (completion,) = await read(engine, ask(prompt=prompt, offsets=True))
        assert completion.offsets == (2, 5, 7)
        assert completion.logprobs is None  # nobody asked for them

    run(server, use)


def test_vllm_takes_token_ids_and_prefills_as_they_are() -> None:
    server = vllm()

    async def use(engine: OpenAIEngine) -> None:
        await engine.start()
        assert engine.info.context_tokens == 2048
        assert engine.capabilities.token_ids
        await read(engine, ask(prompt=Prompt(messages=CHAT.messages, prefill="So")))
        assert server.bodies[0]["messages"][-1] == {"role": "assistant", "content": "So"}
        assert server.bodies[0]["continue_final_message"] is True
        server.answer = lambda _: Events([{"choices": [{"index": 0, "text": "x"}]}])
        await read(engine, ask(prompt=Prompt(token_ids=(1, 2))))
        assert server.bodies[1]["prompt"] == [1, 2]
        assert server.asked[1].path == "/v1/completions"

    run(server, use)


def test_only_vllm_is_sent_token_ids_and_prefills() -> None:
    async def use(engine: OpenAIEngine) -> None:
        for prompt in (Prompt(token_ids=(1, 2)), Prompt(messages=CHAT.messages, prefill="So")):
            with pytest.raises(CapabilityError, match="not served by vLLM"):
                await read(engine, ask(prompt=prompt))

    run(Server(), use)


def renders(asked: Asked) -> Reply:
    """A server whose template opens a thought by itself; its tokens are characters."""
    if asked.path == "/detokenize":
        return Json({"prompt": "".join(map(chr, asked.body["tokens"]))})
    if asked.path != "/tokenize":
        ended = {"index": 0, "text": "hm[/THINK]56", "finish_reason": "stop"}
        return Events([{"choices": [ended]}])
    text = asked.body.get("prompt", "")
    for message in asked.body.get("messages", ()):
        if not isinstance(message["content"], str):
            return refusal(400, "the template takes text alone")
        text += f"<{message['role']}>{message['content']}"
    text += "<bot>[THINK]" if asked.body.get("add_generation_prompt") else ""
    return Json({"tokens": [ord(c) for c in text]})


def test_vllm_is_sent_thoughts_as_the_ids_of_its_own_template() -> None:
    server = vllm()
    server.answer = renders
    prompt = Prompt(messages=CHAT.messages, thought=Thought("closed", "hm"), prefill="So")
    text = f"<user>{CHAT.messages[0].content}<bot>[THINK]hm[/THINK]So"

    async def use(engine: OpenAIEngine) -> None:
        [completion] = await read(engine, ask(prompt=prompt, stop=("</think>",)))
        assert completion.text == "hm\n</think>\n\n56"
        sent = server.asked[-1]
        assert (sent.path, sent.body["stop"]) == ("/v1/completions", ["[/THINK]"])
        assert sent.body["prompt"] == [ord(c) for c in text]
        assert sent.body["skip_special_tokens"] is False
        count = len(server.asked)
        await read(engine, ask(prompt=prompt))
        assert len(server.asked) == count + 4  # rendered (two calls), tokenised, sent

    run(server, use)


def test_a_server_that_renders_nothing_continues_a_message() -> None:
    server = vllm()

    def answer(asked: Asked) -> Reply:
        return refusal(404, "Not Found") if "tokenize" in asked.path else vllm_talk(asked)

    server.answer = answer

    async def use(engine: OpenAIEngine) -> None:
        prompt = Prompt(messages=CHAT.messages, thought=Thought("open", "hm"))
        await read(engine, ask(prompt=prompt))
        last = {"role": "assistant", "content": "<think>\nhm"}
        assert server.bodies[-1]["messages"][-1] == last
        assert server.bodies[-1]["continue_final_message"] is True

    run(server, use)


def test_a_server_whose_template_knows_no_thoughts_says_so() -> None:
    server = vllm()

    def answer(asked: Asked) -> Reply:
        asks = asked.body.get("add_generation_prompt")
        plain = replace(asked, body={**asked.body, "add_generation_prompt": False})
        return Json({"tokens": [60, 62]}) if asks else renders(plain)

    server.answer = answer

    async def use(engine: OpenAIEngine) -> None:
        prompt = Prompt(messages=CHAT.messages, thought=Thought("open"))
        with pytest.raises(CapabilityError, match="server's chat template knows no thoughts"):
            await read(engine, ask(prompt=prompt))

    run(server, use)


def test_equal_samples_are_not_asked_for_together() -> None:
    """vLLM refuses more than one greedy sample a call."""
    server = vllm()

    async def use(engine: OpenAIEngine) -> None:
        assert len(await read(engine, ask(3, temperature=0.0))) == 3
        assert all("n" not in body for body in server.bodies)

    run(server, use)


def test_priorities_go_to_vllm_alone() -> None:
    for server, expected in ((vllm(), 3), (Server(), None)):

        async def use(engine: OpenAIEngine, server: Server = server) -> None:
            await read(engine, GenerationRequest(CHAT, Sampling(), priority=3))

        run(server, use)
        assert server.bodies[0].get("priority") == expected


@pytest.mark.parametrize(
    ("logprobs", "expected"),
    [
        (  # the chat endpoint's form
            {"content": [{"logprob": -0.5, "top_logprobs": [{"logprob": -1}, {"logprob": -3}]}]},
            ((-0.5,), (2.0,)),
        ),
        (  # the completions endpoint's form
            {"token_logprobs": [-0.5], "top_logprobs": [{"a": -1.0, "b": -3.0}]},
            ((-0.5,), (2.0,)),
        ),
        ({"content": [{"logprob": -0.5, "top_logprobs": []}]}, ((-0.5,), None)),
        ({"content": [{"logprob": None, "top_logprobs": [{"logprob": None}]}]}, ((-100,), (0.0,))),
        ({"token_logprobs": [-9999.0], "top_logprobs": [None]}, ((-100,), None)),
        (None, (None, None)),
    ],
)
def test_log_probabilities_are_read_in_both_forms(logprobs: object, expected: object) -> None:
    server = Server(lambda _: Events([delta(0, "a", finish="stop", logprobs=logprobs)]))
    (completion,) = draw(server)
    assert (completion.logprobs, completion.confidences) == expected


def test_texts_are_tokenised_by_vllms_server_alone() -> None:
    server = vllm()
    server.answer = lambda asked: Json({"count": 2, "tokens": [7, 8]})

    async def use(engine: OpenAIEngine) -> None:
        assert await engine.tokenize("Note") == (7, 8)
        assert server.bodies == [{"model": "m", "prompt": "Note", "add_special_tokens": False}]
        assert server.asked[0].path == "/tokenize"  # beside the OpenAI routes, not below them
        server.answer = lambda _: refusal(400, "no such route")
        with pytest.raises(EngineError, match=r"refuses the request.*no such route"):
            await engine.tokenize("Note")
        server.answer = lambda _: Json({"count": 2})
        with pytest.raises(EngineError, match="without tokens"):
            await engine.tokenize("Note")

    run(server, use)

    async def refused(engine: OpenAIEngine) -> None:
        with pytest.raises(CapabilityError, match="not served by vLLM and takes no token ids"):
            await engine.tokenize("Note")

    run(Server(), refused)


def facts_of(lists: Json, version: str = "") -> str:
    """Return the fingerprint of model "m" of a server with this list, wherever it stands."""

    async def main() -> str:
        async with Server(lists=lists, version=version).running() as server:
            address = read_address(server.url, api_key=None, api_key_env=None)
            transport = Transport(address, Limits())
            facts = await ask_server(transport, address, max_retries=0)
            await transport.aclose()
            return facts.fingerprint("http://anywhere/v1", "m")

    return asyncio.run(main())


def test_what_a_server_says_of_its_model_is_part_of_the_fingerprint() -> None:
    now = int(time.time())
    plain = facts_of(models("m"))
    assert plain == facts_of(models("m")) == facts_of(models("other", "m"))
    assert plain == facts_of(models("m", permission=[{"id": "random"}]))
    others = [
        facts_of(models("m", owner="another")),
        facts_of(models("m", created=1_686_935_002)),
        facts_of(models("m", created=1_686_935_003)),
        facts_of(models("m", root="org/another")),
        facts_of(models("m", meta={"n_params": 7})),
        facts_of(models("m", owner="vllm"), version="1"),
        facts_of(models("m", owner="vllm"), version="2"),
    ]
    assert len({plain, *others}) == 8
    # vLLM and others give the time of the question.
    assert facts_of(models("m", created=now)) == facts_of(models("m", created=now + 1)) == plain


def test_an_empty_name_is_the_only_model_that_is_served() -> None:
    async def main() -> None:
        async with Server(lists=models("the-one")).running() as server:
            async with OpenAIEngine("", base_url=server.url) as engine:
                assert (engine.model, engine.info.name) == ("the-one", "the-one")
            server.lists = models("a", "b")
            engine = OpenAIEngine("", base_url=server.url)
            with pytest.raises(ModelError, match="serves a, b, and none was named"):
                await engine.start()
            await engine.aclose()
            server.lists = refusal(401, "no list for you")
            engine = OpenAIEngine("", base_url=server.url)
            with pytest.raises(ModelError, match="no models that it lists, and none was named"):
                await engine.start()
            await engine.aclose()

    asyncio.run(main())


def test_a_model_that_vllm_does_not_serve_is_refused_with_those_that_it_does() -> None:
    async def use(engine: OpenAIEngine) -> None:
        with pytest.raises(ModelError, match="serves other, and no model 'm'"):
            await engine.start()

    run(Server(lists=models("other", owner="vllm")), use)


@pytest.mark.parametrize(
    "options",
    [
        {"timeout": 0},
        {"connect_timeout": -1},
        {"read_timeout": float("nan")},
        {"max_retries": -1},
        {"max_n": 0},
        {"concurrency": 0},
        {"rate": 0.0},
        {"price_in": 1.0},
        {"price_in": 1.0, "price_out": float("inf")},
        {"context_tokens": 0},
    ],
)
def test_options_that_cannot_be_are_refused_at_once(options: dict[str, float]) -> None:
    (name,) = list(options)[-1:]
    with pytest.raises(InputError, match=name):
        OpenAIEngine("m", base_url="http://localhost/v1", **options)  # type: ignore[arg-type]


def test_a_closed_engine_says_so() -> None:
    async def use(engine: OpenAIEngine) -> None:
        stream = engine.generate(ask())
        await engine.aclose()
        with pytest.raises(EngineError, match="closed"):
            await anext(stream)
        with pytest.raises(EngineError, match="closed"):
            await read(engine, ask())

    run(Server(lambda _: Hang()), use)


def test_one_engine_serves_several_event_loops_one_after_another() -> None:
    async def main(*, is_last: bool) -> None:
        async with server.running():
            engine = engines[0] if engines else OpenAIEngine("m", base_url=server.url)
            engines[:] = [engine]
            assert [c.finish_reason for c in await read(engine, ask(2))] == ["stop", "stop"]
            if is_last:
                await engine.aclose()

    server, engines = Server(), list[OpenAIEngine]()
    for is_last in (False, True):
        asyncio.run(main(is_last=is_last))
