"""Several engines against one: mock servers, and actors of a real Ray cluster, all of fixed rate.

They sleep for as long as a sample takes, so that one machine can stand in for several; what is
measured is our part: whether every engine is kept busy, whether prefixes are found again, what it
costs.
"""

import asyncio
import heapq
import math
import random
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import partial
from itertools import islice

from tts.bench.remote_run import HashVerifier
from tts.bench.servers.misbehaving import Server, models
from tts.bench.servers.steady import Steady
from tts.buffered_stream import BufferedStream
from tts.engine.fleet import Fleet
from tts.engine.ray_actor import Actor
from tts.engine.ray_cluster import LOCAL, connect, start_actors
from tts.engine.running import make_engine
from tts.engine.spec import EngineSpec
from tts.presets.load import load_preset
from tts.protocols import BaseEngine, Capabilities, Engine
from tts.runtime.job import Job
from tts.runtime.runtime import Runtime
from tts.tasks import chain
from tts.types import Completion, GenerationRequest, ModelInfo, Result, Usage, sum_usage

_SLOTS = 32
_CACHE_TOKENS = 2**22
_KILL_SECONDS = (0.5, 2.0)  # between two kills: at least and at most
WORKLOADS: Mapping[str, tuple[str, ...]] = {
    "self_consistency": ("n=16", "sampling.max_tokens=200"),
    "adaptive_consistency": ("n=16", "sampling.max_tokens=200"),
    "beam_search": ("width=16", "branching=4", "max_depth=6", "sampling.max_tokens=200"),
}


@dataclass(frozen=True, slots=True)
class Pace:
    """How fast one workload went on some engines.

    Attributes:
        engines: How many.
        wall_seconds: From the first problem to the last.
        cpu_seconds: Of this process, the mock servers within it included.
        problems: Answered.
        tokens: As the ledger has them.
        generated_tokens: As the engines have them.
        cached_share: Of the prompts' tokens, as the engines have it.
    """

    engines: int
    wall_seconds: float
    cpu_seconds: float
    problems: int
    tokens: int
    generated_tokens: int
    cached_share: float

    @property
    def tokens_per_second(self) -> float:
        """Generated tokens a second."""
        return self.tokens / self.wall_seconds


async def measure_servers(
    name: str, *, engines: int, problems: int, rate: float, length: int, seed: int
) -> Pace:
    """Run a workload on mock servers in this process.

    Args:
        name: Of `WORKLOADS`.
        engines: How many servers.
        problems: Of the task chain.
        rate: Tokens a second of each of the samples that a server runs at once.
        length: Most tokens of a sample.
        seed: Of the samples.
    """
    steady = [
        Steady(slots=_SLOTS, rate=rate, length=length, cache_tokens=_CACHE_TOKENS)
        for _ in range(engines)
    ]
    async with AsyncExitStack() as stack:
        served = [Server(one, models("m", owner="vllm", max_model_len=16384)) for one in steady]
        for server in served:
            await stack.enter_async_context(server.running())
        urls = ",".join(server.url for server in served)
        engine = await make_engine(EngineSpec.parse(f"m@{urls}"))
        stack.push_async_callback(engine.aclose)
        wall, cpu = time.perf_counter(), time.process_time()
        results = await solve(engine, name, problems, seed)
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    return Pace(
        engines,
        wall,
        cpu,
        sum(result.answer is not None for result in results.values()),
        sum_usage(r.usage for r in results.values()).generated_tokens or 0,
        sum(one.generated_tokens for one in steady),
        sum(one.cached_tokens for one in steady) / sum(one.prompt_tokens for one in steady),
    )


async def solve(engine: Engine, name: str, problems: int, seed: int) -> dict[str, Result]:
    """Run a workload; returns the results by problem.

    Args:
        engine: Started.
        name: Of `WORKLOADS`.
        problems: Of the task chain.
        seed: Of the samples.
    """
    preset = load_preset(name, list(WORKLOADS[name]))
    chosen = islice(chain.problems("test", per_level=10_000), problems)
    jobs = list(Job.of_all(preset, chosen, seed=seed))
    async with (
        Runtime(engine, verifiers={"prm": HashVerifier()}) as runtime,
        runtime.run_many(jobs) as results,
    ):
        return {result.problem.id: result async for result in results}


class SteadyEngine(BaseEngine):
    """An engine of fixed rate: so many samples at once, so many tokens a second of each.

    Args:
        slots: Samples that run at once; others wait, first come, first served.
        rate: Tokens a second of each that runs.
        length: Most tokens of a sample; the least are half of it.
    """

    info = ModelInfo("steady", "steady")
    capabilities = Capabilities(cancel=True, seed=True)

    def __init__(self, *, slots: int, rate: float, length: int) -> None:
        self._free = [0.0] * slots
        self._rate, self._length = rate, length

    def generate(self, request: GenerationRequest) -> BufferedStream[Completion, Completion]:
        """Start samples whose texts follow from their seeds."""
        loop = asyncio.get_running_loop()
        timers: list[asyncio.TimerHandle] = []

        async def abort() -> Usage:
            left = [timer for timer in timers if timer.when() > loop.time()]
            for timer in left:
                timer.cancel()
            return Usage(calls=len(left))

        stream: BufferedStream[Completion, Completion] = BufferedStream(
            request.n, convert=lambda completion: completion, abort=abort
        )
        for index in range(request.n):
            seed = request.seed + index
            tokens = self._length // 2 + seed % (self._length // 2 + 1)
            end = max(loop.time(), heapq.heappop(self._free)) + tokens / self._rate
            heapq.heappush(self._free, end)
            usage = Usage(prompt_tokens=10, generated_tokens=tokens, calls=1)
            done = Completion(index, f"So it is \\boxed{{{seed % 3}}}", "stop", usage)
            timers.append(loop.call_at(end, stream.put, done))
        return stream

    async def aclose(self) -> None:
        """Do nothing."""


