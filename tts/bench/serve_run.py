"""Our server beside vLLM's own, and beside others in front of it, on the same requests."""

import asyncio
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from statistics import median
from typing import Any

import aiohttp

from tts import prompts
from tts.answers.groups import extract_answer
from tts.bench.servers.own import free_port, listening, read_served, vllm_server
from tts.tasks import chain
from tts.types import Problem

SETTLE_SECONDS = 1.0  # for a server to notice that a call was cut
_ENGINE = (
    "dtype=float32",
    "max_model_len=2048",
    "cpu_threads=1",
    "kv_cache_memory_bytes=134217728",
)
_MAX_TOKENS = 512
BARE = "bundled:reasoner"
_Note = Callable[[str], None]
_Fields = Callable[[int], dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Pace:
    """How one server answered the same requests.

    Attributes:
        side: Which.
        concurrency: Requests under way.
        tokens_per_second: Generated.
        p50_ms: Median time of a request.
        cpu_ms: Processor time of all the server's processes, for each request.
    """

    side: str
    concurrency: int
    tokens_per_second: float
    p50_ms: float
    cpu_ms: float


@dataclass(frozen=True, slots=True)
class Voting:
    """What votes over samples of the same problems came to.

    Attributes:
        side: Which server.
        samples: Of each problem.
        problems_per_second: Pace.
        accuracy: Part of the problems that were answered rightly.
        counted: Completion tokens by the answers' own count.
        generated: The same by the engine's; None where it tells none.
        generated_per_second: Pace in tokens.
    """

    side: str
    samples: int
    problems_per_second: float
    accuracy: float
    counted: int
    generated: int | None
    generated_per_second: float


@contextmanager
def our_server(model: str, *presets: str) -> Iterator[tuple[str, int]]:
    """Run `tts serve` with a model; gives its address and the process's number."""
    port = free_port()
    words = ["-m", "tts", "serve", "--model", model, "--port", str(port)]
    for preset in presets:
        words += ["--preset", preset]
    for option in _ENGINE:
        words += ["--engine-arg", option]
    with listening([sys.executable, *words], port) as number:
        yield f"http://127.0.0.1:{port}/v1", number


def measure_overhead(
    model: str,
    *,
    requests: int,
    tokens: int,
    concurrencies: Sequence[int],
    rounds: int,
    note: _Note,
) -> list[Pace]:
    """Let both servers answer the same plain requests in turns; all that they came to.

    Args:
        model: What both serve, in float32.
        requests: Of a round, at each concurrency; at least two for each that is under way.
        tokens: That each generates, no more and no fewer.
        concurrencies: Requests under way.
        rounds: How often each takes its turn.
        note: Told of each.
    """
    found: list[Pace] = []
    with our_server(model, "single") as (ours, _), vllm_server(model) as theirs:
        sides = {"tts serve": (ours, model), "vLLM's server": (theirs, "m")}
        for url, name in sides.values():
            asyncio.run(_ask_all(url, name, 8, tokens, 8))
        for turn in range(rounds):
            for under_way in concurrencies:
                number = max(requests, 2 * under_way)
                order = list(sides) if turn % 2 == 0 else list(reversed(sides))
                for side in order:
                    url, name = sides[side]
                    cpu = _cpu_seconds(url)
                    with _stopped([other for other, _ in sides.values() if other != url]):
                        work = _ask_all(url, name, number, tokens, under_way)
                        seconds, each = asyncio.run(work)
                    cpu = 1e3 * (_cpu_seconds(url) - cpu) / number
                    pace = Pace(side, under_way, number * tokens / seconds, 1e3 * median(each), cpu)
                    found.append(pace)
                    note(
                        f"{side}, {under_way} at once: {pace.tokens_per_second:.0f} tokens/s, "
                        f"p50 {pace.p50_ms:.0f} ms, {cpu:.0f} ms of CPU a request"
                    )
    return found


@contextmanager
def _stopped(urls: Sequence[str]) -> Iterator[None]:
    """Stop servers that are not asked: an idle vLLM looks for work all the time."""
    groups = {group for url in urls for group, _ in _processes(url)}
    for group in groups:
        os.killpg(group, signal.SIGSTOP)
    try:
        yield
    finally:
        for group in groups:
            os.killpg(group, signal.SIGCONT)


def _cpu_seconds(url: str) -> float:
    """Return the processor time that a server's processes have taken so far."""
    return sum(ticks for _, ticks in _processes(url)) / os.sysconf("SC_CLK_TCK")


def _processes(url: str) -> list[tuple[int, int]]:
    """Return the process group of each process of a server, and the ticks that it has taken."""
    port = url.rpartition(":")[2].partition("/")[0].encode()
    found: list[tuple[int, int]] = []
    groups = set()
    for path in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            fields = (path / "stat").read_text().rpartition(")")[2].split()
            found.append((int(fields[2]), sum(map(int, fields[11:15]))))
            if b"--port\0" + port in (path / "cmdline").read_bytes():
                groups.add(int(fields[2]))
    return [process for process in found if process[0] in groups]


async def _ask_all(
    url: str, model: str, number: int, tokens: int, under_way: int
) -> tuple[float, list[float]]:
    """Ask for plain samples; returns the seconds of all and of each."""
    problems = list(islice(chain.problems("test"), number))
    room, times = asyncio.Semaphore(under_way), []

    async def ask(session: aiohttp.ClientSession, problem: Problem, seed: int) -> None:
        body = {
            "model": model,
            "messages": messages_of(problem),
            "max_tokens": tokens,
            "ignore_eos": True,
            "temperature": 0.8,
            "seed": seed,
        }
        async with room:
            began = time.perf_counter()
            async with session.post(f"{url}/chat/completions", json=body) as answer:
                found = await answer.json()
            times.append(time.perf_counter() - began)
            assert found["usage"]["completion_tokens"] == tokens, found

    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        began = time.perf_counter()
        await asyncio.gather(*[ask(session, p, seed) for seed, p in enumerate(problems)])
        return time.perf_counter() - began, times


def measure_votes(
    *,
    problems: int,
    samples: int,
    under_way: int,
    others: Mapping[str, str],
    note: _Note,
) -> list[Voting]:
    """Let each server vote over samples of the same problems.

    Args:
        problems: Of the task chain.
        samples: Of each.
        under_way: Problems at once.
        others: Interpreters in which its_hub and optillm are installed, by these names.
        note: Told of each.
    """
    chosen = list(islice(chain.problems("test"), problems))
    found = []
    with our_server(BARE, "self_consistency") as (url, _):
        fields = {"tts": {"set": [f"n={samples}"]}}
        work = _vote(url, "self_consistency", chosen, under_way, fields)
        found.append(_voting("tts serve", samples, asyncio.run(work), None, chosen, note))
    with ExitStack() as stack:
        below = stack.enter_context(vllm_server(BARE)) if others else ""
        for name, python in others.items():
            with _OTHERS[name](python, below) as (url, model, asking):
                asyncio.run(_vote(url, model, chosen[:2], 2, asking(samples)))
                before = read_served(below)
                done = asyncio.run(_vote(url, model, chosen, under_way, asking(samples)))
                time.sleep(SETTLE_SECONDS)
                generated = (read_served(below) - before).tokens
                drawn = 5 if name == "optillm" else samples  # optillm draws five, whatever is said
                found.append(_voting(name, drawn, done, generated, chosen, note))
    return found


@contextmanager
def _its_hub(python: str, below: str) -> Iterator[tuple[str, str, _Fields]]:
    port = free_port()
    command = [python, "-m", "its_hub.integration.iaas.app_server", "--port", str(port)]
    with listening(command, port):
        url = f"http://127.0.0.1:{port}"
        pattern = r"\\boxed\{([^}]*)\}"
        told = {"endpoint": below, "api_key": "none", "model": "m", "alg": "self-consistency"}
        asyncio.run(_post(f"{url}/configure", {**told, "regex_patterns": [pattern]}))
        yield f"{url}/v1", "m", lambda samples: {"budget": samples}


@contextmanager
def _optillm(python: str, below: str) -> Iterator[tuple[str, str, _Fields]]:
    port = free_port()
    code = "import sys, optillm; sys.exit(optillm.main())"
    words = ["--port", str(port), "--base-url", below, "--approach", "self_consistency"]
    with listening([python, "-c", code, *words], port, {"OPENAI_API_KEY": "none"}):
        yield f"http://127.0.0.1:{port}/v1", "m", lambda samples: {}


_OTHERS = {"its_hub": _its_hub, "optillm": _optillm}


async def _post(url: str, body: Any) -> Any:
    async with aiohttp.ClientSession() as session, session.post(url, json=body) as answer:
        if answer.status != 200:
            raise RuntimeError(f"{url} answers {answer.status}: {(await answer.text())[:300]}")
        return await answer.json()


async def _vote(
    url: str, model: str, problems: Sequence[Problem], under_way: int, fields: Mapping[str, Any]
) -> tuple[float, dict[str, str | None], int]:
    """Return seconds, the answer of each problem, and the tokens that the answers count."""
    room = asyncio.Semaphore(under_way)
    answers: dict[str, str | None] = {}
    counted = 0

    async def ask(problem: Problem) -> None:
        nonlocal counted
        sampling = {"temperature": 0.8, "max_tokens": _MAX_TOKENS}
        body = {"model": model, "messages": messages_of(problem), **sampling, **fields}
        async with room:
            found = await _post(f"{url}/chat/completions", body)
        text = found["choices"][0]["message"]["content"] or ""
        answers[problem.id] = extract_answer(text, "integer")
        counted += found["usage"]["completion_tokens"]

    began = time.perf_counter()
    await asyncio.gather(*map(ask, problems))
    return time.perf_counter() - began, answers, counted


def _voting(
    side: str,
    samples: int,
    done: tuple[float, Mapping[str, str | None], int],
    generated: int | None,
    problems: Sequence[Problem],
    note: _Note,
) -> Voting:
    seconds, answers, counted = done
    right = sum(answers[problem.id] == problem.reference for problem in problems)
    voting = Voting(
        side,
        samples,
        len(problems) / seconds,
        right / len(problems),
        counted,
        generated,
        (generated or counted) / seconds,
    )
    note(
        f"{side}, {samples} samples: {voting.problems_per_second:.2f} problems/s, "
        f"{voting.generated_per_second:.0f} tokens/s, accuracy {voting.accuracy:.0%}, "
        f"{counted} tokens counted, {generated} generated"
    )
    return voting


def messages_of(problem: Problem) -> list[dict[str, Any]]:
    """Return the chat that asks for a solution of a problem."""
    return [message.to_mapping() for message in prompts.solve(problem).messages]
