"""`tts serve` in front of other people's servers."""

import json
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import pytest

from tests.support.remote import KEY, listening, vllm
from tests.support.serving import QUESTION, Serving, content, events, serving
from tts.bench.servers.misbehaving import (
    Answer,
    Asked,
    Events,
    Reply,
    Server,
    choice,
    delta,
    models,
    refusal,
    speak,
    vllm_speak,
    whole,
)
from tts.engine.openai import OpenAIEngine

TOOL = {"type": "function", "function": {"name": "add", "parameters": {"type": "object"}}}
FORM = {"type": "json_schema", "json_schema": {"name": "sum", "schema": {"type": "object"}}}


@contextmanager
def in_front_of(server: Server, *presets: str) -> Iterator[Serving]:
    with (
        listening(server),
        serving(OpenAIEngine("m", base_url=server.url, api_key=KEY), presets) as running,
    ):
        yield running


def of_vllm(answer: Answer) -> Server:
    return Server(answer, models("m", owner="vllm", max_model_len=2048))


def called(index: int, *calls: tuple[str, str], finish: str | None = None) -> dict[str, Any]:
    """Return an event with parts of calls as OpenAI writes them: the name comes first, once."""
    parts = [
        {"index": place, "function": {**({"name": name} if name else {}), "arguments": arguments}}
        for place, (name, arguments) in enumerate(calls)
    ]
    told = delta(index, finish=finish)
    told["choices"][0]["delta"] = {"content": None, "tool_calls": parts}
    return told


def _unending(asked: Asked) -> Reply:
    return Events([delta(0, "so "), delta(0, "far"), delta(1, "so f"), delta(1, "ar")], "hang")


@pytest.mark.parametrize("num_servers", [1, 2])
def test_a_token_is_passed_on_when_it_has_come(num_servers: int) -> None:
    servers = [Server(_unending) for _ in range(num_servers)]
    with ExitStack() as stack:
        urls = [stack.enter_context(listening(server)).url for server in servers]
        running = stack.enter_context(serving(f"m@{','.join(urls)}"))
        answer = stack.enter_context(running.open("m", n=2))
        found = {0: "", 1: ""}
        while set(found.values()) != {"so far"}:  # it never ends
            line = answer.readline().decode()
            for index in found:
                found[index] += "".join(content([line], index))


@pytest.mark.parametrize("is_stream", [True, False])
def test_vllm_reports_each_token_where_somebody_reads_along(is_stream: bool) -> None:
    server = vllm()
    with in_front_of(server, "self_consistency") as running:
        if is_stream:
            assert "".join(content(running.lines("m"))) == "xxx"
        else:
            assert running.chat("m").body["choices"][0]["message"]["content"] == "xxx"
    assert server.bodies[-1]["stream_interval"] == (1 if is_stream else 32)


def test_a_thought_and_halves_of_characters_grow_as_they_will_stand() -> None:
    def answer(asked: Asked) -> Reply:
        thoughts = [delta(0, reasoning_content=part) for part in (" hm,", " well ")]
        for told in thoughts:
            told["choices"][0]["delta"] = {
                "reasoning_content": told["choices"][0].pop("reasoning_content")
            }
        return Events([*thoughts, delta(0, "It is \ud83d"), delta(0, "\ude00 "), delta(0, "4 ")])

    with in_front_of(Server(answer), "self_consistency") as running:
        lines = running.lines("m")
        thought = [
            event["choices"][0]["delta"].get("reasoning_content", "") for event in events(lines)
        ]
        assert "".join(thought) == "hm, well"
        assert "".join(content(lines)) == "It is \U0001f600 4 "


def test_what_is_written_last_is_read_along() -> None:
    def answer(asked: Asked) -> Reply:
        is_last = "Attempt 1" in str(asked.body["messages"])
        text = ["it ", "is ", "\\boxed{4}"] if is_last else ["\\boxed{4}"]
        return speak(asked, [text] * asked.n, pause=0.05)

    with in_front_of(Server(answer), "genfuse") as running:
        parts = content(running.lines("genfuse"))
    assert ("".join(parts), len(parts)) == ("it is \\boxed{4}", 3)


