"""The OpenAI engine against vLLM's own server, with the bundled reasoner."""

import asyncio
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace

import pytest

from tests.support.remote import CHAT, ask, read
from tts import bundled
from tts.engine.openai import OpenAIEngine
from tts.engine.vllm import VLLMEngine
from tts.errors import ContextError
from tts.types import Prompt, sum_usage
from tts.types.thought import Thought


@pytest.fixture
def vllm_server(vllm_engine: VLLMEngine) -> Iterator[str]:
    """vLLM's own server with the bundled reasoner; gives its address.

    Without chunked prefill: with it, a seeded prompt that is prefilled in two steps ends vLLM 0.32
    on a CPU ("CPU Generator does not use offset").
    """
    for module in ("watchfiles", "model_hosting_container_standards", "jmespath"):
        pytest.importorskip(module)
    port = free_port()
    options = f"--host 127.0.0.1 --port {port} --block-size 32 --enforce-eager"
    options += f" --dtype {vllm_engine.info.dtype}"
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


async def check_counts(engine: OpenAIEngine, url: str) -> None:
    """Compare what we count with what the server does: exactly, but for what was cut."""
    before = generated_tokens(url)
    samples = await read(engine, ask(6, max_tokens=40))
    total = sum_usage([sample.usage for sample in samples])
    assert total.generated_tokens == sum(len(sample.token_ids) for sample in samples)
    assert total.estimated_calls == 0
    assert generated_tokens(url) - before == total.generated_tokens

    before = generated_tokens(url)
    endless = engine.generate(ask(4, max_tokens=1500, extra_body={"ignore_eos": True}))
    (first,) = await read(engine, ask(max_tokens=3))
    assert first.finish_reason == "length"
    await asyncio.sleep(0.2)
    cut = await endless.aclose()
    assert (cut.calls, cut.estimated_calls) == (4, 0)
    assert cut.generated_tokens is not None and cut.generated_tokens > 4
    await asyncio.sleep(1)  # the server notices, and its engine stops
    lag = generated_tokens(url) - before - (first.usage.generated_tokens or 0)
    lag -= cut.generated_tokens
    assert 0 <= lag <= 4 * 30  # what was drawn while we hung up


def generated_tokens(url: str) -> int:
    """Return how many tokens the server says that it has generated."""
    with urllib.request.urlopen(f"{url.removesuffix('/v1')}/metrics", timeout=10) as page:
        text = page.read().decode()
    found = re.findall(r"^vllm:generation_tokens_total\{[^}]*\} (\S+)$", text, re.MULTILINE)
    return int(sum(map(float, found)))


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

            for thought in (Thought("open"), Thought("closed", "7 * 8"), Thought("skipped")):
                prompt = Prompt(messages=CHAT.messages, thought=thought)
                (thinks,) = await read(engine, ask(prompt=prompt, max_tokens=3))
                assert thinks.prompt_token_ids == await vllm_engine.encode(prompt)

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
            await check_counts(engine, vllm_server)

    asyncio.run(main())
