"""An engine, its verifiers and a log, ready to run pipelines on problems."""

import asyncio
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from types import TracebackType
from typing import Self
from weakref import WeakKeyDictionary

from tts.answers.groups import AnswerChecker, Groups, Patience
from tts.budget import to_budget
from tts.errors import InputError, innermost
from tts.pipeline import Pipeline
from tts.protocols import AnswerGroups, Engine, Verifier, Watcher
from tts.runtime.admission import Admission
from tts.runtime.checks import check_job, check_prompt, with_room
from tts.runtime.executor import ProblemRun
from tts.runtime.job import Job
from tts.runtime.kv_market import Market
from tts.runtime.ledger import Ledger
from tts.runtime.log import GenerationLog
from tts.runtime.memory import Memory
from tts.runtime.ordering import Placed, in_order
from tts.runtime.pace import Accounts
from tts.runtime.run_state import RunState
from tts.runtime.trace import never_loading
from tts.types import Budget, Problem, Result, Sampling

DEFAULT_MAX_PROBLEMS = 64
DEFAULT_MAX_LIVE_KV = 1.0


@dataclass(frozen=True, slots=True)
class _Checked:
    """A sampling profile and a budget with which a pipeline was found to run.

    Attributes:
        sampling: As the job has it.
        budget: The job's.
        reporting: The profile that reports what the pipeline's nodes read.
    """

    sampling: Sampling
    budget: Budget
    reporting: Sampling


