"""Engines in the actors of a real Ray cluster on this machine: nothing is lost when actors die."""

import asyncio
import gc
import warnings
from collections.abc import Iterator
from importlib import import_module
from importlib.util import find_spec

import pytest

from tts.engine.fleet import Fleet
from tts.engine.ray_cluster import LOCAL, RayEngines, connect, start_actors
from tts.engine.scripted import Ask, Line, ScriptedEngine
from tts.engine.spec import EngineSpec
from tts.errors import ContextError, InputError
from tts.operators import sample, vote
from tts.protocols import Engine
from tts.runtime.job import Job
from tts.runtime.runtime import Runtime
from tts.types import GenerationRequest, Prompt, Result, Sampling

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.skipif(find_spec("ray") is None, reason="Ray is not installed"),
]
PROBLEMS = [f"What is {i} + {i}?" for i in range(12)]
PIPELINE = sample(n=4) >> vote()


def say(ask: Ask) -> Line:
    return Line(f"{'so it goes. ' * (2 + ask.seed % 3)}\\boxed{{{ask.seed % 2}}}")


async def scripted() -> list[Engine]:
    return [ScriptedEngine(say, tick_seconds=0.01)]


@pytest.fixture(scope="module")
def cluster() -> Iterator[None]:
    """Give the module a cluster of its own."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # it leaves files to the collector
        connect(LOCAL)
        gc.collect()
        yield
        import_module("ray").shutdown()
        gc.collect()


async def solve(engine: Engine) -> dict[str, Result]:
    done: dict[str, Result] = {}
    async with Runtime(engine) as runtime, runtime.run_many(Job.of_all(PIPELINE, PROBLEMS)) as all_:
        async for result in all_:
            done[result.problem.id] = result
    return done


def what(results: dict[str, Result]) -> dict[str, object]:
    return {
        name: (r.answer and r.answer.text, sorted((s.origin.seed, s.text) for s in r.samples))
        for name, r in results.items()
    }


def test_actors_may_die_and_the_run_is_what_it_is_on_one_machine(cluster: None) -> None:
    async def main() -> None:
        alone = await solve(ScriptedEngine(say))
        actors = await start_actors(scripted, actors=2, cpus=0, gpus=0)
        fleet = Fleet([actor.engines[0] for actor in actors], tries=4)
        assert fleet.info.replicas == 2

        async def kill() -> None:
            await asyncio.sleep(0.3)
            actors[0].kill()

        killing = asyncio.create_task(kill())
        together = await solve(fleet)
        await killing
        assert what(together) == what(alone)
        calls = sum(result.usage.calls for result in together.values())
        lost = sum(result.usage.estimated_calls for result in together.values())
        assert calls == 4 * len(PROBLEMS) + lost and lost > 0
        # What cannot be answered says so in the engine's own words.
        too_long = GenerationRequest(Prompt(token_ids=(65,) * 20_000), Sampling())
        with pytest.raises(ContextError, match="the prompt has 20000 tokens"):
            await anext(fleet.generate(too_long))
        # What is closed early is counted as far as it went.
        stream = fleet.generate(GenerationRequest(Prompt(text="go on"), Sampling(), n=3))
        await asyncio.sleep(0.2)
        lost_usage = await stream.aclose()
        assert lost_usage.calls == 3 and 0 < (lost_usage.generated_tokens or 0) < 300
        assert await fleet.tokenize("ab") == (97, 98)
        await fleet.aclose()
        for actor in actors:
            await actor.stop()

    asyncio.run(asyncio.wait_for(main(), 120))


def test_two_actors_run_vllm(cluster: None) -> None:
    pytest.importorskip("vllm")

    async def main() -> None:
        options = {"cpu_threads": 1, "max_model_len": 512, "kv_cache_memory_bytes": 2**25}
        spec = EngineSpec.parse("bundled:reasoner", {**options, "dtype": "float32"})
        engines = RayEngines(LOCAL)
        fleet = (await engines.keep([spec]))[spec]
        assert fleet.info.replicas == 2 and fleet.capabilities.token_ids
        request = GenerationRequest(Prompt(text="1 + 1 ="), Sampling(max_tokens=8), n=2, seed=5)
        both = [[c async for c in fleet.generate(request)] for _ in range(2)]
        texts = [sorted((c.index, c.text) for c in found) for found in both]
        assert texts[0] == texts[1] and all(c.usage.generated_tokens for c in both[0])
        results = await solve(fleet)
        assert sorted(len(result.samples) for result in results.values()) == [4] * len(PROBLEMS)
        await engines.aclose()

    asyncio.run(asyncio.wait_for(main(), 240))


def test_a_run_without_embedded_engines_needs_no_cluster() -> None:
    async def main() -> None:
        with pytest.raises(InputError, match="several servers are asked by MODEL@URL,URL"):
            await RayEngines("local").keep([EngineSpec.parse("m@http://localhost:1/v1")])

    asyncio.run(main())
