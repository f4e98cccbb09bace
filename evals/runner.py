"""Problems x repeats by one preset into one engine, graded as they finish, resumable.

Every finished problem and every finished completion is on disk before the next step, so a run that
was killed goes on where it stopped: finished problems are not run again, and an interrupted one
replays its recorded completions.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tts.answers.groups import Groups
from tts.evals.metrics import Interval, wilson_interval
from tts.evals.plan import Plan as Plan
from tts.evals.report import summarise
from tts.evals.run_store import Attempt, Record, RunStore
from tts.protocols import Engine, Verifier
from tts.runtime.job import Job
from tts.runtime.runtime import DEFAULT_MAX_LIVE_KV, DEFAULT_MAX_PROBLEMS, Runtime
from tts.types import Answer, Budget, Grade, Problem, Result, Support, Trajectory, sum_usage

_TICK_SECONDS = 1.0
_RESERVED = 0.1  # of a run's budget, by one sample of each problem in flight
_ONE_VOTE = Support(votes=1, voters=1, weight=1.0, probability=1.0)


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a run has come.

    Attributes:
        done: Problems times repeats that are finished, those of earlier sessions included.
        total: All of them.
        accuracy: Share of the finished ones that are right; None while there are none.
        interval: Its 95 % interval.
        tokens_per_second: Generated in this session, replayed ones left out.
        kv_usage: Fraction of the engine's KV cache in use; None where the engine cannot tell.
        seconds_left: At this session's pace; None while it has finished nothing.
    """

    done: int
    total: int
    accuracy: float | None
    interval: Interval | None
    tokens_per_second: float
    kv_usage: float | None
    seconds_left: float | None


def _ignore(_: Progress) -> None:
    """Show nothing."""


async def evaluate(
    plan: Plan,
    engine: Engine,
    *,
    root: Path,
    verifiers: Mapping[str, Verifier] | None = None,
    engines: Mapping[str, Engine] | None = None,
    reuse: Sequence[Path] = (),
    max_live_kv: float | None = DEFAULT_MAX_LIVE_KV,
    on_progress: Callable[[Progress], None] = _ignore,
) -> dict[str, Any]:
    """Run a plan, or what is left of it, and return its figures (`summary.json`).

    Args:
        plan: What to run.
        engine: Started; it stays the caller's to close, and several plans may share it.
        root: Holds the run folders.
        verifiers: By the name that the preset uses.
        engines: Further ones by the name that the preset or a verifier uses; the caller's, too.
        reuse: Generation logs of other runs, whose completions are not sampled again.
        max_live_kv: Part of a KV cache that search trees in flight may fill (`Runtime`).
        on_progress: Called once a second and after each problem.

    Raises:
        InputError: The plan cannot run on these engines, or its folder cannot be used.
        EngineError: The engine died; what was finished is kept.
    """
    plan.check(engine, verifiers or {}, engines)
    asked = sorted(plan.preset.pipeline.engines(verifiers or {}) - {""})
    others = {name: (engines or {})[name] for name in asked}
    with RunStore(root, plan.config(engine, others)) as store:
        for log in reuse:
            store.log.load(log)
        budget = _left(plan.run_budget, store)
        async with Runtime(
            engine,
            verifiers=verifiers,
            engines=others,
            log=store.log,
            run_budget=budget,
            max_problems=_max_problems(plan),
            max_live_kv=max_live_kv,
        ) as runtime:
            await _Session(plan, store, runtime, on_progress).run()
        summary = summarise(
            store.config, list(store.records.values()), seconds=store.seconds, out=store.folder
        )
        store.finish(summary)
    return summary


