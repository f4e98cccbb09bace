"""Recorded tree searches with long steps, on KV caches in which few of them fit.

The bundled policy's steps of ten tokens leave the KV cache nearly empty. Here the trees that its
searches grew are grown again with steps of a given length (`tts.bench.long_steps_replay`), by the
same operator, runtime and engine, so that what a search keeps decides how many problems fit.
"""

import time
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean

from tts.bench.long_steps_replay import Expansions, Replay, Unread, load_expansions
from tts.bench.tree_run import BLOCK_SIZE, task_problems
from tts.engine.vllm import VLLMEngine
from tts.operators.tree_search import TreeSearch
from tts.pipeline import Pipeline
from tts.runtime.job import Job
from tts.runtime.runtime import DEFAULT_MAX_LIVE_KV, Runtime
from tts.storage.sealed_lines import read_json, write_json
from tts.types import Sampling, sum_usage

CONTEXT = 4_096  # of the deepest tree at the default length of a step, with room
SEARCHES = {  # by whole levels, and blind to whether two steps are equal: method, max_live_kv
    "rebase": ("rebase", None),
    "rebase+turns": ("rebase", DEFAULT_MAX_LIVE_KV),
    "ets": ("ets", None),
    "ets+turns": ("ets", DEFAULT_MAX_LIVE_KV),
}


@dataclass(frozen=True, slots=True)
class Case:
    """One method's trees on one KV cache.

    Attributes:
        method: One of `SEARCHES`.
        run: Folder of the run that holds the trees.
        blocks: Of the KV cache.
        step_tokens: Length of every step.
        problems: How many trees, all in flight if they may.
    """

    method: str
    run: str
    blocks: int
    step_tokens: int
    problems: int


@dataclass(frozen=True, slots=True)
class ReplayFigures:
    """What came of a case.

    Attributes:
        seconds: Of all problems together.
        tokens: Generated.
        prefilled_tokens: Prompt tokens computed, those included whose blocks had been evicted. What
            preempted requests compute again is not, for vLLM does not report it.
        preemptions: How often a running request lost its KV blocks.
        cached_share: Part of the reusable prompt tokens that the engine reused.
        kv_blocks: Held by a problem before each pruning, mean over decisions and problems.
        kv_blocks_peak: Most of one problem, mean over problems.
        loop: CPU time of the event loop's thread, over `seconds`.
    """

    seconds: float
    tokens: int
    prefilled_tokens: int
    preemptions: int
    cached_share: float
    kv_blocks: float
    kv_blocks_peak: float
    loop: float


async def replay(
    cases: Sequence[Case], *, task: str, model: str, out: Path, note: Callable[[str], None]
) -> dict[Case, ReplayFigures]:
    """Measure the cases, or read what was measured; an engine for each size of KV cache.

    Args:
        cases: Which ones.
        task: Whose trees.
        model: Of the embedded vLLM.
        out: Holds a file for each case.
        note: Told what begins.

    Raises:
        InputError: A run holds no tree search.
    """
    found = {case: read_json(_file(out, case)) for case in cases}
    missing = [case for case, values in found.items() if values is None]
    async with AsyncExitStack() as opened:
        engines: dict[int, VLLMEngine] = {}
        for case in missing:
            if case.blocks not in engines:
                engines[case.blocks] = await opened.enter_async_context(_engine(model, case.blocks))
            note(_file(out, case).stem)
            measured = asdict(await _measure(case, engines[case.blocks], task))
            write_json(_file(out, case), measured)
            found[case] = measured
    return {case: ReplayFigures(**values) for case, values in found.items() if values is not None}


async def _measure(case: Case, engine: VLLMEngine, task: str) -> ReplayFigures:
    jobs = _jobs(case, task)
    _, max_live_kv = SEARCHES[case.method]
    await engine.forget()
    runtime = Runtime(
        engine, verifiers={"unread": Unread()}, max_problems=len(jobs), max_live_kv=max_live_kv
    )
    preempted, loop, wall = engine.num_preemptions(), time.thread_time(), time.monotonic()
    async with runtime, runtime.run_many(jobs) as stream:
        results = [result async for result in stream]
    seconds = time.monotonic() - wall
    searches = [search for result in results for search in result.facts.searches]
    usage = sum_usage([result.usage for result in results])
    return ReplayFigures(
        seconds=seconds,
        tokens=usage.generated_tokens or 0,
        prefilled_tokens=(usage.prompt_tokens or 0) - (usage.cached_tokens or 0),
        preemptions=engine.num_preemptions() - preempted,
        cached_share=sum(s.cached_tokens for s in searches)
        / max(1, sum(s.reusable_tokens for s in searches)),
        kv_blocks=fmean(s.mean_kv_blocks for s in searches),
        kv_blocks_peak=fmean(s.peak_kv_blocks for s in searches),
        loop=(time.thread_time() - loop) / seconds,
    )


def _jobs(case: Case, task: str) -> list[Job]:
    """Return a search for each of the first problems of a run, that grows the tree it has there."""
    recorded = load_expansions(Path(case.run))
    problems = [p for p in task_problems(task, len(recorded)) if p.id in recorded]
    sampling = Sampling(temperature=1.0, max_tokens=CONTEXT, extra_body={"ignore_eos": True})
    return [
        Job(_regrow(recorded[problem.id], case.step_tokens), problem, sampling, priority=place)
        for place, problem in enumerate(problems[: case.problems])
    ]


def _regrow(expansions: Expansions, step_tokens: int) -> Pipeline:
    search = TreeSearch(
        policy=Replay(expansions=expansions),
        verifier="unread",
        reduction="own",
        separator=None,
        step_tokens=step_tokens,
        ends_at_answer=False,
    )
    return Pipeline.of(search)


def _engine(model: str, blocks: int) -> VLLMEngine:
    return VLLMEngine(
        model,
        block_size=BLOCK_SIZE,
        max_model_len=min(CONTEXT, blocks * BLOCK_SIZE),
        num_gpu_blocks_override=blocks,
    )


def _file(out: Path, case: Case) -> Path:
    run = Path(case.run).name
    size = f"{case.blocks}x{BLOCK_SIZE}"
    return out / f"{run}-{case.method}-{case.step_tokens}-{size}-{case.problems}.json"
