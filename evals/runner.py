"""Problems x repeats by one preset into one engine, graded as they finish, resumable.

Every finished problem and every finished completion is on disk before the next step, so a run that
was killed goes on where it stopped: finished problems are not run again, and an interrupted one
replays its recorded completions.
"""

import asyncio
import json
import os
import time
from collections.abc import (
    AsyncIterator,
    Awaitable,
    Callable,
    Iterator,
    Mapping,
    Sequence,
)
from contextlib import nullcontext, suppress
from dataclasses import dataclass, replace
from pathlib import Path

from tts.answers.groups import Groups
from tts.errors import EngineError, OutageError, TTSError, innermost
from tts.evals.plan import Plan as Plan
from tts.evals.progress import Progress, Show, Tally, Watch, every, unseen, unwatched
from tts.evals.records import Record, Sample
from tts.evals.report import summarise
from tts.evals.run_store import RunStore
from tts.protocols import Engine, EngineFacts, Verifier
from tts.runtime.checks import with_room
from tts.runtime.job import Job
from tts.runtime.runtime import DEFAULT_MAX_LIVE_KV, DEFAULT_MAX_PROBLEMS, Runtime
from tts.runtime.trace import never_loading
from tts.types import Answer, Budget, Grade, Problem, Result, Support, sum_usage
from tts.types.figures import Summary

_TICK_SECONDS = 1.0
_RESERVED = 0.1  # of a run's budget, by one sample of each problem in flight
_ONE_VOTE = Support(votes=1, voters=1, weight=1.0, probability=1.0)


async def evaluate_all(
    plans: Sequence[Plan],
    engine: Engine,
    *,
    root: Path,
    verifiers: Mapping[str, Verifier] | None = None,
    engines: Mapping[str, Engine] | None = None,
    reuse: Sequence[Path] = (),
    max_live_kv: float | None = DEFAULT_MAX_LIVE_KV,
    watch: Watch = unwatched,
    forget: Callable[[], Awaitable[None]] | None = None,
    loading: Callable[[], float] = never_loading,
) -> list[Summary]:
    """Run plans one after the other, or what is left of them, and return the figures of each.

    All of them are checked before the first token is spent. Before each, the engines
    forget what they have read, so that the cost of a plan does not depend on what came before.

    Args:
        plans: What to run.
        engine: Started; it stays the caller's to close.
        root: Holds the run folders.
        verifiers: By the name that a preset uses.
        engines: Further ones by the name that a preset or a verifier uses; the caller's, too.
        reuse: Generation logs of other runs, whose completions are not sampled again.
        max_live_kv: Part of a KV cache that search trees in flight may fill (`Runtime`).
        watch: What shows a plan's progress: called once a second and after each problem.
        forget: Empties the caches of all engines, those of verifiers included; by default those of
            `engine` and `engines` alone.
        loading: Returns the seconds in which models were loaded so far, which no run counts.

    Raises:
        InputError: A plan cannot run on these engines, or its folder cannot be used.
        OutageError: A server answered so little that no problem of a plan is finished.
        EngineError: The engine died; what was finished is kept.
    """
    for plan in plans:
        plan.check(engine, verifiers or {}, engines)
    on = _Engines(engine, verifiers or {}, engines or {}, max_live_kv, loading)
    summaries = []
    for plan in plans:
        with suppress(EngineError):  # somebody else's requests run; a dead engine is met below
            await (forget or on.forget)()
        summaries.append(await _evaluate(plan, on, root, reuse, watch))
    return summaries


@dataclass(frozen=True, slots=True)
class _Engines:
    """What plans run on; see `evaluate_all`."""

    engine: Engine
    verifiers: Mapping[str, Verifier]
    engines: Mapping[str, Engine]
    max_live_kv: float | None
    loading: Callable[[], float]

    async def forget(self) -> None:
        """Empty the caches of the engines."""
        for engine in (self.engine, *self.engines.values()):
            await engine.forget()

    def others(self, plan: Plan) -> dict[str, Engine]:
        """Return the further engines that a plan asks."""
        asked = sorted(plan.preset.pipeline.engines(self.verifiers) - {""})
        return {name: self.engines[name] for name in asked}