class Runtime:
    """Runs jobs; engines and verifiers stay the caller's to close.

    An asynchronous context manager, which closes what it made itself:

        async with Runtime(engine) as runtime:
            result = await runtime.run(Job.of(pipeline, "What is 7 * 8?"))

    Args:
        engine: Where completions come from.
        verifiers: By the name that pipelines use.
        log: Generations to reuse and to add to; a log in memory by default.
        memory: What problems of `run_many` kept for each other, and will; by default each call
            begins with nothing.
        run_budget: Hard limits on everything that this runtime does; text such as "1M" is read.
        max_problems: Most problems in flight; None is 64 for each replica of the engine.
        engines: Other models that operators, judges and search policies may ask, by name.
        max_live_kv: Part of an engine's KV cache that the trees of all searches may fill: one grows
            while it fits beside those that began before it; None lets all grow.
        loading: Returns the seconds in which models were loaded so far while work waited for them:
            they count as no problem's time.

    Raises:
        BudgetError: `run_budget` is no budget.
    """

    def __init__(
        self,
        engine: Engine,
        *,
        verifiers: Mapping[str, Verifier] | None = None,
        log: GenerationLog | None = None,
        memory: Memory | None = None,
        run_budget: Budget | str | None = None,
        max_problems: int | None = None,
        engines: Mapping[str, Engine] | None = None,
        max_live_kv: float | None = DEFAULT_MAX_LIVE_KV,
        loading: Callable[[], float] = never_loading,
    ) -> None:
        self._max_live_kv = max_live_kv
        self._loading = loading
        self._markets: dict[int, Market] = {}
        self.serve({"": engine, **(engines or {})}, verifiers or {})
        self.log = log or GenerationLog()
        self.memory = memory
        self.ledger = Ledger(to_budget(run_budget) or Budget())
        self.accounts = Accounts()
        self.checker = AnswerChecker()
        self._max_problems = max_problems
        self._runs: set[ProblemRun] = set()
        self._started: float | None = None

    def serve(self, engines: Mapping[str, Engine], verifiers: Mapping[str, Verifier]) -> None:
        """Run further jobs on these; log and ledger stay, and so do the markets of known engines.

        Args:
            engines: By name; the empty one is the run's own.
            verifiers: By the name that pipelines use.
        """
        self.engines, self.verifiers = dict(engines), dict(verifiers)
        self._markets = {
            id(asked): self._markets.get(id(asked)) or _new_market(asked, self._max_live_kv)
            for asked in self.engines.values()
        }
        self.kv_markets = {name: self._markets[id(asked)] for name, asked in engines.items()}
        self._checked: WeakKeyDictionary[Pipeline, _Checked] = WeakKeyDictionary()

    @cached_property
    def admission(self) -> Admission:
        """Lets problems in: one for all, since what runs apart must fit into the cache together."""
        return Admission(
            self._max_problems or DEFAULT_MAX_PROBLEMS * self.engine.info.replicas,
            kv_usage=lambda: self.engine.kv_usage() or 0.0,
            kv_tokens=lambda: _kv_tokens(self.engine),
            has_budget=lambda: self.ledger.has_room,
        )

    @property
    def engine(self) -> Engine:
        """The run's own engine; `engines` has it under the empty name."""
        return self.engines[""]

    async def run(
        self,
        job: Job,
        *,
        log: GenerationLog | None = None,
        account: Ledger | None = None,
        memory: Memory | None = None,
        watcher: Watcher | None = None,
    ) -> Result:
        """Run one job at once, whether there is room for it or not.

        Args:
            job: What to do.
            log: In place of the run's, such as an empty one that is dropped with the job.
            account: Ledger under which it is charged, itself below the run's; None is the run's.
            memory: What problems before it kept; None for nothing, and what it keeps is dropped.
            watcher: Reads along; None for nobody.

        Raises:
            InputError: The job cannot run on this engine; no token was spent.
            EngineError: The engine died.
        """
        run_left = self._run_seconds_left()
        if run_left == 0.0:
            self.ledger.expire()
        state = RunState(
            replace(job, sampling=self.check(job)),
            ledger=Ledger(job.budget, parent=account or self.ledger),
            log=(log or self.log).of(job.problem.id, job.seed),
            engines=self.engines,
            verifiers=self.verifiers,
            kv_markets=self.kv_markets,
            accounts=self.accounts,
            memory=memory or Memory(),
            new_groups=partial(self._new_groups, Patience()),
            on_progress=self.admission.look_again,
            seconds=min(run_left, math.inf if job.budget.seconds is None else job.budget.seconds),
            loading=self._loading,
            watcher=watcher,
        )
        run = ProblemRun(state)
        self._runs.add(run)
        try:
            return await run.execute()
        finally:
            state.ledger.close()
            self._runs.discard(run)

    def tokens_in_flight(self) -> int:
        """Return the tokens that unfinished completions have so far, on all engines."""
        engines = {id(engine): engine for engine in self.engines.values()}
        return sum(engine.tokens_in_flight() for engine in engines.values())

    def expire_all(self) -> None:
        """End every generation under way, as deadlines do: jobs return with what has finished."""
        for run in self._runs:
            run.expire()

    def run_many(self, jobs: Iterable[Job]) -> "RunMany":
        """Run many jobs; results come in order of completion.

            async with runtime.run_many(Job.of_all(preset, problems)) as results:
                async for result in results:
                    ...

        Leaving the block early cancels what still runs.

        Jobs whose problems begin with the same long text run one after the other (`ordering.py`);
        else they start in the order in which they are given, as they do where problems learn from
        those before them (`Spec.batch`).

        Args:
            jobs: Each starts as soon as there is room for it.

        Raises:
            InputError: One is no job.
        """
        return RunMany(self, in_order([_checked(job) for job in jobs]))

    def check(self, job: Job) -> Sampling:
        """Refuse a job that this runtime cannot run, before a token is spent.

        Jobs that differ in their problem, seed or priority alone are checked once.

        Returns:
            The job's sampling profile, made to report what the pipeline's nodes read.

        Raises:
            PipelineError: The graph is wrong, or names a verifier that is not there.
            CapabilityError: An engine lacks something, or is not there.
            BudgetError: An engine that it asks cannot count what the budget limits.
        """
        check_prompt(_checked(job), self.engine)
        known = self._checked.get(job.pipeline)
        if known is None or (known.sampling, known.budget) != (job.sampling, job.budget):
            check_job(job, self.engines, self.verifiers, self.ledger.budget)
            sampling = with_room(job.sampling, self.engine)
            reporting = job.pipeline.reporting(sampling, self.engines, self.verifiers)
            known = self._checked[job.pipeline] = _Checked(job.sampling, job.budget, reporting)
        return known.reporting

    async def aclose(self) -> None:
        """Stop the answer checker's worker; idempotent."""
        self.checker.close()

    async def __aenter__(self) -> Self:
        """Return the runtime."""
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close it."""
        await self.aclose()

    def _run_seconds_left(self) -> float:
        """Return the time until the run's deadline, which counts from its first job.

        Infinite where there is none; a job that begins after it may generate nothing.
        """
        now = asyncio.get_running_loop().time()
        if self._started is None:
            self._started = now
        seconds = self.ledger.budget.seconds
        return math.inf if seconds is None else max(0.0, self._started + seconds - now)

    def _new_groups(self, patience: Patience, problem: Problem) -> AnswerGroups:
        return Groups(self.checker, problem.answer_type, patience=patience)


def _kv_tokens(engine: Engine) -> int | None:
    info = engine.info
    return info.kv_blocks and info.kv_block_size and info.kv_blocks * info.kv_block_size


def _checked(job: Job) -> Job:
    """Return a job.

    Raises:
        InputError: It is none.
    """
    if not isinstance(job, Job):
        raise InputError(
            f"a runtime runs jobs, got {type(job).__name__}; Job.of(pipeline, problem) is one"
        )
    return job


def _new_market(engine: Engine, max_live: float | None) -> Market:
    # The engine is asked later: it may start after its runtime.
    return Market(lambda: engine.info.kv_blocks, max_live=max_live)


class RunMany:
    """Results of many jobs, in order of completion; an asynchronous context manager."""

    def __init__(self, runtime: Runtime, placed: Sequence[Placed]) -> None:
        self._runtime = runtime
        self._placed = placed
        self._memory = runtime.memory or Memory()
        self._results: asyncio.Queue[Result | None] = asyncio.Queue()
        self._feeder: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        """Start feeding jobs."""
        self._feeder = asyncio.create_task(self._feed(), name="run_many")
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Cancel what still runs and wait until the engine has let go of it."""
        if self._feeder is not None and not self._feeder.done():
            self._feeder.cancel()
            await asyncio.wait([self._feeder])

    def __aiter__(self) -> Self:
        """Return the iterator itself."""
        return self

    async def __anext__(self) -> Result:
        """Return the next finished result.

        Raises:
            EngineError: The engine died.
            InputError: A job cannot run.
        """
        result = await self._results.get()
        if result is not None:
            return result
        self._results.put_nowait(None)
        if self._feeder is not None:
            await self._feeder
        raise StopAsyncIteration

    async def _feed(self) -> None:
        try:
            running: set[asyncio.Task[Result]] = set()
            batch = 0
            async with asyncio.TaskGroup() as group:
                for placed in self._placed:
                    size = placed.job.pipeline.batch
                    if size and running and placed.job.priority // size != batch:
                        await asyncio.wait(running)  # what it reads they have kept by then
                    batch = placed.job.priority // size if size else 0
                    await self._runtime.admission.acquire(placed)
                    task = group.create_task(self._run(placed.job), name=placed.job.problem.id)
                    # Not in the task, which may be cancelled before its first step.
                    task.add_done_callback(partial(self._end, placed))
                    running.add(task)
                    task.add_done_callback(running.discard)
                    await asyncio.sleep(0)  # its ledger is opened before the next is looked at
        except ExceptionGroup as errors:
            raise innermost(errors) from None
        finally:
            self._results.put_nowait(None)

    async def _run(self, job: Job) -> Result:
        result = await self._runtime.run(job, memory=self._memory)
        self._results.put_nowait(result)
        return result

    def _end(self, placed: Placed, task: asyncio.Task[Result]) -> None:
        has_result = not task.cancelled() and task.exception() is None
        self._runtime.admission.release(placed, task.result() if has_result else None)
