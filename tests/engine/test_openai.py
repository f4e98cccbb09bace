"""The OpenAI engine, against a small server of our own and against vLLM's."""

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from tts import bundled
from tts.engine.openai import OpenAIEngine
from tts.engine.vllm import VLLMEngine
from tts.errors import CapabilityError, ContextError, EngineError, ModelError
from tts.types import (
    Completion,
    GenerationRequest,
    Message,
    Price,
    Prompt,
    Sampling,
    sum_usage,
)

CHAT = Prompt(messages=(Message("user", "What is 7 * 8?"),))
Answer = tuple[int, dict[str, Any]]


def models(owner: str) -> Answer:
    return 200, {"object": "list", "data": [{"id": "m", "object": "model", "owned_by": owner}]}


def chat(body: dict[str, Any]) -> Answer:
    """Answer "a", "aa", ... to the n samples; 10 prompt tokens, 12 generated in all."""
    choices = [
        {
            "index": i,
            "message": {"role": "assistant", "content": "a" * (i + 1)},
            "finish_reason": "stop",
            "logprobs": None,
        }
        for i in range(body["n"])
    ]
    usage = {"prompt_tokens": 10, "completion_tokens": 12, "total_tokens": 22}
    return 200, {"id": "c", "object": "chat.completion", "choices": choices, "usage": usage}


def refuse(status: int, message: str) -> Answer:
    return status, {"error": {"message": message, "type": "error", "code": None}}


@dataclass
class FakeServer:
    """Answers POSTs from a function, one connection at a time or never."""

    answer: Callable[[dict[str, Any]], Answer | None]
    owner: str = "someone"
    bodies: list[dict[str, Any]] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    asked: asyncio.Event = field(default_factory=asyncio.Event)
    hung_up: asyncio.Event = field(default_factory=asyncio.Event)
    url: str = ""

    @asynccontextmanager
    async def running(self) -> AsyncIterator["FakeServer"]:
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
        try:
            yield self
        finally:
            server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                reply = await self._reply(head.decode(), reader)
                if reply is None:
                    await reader.read()  # until the client hangs up
                    self.hung_up.set()
                    return
                status, value = reply
                data = json.dumps(value).encode()
                lines = f"HTTP/1.1 {status} X\r\nContent-Type: application/json\r\n"
                writer.write(f"{lines}Content-Length: {len(data)}\r\n\r\n".encode() + data)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            return
        finally:
            writer.close()

    async def _reply(self, head: str, reader: asyncio.StreamReader) -> Answer | None:
        if head.startswith("GET"):
            return models(self.owner)
        (size,) = [x.split(":")[1] for x in head.split("\r\n") if x.lower().startswith("content-l")]
        self.bodies.append(json.loads(await reader.readexactly(int(size))))
        self.paths.append(head.split()[1])
        self.asked.set()
        return self.answer(self.bodies[-1])


def run(server: FakeServer, use: Callable[[OpenAIEngine], Any], **options: Any) -> None:
    async def main() -> None:
        async with server.running():
            engine = OpenAIEngine("m", base_url=server.url, api_key="k", **options)
            try:
                await use(engine)
            finally:
                await engine.aclose()

    asyncio.run(asyncio.wait_for(main(), 30))


def ask(n: int = 1, prompt: Prompt = CHAT, **sampling: Any) -> GenerationRequest:
    return GenerationRequest(prompt, Sampling(**sampling), n=n, seed=100)


async def read(engine: OpenAIEngine, request: GenerationRequest) -> list[Completion]:
    return [completion async for completion in engine.generate(request)]


def test_what_presets_say_of_requests_reaches_the_server() -> None:
    server = FakeServer(chat)

    async def use(engine: OpenAIEngine) -> None:
        thinking = {"enable_thinking": False}
        extra = {"reasoning_effort": "low"}
        await read(engine, ask(chat_template_kwargs=thinking, extra_body=extra))
        assert server.bodies[0]["chat_template_kwargs"] == thinking
        assert server.bodies[0]["reasoning_effort"] == "low"

    run(server, use)