@pytest.mark.parametrize(("second", "told"), [("abcd", "abcd"), ("xyz", "the model broke off")])
def test_a_text_that_is_begun_anew_goes_on_or_is_given_up(second: str, told: str) -> None:
    calls = iter(range(100))

    def answer(asked: Asked) -> Reply:
        if next(calls) == 1:  # the first shows that the server can answer
            return Events([delta(0, "ab"), 0.2], "dropped")
        return speak(asked, [list(second)])

    with in_front_of(Server(answer), "self_consistency") as running:
        running.chat("m")
        lines = running.lines("m")
    said = events(lines)
    error = said[-1].get("error", {}).get("message", "")
    assert told in (error or "".join(content(lines)))


@pytest.mark.parametrize("form", ["OpenAI", "vLLM", "whole"])
def test_tools_are_passed_through_and_calls_are_voted_on(form: str) -> None:
    arguments = ['{"a": 2, "b": 2}', '{"a": 2, "b": 3, "tag": "</tool_call>"}', '{"b":2, "a":2.0}']

    def answer(asked: Asked) -> Reply:
        given = arguments[: asked.n]
        if form == "whole":
            calls = [[{"id": "c", "function": {"name": "add", "arguments": a}}] for a in given]
            return whole(*[choice(i, None, tool_calls=c) for i, c in enumerate(calls)])
        told: list[Any] = [called(i, ("add", "")) for i in range(asked.n)]
        told += [called(i, ("", a[:5])) for i, a in enumerate(given)]
        told += [called(i, ("", a[5:]), finish="tool_calls") for i, a in enumerate(given)]
        return Events(told)

    server = of_vllm(answer) if form == "vLLM" else Server(answer)
    fields: dict[str, Any] = {"tools": [TOOL], "tool_choice": "auto", "parallel_tool_calls": False}
    with in_front_of(server, "self_consistency") as running:
        voted = running.chat("self_consistency", tts={"set": ["n=3"]}, **fields)
        lines = running.lines("m", **fields)
    assert {name: server.bodies[-1][name] for name in fields} == fields
    (made,) = voted.body["choices"][0]["message"]["tool_calls"]
    assert voted.body["choices"][0]["finish_reason"] == "tool_calls"
    assert (made["function"]["name"], json.loads(made["function"]["arguments"])) == (
        "add",
        {"a": 2, "b": 2},
    )
    streamed = [
        c for event in events(lines) for c in event["choices"] if "tool_calls" in c["delta"]
    ]
    assert json.loads(streamed[0]["delta"]["tool_calls"][0]["function"]["arguments"]) == {
        "a": 2,
        "b": 2,
    }


def test_a_form_of_answer_and_past_calls_go_to_the_server_as_they_came() -> None:
    server = Server(lambda asked: speak(asked, [['{"sum": 4}']] * asked.n))
    function = {"name": "add", "arguments": '{"a": 2}'}
    turns = [
        *QUESTION,
        {
            "role": "assistant",
            "content": "",
            "tool_calls": [{"id": "c1", "type": "function", "function": function}],
        },
        {"role": "tool", "content": "4", "tool_call_id": "c1"},
    ]
    with in_front_of(server, "self_consistency") as running:
        found = running.chat("self_consistency", messages=turns, response_format=FORM)
    assert found.body["choices"][0]["message"]["content"] == '{"sum": 4}'
    assert server.bodies[-1]["response_format"] == FORM
    assert server.bodies[-1]["messages"] == turns


def test_what_the_server_refuses_is_the_clients_fault_in_the_servers_words() -> None:
    words = '"auto" tool choice requires --enable-auto-tool-choice'

    def answer(asked: Asked) -> Reply:
        return refusal(400, words) if "tools" in asked.body else vllm_speak(asked, [["x"]])

    with in_front_of(of_vllm(answer), "self_consistency") as running:
        refused: Sequence[Any] = [running.chat("m", tools=[TOOL]) for _ in range(4)]
        assert {reply.status for reply in refused} == {400}
        assert all(words in reply.message for reply in refused)
        assert running.get("/health").status == 200
        assert running.chat("m").status == 200
