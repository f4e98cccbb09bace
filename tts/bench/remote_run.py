"""Our client, its_hub's and a plain script against one server of vLLM, in turns, in one process.

All of them get the same prompts, temperature and lengths. Steps are scored by a hash of their
text, which costs nothing. What a side costs is CPU time of this process; what it asked and what was
generated for it is read from the server's `/metrics`.
"""

import asyncio
import gc
import time
import zlib
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from itertools import islice
from statistics import median
from typing import Any

import aiohttp

from tts import prompts
from tts.answers.groups import extract_answer
from tts.bench.servers.own import read_served
from tts.engine.openai import OpenAIEngine
from tts.presets.load import load_preset
from tts.protocols import Context, VerifierSpec
from tts.runtime.job import Job
from tts.runtime.runtime import Runtime
from tts.tasks import chain
from tts.types import Problem, Score, Trajectory

_TEMPERATURE = 0.8
_MAX_TOKENS = 512
_BRANCHING = 4
_MAX_STEPS = 40
_SETTLE_SECONDS = 2.0  # for a server to notice that a call was cut
_SAMPLING = (
    f"sampling.temperature={_TEMPERATURE}",
    "sampling.top_p=1",
    f"sampling.max_tokens={_MAX_TOKENS}",
)


@dataclass(frozen=True, slots=True)
class Cost:
    """What one side took for all problems.

    Attributes:
        cpu_seconds: Of this process.
        wall_seconds: From start to end.
        requests: HTTP calls that the server took.
        tokens: That the server generated.
        counted: The same by the side's own count; None where it has none.
    """

    cpu_seconds: float
    wall_seconds: float
    requests: int
    tokens: int
    counted: int | None


Work = Callable[[], Awaitable[int | None]]


