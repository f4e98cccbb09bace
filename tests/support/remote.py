"""How tests ask a server of `tts.bench.servers.misbehaving` through the engine."""

import asyncio
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any

from tts.bench.servers.misbehaving import Answer, Server, models, talk, vllm_talk
from tts.engine.openai import OpenAIEngine
from tts.types import Completion, GenerationRequest, Message, Prompt, Sampling

CHAT = Prompt(messages=(Message("user", "What is 7 * 8?"),))
KEY = "sk-0123456789"


def vllm(**options: Any) -> Server:
    """Return vLLM's own server, with a model of 2,048 tokens."""
    return Server(vllm_talk, models("m", owner="vllm", max_model_len=2048), **options)


def run(server: Server, use: Callable[[OpenAIEngine], Awaitable[None]], **options: Any) -> None:
    """Serve, make an engine of model "m" for it, use it, and close both; at most 30 s."""

    async def main() -> None:
        async with server.running():
            settings: dict[str, Any] = {"base_url": server.url, "api_key": KEY, **options}
            engine = OpenAIEngine("m", **settings)
            try:
                await use(engine)
            finally:
                await engine.aclose()

    asyncio.run(asyncio.wait_for(main(), 30))


def ask(n: int = 1, prompt: Prompt = CHAT, **sampling: Any) -> GenerationRequest:
    return GenerationRequest(prompt, Sampling(**sampling), n=n, seed=100)


async def read(engine: OpenAIEngine, request: GenerationRequest) -> list[Completion]:
    """Return the completions of a request, by index."""
    found = [completion async for completion in engine.generate(request)]
    return sorted(found, key=lambda completion: completion.index)


def draw(server: Server, n: int = 1, prompt: Prompt = CHAT, **options: Any) -> list[Completion]:
    """Return the completions of one request to a server, by index."""
    found: list[Completion] = []

    async def use(engine: OpenAIEngine) -> None:
        found.extend(await read(engine, ask(n, prompt)))

    run(server, use, **options)
    return found


def said(completions: list[Completion]) -> list[str]:
    """Return how each completion ended."""
    return [c.finish_reason for c in completions]


def after_one(then: Answer) -> Answer:
    """Answer the first call as one should, and the others otherwise."""
    calls = iter(range(10**6))
    return lambda asked: talk(asked) if next(calls) == 0 else then(asked)


@contextmanager
def listening(server: Server) -> Iterator[Server]:
    """Run a server in a thread of its own, for what asks it from another, until the block ends."""
    ready, loop, stop = threading.Event(), asyncio.new_event_loop(), asyncio.Event()

    async def work() -> None:
        async with server.running():
            ready.set()
            await stop.wait()

    thread = threading.Thread(target=lambda: loop.run_until_complete(work()))
    thread.start()
    assert ready.wait(30)
    try:
        yield server
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(30)
        loop.close()
