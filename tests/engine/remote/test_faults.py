"""Servers that misbehave: no call waits without an end, and one odd answer ends no run."""

import asyncio
import logging

import pytest

from tests.support.remote import after_one, ask, draw, read, run, said
from tts.bench.servers.forms import ODD, error_event
from tts.bench.servers.misbehaving import (
    Answer,
    Events,
    Hang,
    Json,
    Raw,
    Reply,
    Server,
    choice,
    delta,
    refusal,
    talk,
    usage,
    whole,
)
from tts.engine.openai import OpenAIEngine
from tts.errors import ContextError, EngineError, ModelError
from tts.types import sum_usage

pytestmark = pytest.mark.usefixtures("short_pauses")

# --- samples: too few, too many, none, twice the same


def one_only(status: int, error: dict[str, object]) -> Answer:
    return lambda asked: Json({"error": error}, status) if asked.n > 1 else talk(asked)


@pytest.mark.parametrize(
    "answer",
    [
        lambda asked: talk(asked, n=1),  # llama-cpp-python, Ollama, LMDeploy
        lambda asked: whole(choice(0, "a")),
        one_only(400, {"message": "Only one completion choice is allowed"}),
        one_only(500, {"message": "Only one completion choice is allowed"}),  # llama.cpp
        one_only(400, {"message": "'n' : number must be at most 1"}),  # Groq
        one_only(422, {"message": "Unsupported value", "param": "n"}),
    ],
)
def test_samples_that_do_not_come_are_asked_for_one_by_one(
    answer: Answer, caplog: pytest.LogCaptureFixture
) -> None:
    server = Server(answer)

    async def use(engine: OpenAIEngine) -> None:
        first = await read(engine, ask(4))
        assert [c.index for c in first] == [0, 1, 2, 3]
        assert said(first) == ["stop"] * 4
        assert [b.get("n", 1) for b in server.bodies][:1] == [4]
        before = len(server.bodies)
        # Each has the seed of its index.
        assert sorted(b["seed"] for b in server.bodies[1:]) == list(range(104 - before + 1, 104))
        second = await read(engine, ask(3))
        assert said(second) == ["stop"] * 3
        # Remembered: each is asked for alone from the start.
        assert [b.get("n", 1) for b in server.bodies[before:]] == [1, 1, 1]

    with caplog.at_level(logging.WARNING):
        run(server, use)
    assert caplog.text.count("of several samples a call") == 1


def test_a_server_that_gives_some_is_asked_for_as_many() -> None:
    server = Server(lambda asked: talk(asked, n=min(asked.n, 3)))

    async def use(engine: OpenAIEngine) -> None:
        assert said(await read(engine, ask(8))) == ["stop"] * 8
        server.asked.clear()
        assert said(await read(engine, ask(8))) == ["stop"] * 8
        assert sorted(b.get("n", 1) for b in server.bodies) == [2, 3, 3]

    run(server, use)


@pytest.mark.parametrize(
    "answer",
    [
        lambda asked: talk(asked, n=7),
        lambda asked: whole(*[choice(i, "a") for i in range(7)]),
        lambda asked: whole(*[choice(0, "a") for _ in range(7)]),
    ],
)
def test_samples_too_many_are_dropped(answer: Answer) -> None:
    completions = draw(Server(answer), 2)
    assert [c.index for c in completions] == [0, 1]
    assert said(completions) == ["stop", "stop"]


@pytest.mark.parametrize("end", ["done", "framed"])
@pytest.mark.parametrize("index", [0, None, -1, "x", 5])
def test_indices_that_repeat_or_make_no_sense_are_put_in_order(index: object, end: str) -> None:
    events = []
    for text in ("a", "b", "c"):
        for event in (delta(0, text), delta(0, finish="stop")):
            event["choices"][0]["index"] = index
            events.append(event)
    completions = draw(Server(lambda _: Events(events, end)), 3)  # type: ignore[arg-type]
    assert sorted(c.text for c in completions) == ["a", "b", "c"]
    assert [c.index for c in completions] == [0, 1, 2]