async def _evaluate(
    plan: Plan,
    on: _Engines,
    root: Path,
    reuse: Sequence[Path],
    watch: Watch,
) -> Summary:
    others = on.others(plan)
    config = plan.config(on.engine, others, on.verifiers)
    asked = {"": on.engine, **others}
    settings = {name: dict(engine.info.settings) for name, engine in asked.items()}
    pipeline = json.loads(json.dumps(plan.preset.pipeline.to_mapping(), default=str))
    models = {name: engine.info.name for name, engine in asked.items()}
    facts = {name: EngineFacts(engine.info, engine.capabilities) for name, engine in asked.items()}
    told = plan.made_of and facts
    notes = (settings, on.engine.info.shape, pipeline, plan.made_of, models, told, on.loading)
    with watch(plan) as show, RunStore(root, config, plan.problems, *notes) as store:
        if store.summary is not None:
            return replace(store.summary, out=str(store.folder))
        for log in reuse:
            store.log.load(log)
        async with Runtime(
            on.engine,
            verifiers=on.verifiers,
            engines=others,
            log=store.log,
            memory=store.memory,
            run_budget=_left(plan.run_budget, store),
            max_problems=_max_problems(plan, on.engine),
            max_live_kv=on.max_live_kv,
            loading=on.loading,
        ) as runtime:
            session = _Session(plan, store, runtime, show)
            await session.run()
        records = list(store.records.values())
        if not records:
            raise OutageError(f"{plan.benchmark} {plan.preset.name}: {session.outage()}")
        summary = summarise(
            config,
            records,
            seconds=store.seconds,
            out=store.folder,
            lost=store.log.lost.generated_tokens or 0,
            unanswered=sorted(session.unanswered),
            joules=None if store.joules is None else store.joules / len(records),
        )
        if summary.is_finished:
            store.finish(summary)
    return summary


async def evaluate(
    plan: Plan,
    engine: Engine,
    *,
    root: Path,
    verifiers: Mapping[str, Verifier] | None = None,
    engines: Mapping[str, Engine] | None = None,
    reuse: Sequence[Path] = (),
    max_live_kv: float | None = DEFAULT_MAX_LIVE_KV,
    on_progress: Show = unseen,
) -> Summary:
    """Run one plan like `evaluate_all`.

    Args:
        plan: What to run.
        engine: As there, like the other arguments.
        root: As there.
        verifiers: As there.
        engines: As there.
        reuse: As there.
        max_live_kv: As there.
        on_progress: Called once a second and after each problem.
    """
    (summary,) = await evaluate_all(
        [plan],
        engine,
        root=root,
        verifiers=verifiers,
        engines=engines,
        reuse=reuse,
        max_live_kv=max_live_kv,
        watch=lambda _: nullcontext(on_progress),
    )
    return summary


