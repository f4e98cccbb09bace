"""`tts serve` as OpenAI's own client sees it."""

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from openai import BadRequestError, NotFoundError, OpenAI, UnprocessableEntityError

from tests.support.serving import QUESTION, Serving, content, events, serving
from tts.engine.scripted import Ask, Line, ScriptedEngine

CALL = '<tool_call>\n{"name": "add", "arguments": {"a": 2, "b": 2}}\n</tool_call>'
OTHER_CALL = '<tool_call>\n{"name": "add", "arguments": {"a": 2, "b": 3}}\n</tool_call>'
TOOL = {"type": "function", "function": {"name": "add", "parameters": {"type": "object"}}}


def script(ask: Ask) -> Line:
    """Say what the question calls for; two of three samples agree."""
    odd = ask.index % 3 == 1
    if "tools" in ask.request.sampling.extra_body:
        return Line(OTHER_CALL if odd else CALL)
    if "response_format" in ask.request.sampling.extra_body:
        return Line('{"sum": 5}' if odd else f'{{"sum": 4, "n": {ask.index}}}')
    if "poem" in ask.prompt:
        return Line(
            f"A poem of {ask.index} words.\n\nRoses are red.\n\nViolets bloom in spring, too."
        )
    if "Attempt 1" in ask.prompt:
        return Line(r"Taken together, it is \boxed{4}")
    if "thought" in ask.prompt:
        return Line("<think>\nhm, well\n</think>\n\nIt is 4.")
    return Line(r"it is \boxed{5}" if odd else r"so it must be \boxed{4}")


PRESETS = ("self_consistency", "genfuse", "self_certainty_best", "early_stop", "genselect")


@pytest.fixture(scope="module")
def server() -> Iterator[Serving]:
    with serving(ScriptedEngine(script), PRESETS) as running:
        yield running


@pytest.fixture(scope="module")
def slow_server() -> Iterator[Serving]:
    """The same with samples that end one after the other, 0.2 s apart."""

    def one_by_one(ask: Ask) -> Line:
        return replace(script(ask), ticks=100 + 100 * ask.index)

    with serving(ScriptedEngine(one_by_one, tick_seconds=0.002), PRESETS) as running:
        yield running


@pytest.fixture(scope="module")
def client(server: Serving) -> Iterator[OpenAI]:
    with OpenAI(base_url=server.url, api_key="none", max_retries=0) as made:
        yield made


def ask(client: OpenAI, model: str, text: str = "What is 2 + 2?", **fields: Any) -> Any:
    messages: Any = [{"role": "user", "content": text}]
    return client.chat.completions.create(model=model, messages=messages, **fields)


def test_every_preset_is_a_model_and_so_is_the_engines_own(client: OpenAI) -> None:
    assert {model.id for model in client.models.list()} == {"scripted", *PRESETS}
    assert client.models.retrieve("genfuse").owned_by == "tts"


def test_a_vote_answers_with_its_winner_and_counts_every_sample(client: OpenAI) -> None:
    found = ask(client, "self_consistency", extra_body={"tts": {"return": ["support"]}})
    (choice,) = found.choices
    assert (choice.message.content, choice.finish_reason) == (r"so it must be \boxed{4}", "stop")
    # 11 of 16 samples say 4 in 23 characters, which are tokens; 5 say 5 in 15.
    assert found.usage.completion_tokens == 11 * 23 + 5 * 15
    assert found.usage.prompt_tokens == 16 * len("<user>What is 2 + 2?\n<assistant>")
    assert (found.tts["answer"], found.tts["support"]["votes"]) == ("4", 11)


def test_messages_reach_the_model_untouched(server: Serving) -> None:
    engine: Any = server.server.service.engine
    turns = [
        {"role": "system", "content": " Be brief.\n"},
        {"role": "user", "content": "What is 2 + 2?  "},
        {"role": "assistant", "content": "4"},
        {"role": "user", "content": [{"type": "text", "text": "Sure? \n"}]},
    ]
    assert server.chat("scripted", messages=turns).status == 200
    sent = engine.requests[-1].prompt.messages
    assert [(m.role, m.content) for m in sent] == [
        ("system", " Be brief.\n"),
        ("user", "What is 2 + 2?  "),
        ("assistant", "4"),
        ("user", "Sure? \n"),
    ]