@pytest.mark.parametrize(
    "reply",
    [
        Json({"choices": [], "usage": usage(10, 0)}),
        Json({"object": "chat.completion"}),
        Json([]),
        Json("no"),
        Json({"choices": "none"}),
        Json({"choices": ["none"]}),
        Json({"choices": [{"index": 0, "message": {"content": 7}}]}),
        Events([]),
        Events([{"choices": []}]),
        Events([], "framed"),
    ],
)
def test_no_choices_are_a_failed_call(reply: Reply) -> None:
    server = Server(after_one(lambda _: reply))

    async def use(engine: OpenAIEngine) -> None:
        await read(engine, ask())
        (failed,) = await read(engine, ask())
        assert failed.finish_reason == "error"
        assert failed.error is not None and "127.0.0.1" in failed.error
        assert len(server.asked) == 1 + 3  # asked twice more

    run(server, use)


# --- odd answers


@pytest.mark.parametrize("name", ODD)
def test_an_odd_answer_is_asked_for_again(name: str) -> None:
    replies = iter([ODD[name]])
    server = Server(after_one(lambda asked: next(replies, None) or talk(asked)))

    async def use(engine: OpenAIEngine) -> None:
        await read(engine, ask())
        (completion,) = await read(engine, ask())
        assert (completion.finish_reason, completion.text) == ("stop", "00")

    run(server, use)


@pytest.mark.parametrize("name", ODD)
def test_a_server_that_answers_oddly_again_and_again_fails_the_call_alone(name: str) -> None:
    server = Server(
        after_one(lambda asked: ODD[name] if asked.body["seed"] == 101 else talk(asked))
    )

    async def use(engine: OpenAIEngine) -> None:
        await read(engine, ask())
        good, bad = await read(engine, ask(2))
        assert (good.finish_reason, bad.finish_reason) == ("stop", "error")
        assert bad.error

    run(server, use, max_n=1)


def refuse_one(status: int, message: str) -> Server:
    return Server(
        after_one(
            lambda asked: refusal(status, message) if asked.body["seed"] == 101 else talk(asked)
        )
    )


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 422, 451])
def test_a_refusal_of_one_prompt_fails_its_call_alone(status: int) -> None:
    server = refuse_one(status, "the content filter was triggered")

    async def use(engine: OpenAIEngine) -> None:
        await read(engine, ask())
        good, bad = await read(engine, ask(2))
        assert good.finish_reason == "stop"
        assert bad.error is not None and "the content filter was triggered" in bad.error
        assert bad.usage.generated_tokens == 0

    run(server, use, max_n=1)


@pytest.mark.parametrize(
    ("status", "message"),
    [
        (400, "This model's maximum context length is 8 tokens. However, you requested 9 tokens"),
        (400, "The decoder prompt (length 9) is longer than the maximum model length of 8."),
        (400, "the request exceeds the available context size, try increasing it"),  # llama.cpp
        (400, "request (4476 tokens) exceeds the available context size (4096 tokens)"),
        (500, "the request exceeds the available context size. try increasing the context size"),
        (422, "`inputs` tokens + `max_new_tokens` must be <= 8. Given: 9 `inputs` tokens"),  # TGI
        (422, "Input validation error: `inputs` must have less than 1024 tokens. Given: 2000"),
        (400, "Prompt contains 40000 tokens and 0 draft tokens, too large for model with 32768"),
        (400, "The input (3000 tokens) is longer than the model's context length (2048 tokens)."),
        (400, "prompt is too long: 210000 tokens > 200000 maximum"),
        (400, "The input token count (1200000) exceeds the maximum number of tokens allowed"),
        (400, "Please reduce the length of the messages or completion."),  # Groq
        (400, "Input is too long for requested model."),
        (413, "Payload too large"),
    ],
)
def test_a_prompt_that_does_not_fit_is_told_in_every_wording(status: int, message: str) -> None:
    async def use(engine: OpenAIEngine) -> None:
        stream = engine.generate(ask(3))
        with pytest.raises(ContextError, match="m: "):
            await anext(stream)

    run(Server(lambda _: refusal(status, message)), use)


def test_an_error_of_the_context_within_a_stream_is_one() -> None:
    event = error_event("the request exceeds the available context size", 400)

    async def use(engine: OpenAIEngine) -> None:
        with pytest.raises(ContextError):
            await read(engine, ask())

    run(Server(lambda _: Events([event])), use)


# --- when nothing can work


def endless(reply: Reply) -> Answer:
    return lambda _: reply


