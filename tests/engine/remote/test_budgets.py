"""Budgets and figures of whole runs on a server: never passed, never unknown."""

import asyncio
import json
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace

import pytest

from tts.bench.servers.misbehaving import (
    Asked,
    Events,
    Hang,
    Json,
    Reply,
    Server,
    delta,
    models,
    speak,
    usage,
    vllm_talk,
)
from tts.cli.main import run as cli
from tts.engine.openai import OpenAIEngine
from tts.errors import BudgetError
from tts.operators.sample import sample
from tts.operators.vote import vote
from tts.runtime.job import Job
from tts.runtime.runtime import Runtime
from tts.types import Budget, Problem, Result, Sampling

Use = Callable[[Runtime, Server], Awaitable[None]]
PIPELINE = sample(n=16) >> vote()


def run(server: Server, use: Use, run_budget: Budget | None = None, **options: float) -> None:
    async def main() -> None:
        async with server.running():
            engine = OpenAIEngine("m", base_url=server.url, **options)  # type: ignore[arg-type]
            async with engine, Runtime(engine, run_budget=run_budget) as runtime:
                await use(runtime, server)

    asyncio.run(asyncio.wait_for(main(), 60))


def job(number: int, *, max_tokens: int = 100, n: int = 16, stop_at: float = 0.9) -> Job:
    problem = Problem(str(number), "What is 7 * 8?", answer_type="integer")
    pipeline = sample(n=n) >> vote(stop_at=stop_at)
    return Job(pipeline, problem, Sampling(max_tokens=max_tokens), seed=number)


def settle(asked: Asked, *, ends: int, tells: bool = True) -> Reply:
    """Give `ends` samples of three tokens an answer at once; the others go on and on."""
    events: list[object] = []
    for index in range(asked.n):
        events += [delta(index, "It "), delta(index, "is ")]
        if index < ends:
            events += [delta(index, "\\boxed{56}"), delta(index, finish="stop")]
    if ends >= asked.n and tells:
        events.append({"choices": [], "usage": usage(10, 3 * asked.n)})
    return Events(events, "done" if ends >= asked.n else "hang")


def test_a_vote_that_stops_early_knows_what_it_spent() -> None:
    server = Server(lambda asked: settle(asked, ends=8))

    async def use(runtime: Runtime, _: Server) -> None:
        result = await runtime.run(job(0))
        assert result.answer is not None and result.answer.text == "56"
        # The vote is settled by the 8 that ended, with 3 tokens each; 8 were cut after 2.
        spent = result.usage
        assert spent.generated_tokens is not None
        assert 8 * 3 <= spent.generated_tokens <= 8 * 3 + 8 * 2
        assert spent.calls == 16
        assert spent.estimated_calls >= 8

    run(server, use)


def test_a_token_budget_of_a_run_holds_though_calls_are_cut() -> None:
    """Before, the first cut call switched every budget off."""
    seen = 0

    def answer(asked: Asked) -> Reply:
        nonlocal seen
        seen += asked.n * asked.body["max_tokens"]  # the most that it may generate
        return settle(asked, ends=8)

    async def use(runtime: Runtime, _: Server) -> None:
        results: list[Result] = [await runtime.run(job(number)) for number in range(60)]
        total = runtime.ledger.usage.generated_tokens
        assert total is not None and total <= 500
        assert results[-1].usage.calls == 0  # nothing was left for it
        assert "budget" in results[-1].reason

    run(Server(answer), use, Budget(tokens=500))


def test_a_server_without_counts_is_budgeted_by_estimates() -> None:
    server = Server(lambda asked: settle(asked, ends=99, tells=False))

    async def use(runtime: Runtime, _: Server) -> None:
        for number in range(10):
            await runtime.run(job(number, n=4))
        total = runtime.ledger.usage
        assert total.generated_tokens is not None
        assert total.generated_tokens <= 60
        assert total.estimated_tokens == total.generated_tokens

    run(server, use, Budget(tokens=60))