def test_parameters_reach_the_engine(server: Serving) -> None:
    engine: Any = server.server.service.engine
    given: dict[str, Any] = {
        "temperature": 0.3,
        "top_p": 0.9,
        "stop": ["b", "c"],
        "frequency_penalty": 0.5,
    }
    server.chat("early_stop", max_completion_tokens=77, logit_bias={"5": -1}, **given)
    sampling = engine.requests[-1].sampling
    assert (sampling.temperature, sampling.top_p, sampling.stop) == (0.3, 0.9, ("b", "c"))
    assert sampling.max_tokens == 77
    assert sampling.extra_body == {"frequency_penalty": 0.5, "logit_bias": {5: -1}}


def test_the_same_seed_draws_the_same_samples(server: Serving) -> None:
    engine: Any = server.server.service.engine
    seeds = []
    for seed in (7, 7, 8, None):
        server.chat("scripted", seed=seed)
        seeds.append(engine.requests[-1].seed)
    assert seeds[0] == seeds[1] and len(set(seeds)) == 3


def test_n_are_plain_samples_of_a_model_and_distinct_answers_of_a_preset(client: OpenAI) -> None:
    plain = ask(client, "scripted", n=4)
    assert [c.index for c in plain.choices] == [0, 1, 2, 3]
    assert plain.choices[1].message.content == r"it is \boxed{5}"
    best = ask(client, "self_consistency", n=4)
    texts = [c.message.content for c in best.choices]
    assert texts == [r"so it must be \boxed{4}", r"it is \boxed{5}"]  # there are but two answers


def test_a_vote_on_open_texts_says_what_it_needs(client: OpenAI) -> None:
    with pytest.raises(UnprocessableEntityError, match="say what to compare by") as refused:
        ask(client, "self_consistency", "A poem, please.")
    told: Any = refused.value.response.json()
    assert told["error"]["code"] == "no_comparable_answer"
    assert told["usage"]["completion_tokens"] > 0  # what it has cost all the same


def test_open_texts_are_chosen_by_presets_that_compare_texts(client: OpenAI) -> None:
    assert "poem" in ask(client, "self_certainty_best", "A poem.").choices[0].message.content


@pytest.mark.parametrize(
    ("regex", "votes"),
    [(r"poem of \d", 7), ("A (poem)", 16), ("words", 16)],  # of 1 word, and of 10 to 15
)
def test_open_texts_are_compared_by_a_pattern(server: Serving, regex: str, votes: int) -> None:
    messages = [{"role": "user", "content": "A poem."}]
    extension = {"compare": {"regex": regex}, "return": ["support"]}
    found = server.chat("self_consistency", messages=messages, tts=extension)
    assert found.body["tts"]["support"]["votes"] == votes


def test_json_is_compared_whole_or_by_a_path(server: Serving) -> None:
    form = {"type": "json_schema", "json_schema": {"name": "s", "schema": {"type": "object"}}}
    extension: dict[str, Any] = {"return": ["support"], "set": ["n=3"]}
    whole = server.chat("self_consistency", response_format=form, tts=extension)
    assert whole.body["tts"]["support"]["votes"] == 1  # each has another n
    extension["compare"] = {"json_path": "sum"}
    summed = server.chat("self_consistency", response_format=form, tts=extension)
    assert (summed.body["tts"]["answer"], summed.body["tts"]["support"]["votes"]) == ("4", 2)
    assert json.loads(summed.body["choices"][0]["message"]["content"])["sum"] == 4


def test_votes_on_calls_of_tools(client: OpenAI) -> None:
    found = ask(client, "self_consistency", tools=[TOOL], tool_choice="auto")
    (choice,) = found.choices
    assert (choice.finish_reason, choice.message.content) == ("tool_calls", None)
    (call,) = choice.message.tool_calls
    assert (call.function.name, json.loads(call.function.arguments)) == ("add", {"a": 2, "b": 2})


def test_calls_and_their_results_are_read_back(server: Serving) -> None:
    engine: Any = server.server.service.engine
    function = {"name": "add", "arguments": '{"a": 2}'}
    turns = [
        *QUESTION,
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [{"id": "c1", "type": "function", "function": function}],
        },
        {"role": "tool", "tool_call_id": "c1", "content": "4"},
    ]
    assert server.chat("scripted", messages=turns, tools=[TOOL]).status == 200
    sent = [m.to_mapping() for m in engine.requests[-1].prompt.messages]
    assert sent[1]["tool_calls"][0]["function"]["arguments"] == {"a": 2}
    assert sent[2] == {"role": "tool", "content": "4", "tool_call_id": "c1"}