def test_samples_go_out_in_calls_of_n_and_the_usage_is_split() -> None:
    server = FakeServer(chat)

    async def use(engine: OpenAIEngine) -> None:
        completions = await read(engine, ask(5, temperature=0.5, max_tokens=30, stop=("x",)))
        assert sorted((c.index, c.text) for c in completions) == [
            (0, "a"),
            (1, "aa"),
            (2, "aaa"),
            (3, "a"),
            (4, "aa"),
        ]
        assert sorted((b["n"], b["seed"]) for b in server.bodies) == [(2, 103), (3, 100)]
        assert all((b["stop"], b["max_tokens"]) == (["x"], 30) for b in server.bodies)
        total = sum_usage([c.usage for c in completions])
        # Two calls of 12 tokens; each sample counts the prompt, but only one per call computed it.
        assert (total.calls, total.generated_tokens) == (5, 24)
        assert (total.prompt_tokens, total.cached_tokens) == (50, 30)
        # $1 a million for 2 x 10 prompt tokens, $2 for 2 x 12 generated ones.
        assert total.usd == pytest.approx((20 * 1 + 24 * 2) / 1e6)

    run(server, use, max_n=3, price=Price(prompt=1.0, generated=2.0))


def test_a_rate_limit_is_retried() -> None:
    answers = iter([refuse(429, "slow down"), chat({"n": 1})])
    server = FakeServer(lambda _: next(answers))

    async def use(engine: OpenAIEngine) -> None:
        (completion,) = await read(engine, ask())
        assert completion.text == "a"
        assert len(server.bodies) == 2

    run(server, use)


def test_a_call_that_fails_for_good_is_a_completion_with_an_error() -> None:
    def answer(body: dict[str, Any]) -> Answer:
        return chat(body) if body["seed"] == 100 else refuse(500, "broken")

    async def use(engine: OpenAIEngine) -> None:
        good, bad = sorted(await read(engine, ask(2)), key=lambda c: c.index)
        assert (good.finish_reason, good.error) == ("stop", None)
        assert (bad.finish_reason, bad.text) == ("error", "")
        assert bad.error is not None and "broken" in bad.error
        assert bad.usage.generated_tokens == 0

    run(FakeServer(answer), use, max_n=1, max_retries=0)


@pytest.mark.parametrize(
    ("status", "message", "expected"),
    [
        (401, "who are you", EngineError),
        (404, "no such model", ModelError),
        (400, "This model's maximum context length is 8 tokens", ContextError),
        (400, "temperature must be cool", EngineError),
    ],
)
def test_what_concerns_every_call_fails_the_stream(
    status: int, message: str, expected: type[EngineError]
) -> None:
    async def use(engine: OpenAIEngine) -> None:
        stream = engine.generate(ask(3))
        with pytest.raises(expected, match=message):
            await anext(stream)

    run(FakeServer(lambda _: refuse(status, message)), use)


def test_closing_hangs_up_and_says_that_the_tokens_are_unknown() -> None:
    server = FakeServer(lambda _: None)

    async def use(engine: OpenAIEngine) -> None:
        stream = engine.generate(ask(4))
        await server.asked.wait()
        usage = await stream.aclose()
        # One slot: the server was asked for one call of the four.
        assert (usage.calls, usage.generated_tokens) == (1, None)
        await server.hung_up.wait()

    run(server, use, max_n=1, max_concurrency=1)


def test_only_vllm_is_sent_token_ids_and_prefills() -> None:
    async def use(engine: OpenAIEngine) -> None:
        for prompt in (Prompt(token_ids=(1, 2)), Prompt(messages=CHAT.messages, prefill="So")):
            with pytest.raises(CapabilityError, match="not served by vLLM"):
                await read(engine, ask(prompt=prompt))

    run(FakeServer(chat), use)


def test_vllm_gets_a_call_per_sample() -> None:
    server = FakeServer(chat, owner="vllm")

    async def use(engine: OpenAIEngine) -> None:
        await read(engine, ask(3, Prompt(messages=CHAT.messages, prefill="So")))
        assert sorted(b["seed"] for b in server.bodies) == [100, 101, 102]
        assert server.bodies[0]["messages"][-1] == {"role": "assistant", "content": "So"}
        assert server.bodies[0]["continue_final_message"] is True
        assert engine.capabilities.token_ids

    run(server, use)


