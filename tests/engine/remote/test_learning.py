"""What an endpoint does not take is learned once, and what it is asked for from then on."""

import asyncio
import logging

import pytest

from tests.support.remote import after_one, ask, draw, read, run, said
from tts.bench.servers.forms import REFUSALS
from tts.bench.servers.misbehaving import (
    Answer,
    Asked,
    Events,
    Json,
    Raw,
    Reply,
    Server,
    choice,
    models,
    refusal,
    talk,
    whole,
)
from tts.engine.openai import OpenAIEngine
from tts.errors import CapabilityError, EngineError, InputError
from tts.types import Prompt

pytestmark = pytest.mark.usefixtures("short_pauses")

# --- learning


def refuses(name: str, message: str, status: int = 400, **error: object) -> Answer:
    """Refuse calls that hold a parameter."""

    def answer(asked: Asked) -> Reply:
        if name in asked.body:
            return Json({"error": {"message": message, **error}}, status)
        return talk(asked)

    return answer


@pytest.mark.parametrize("name", REFUSALS)
def test_a_parameter_that_is_refused_is_left_out_from_then_on(
    name: str, caplog: pytest.LogCaptureFixture
) -> None:
    server = Server(refuses(name, REFUSALS[name]))

    async def use(engine: OpenAIEngine) -> None:
        request = ask(4, stop=("zz",), top_k=5, min_p=0.1)
        assert said(await read(engine, request)) == ["stop"] * 4
        assert sum(name in body for body in server.bodies) == 1  # the first call went alone
        assert said(await read(engine, request)) == ["stop"] * 4
        assert sum(name in body for body in server.bodies) == 1

    with caplog.at_level(logging.WARNING):
        run(server, use, max_n=1)
    assert len(caplog.records) == 1
    assert name in caplog.text


def test_max_completion_tokens_takes_the_place_of_max_tokens() -> None:
    server = Server(refuses("max_tokens", REFUSALS["max_tokens"]))
    draw(server)
    assert server.bodies[-1]["max_completion_tokens"] == 2048


@pytest.mark.parametrize(
    "error",
    [
        {"message": "Invalid value", "param": "temperature"},
        {"detail": [{"loc": ["body", "temperature"], "msg": "Extra inputs are not permitted"}]},
    ],
)
def test_refusals_are_read_in_other_forms(error: dict[str, object]) -> None:
    def answer(asked: Asked) -> Reply:
        return Json(error, 422) if "temperature" in asked.body else talk(asked)

    assert said(draw(Server(answer))) == ["stop"]


def test_several_refusals_are_learned_one_by_one() -> None:
    def answer(asked: Asked) -> Reply:
        for name in REFUSALS:
            if name in asked.body:
                return refusal(400, REFUSALS[name])
        return talk(asked)

    assert said(draw(Server(answer), 2)) == ["stop", "stop"]


def test_what_does_not_help_is_not_remembered() -> None:
    server = Server(
        after_one(
            lambda asked: (
                refusal(400, "invalid prompt: it must be of another temperature")
                if asked.body["seed"] == 101
                else talk(asked)
            )
        )
    )

    async def use(engine: OpenAIEngine) -> None:
        await read(engine, ask())
        assert said(await read(engine, ask(2))) == ["stop", "error"]
        await read(engine, ask())
        assert "temperature" in server.bodies[-1]

    run(server, use, max_n=1)


def test_what_the_user_asked_for_is_never_left_out() -> None:
    server = Server(refuses("chat_template_kwargs", "chat_template_kwargs is not supported"))

    async def use(engine: OpenAIEngine) -> None:
        with pytest.raises(EngineError, match="chat_template_kwargs is not supported"):
            await read(
                engine, ask(3, extra_body={"chat_template_kwargs": {"enable_thinking": False}})
            )

    run(server, use, max_n=1)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("top_logprobs", "Invalid value: 'top_logprobs' must be at most 5"),
        ("logprobs", "You are not allowed to request logprobs from this model"),
    ],
)
def test_log_probabilities_cannot_be_left_out(name: str, message: str) -> None:
    async def use(engine: OpenAIEngine) -> None:
        with pytest.raises(CapabilityError, match="logprobs"):
            await read(engine, ask(logprobs=20))

    run(Server(refuses(name, message)), use)