def test_a_server_that_shows_nothing_uses_up_what_was_reserved() -> None:
    async def use(runtime: Runtime, server: Server) -> None:
        for number in range(3):
            running = asyncio.create_task(runtime.run(job(number, max_tokens=30, n=1)))
            await server.was_asked.wait()
            server.was_asked.clear()
            running.cancel()
            await asyncio.wait([running])
        assert runtime.ledger.usage.generated_tokens == 90
        assert runtime.ledger.usage.estimated_calls == 3
        assert (await runtime.run(job(9, n=1))).usage.calls == 0

    run(Server(lambda _: Hang()), use, Budget(tokens=100))


def test_dollars_are_counted_and_limited() -> None:
    server = Server(lambda asked: settle(asked, ends=99))

    async def use(runtime: Runtime, _: Server) -> None:
        result = await runtime.run(job(0, n=2))
        # 10 prompt tokens and 2 x 3 generated ones, at $1 and $10 a million.
        assert result.usage.usd == pytest.approx((10 * 1 + 6 * 10) / 1e6)
        for number in range(1, 40):
            await runtime.run(job(number, n=2))
        assert (runtime.ledger.usage.usd or 0) <= 0.002

    run(server, use, Budget(usd=0.002), price_in=1.0, price_out=10.0)


def test_dollars_of_a_server_without_prices_cannot_be_budgeted() -> None:
    async def use(runtime: Runtime, _: Server) -> None:
        with pytest.raises(BudgetError, match="has no price"):
            await runtime.run(
                Job(PIPELINE, Problem("p", "What?"), Sampling(), budget=Budget(usd=1.0))
            )

    run(Server(lists=models("m")), use)


def test_a_prompt_is_reserved_as_vllms_server_counts_it() -> None:
    def answer(asked: Asked) -> Reply:
        if asked.path == "/tokenize":
            return Json({"tokens": list(range(40))})
        return vllm_talk(asked)

    server = Server(answer, models("m", owner="vllm", max_model_len=2048))

    async def use(runtime: Runtime, _: Server) -> None:
        # $1 a token: of 100 tokens, 40 are the prompt's.
        await runtime.run(replace(job(0, n=1), budget=Budget(usd=100.0)))
        await runtime.run(job(1, n=1))

    run(server, use, price_in=1e6, price_out=1e6)
    counted, drawn, unlimited = server.asked
    assert [m["content"] for m in counted.body["messages"]] == [
        m["content"] for m in drawn.body["messages"]
    ]
    assert drawn.body["max_tokens"] == 60
    assert unlimited.path == "/v1/chat/completions"  # nothing is counted where nothing is limited


def test_the_command_line_budgets_in_dollars(capsys: pytest.CaptureFixture[str]) -> None:
    def answer(asked: Asked) -> Reply:
        words = ["It ", "is ", "\\boxed{56}"]
        return speak(asked, [words] * asked.n)

    server = Server(answer)
    with served(server):
        where = ["--model", f"m@{server.url}", "--set", "n=4", "--set", "sampling.max_tokens=100"]
        prices = ["--engine-arg", "price_in=1", "--engine-arg", "price_out=10"]
        asked = ["solve", "What is 7 * 8?", "--preset", "self_consistency", *where]
        # 10 prompt tokens and 4 x 3 generated ones, at $1 and $10 a million.
        assert cli([*asked, *prices, "--budget", "$0.01", "--json"]) == 0
        assert json.loads(capsys.readouterr().out)["usage"]["usd"] == pytest.approx(130 / 1e6)
        assert cli([*asked, "--budget", "$0.01"]) == 2
        assert "price_in" in capsys.readouterr().err
        assert cli([*asked, *prices, "--budget", "$0.000001"]) != 0
    assert len(server.asked) == 1  # nothing was bought beyond the budgets


@contextmanager
def served(server: Server) -> Iterator[None]:
    """Serve in a thread of its own."""
    loop, ready = asyncio.new_event_loop(), threading.Event()

    async def serve() -> None:
        async with server.running():
            ready.set()
            await asyncio.Event().wait()

    task = loop.create_task(serve())

    def work() -> None:
        with suppress(asyncio.CancelledError):
            loop.run_until_complete(task)
        loop.close()

    thread = threading.Thread(target=work)
    thread.start()
    ready.wait(10)
    try:
        yield
    finally:
        loop.call_soon_threadsafe(task.cancel)
        thread.join(10)
