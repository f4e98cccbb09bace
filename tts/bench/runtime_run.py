"""The runtime against vLLM alone: same prompts, sampling parameters, seeds, engine and thread.

"vLLM alone" is a loop over `LLMEngine`, in the thread that also steps it for us: all samples are
added at once, in the order and with the priorities of our run, and stepped until none is left;
finished outputs are counted and dropped. It gets its prompts as token ids, as we do after the
first round, and processes each prompt once for all its samples. So the difference is all that we
add: streams, ledger, log in memory, trace, answer extraction, vote, and the other thread's loop.
"""

import asyncio
import gc
import time
from collections import Counter
from collections.abc import Callable, Sequence
from copy import copy
from dataclasses import dataclass
from importlib import import_module
from itertools import islice
from statistics import median
from typing import Any

import numpy as np

from tts import prompts
from tts.engine import host, translate
from tts.engine.vllm import VLLMEngine
from tts.presets.load import Preset, load_preset
from tts.runtime.job import Job
from tts.runtime.runtime import Runtime
from tts.seeds import derive_seed
from tts.tasks import chain
from tts.types import Problem, Result
from tts.voting.stopping import is_settled, leader_probability

_WARM_UP_PROBLEMS = 8
_NUM_RESAMPLES = 10_000


@dataclass(frozen=True, slots=True)
class Size:
    """How much is measured."""

    problems: int
    samples: int
    rounds: int


@dataclass(frozen=True, slots=True)
class Side:
    """One run of one side: CPU seconds of the whole process, wall seconds, generated tokens."""

    cpu_seconds: float
    wall_seconds: float
    tokens: int


@dataclass(frozen=True, slots=True)
class Ratio:
    """Ours to vLLM alone: median over rounds, and its 95 % bootstrap interval."""

    median: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class EarlyStop:
    """What stopping a decided vote gains.

    Attributes:
        problems: All problems.
        decided: Problems whose vote was decided before their last sample had ended.
        decision_seconds: Median time from a problem's start to its decision, of those decided.
        slowest_seconds: Median time to the end of the same problems' slowest sample, in the same
            run without stopping.
        aborted: Samples that were aborted in a run with stopping.
        tokens: Generated with stopping, those of aborted samples included, by all problems.
        tokens_without: Generated without stopping.
    """

    problems: int
    decided: int
    decision_seconds: float
    slowest_seconds: float
    aborted: int
    tokens: int
    tokens_without: int


@dataclass(frozen=True, slots=True)
class Figures:
    """What was measured; `rounds` holds (ours, vLLM alone)."""

    size: Size
    cpu: Ratio
    wall: Ratio
    rounds: tuple[tuple[Side, Side], ...]
    early_stop: EarlyStop


async def measure(engine: VLLMEngine, size: Size, *, note: Callable[[str], None]) -> Figures:
    """Alternate both sides, then stop early once.

    Args:
        engine: Started.
        size: How much.
        note: Told about each round.
    """
    bench = _Bench(engine, size)
    await bench.warm_up()
    rounds: list[tuple[Side, Side]] = []
    for number in range(size.rounds):
        ours, alone = await bench.round(ours_first=number % 2 == 0)
        rounds.append((ours, alone))
        note(
            f"round {number + 1} of {size.rounds}: "
            f"CPU {ours.cpu_seconds:.2f} s to {alone.cpu_seconds:.2f} s, "
            f"wall {ours.wall_seconds:.2f} s to {alone.wall_seconds:.2f} s"
        )
    return Figures(
        size=size,
        cpu=ratio([ours.cpu_seconds / alone.cpu_seconds for ours, alone in rounds]),
        wall=ratio([ours.wall_seconds / alone.wall_seconds for ours, alone in rounds]),
        rounds=tuple(rounds),
        early_stop=await bench.early_stop(),
    )