@pytest.mark.parametrize(
    ("answer", "expected", "words", "calls"),
    [
        (endless(refusal(401, "who are you")), EngineError, "refuses the API key: who are you", 3),
        (endless(refusal(403, "not for you")), EngineError, "refuses the API key: not for you", 3),
        (endless(refusal(404, "no such model")), ModelError, "no model 'm': no such model", 3),
        (endless(refusal(400, "be cool")), EngineError, "refuses the request .400.: be cool", 3),
        (endless(Raw(b"<p>hello</p>")), EngineError, "a web page", 9),
        (endless(refusal(402, "pay first")), EngineError, "pay first", 3),
        (
            endless(Json({"error": {"message": "broke", "code": "insufficient_quota"}}, 429)),
            EngineError,
            "broke",
            3,
        ),
        *[
            (
                endless(Raw(b"", status, headers={"Location": "https://elsewhere.test/v1"})),
                EngineError,
                "redirects to https://elsewhere.test/v1",
                3,
            )
            for status in (301, 302, 303, 307, 308)
        ],
    ],
)
def test_first_calls_that_all_fail_alike_end_the_run_in_the_providers_words(
    answer: Answer, expected: type[EngineError], words: str, calls: int
) -> None:
    server = Server(answer)

    async def use(engine: OpenAIEngine) -> None:
        with pytest.raises(expected, match=words):
            await read(engine, ask(20))
        assert len(server.asked) == calls  # of the twenty

    run(server, use, max_n=1)


@pytest.mark.parametrize("status", [302, 401, 402, 404])
def test_one_answer_ends_no_run_though_it_is_the_first(status: int) -> None:
    replies = iter([refusal(status, "hiccup")])
    server = Server(lambda asked: next(replies, None) or talk(asked))
    assert said(draw(server, 3)) == ["stop"] * 3


def test_failures_that_differ_end_nothing() -> None:
    calls = iter(["first", "second", "first", "third", "first", "second"])
    completions = draw(Server(lambda _: refusal(400, next(calls))), 6, max_n=1)
    assert said(completions) == ["error"] * 6


def test_a_server_that_is_not_there_is_named() -> None:
    async def main() -> None:
        async with Server().running() as server:
            pass
        engine = OpenAIEngine("m", base_url=server.url)
        with pytest.raises(EngineError, match=f"cannot reach {server.url}"):
            await read(engine, ask())
        await engine.aclose()

    asyncio.run(main())


# --- finish reasons, forms of content, thoughts


@pytest.mark.parametrize(
    ("reason", "text", "expected"),
    [
        ("stop", "a", "stop"),
        ("stop", "", "stop"),
        ("eos", "a", "stop"),
        ("eos_token", "a", "stop"),
        ("stop_sequence", "a", "stop"),
        ("end_turn", "a", "stop"),
        ("something_new", "a", "stop"),
        (None, "a", "stop"),
        ("length", "a", "length"),
        ("max_tokens", "a", "length"),
        ("model_length", "a", "length"),
        ("content_filter", "a", "error"),
        ("error", "a", "error"),
        ("something_new", "", "error"),
    ],
)
@pytest.mark.parametrize("form", ["stream", "whole"])
def test_reasons_to_finish(reason: str | None, text: str, expected: str, form: str) -> None:
    events = [delta(0, text), delta(0, finish=reason)]
    reply = Events(events) if form == "stream" else whole(choice(0, text, finish=reason))
    (completion,) = draw(Server(lambda _: reply))
    assert completion.finish_reason == expected
    assert (completion.error is not None) == (expected == "error")


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ([{"type": "text", "text": "a"}, {"type": "text", "text": "b"}], "ab"),
        (["a", "b"], "ab"),
        (
            [
                {"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]},
                {"type": "text", "text": "56"},
            ],
            "<think>\nhm\n</think>\n\n56",
        ),
        ([{"type": "image"}, {"type": "text", "text": "a"}], "a"),
        ("\ud83d\ude00", "😀"),
    ],
)
def test_contents_in_parts_are_read(content: object, expected: str) -> None:
    (completion,) = draw(Server(lambda _: whole(choice(0, content))))
    assert completion.text == expected