class _Session:
    """What one process does of a run."""

    def __init__(
        self,
        plan: Plan,
        store: RunStore,
        runtime: Runtime,
        on_progress: Show,
    ) -> None:
        self._plan = plan
        self._store = store
        self._runtime = runtime
        self._on_progress = on_progress
        self._num_before = len(store.records)
        self._tally = Tally(store.records.values())
        self._tokens_before = 0
        self._graders = asyncio.Semaphore(os.cpu_count() or 1)
        self.unanswered: dict[str, str] = {}  # problems without their samples, and why
        self._started = time.monotonic()

    async def run(self) -> None:
        """Solve and grade what is not yet finished."""
        before = sum_usage(record.usage for record in self._store.records.values())
        for paid in (before, self._store.log.lost):
            self._runtime.ledger.record(self._runtime.engine.info, paid)
        self._tokens_before = _fresh_tokens(self._runtime)
        results = self._runtime.run_many(self._open_jobs())
        async with every(_TICK_SECONDS, self._show), results:
            try:
                await self._grade_all(results)
            except ExceptionGroup as errors:
                raise innermost(errors) from None

    async def _grade_all(self, results: AsyncIterator[Result]) -> None:
        """Grade as many results at once as there are cores; store them in the order they came."""
        room = asyncio.Semaphore(os.cpu_count() or 1)
        before: asyncio.Task[None] | None = None
        failure: TTSError | None = None
        async with asyncio.TaskGroup() as group:
            try:
                async for result in results:
                    if result.facts.unanswered:
                        # No mistake of the model: what came is in the log, the rest is asked again.
                        self._leave(result)
                        continue
                    await room.acquire()
                    before = group.create_task(self._finish(result, before, room))
            except TTSError as error:
                failure = error  # what was solved before is graded and kept
        if failure is not None:
            raise failure

    async def _finish(
        self, result: Result, before: "asyncio.Task[None] | None", room: asyncio.Semaphore
    ) -> None:
        try:
            record = await self._record(result)
        finally:
            room.release()
        if before is not None:
            await before
        self._store.add(record, result.trace)
        self._tally.add(record)
        self._show()

    def _leave(self, result: Result) -> None:
        repeat = result.seed - self._plan.seed
        name = f"{result.problem.id} ({repeat})" if self._plan.repeats > 1 else result.problem.id
        self.unanswered[name] = result.reason

    def outage(self) -> str:
        """Return, for people, that problems lack samples, and why."""
        reason = next(iter(self.unanswered.values()), "")
        return (
            f"{len(self.unanswered)} problems lack samples that the server did not give "
            f"({reason}); the same command tries them again"
        )

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
            samples=await self._samples(result),
            is_cut=result.facts.is_cut,
            facts=result.facts,
            sequential_tokens=result.usage.sequential_tokens,
        )

    async def _samples(self, result: Result) -> tuple[Sample, ...]:
        """Class the samples' answers and grade each class once, the classes at the same time."""
        groups = Groups(self._runtime.checker, result.problem.answer_type)
        indices = [await groups.add(trajectory.answer) for trajectory in result.samples]
        async with asyncio.TaskGroup() as group:
            tasks = [
                group.create_task(
                    self._grade(
                        result.problem,
                        Answer(groups.text(index), groups.canonical(index), _ONE_VOTE),
                    )
                )
                for index in range(len(groups))
            ]
        grades = [task.result() for task in tasks]
        return tuple(
            Sample.of(
                trajectory, index, correct=index is not None and grades[index].correct is True
            )
            for trajectory, index in zip(result.samples, indices, strict=True)
        )

    async def _grade(self, problem: Problem, answer: Answer) -> Grade:
        # In a thread: a comparison may take its time limit, and a program its own.
        async with self._graders:
            return await asyncio.to_thread(self._plan.grade, problem, answer)

    def _show(self) -> None:
        done = len(self._store.records)
        seconds = time.monotonic() - self._started
        num_new = done - self._num_before
        fresh = _fresh_tokens(self._runtime) - self._tokens_before
        self._on_progress(
            Progress(
                done=done,
                total=self._plan.size,
                accuracy=self._tally.accuracy,
                interval=self._tally.interval,
                tokens=fresh + self._runtime.tokens_in_flight(),
                seconds=seconds,
                kv_usage=self._runtime.engine.kv_usage(),
                seconds_left=seconds / num_new * (self._plan.size - done) if num_new else None,
            )
        )


def _max_problems(plan: Plan, engine: Engine) -> int:
    """Return how many problems may be in flight.

    With a budget of tokens, so few that one sample of each reserves at most a tenth of it:
    what others hold in reserve would cut the samples of the rest short.
    """
    tokens = None if plan.run_budget is None else plan.run_budget.tokens
    most = DEFAULT_MAX_PROBLEMS * engine.info.replicas
    if tokens is None:
        return most
    fitting = int(_RESERVED * tokens / with_room(plan.preset.sampling, engine).max_tokens)
    return max(1, min(most, fitting))


def _left(run_budget: Budget | None, store: RunStore) -> Budget | None:
    """Return the run's budget less the time of earlier sessions; the ledger knows the rest."""
    if run_budget is None or run_budget.seconds is None or not store.records:
        return run_budget
    return replace(run_budget, seconds=max(run_budget.seconds - store.seconds, 1e-3))


def _fresh_tokens(runtime: Runtime) -> int:
    usage = runtime.ledger.usage
    return (usage.generated_tokens or 0) - usage.reused_tokens