def test_log_probabilities_are_those_of_the_text(client: OpenAI) -> None:
    found = ask(client, "scripted", logprobs=True)
    rows = found.choices[0].logprobs.content
    assert "".join(row.token for row in rows) == found.choices[0].message.content
    assert {row.logprob for row in rows} == {-0.5}


def test_a_thought_stands_beside_the_answer(client: OpenAI) -> None:
    message = ask(client, "scripted", "a thought").choices[0].message
    assert (message.content, message.reasoning_content) == ("It is 4.", "hm, well")


def test_a_text_is_continued(client: OpenAI) -> None:
    found = client.completions.create(model="scripted", prompt="2 + 2 = ", logprobs=0)
    (choice,) = found.choices
    assert choice.text == r"so it must be \boxed{4}"
    assert choice.logprobs is not None and choice.logprobs.text_offset == list(range(23))
    parts = client.completions.create(model="scripted", prompt="2 + 2 = ", stream=True)
    assert "".join(part.choices[0].text for part in parts if part.choices) == choice.text


def test_a_response(client: OpenAI) -> None:
    found = client.responses.create(model="self_consistency", input="What is 2 + 2?")
    assert found.output_text == r"so it must be \boxed{4}"
    assert found.usage is not None and found.usage.output_tokens == 11 * 23 + 5 * 15
    with client.responses.stream(model="scripted", input="What is 2 + 2?") as stream:
        assert stream.get_final_response().output_text == r"so it must be \boxed{4}"


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"mesages": []}, "has no 'mesages'; did you mean 'messages'"),
        ({"reasoning_effort": "high"}, "has no 'reasoning_effort'; it has model, "),
        ({"temperature": 3}, "temperature"),
        ({"top_logprobs": 3}, "only the tokens that were drawn"),
        ({"tts": {"set": ["m=3"]}}, "- tts.set: m=3: strategy 'self_consistency' has no 'm'"),
        ({"tts": {"set": ["verifier=judge"]}}, "has no 'verifier'"),
        ({"tts": {"set": ["mode=/etc/passwd"]}}, "names no files"),
        ({"tts": {"budget": "many"}}, "cannot read 'many'"),
        ({"tts": {"compare": {"regex": "("}}}, "the pattern '(' cannot be read"),
        ({"tts": {"compare": {}}}, "name either json_path or regex"),
        ({"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}, "images"),
        ({"messages": []}, "messages = []: list should hold at least 1"),
        ({"messages": "hi"}, "messages = 'hi': input should be a list"),
        ({"messages": ["hi"]}, "should be a mapping of keys to values"),
        ({"messages": [{"content": "x"}]}, "role"),
        ({"tool_choice": "required"}, "no tools to choose from"),
        ({"model": "genfuse", "tools": [TOOL]}, "'fuse' of the preset genfuse"),
        ({"chat_template_kwargs": {"chat_template": "x"}}, "no chat_template of its own"),
        ({"messages": [{"role": "user", "content": "x" * 20_000}]}, "the context is 10000"),
    ],
)
def test_what_cannot_be_honoured_is_refused_and_says_why(
    client: OpenAI, fields: dict[str, Any], told: str
) -> None:
    body = {"model": "self_consistency", "messages": QUESTION, **fields}
    with pytest.raises(BadRequestError) as refused:
        client.post("/chat/completions", body=body, cast_to=object)
    assert told in refused.value.message


def test_an_unknown_model_is_named(client: OpenAI) -> None:
    with pytest.raises(NotFoundError, match="did you mean 'genfuse'"):
        ask(client, "genfus")


def test_a_budget_is_held_and_what_is_missing_is_told(server: Serving) -> None:
    found = server.chat("self_consistency", tts={"budget": "5calls", "return": ["attempts"]})
    assert len(found.body["tts"]["attempts"]) == 5
    assert "the budget of 5calls" in found.body["tts"]["reason"]
    refused = server.chat("self_consistency", tts={"budget": "3"})
    assert (refused.status, refused.body["error"]["code"]) == (400, "budget_too_small")
    assert "the budget of 3tokens" in refused.message and "buys no sample" in refused.message