async def measure(
    url: str, *, problems: int, samples: int, rounds: int, note: Callable[[str], None]
) -> dict[str, tuple[Cost, ...]]:
    """Let all sides take turns; returns what each took in every round, by its name.

    Args:
        url: Of a server that nobody else asks, with one model.
        problems: Of the task chain.
        samples: Per problem, and steps per level of a search.
        rounds: How often.
        note: Told of each turn.
    """
    chosen = tuple(islice(chain.problems("test"), problems))
    sides = _sides(url, chosen, samples)
    taken: dict[str, list[Cost]] = {name: [] for name in sides}
    few = _sides(url, chosen[: max(2, problems // 10)], samples)
    for work in few.values():
        await work()
    for _ in range(rounds):
        for name, work in sides.items():
            cost = await _measure(url, work)
            taken[name].append(cost)
            note(
                f"{name}: CPU {cost.cpu_seconds:.2f} s, wall {cost.wall_seconds:.1f} s, "
                f"{cost.requests} calls, {cost.tokens} tokens ({cost.counted} counted)"
            )
    return {name: tuple(costs) for name, costs in taken.items()}


def ratio(ours: Sequence[Cost], other: Sequence[Cost], what: str) -> float:
    """Return the median over rounds of what we took to what another side took."""
    pairs = zip(ours, other, strict=True)
    return float(median(getattr(a, what) / getattr(b, what) for a, b in pairs))


def _sides(url: str, problems: Sequence[Problem], samples: int) -> dict[str, Work]:
    vote = (*_SAMPLING, f"n={samples}")
    search = (*_SAMPLING, f"width={samples}", f"branching={_BRANCHING}", f"max_depth={_MAX_STEPS}")
    sides: dict[str, Work] = {
        "self_consistency": lambda: _ours(url, problems, "self_consistency", vote),
        "plain script": lambda: _plain(url, problems, samples),
        "bare aiohttp": lambda: _bare(url, problems, samples),
        "early_stop": lambda: _ours(url, problems, "early_stop", (*vote, f"batch={samples}")),
        "beam_search": lambda: _ours(url, problems, "beam_search", search),
    }
    if find_spec("its_hub") is not None:
        sides["its_hub self_consistency"] = lambda: _their_vote(url, problems, samples)
        sides["its_hub beam_search"] = lambda: _their_search(url, problems, samples)
    return sides


async def _measure(url: str, work: Work) -> Cost:
    gc.collect()
    before = read_served(url)
    wall, cpu = time.perf_counter(), time.process_time()
    counted = await work()
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    await asyncio.sleep(_SETTLE_SECONDS)
    served = read_served(url) - before
    return Cost(cpu, wall, served.requests, served.tokens, counted)


class HashVerifier:
    """A verifier that costs nothing."""

    spec = VerifierSpec(unit_interval=True)

    async def score(self, context: Context, trajectories: Sequence[Trajectory]) -> list[Score]:
        """Return a number for each text."""
        return [Score(_hash(trajectory.text)) for trajectory in trajectories]

    async def aclose(self) -> None:
        """Do nothing."""


def _hash(text: str) -> float:
    return zlib.crc32(text.encode()) / 2**32


async def _ours(url: str, problems: Sequence[Problem], name: str, values: Sequence[str]) -> int:
    preset = load_preset(name, list(values))
    async with (
        OpenAIEngine("", base_url=url) as engine,
        Runtime(engine, verifiers={"prm": HashVerifier()}) as runtime,
        runtime.run_many(Job.of_all(preset, problems)) as results,
    ):
        return sum([result.usage.generated_tokens or 0 async for result in results])


async def _plain(url: str, problems: Sequence[Problem], samples: int) -> int:
    """Do what anyone would write: one call a problem with OpenAI's client, the answers counted."""
    client = import_module("openai").AsyncOpenAI(base_url=url, api_key="none")
    room = asyncio.Semaphore(64)

    async def solve(problem: Problem) -> int:
        async with room:
            answer = await client.chat.completions.create(**_body(problem, samples))
        _count(choice.message.content for choice in answer.choices)
        return int(answer.usage.completion_tokens)

    async with client:
        return sum(await asyncio.gather(*[solve(problem) for problem in problems]))


async def _bare(url: str, problems: Sequence[Problem], samples: int) -> int:
    """Do the same without any client, and without any care."""
    room = asyncio.Semaphore(64)

    async def solve(session: aiohttp.ClientSession, problem: Problem) -> int:
        body = _body(problem, samples)
        async with room, session.post(f"{url}/chat/completions", json=body) as response:
            answer = await response.json()
        _count(choice["message"]["content"] for choice in answer["choices"])
        return int(answer["usage"]["completion_tokens"])

    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        return sum(await asyncio.gather(*[solve(session, problem) for problem in problems]))


def _body(problem: Problem, samples: int) -> dict[str, Any]:
    sampling = {"temperature": _TEMPERATURE, "max_tokens": _MAX_TOKENS, "n": samples}
    return {"model": "m", "messages": _messages(problem), **sampling}


def _count(texts: Iterable[str]) -> str | None:
    votes = Counter(extract_answer(text, "integer") for text in texts)
    return votes.most_common(1)[0][0]


async def _their_vote(url: str, problems: Sequence[Problem], samples: int) -> None:
    voting = import_module("its_hub.core.algorithms.self_consistency")
    calls = import_module("its_hub.core.orchestrator").LMOrchestrator(-1)
    method = voting.SelfConsistency(
        lambda text: extract_answer(text, "integer"), orchestrator=calls
    )
    await _theirs(url, method, problems, samples)


async def _their_search(url: str, problems: Sequence[Problem], samples: int) -> None:
    steps = import_module("its_hub.core.lms.step_generation").StepGeneration(
        max_steps=_MAX_STEPS,
        step_token="\n\n",
        stop_token="\\boxed",
        temperature=_TEMPERATURE,
    )
    searching = import_module("its_hub.core.algorithms.beam_search")
    method = searching.BeamSearch(steps, _TheirHash(), beam_width=samples // _BRANCHING)
    await _theirs(url, method, problems, samples)


class _TheirHash:
    """The same verifier in its_hub's form."""

    async def ascore(self, prompt: str, responses: Sequence[str]) -> list[float]:
        return [_hash(response) for response in responses]


async def _theirs(url: str, method: Any, problems: Sequence[Problem], samples: int) -> None:
    client = import_module("its_hub.core.lms.openai_lm").OpenAICompatibleLanguageModel
    room = asyncio.Semaphore(64)

    async def solve(model: Any, problem: Problem) -> None:
        async with room:
            await method.ainfer(model, _messages(problem)[-1]["content"], samples)

    options: Mapping[str, Any] = {"temperature": _TEMPERATURE, "max_completion_tokens": _MAX_TOKENS}
    async with client(url, "none", "m", **options) as model:
        await asyncio.gather(*[solve(model, problem) for problem in problems])


def _messages(problem: Problem) -> list[dict[str, Any]]:
    return [{"role": m.role, "content": m.content} for m in prompts.solve(problem).messages]
