"""Our server under clients that behave and others that do not."""

import asyncio
import random
import re
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import aiohttp

from tts.bench.serve_run import BARE, SETTLE_SECONDS, messages_of, our_server
from tts.tasks import chain
from tts.types import Problem

_Visits = tuple[dict[str, int], dict[str, int], int]


@dataclass(frozen=True, slots=True)
class Load:
    """What a server was like under clients that behave and others that do not.

    Attributes:
        seconds: How long.
        clients: At once.
        asked: Requests by kind.
        answered: Answers by status.
        unanswered: Requests that should have had an answer and had none.
        megabytes: Of the process: after a warm-up, then at each tenth of the time.
        in_flight: Requests under way a second after the last client had gone.
        kv_usage: Part of the KV cache held then.
    """

    seconds: float
    clients: int
    asked: Mapping[str, int]
    answered: Mapping[str, int]
    unanswered: int
    megabytes: tuple[float, ...]
    in_flight: float
    kv_usage: float


def measure_load(*, seconds: float, clients: int, seed: int, note: Callable[[str], None]) -> Load:
    """Load our server with clients of which a third behaves badly."""
    with our_server(BARE, "self_consistency", "early_stop") as (url, process):
        asyncio.run(_visits(url, clients, min(10.0, seconds / 4), seed))
        before = _megabytes(process)
        visits, grown = asyncio.run(_with_memory(url, process, clients, seconds, seed + 1))
        asked, answered, unanswered = visits
        time.sleep(SETTLE_SECONDS)
        figures = asyncio.run(_figures(url))
        load = Load(
            seconds,
            clients,
            asked,
            answered,
            unanswered,
            (before, *grown),
            figures["tts_requests_in_flight"],
            figures["tts_kv_usage"],
        )
    note(str(load))
    return load


async def _with_memory(
    url: str, process: int, clients: int, seconds: float, seed: int
) -> tuple[_Visits, list[float]]:
    """Let clients visit; returns what came of it, and the process's memory at each tenth."""
    visits = asyncio.create_task(_visits(url, clients, seconds, seed))
    grown = []
    for _ in range(10):
        await asyncio.sleep(seconds / 10)
        grown.append(_megabytes(process))
    return await visits, grown


async def _visits(url: str, clients: int, seconds: float, seed: int) -> _Visits:
    """Return the requests by kind, the answers by status, and the requests without one."""
    asked: dict[str, int] = {}
    answered: dict[str, int] = {}
    deadline, unanswered = time.monotonic() + seconds, 0
    problems = list(islice(chain.problems("test"), 64))

    async def visit(number: int, session: aiohttp.ClientSession) -> None:
        nonlocal unanswered
        draws = random.Random(f"{seed}/{number}")
        while time.monotonic() < deadline:
            kind = draws.choice(_KINDS)
            asked[kind] = asked.get(kind, 0) + 1
            try:
                status = await _visit(url, session, kind, draws, draws.choice(problems))
            except (aiohttp.ClientError, TimeoutError):
                unanswered += 1
                continue
            if status is not None:
                answered[str(status)] = answered.get(str(status), 0) + 1

    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        await asyncio.gather(*[visit(number, session) for number in range(clients)])
    return asked, answered, unanswered


_KINDS = ("whole", "whole", "stream", "stream", "hang-up", "bad body", "slow reader")


async def _visit(
    url: str, session: aiohttp.ClientSession, kind: str, draws: random.Random, problem: Problem
) -> int | None:
    """Ask once; returns the status, None where the client has left before."""
    path = f"{url}/chat/completions"
    if kind == "bad body":
        async with session.post(path, data=draws.randbytes(draws.randrange(2000))) as answer:
            await answer.read()
            return answer.status
    model = draws.choice((BARE, "self_consistency", "early_stop"))
    body = {
        "model": model,
        "messages": messages_of(problem),
        "max_tokens": 64,
        "stream": kind != "whole",
        "tts": {} if model == BARE else {"set": ["n=4"]},
    }
    post = session.post(path, json=body, timeout=aiohttp.ClientTimeout(300))
    if kind == "hang-up":
        with suppress(TimeoutError):
            async with asyncio.timeout(draws.uniform(0, 1.0)), post as answer:
                await answer.read()
                return answer.status
        return None
    async with post as answer:
        if kind == "slow reader":
            async for _ in answer.content.iter_chunked(64):
                await asyncio.sleep(0.01)
        text = await answer.read()
        if kind == "stream" and answer.status == 200 and b"data: [DONE]" not in text:
            raise aiohttp.ClientPayloadError("a stream without an end")
        return answer.status


async def _figures(url: str) -> dict[str, float]:
    page = f"{url.removesuffix('/v1')}/metrics"
    async with aiohttp.ClientSession() as session, session.get(page) as answer:
        text = await answer.text()
    return {name: float(n) for name, n in re.findall(r"^(\w+) (\S+)$", text, re.MULTILINE)}


def _megabytes(process: int) -> float:
    text = Path(f"/proc/{process}/status").read_text()
    found = re.search(r"^VmRSS:\s+(\d+) kB", text, re.MULTILINE)
    return int(found[1]) / 1024 if found else 0.0