@dataclass(frozen=True, slots=True)
class Actors:
    """What Ray actors came to.

    Attributes:
        pace: Problems a second on one actor, and on several.
        actors: How many those are.
        cpu_seconds_per_problem: Of this process, beyond those that the engine here takes.
        wall_seconds_per_problem: On one actor, beyond those that the engine here takes.
        kills: Actors that were killed, on the way.
        lost: Problems without an answer, or with another than undisturbed.
        doubled: Samples that came twice.
        redrawn: Calls that were lost with an actor, and made again.
    """

    pace: tuple[float, float]
    actors: int
    cpu_seconds_per_problem: float
    wall_seconds_per_problem: float
    kills: int
    lost: int
    doubled: int
    redrawn: int


async def measure_actors(
    *,
    actors: int,
    problems: int,
    rate: float,
    length: int,
    kills: int,
    seed: int,
    note: Callable[[str], None],
) -> Actors:
    """Run self-consistency in this process, on one actor, on several, and on dying ones.

    Args:
        actors: How many are several.
        problems: Of the task chain.
        rate: As `measure_servers` has it.
        length: As there.
        kills: How many actors die, one after the other.
        seed: Of the samples and the kills.
        note: Told what is done.
    """
    await asyncio.to_thread(connect, LOCAL)
    open_engines = partial(_open, rate, length)
    run = partial(_timed, problems=problems, seed=seed, note=note)
    here, expected = await run("here", (await open_engines())[0])
    taken: dict[int, tuple[float, float]] = {}
    found: list[dict[str, Result]] = []
    redrawn = done = 0
    for count in (1, actors):
        made = await start_actors(open_engines, actors=count, cpus=0, gpus=0)
        fleet = Fleet([actor.engines[0] for actor in made], patience=120, tries=20)
        taken[count], _ = await run(f"{count} actors", fleet)
        if count == actors:
            found, redrawn, done = await _with_kills(made, fleet, problems, kills, seed, note)
        for actor in made:
            await actor.stop()
    return Actors(
        pace=(problems / taken[1][0], problems / taken[actors][0]),
        actors=actors,
        cpu_seconds_per_problem=(taken[1][1] - here[1]) / problems,
        wall_seconds_per_problem=(taken[1][0] - here[0]) / problems,
        kills=done,
        lost=sum(
            _what(each.get(name)) != _what(expected[name]) for each in found for name in expected
        ),
        doubled=sum(
            len(r.samples) - len({s.origin.seed for s in r.samples})
            for each in found
            for r in each.values()
        ),
        redrawn=redrawn,
    )


async def _open(rate: float, length: int) -> list[Engine]:
    return [SteadyEngine(slots=_SLOTS, rate=rate, length=length)]


async def _timed(
    what: str, engine: Engine, *, problems: int, seed: int, note: Callable[[str], None]
) -> tuple[tuple[float, float], dict[str, Result]]:
    """Return wall and CPU seconds of a run, and its results."""
    wall, cpu = time.perf_counter(), time.process_time()
    results = await solve(engine, "self_consistency", problems, seed)
    taken = time.perf_counter() - wall, time.process_time() - cpu
    note(f"{what}: {taken[0]:.1f} s, of which CPU {taken[1]:.1f} s")
    return taken, results


async def _with_kills(
    made: Sequence[Actor],
    fleet: Fleet,
    problems: int,
    kills: int,
    seed: int,
    note: Callable[[str], None],
) -> tuple[list[dict[str, Result]], int, int]:
    """Run until so many actors were killed; returns all results, redrawn calls, and kills."""
    rng, done, found = random.Random(seed), 0, list[dict[str, Result]]()

    async def kill() -> None:
        nonlocal done
        while done < kills:
            await asyncio.sleep(rng.uniform(*_KILL_SECONDS))
            actor = rng.choice(made)
            if not actor.is_away:
                actor.kill()
                done += 1

    while done < kills:
        killing = asyncio.create_task(kill())
        found.append(await solve(fleet, "self_consistency", problems, seed))
        killing.cancel()
        note(f"{done} actors killed")
    redrawn = sum(r.usage.estimated_calls for each in found for r in each.values())
    return found, redrawn, done


def _what(result: Result | None) -> object:
    """Return all of a result that does not depend on time."""
    if result is None or result.answer is None:
        return math.nan  # equals nothing
    return result.answer.text, sorted((s.origin.seed, s.text) for s in result.samples)