def test_a_stream_tells_the_state_then_the_text_then_the_usage(slow_server: Serving) -> None:
    usage = {"include_usage": True}
    lines = slow_server.lines("self_consistency", stream_options=usage, tts={"set": ["n=3"]})
    states = [json.loads(line[2:]) for line in lines if line.startswith(": ")]
    assert [(state["samples"], state["answer"], state["votes"]) for state in states] == [
        (1, "4", 1),
        (2, "4", 1),
    ]
    assert "".join(content(lines)) == r"so it must be \boxed{4}"
    last = events(lines)[-1]
    assert (last["choices"], last["usage"]["completion_tokens"]) == ([], 2 * 23 + 15)
    assert lines[-1] == "data: [DONE]"


def test_the_first_state_is_told_when_the_first_sample_has_ended(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # Told with the next comment, or when another sample has ended, it would come too late.
    monkeypatch.setattr("tts.server.exchange._COMMENT_SECONDS", 600.0)
    engine = ScriptedEngine(
        lambda ask: Line(r"\boxed{4}", ticks=20, hangs=ask.index > 0), tick_seconds=0.005
    )
    with serving(engine) as server, server.open("self_consistency") as answer:
        assert json.loads(answer.readline()[2:])["samples"] == 1


def test_progress_may_be_told_as_a_thought_or_not_at_all(slow_server: Serving) -> None:
    told = slow_server.lines("self_consistency", tts={"progress": "reasoning", "set": ["n=2"]})
    deltas = [choice["delta"] for event in events(told) for choice in event["choices"]]
    assert deltas[0]["reasoning_content"] == "1 samples, 23 tokens; leading: 4 (1 of 1)\n"
    assert not any(line.startswith(": ") for line in told)
    silent = slow_server.lines("self_consistency", tts={"progress": "none", "set": ["n=2"]})
    assert not any(line.startswith(": ") for line in silent) and content(silent)


@pytest.mark.parametrize("model", ["scripted", "genfuse"])
def test_what_is_written_last_is_read_along(server: Serving, model: str) -> None:
    parts = content(server.lines(model))
    assert len(parts) > 5
    whole = (
        r"so it must be \boxed{4}" if model == "scripted" else r"Taken together, it is \boxed{4}"
    )
    assert "".join(parts) == whole


def test_plain_samples_are_streamed_side_by_side(server: Serving) -> None:
    lines = server.lines("scripted", n=3)
    texts = ["".join(content(lines, index)) for index in range(3)]
    assert texts == [r"so it must be \boxed{4}", r"it is \boxed{5}", r"so it must be \boxed{4}"]


def test_an_error_within_a_stream_is_an_event(slow_server: Serving) -> None:
    poem = [{"role": "user", "content": "A poem."}]
    lines = slow_server.lines("self_consistency", messages=poem, tts={"set": ["n=2"]})
    assert events(lines)[-1]["error"]["code"] == "no_comparable_answer"


def test_samples_that_are_not_of_the_form_that_was_asked_for_say_so(server: Serving) -> None:
    where = {"compare": {"json_path": "total"}, "set": ["n=2"]}
    refused = server.chat("self_consistency", tts=where)
    assert refused.status == 422
    assert refused.message.startswith("none of 2 samples is JSON with a value at 'total', by which")
    where = {"compare": {"regex": "total: (.*)"}, "set": ["n=2"]}
    refused = server.chat("self_consistency", tts=where)
    assert "holds what tts.compare looks for, 'total: (.*)'" in refused.message


@pytest.mark.parametrize(
    ("path", "status", "told"),
    [
        ("/v1/embeddings", 404, "there is nothing at /v1/embeddings; /docs lists"),
        ("/v1/models", 405, "/v1/models takes GET, not POST"),
    ],
)
def test_a_route_that_is_not_there_is_told_as_the_protocol_tells_errors(
    server: Serving, path: str, status: int, told: str
) -> None:
    reply = server.post(path, {"model": "m"})
    assert reply.status == status and reply.message.startswith(told)
    assert reply.body["error"]["code"] == "no_such_route"


def test_the_description_and_the_figures(server: Serving) -> None:
    described = server.get("/openapi.json").body
    named = set(re.findall(r"#/components/schemas/(\w+)", json.dumps(described)))
    assert "/v1/chat/completions" in described["paths"]
    assert named and named <= set(described["components"]["schemas"])
    server.chat("early_stop")
    figures = server.get("/metrics").body
    assert 'tts_requests_total{model="early_stop",status="200"}' in figures
    assert (
        "tts_stopped_early_total" in figures
        and 'tts_generated_tokens_total{kind="useful"}' in figures
    )
    assert server.get("/health").body == {"status": "ok"}