class _Bench:
    """Both sides on one engine."""

    def __init__(self, engine: VLLMEngine, size: Size) -> None:
        self._engine = engine
        self._size = size
        self._problems = tuple(islice(chain.problems("test"), size.problems))
        self._preset = load_preset("self_consistency", [f"n={size.samples}"])
        self._without_stop: list[Result] = []

    async def warm_up(self) -> None:
        """Run a little of both sides, and encode every prompt."""
        few = self._problems[:_WARM_UP_PROBLEMS]
        await self._ours(self._preset, few)
        await self._alone(few)

    async def round(self, *, ours_first: bool) -> tuple[Side, Side]:
        """Measure both sides, in the given order."""
        if ours_first:
            ours = await self._measure_ours()
            return ours, await self._alone(self._problems)
        alone = await self._alone(self._problems)
        return await self._measure_ours(), alone

    async def early_stop(self) -> EarlyStop:
        """Solve the problems once more with early stop, and compare with the last round."""
        preset = load_preset("early_stop", [f"n={self._size.samples}"])
        stop_at = float(preset.values["parameters"]["stop_at"])
        times = [_decision(r, self._size.samples, stop_at) for r in self._without_stop]
        decided = [pair for pair in times if pair is not None]
        stopped = await self._ours(preset, self._problems)
        return EarlyStop(
            problems=len(stopped),
            decided=len(decided),
            decision_seconds=median(when for when, _ in decided) if decided else 0.0,
            slowest_seconds=median(end for _, end in decided) if decided else 0.0,
            aborted=sum(result.facts.aborted for result in stopped),
            tokens=tokens_of(stopped),
            tokens_without=tokens_of(self._without_stop),
        )

    async def _measure_ours(self) -> Side:
        await forget_prefixes(self._engine)
        with Clock() as clock:
            self._without_stop = await self._ours(self._preset, self._problems)
        return clock.side(tokens_of(self._without_stop))

    async def _ours(self, preset: Preset, problems: Sequence[Problem]) -> list[Result]:
        jobs = Job.of_all(preset, problems)
        async with (
            Runtime(self._engine, max_problems=len(problems)) as runtime,
            runtime.run_many(jobs) as results,
        ):
            return [result async for result in results]

    async def _alone(self, problems: Sequence[Problem]) -> Side:
        await forget_prefixes(self._engine)
        # The engine's own thread and tokenizer: the comparison is worth nothing with others.
        encoder = self._engine._encoder
        assert encoder is not None
        prompt_ids = [encoder.encode(prompts.solve(problem)) for problem in problems]
        node = next(name for name, _ in self._preset.pipeline)
        seeds = [derive_seed(0, problem.id, node) for problem in problems]

        def work() -> int:
            self._add_all(prompt_ids, seeds)
            return self._step_all()

        with Clock() as clock:
            tokens = await asyncio.wrap_future(self._engine._stepper.call(work))
        return clock.side(tokens)

    def _add_all(self, prompt_ids: Sequence[tuple[int, ...]], seeds: Sequence[int]) -> None:
        """Add every sample as `LLMEngine.add_request` does, less the repeated input processing."""
        llm: Any = self._engine._stepper.engine
        tokens_input = import_module("vllm.inputs.engine").tokens_input
        sampling, context = self._preset.sampling, self._engine.info.context_tokens or 0
        for place, (ids, seed) in enumerate(zip(prompt_ids, seeds, strict=True)):
            room = min(sampling.max_tokens, context - len(ids))
            request = llm.input_processor.process_inputs(
                f"alone{place}",
                tokens_input(list(ids)),
                translate.sampling_params(sampling, max_tokens=room),
                supported_tasks=llm.get_supported_tasks(),
                priority=place,
            )
            request.external_req_id = request.request_id
            for index in range(self._size.samples):
                sample = copy(request)
                sample.request_id = f"{request.request_id}-{index}"
                sample.sampling_params = self._engine._table._seeded(
                    request.sampling_params, seed + index
                )
                llm.output_processor.add_request(sample, None, None, index)
                llm.engine_core.add_request(sample)

    def _step_all(self) -> int:
        llm: Any = self._engine._stepper.engine
        tokens = 0
        while llm.has_unfinished_requests():
            with host.STEP_LOCK:
                outputs = llm.step()
            tokens += sum(len(output.outputs[0].token_ids) for output in outputs)
        return tokens


class Clock:
    """CPU time of the whole process, and wall time, of a block."""

    def __enter__(self) -> "Clock":
        self._wall, self._cpu = time.perf_counter(), time.process_time()
        return self

    def __exit__(self, *_: object) -> None:
        self._cpu = time.process_time() - self._cpu
        self._wall = time.perf_counter() - self._wall

    def side(self, tokens: int) -> Side:
        """Return what the block took, with the tokens that it generated."""
        return Side(self._cpu, self._wall, tokens)


async def forget_prefixes(engine: VLLMEngine) -> None:
    """Empty the prefix cache, so that no side profits from the one before."""
    llm: Any = engine._stepper.engine
    await asyncio.wrap_future(engine._stepper.call(llm.reset_prefix_cache))
    gc.collect()


def ratio(values: Sequence[float]) -> Ratio:
    """Return the median of the rounds' ratios, and its interval."""
    rng = np.random.default_rng(0)
    drawn = rng.choice(np.asarray(values), size=(_NUM_RESAMPLES, len(values)))
    low, high = np.quantile(np.median(drawn, axis=1), [0.025, 0.975])
    return Ratio(median(values), float(low), float(high))


def _decision(result: Result, num_samples: int, stop_at: float) -> tuple[float, float] | None:
    """Return when the vote was decided and when the last sample ended; None if not before it."""
    answers = {t.origin.index: t.answer for t in result.samples}
    ends = [event for event in result.trace if event.kind == "completion"]
    votes: Counter[str] = Counter()
    for place, event in enumerate(ends[:-1], start=1):
        answer = answers.get(event.fields["index"])
        if answer is not None:
            votes[answer] += 1
        counts = list(votes.values())
        if leader_probability(counts) >= stop_at or is_settled(counts, num_samples - place):
            return event.seconds, ends[-1].seconds
    return None


def tokens_of(results: Sequence[Result]) -> int:
    """Count generated tokens."""
    return sum(result.usage.generated_tokens or 0 for result in results)