def test_a_character_that_comes_in_halves_is_one() -> None:
    events = [delta(0, "\ud83d"), delta(0, "\ude00"), delta(0, finish="stop")]
    (completion,) = draw(Server(lambda _: Events(events)))
    assert completion.text == "😀"


@pytest.mark.parametrize("field", ["reasoning_content", "reasoning"])
@pytest.mark.parametrize("form", ["stream", "whole"])
def test_a_thought_that_is_kept_apart_is_put_before_the_text(field: str, form: str) -> None:
    pieces = [{field: "7 * 8"}, {field: " = 56"}, {"content": "It is "}, {"content": "56."}]
    events: list[object] = [{"choices": [{"index": 0, "delta": piece}]} for piece in pieces]
    events.append(delta(0, finish="stop"))
    message = choice(0, "It is 56.", **{field: "7 * 8 = 56"})
    reply = Events(events) if form == "stream" else whole(message)
    (completion,) = draw(Server(lambda _: reply))
    assert completion.text == "<think>\n7 * 8 = 56\n</think>\n\nIt is 56."


def test_a_thought_that_used_all_tokens_is_kept_and_said(caplog: pytest.LogCaptureFixture) -> None:
    message = choice(0, None, finish="length", reasoning_content="7 * 8 is")
    with caplog.at_level(logging.WARNING):
        (completion,) = draw(Server(lambda _: whole(message)))
    assert (completion.text, completion.finish_reason) == ("<think>\n7 * 8 is", "length")
    assert "used all 2048 tokens for its thought" in caplog.text


def test_a_thought_that_stands_in_the_text_is_not_repeated() -> None:
    message = choice(0, "<think>a</think>b", reasoning_content="a")
    (completion,) = draw(Server(lambda _: whole(message)))
    assert completion.text == "<think>a</think>b"


# --- time


@pytest.mark.slow
@pytest.mark.parametrize(
    ("reply", "words"),
    [
        (Hang(), "sent nothing for too long"),
        (Events([delta(0, "a")], "hang"), "sent nothing for too long"),
        (Events([b": a comment\n\n", 0.02] * 500), "did not finish its answer within 0.4 s"),
        (Events([delta(0, "a"), 0.02] * 500), "did not finish its answer within 0.4 s"),
    ],
)
def test_a_server_that_hangs_or_drips_is_given_up(reply: Reply, words: str) -> None:
    server = Server(after_one(lambda _: reply))

    async def use(engine: OpenAIEngine) -> None:
        await read(engine, ask())
        (completion,) = await read(engine, ask())
        assert completion.error is not None and words in completion.error

    run(server, use, read_timeout=0.1, timeout=0.4)


def test_what_came_before_a_time_out_is_counted() -> None:
    server = Server(after_one(lambda _: Events([delta(0, "a"), delta(0, "b")], "hang")))

    async def use(engine: OpenAIEngine) -> None:
        await read(engine, ask())
        completions = await read(engine, ask())
        # Two attempts of two pieces.
        total = sum_usage([c.usage for c in completions])
        assert (total.calls, total.generated_tokens) == (1, 4)
        assert total.estimated_tokens == 4

    run(server, use, read_timeout=0.1)


def test_a_server_that_never_answers_ends_the_run_at_its_first_call() -> None:
    server = Server(lambda _: Hang())

    async def use(engine: OpenAIEngine) -> None:
        with pytest.raises(EngineError, match="sent nothing for too long"):
            await read(engine, ask(20))
        assert len(server.asked) == 1

    run(server, use, read_timeout=0.1, max_n=1)


def test_a_server_that_does_not_close_its_stream_is_not_waited_for() -> None:
    events = [delta(0, "a"), delta(0, finish="stop")]
    (completion,) = draw(Server(lambda _: Events(events, "hang")))
    assert (completion.text, completion.finish_reason) == ("a", "stop")


def test_a_server_that_ceases_to_answer_fails_all_calls_once_it_is_known() -> None:
    server = Server(after_one(lambda _: Hang()))

    async def use(engine: OpenAIEngine) -> None:
        await read(engine, ask())
        first = await read(engine, ask(3))
        assert said(first) == ["error"] * 3
        asked = len(server.asked)
        assert said(await read(engine, ask(5))) == ["error"] * 5
        assert len(server.asked) == asked

    run(server, use, read_timeout=0.1, max_n=1)
