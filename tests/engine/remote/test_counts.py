"""The OpenAI engine counts tokens: of whole calls, of cut ones, and where nobody tells."""

import asyncio

import pytest

from tests.support.remote import ask, draw, read, run, vllm
from tts.bench.servers.misbehaving import (
    Asked,
    Events,
    Hang,
    Reply,
    Server,
    delta,
    usage,
)
from tts.engine.openai import OpenAIEngine


def test_what_a_cut_call_has_not_told_is_estimated_by_the_pace_of_the_others() -> None:
    def chunk(index: int, tokens: int, finish: str | None = None) -> dict[str, object]:
        return delta(index, "x" * tokens, finish=finish, token_ids=[7] * tokens)

    # Both draw a token a step: when the first ends with 21, the other has about as many.
    events = [chunk(0, 1), chunk(1, 1), 0.2, chunk(0, 20, "stop")]
    server = vllm()
    server.answer = lambda _: Events(events, "hang")

    async def use(engine: OpenAIEngine) -> None:
        stream = engine.generate(ask(2, max_tokens=100))
        first = await anext(stream)
        assert first.usage.generated_tokens == 21
        cut = await stream.aclose()
        assert cut.calls == 1
        assert 20 <= (cut.generated_tokens or 0) <= 1 + 32
        assert cut.estimated_tokens == (cut.generated_tokens or 0) - 1

    run(server, use)


def test_a_cut_call_hangs_up_and_counts_as_far_as_it_went() -> None:
    def answer(asked: Asked) -> Reply:
        return Events([delta(0, "five"), delta(0, "six"), delta(1, "a")], "hang")

    server = Server(answer)

    async def use(engine: OpenAIEngine) -> None:
        stream = engine.generate(ask(2, max_tokens=50))
        await server.was_asked.wait()
        await asyncio.sleep(0.05)  # the events are on their way
        cost = await stream.aclose()
        # Three pieces, a token each: nobody counted them.
        assert (cost.calls, cost.generated_tokens) == (2, 3)
        assert (cost.estimated_calls, cost.estimated_tokens) == (2, 3)
        assert await stream.aclose() == cost
        await server.hung_up.wait()

    run(server, use)


def test_on_vllm_a_cut_call_is_counted_exactly() -> None:
    server = vllm()
    piece = delta(0, "xy", token_ids=[7, 8])
    server.answer = lambda _: Events([{**delta(0), "prompt_token_ids": [1, 2]}, piece], "hang")

    async def use(engine: OpenAIEngine) -> None:
        stream = engine.generate(ask())
        await server.was_asked.wait()
        await asyncio.sleep(0.05)  # the events are on their way
        cost = await stream.aclose()
        assert (cost.prompt_tokens, cost.generated_tokens, cost.estimated_calls) == (2, 2, 0)

    run(server, use)


def test_a_server_that_shows_nothing_may_have_generated_all() -> None:
    """It was not seen to stream: what is unknown counts as what was reserved."""
    server = Server(lambda _: Hang())

    async def use(engine: OpenAIEngine) -> None:
        stream = engine.generate(ask(4, max_tokens=50))
        await server.was_asked.wait()
        cost = await stream.aclose()
        # One call at a time until the server is known: it was asked for two of the four samples.
        assert (cost.calls, cost.generated_tokens) == (2, 100)
        assert (cost.estimated_calls, cost.estimated_tokens) == (2, 100)
        await server.hung_up.wait()

    run(server, use, max_n=2)


def test_a_server_that_hides_its_thoughts_may_have_thought_to_the_limit() -> None:
    counts = {**usage(10, 40), "completion_tokens_details": {"reasoning_tokens": 38}}
    hidden = [delta(0, "7"), delta(0, finish="stop"), {"choices": [], "usage": counts}]
    server = Server(lambda _: Events(hidden))

    async def use(engine: OpenAIEngine) -> None:
        (done,) = await read(engine, ask())
        assert (done.usage.generated_tokens, done.usage.estimated_calls) == (40, 0)
        server.answer = lambda _: Events([delta(0, "7")], "hang")
        stream = engine.generate(ask(max_tokens=50))
        await asyncio.sleep(0.05)
        assert (await stream.aclose()).generated_tokens == 50

    run(server, use)


def test_without_the_servers_counts_tokens_are_estimated_and_marked() -> None:
    server = Server(lambda _: Events([delta(0, "a"), delta(0, "b"), delta(0, finish="stop")]))
    (completion,) = draw(server)
    assert completion.usage.generated_tokens == 2
    assert (completion.usage.estimated_calls, completion.usage.estimated_tokens) == (1, 2)
    # "What is 7 * 8?" has 14 bytes: about 4 tokens.
    assert completion.usage.prompt_tokens == 4


@pytest.mark.parametrize("counts", [usage(-3, -5), {"completion_tokens": "many"}, usage(0, 0), {}])
def test_counts_that_cannot_be_are_none(counts: dict[str, object]) -> None:
    events = [delta(0, "ab"), delta(0, finish="stop"), {"choices": [], "usage": counts}]
    (completion,) = draw(Server(lambda _: Events(events)))
    assert (completion.usage.generated_tokens, completion.usage.estimated_calls) == (1, 1)