def test_stop_strings_that_a_server_does_not_take_are_cut_here() -> None:
    def answer(asked: Asked) -> Reply:
        if "stop" in asked.body:
            return refusal(400, REFUSALS["stop"])
        return whole(choice(0, "one\n\ntwo. three", finish="length"))

    async def use(engine: OpenAIEngine) -> None:
        (completion,) = await read(engine, ask(stop=(".", "\n\n")))
        assert (completion.text, completion.stop_string) == ("one", "\n\n")
        assert completion.finish_reason == "stop"

    run(Server(answer), use)


SEED = 2**47 + 5


@pytest.mark.parametrize(("owner", "expected"), [("someone", 5), ("vllm", SEED)])
def test_seeds_fold_to_31_bits_but_for_vllm(owner: str, expected: int) -> None:
    server = Server(lists=models("m", owner=owner))

    async def use(engine: OpenAIEngine) -> None:
        request = ask()
        await read(engine, type(request)(request.prompt, request.sampling, seed=SEED))

    run(server, use)
    assert server.bodies[0]["seed"] == expected


def test_a_server_that_calls_itself_vllm_may_refuse_long_seeds() -> None:
    def answer(asked: Asked) -> Reply:
        if asked.body["seed"] >= 2**31:
            return refusal(400, "seed: Input should be less than 2147483648")
        return talk(asked)

    server = Server(answer, models("m", owner="vllm"))

    async def use(engine: OpenAIEngine) -> None:
        request = ask()
        (done,) = await read(engine, type(request)(request.prompt, request.sampling, seed=SEED))
        assert done.finish_reason == "stop"

    run(server, use)
    assert [body["seed"] for body in server.bodies] == [SEED, 5]


# --- the list of models, and addresses


@pytest.mark.parametrize(
    "lists",
    [
        refusal(401, "no"),
        refusal(403, "no"),
        refusal(404, "no"),
        refusal(405, "no"),
        refusal(500, "no"),
        Json([]),
        Json({"data": None}),
        Json({"models": ["m"]}),
        Json({"data": [{"name": "m"}, 7]}),
        Json("m"),
        Raw(b"<html>"),
        Raw(b"", 302, headers={"Location": "/login"}),
        models("another"),
    ],
)
def test_a_list_of_models_that_cannot_be_read_stops_nothing(lists: Reply) -> None:
    assert said(draw(Server(lists=lists))) == ["stop"]


def test_an_address_without_its_path_is_told_at_once() -> None:
    async def main() -> None:
        async with Server().running() as server:
            root = server.url.removesuffix("/v1")
            engine = OpenAIEngine("m", base_url=root)
            with pytest.raises(InputError, match=f"write '{server.url}'"):
                await engine.start()
            await engine.aclose()
            assert not server.asked

    asyncio.run(main())


def test_an_api_without_v1_in_its_path_is_taken_as_it_is() -> None:
    async def main() -> None:
        async with Server(prefix="/openai").running() as server:
            engine = OpenAIEngine("m", base_url=server.url)
            assert said(await read(engine, ask())) == ["stop"]
            await engine.aclose()

    asyncio.run(main())


def test_a_text_prompt_goes_to_the_completions_endpoint() -> None:
    events = [{"choices": [{"index": 0, "text": "56", "finish_reason": "stop"}]}]
    server = Server(lambda _: Events(events))
    (completion,) = draw(server, prompt=Prompt(text="7 * 8 ="))
    assert completion.text == "56"
    assert server.asked[0].path == "/v1/completions"