def test_texts_are_tokenised_by_vllms_server_alone() -> None:
    server = FakeServer(lambda body: (200, {"count": 2, "tokens": [7, 8]}), owner="vllm")

    async def use(engine: OpenAIEngine) -> None:
        assert await engine.tokenize("Note") == (7, 8)
        assert server.bodies == [{"model": "m", "prompt": "Note", "add_special_tokens": False}]
        assert server.paths == ["/tokenize"]  # beside the OpenAI routes, not below them
        server.answer = lambda _: refuse(400, "no such route")
        with pytest.raises(EngineError, match=r"refuses the request.*no such route"):
            await engine.tokenize("Note")

    run(server, use)

    async def refused(engine: OpenAIEngine) -> None:
        with pytest.raises(CapabilityError, match="not served by vLLM and takes no token ids"):
            await engine.tokenize("Note")

    run(FakeServer(chat), refused)


def test_a_server_that_is_not_there_is_named() -> None:
    async def main() -> None:
        engine = OpenAIEngine("m", base_url="http://127.0.0.1:9/v1", max_retries=0)
        with pytest.raises(EngineError, match=r"cannot reach http://127\.0\.0\.1:9/v1"):
            await read(engine, ask())
        await engine.aclose()

    asyncio.run(main())


@pytest.fixture
def vllm_server() -> Iterator[str]:
    """vLLM's own server with the bundled reasoner; gives its address.

    Without chunked prefill: with it, a seeded prompt that is prefilled in two steps ends vLLM 0.32
    on a CPU ("CPU Generator does not use offset").
    """
    for module in ("watchfiles", "model_hosting_container_standards", "jmespath"):
        pytest.importorskip(module)
    port = free_port()
    options = f"--host 127.0.0.1 --port {port} --block-size 32 --dtype float32 --enforce-eager"
    options += " --max-model-len 2048 --kv-cache-memory-bytes 134217728 --served-model-name m"
    options += f" --model {bundled.resolve('reasoner')}"
    options += " --no-enable-chunked-prefill --max-num-batched-tokens 4096"
    process = subprocess.Popen(
        [sys.executable, "-m", "vllm.entrypoints.openai.api_server", *options.split()],
        env={**os.environ, "VLLM_LOGGING_LEVEL": "ERROR", "OMP_NUM_THREADS": "1"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        wait_for_server(process, port, seconds=360)
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(20)
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)  # its engine process too
        process.wait(20)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for_server(process: "subprocess.Popen[bytes]", port: int, *, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        assert process.poll() is None, "the server ended"
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.2)
        else:
            return
    raise AssertionError("the server did not start")


@pytest.mark.slow
@pytest.mark.engine
@pytest.mark.timeout(600)
def test_vllms_own_server_agrees_with_the_embedded_engine(
    vllm_server: str, vllm_engine: VLLMEngine
) -> None:
    async def main() -> None:
        async with OpenAIEngine("m", base_url=vllm_server) as engine:
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

            note = "Note: 7 * 8 = 56\n\n"
            assert await engine.tokenize(note) == await vllm_engine.tokenize(note)

            ids = Prompt(token_ids=theirs.prompt_token_ids)
            (again,) = await read(engine, ask(prompt=ids, temperature=0.0, max_tokens=5))
            shared = min(5, len(theirs.token_ids))
            assert again.token_ids[:shared] == theirs.token_ids[:shared]
            prefilled = Prompt(messages=CHAT.messages, prefill="7 * 8 =")
            texts = {c.index: c.text for c in await read(engine, ask(3, prefilled, max_tokens=9))}
            assert sorted(texts) == [0, 1, 2]

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
            endless = engine.generate(ask(4, max_tokens=1500, extra_body={"ignore_eos": True}))
            (first,) = await read(engine, ask(max_tokens=3))
            assert first.finish_reason == "length"
            assert (await endless.aclose()).calls == 4

    asyncio.run(main())