class _Session:
    """What one process does of a run."""

    def __init__(
        self,
        plan: Plan,
        store: RunStore,
        runtime: Runtime,
        on_progress: Callable[[Progress], None],
    ) -> None:
        self._plan = plan
        self._store = store
        self._runtime = runtime
        self._on_progress = on_progress
        self._num_before = len(store.records)
        self._tokens_before = 0
        self._started = time.monotonic()

    async def run(self) -> None:
        """Solve and grade what is not yet finished."""
        before = sum_usage(record.usage for record in self._store.records.values())
        self._runtime.ledger.record(self._runtime.engine.info, before)
        self._tokens_before = _fresh_tokens(self._runtime)
        results = self._runtime.run_many(self._open_jobs())
        async with _every(_TICK_SECONDS, self._show), results:
            async for result in results:
                self._store.add(await self._record(result), result.trace)
                self._show()

    def _open_jobs(self) -> Iterator[Job]:
        finished = set(self._store.records)
        return (
            job
            for job in self._plan.jobs()
            if (job.problem.id, job.seed - self._plan.seed) not in finished
        )

    async def _record(self, result: Result) -> Record:
        correct = None
        if result.answer is not None:
            correct = (await self._grade(result.problem, result.answer)).correct
        return Record(
            id=result.problem.id,
            repeat=result.seed - self._plan.seed,
            answer=None if result.answer is None else result.answer.text,
            correct=False if result.answer is None else correct,
            usage=result.usage,
            seconds=result.usage.seconds,
            error=result.reason,
            attempts=await self._attempts(result),
            is_cut=result.facts.is_cut,
            facts=result.facts,
        )

    async def _attempts(self, result: Result) -> tuple[Attempt, ...]:
        """Group the samples' answers and grade each group once."""
        groups = Groups(self._runtime.checker, result.problem.answer_type)
        grades: dict[int, Grade] = {}
        attempts: list[Attempt] = []
        for trajectory in result.samples:
            group = await groups.add(trajectory.answer)
            if group is not None and group not in grades:
                answer = Answer(groups.text(group), groups.canonical(group), _ONE_VOTE)
                grades[group] = await self._grade(result.problem, answer)
            attempts.append(_attempt(trajectory, group, grades))
        return tuple(attempts)

    async def _grade(self, problem: Problem, answer: Answer) -> Grade:
        # In a thread: a symbolic comparison may take its time limit.
        return await asyncio.to_thread(self._plan.grade, problem, answer)

    def _show(self) -> None:
        records = self._store.records
        num_correct = sum(record.correct is True for record in records.values())
        seconds = time.monotonic() - self._started
        num_new = len(records) - self._num_before
        left = self._plan.size - len(records)
        tokens = _fresh_tokens(self._runtime) - self._tokens_before
        self._on_progress(
            Progress(
                done=len(records),
                total=self._plan.size,
                accuracy=num_correct / len(records) if records else None,
                interval=wilson_interval(num_correct, len(records)) if records else None,
                tokens_per_second=tokens / max(seconds, 1e-9),
                kv_usage=self._runtime.engine.kv_usage(),
                seconds_left=seconds / num_new * left if num_new else None,
            )
        )


def _max_problems(plan: Plan) -> int:
    """Return how many problems may be in flight.

    With a budget of tokens, so few that one sample of each reserves at most a tenth of it:
    what others hold in reserve would cut the samples of the rest short.
    """
    tokens = None if plan.run_budget is None else plan.run_budget.tokens
    if tokens is None:
        return DEFAULT_MAX_PROBLEMS
    fitting = int(_RESERVED * tokens / plan.preset.sampling.max_tokens)
    return max(1, min(DEFAULT_MAX_PROBLEMS, fitting))


def _left(run_budget: Budget | None, store: RunStore) -> Budget | None:
    """Return the run's budget less the time of earlier sessions; the ledger knows the rest."""
    if run_budget is None or run_budget.seconds is None or not store.records:
        return run_budget
    return replace(run_budget, seconds=max(run_budget.seconds - store.seconds, 1e-3))


def _attempt(trajectory: Trajectory, group: int | None, grades: Mapping[int, Grade]) -> Attempt:
    return Attempt(
        answer=trajectory.answer,
        group=group,
        correct=group is not None and grades[group].correct is True,
        tokens=trajectory.usage.generated_tokens,
        scores={
            name: round(number, 6)
            for name, score in trajectory.scores.items()
            if (number := score.probability_or_value) is not None
        },
        is_draft=not trajectory.parents,
    )


def _fresh_tokens(runtime: Runtime) -> int:
    usage = runtime.ledger.usage
    return (usage.generated_tokens or 0) - usage.reused_tokens


@asynccontextmanager
async def _every(seconds: float, action: Callable[[], None]) -> AsyncIterator[None]:
    """Repeat an action while the block runs."""

    async def repeat() -> None:
        while True:
            await asyncio.sleep(seconds)
            action()

    task = asyncio.create_task(repeat(), name="progress")
    try:
        yield
    finally:
        task.cancel()
