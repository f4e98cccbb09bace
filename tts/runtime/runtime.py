"""An engine, its verifiers and a log, ready to run pipelines on problems."""

import asyncio
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from types import TracebackType
from typing import Self

from tts.answers.groups import AnswerChecker, Groups
from tts.errors import BudgetError, CapabilityError, innermost
from tts.pipeline import Pipeline
from tts.protocols import AnswerGroups, Engine, Verifier
from tts.runtime.admission import Admission
from tts.runtime.executor import Job, ProblemRun
from tts.runtime.kv_market import Market
from tts.runtime.ledger import Ledger
from tts.runtime.log import GenerationLog
from tts.runtime.stream import Services
from tts.runtime.trace import Trace
from tts.types import Budget, Problem, Result, Sampling

DEFAULT_MAX_PROBLEMS = 64
DEFAULT_MAX_LIVE_KV = 1.0


class Runtime:
    """Runs pipelines; the engine stays the caller's to close.

    Args:
        engine: Where completions come from.
        verifiers: By the name that pipelines use.
        log: Generations to reuse and to add to; a log in memory by default.
        run_budget: Hard limits on everything that this runtime does.
        max_problems: Most problems in flight.
        engines: Other models that operators, judges and search policies may ask, by name; the
            caller's to close, too.
        max_live_kv: Part of an engine's KV cache that the trees of all searches may fill: one grows
            while it fits beside those that began before it; None lets all grow.
    """

    def __init__(
        self,
        engine: Engine,
        *,
        verifiers: Mapping[str, Verifier] | None = None,
        log: GenerationLog | None = None,
        run_budget: Budget | None = None,
        max_problems: int = DEFAULT_MAX_PROBLEMS,
        engines: Mapping[str, Engine] | None = None,
        max_live_kv: float | None = DEFAULT_MAX_LIVE_KV,
    ) -> None:
        self.engines: dict[str, Engine] = {"": engine, **(engines or {})}
        markets = {id(asked): _new_market(asked, max_live_kv) for asked in self.engines.values()}
        self.kv_markets = {name: markets[id(asked)] for name, asked in self.engines.items()}
        self.verifiers = dict(verifiers or {})
        self.log = log or GenerationLog()
        self.ledger = Ledger(run_budget or Budget())
        self.checker = AnswerChecker()
        self._max_problems = max_problems
        self._started: float | None = None

    @property
    def engine(self) -> Engine:
        """The run's own engine; `engines` has it under the empty name."""
        return self.engines[""]

    async def run(self, job: Job, *, on_progress: Callable[[], None] = lambda: None) -> Result:
        """Run one job.

        Raises:
            InputError: The job cannot run on this engine; no token was spent.
            EngineError: The engine died.
        """
        self.check(job)
        sampling = job.pipeline.reporting(job.sampling, self.engines, self.verifiers)
        job = replace(job, sampling=sampling)
        services = Services(
            engine=self.engine,
            ledger=Ledger(job.budget, parent=self.ledger),
            log=self.log,
            trace=Trace(),
            on_progress=on_progress,
            kv_markets=self.kv_markets,
            priority=job.priority,
        )
        run = ProblemRun(job, services, self.verifiers, self._new_groups, self.engines)
        return await run.execute(self._seconds_left(job))

    def run_many(
        self,
        pipeline: Pipeline,
        problems: Iterable[Problem],
        *,
        sampling: Sampling | None = None,
        budget: Budget | None = None,
        seed: int = 0,
    ) -> "RunMany":
        """Run a pipeline on many problems; results come in order of completion.

        async with runtime.run_many(pipeline, problems) as results:
            async for result in results:
                ...

        Leaving the block early cancels what still runs.
        """
        return self.run_jobs(
            Job(pipeline, problem, sampling or Sampling(), seed, budget or Budget(), priority=place)
            for place, problem in enumerate(problems)
        )

    def run_jobs(self, jobs: Iterable[Job]) -> "RunMany":
        """Like `run_many`, with a pipeline, seed and budget for each problem."""
        kv_usage: Callable[[], float] = getattr(self.engine, "kv_usage", lambda: 0.0)
        return RunMany(self, jobs, Admission(self._max_problems, kv_usage=kv_usage))

    def check(self, job: Job) -> None:
        """Refuse a job that this engine cannot run, before a token is spent.

        Raises:
            PipelineError: The graph is wrong, or names a verifier that is not there.
            CapabilityError: An engine lacks something, or is not there.
            BudgetError: An engine that it asks cannot count what the budget limits.
        """
        job.pipeline.check()
        job.pipeline.check_engines(self.engines, self.verifiers)
        if job.sampling.reflection and not self.engine.capabilities.logits_processors:
            raise CapabilityError(
                f"{self.engine.info.name} runs no logits processors, which sampling.reflection "
                "needs; the embedded vLLM does"
            )
        for name in sorted(job.pipeline.engines(self.verifiers)):
            for budget in (job.budget, self.ledger.budget):
                check_budget(budget, self.engines[name])

    def close(self) -> None:
        """Stop the answer checker's worker."""
        self.checker.close()

    def _seconds_left(self, job: Job) -> float | None:
        """Return the time until the job's deadline or the run's, which starts with its first job.

        A job that begins after the run's deadline may generate nothing.
        """
        now = asyncio.get_running_loop().time()
        if self._started is None:
            self._started = now
        if self.ledger.budget.seconds is None:
            return job.budget.seconds
        left = self._started + self.ledger.budget.seconds - now
        self.ledger.is_expired = left <= 0
        return min(max(left, 0.0), job.budget.seconds or math.inf)

    def _new_groups(self, problem: Problem) -> AnswerGroups:
        return Groups(self.checker, problem.answer_type)


def _new_market(engine: Engine, max_live: float | None) -> Market:
    # The engine is asked later: it may start after its runtime.
    return Market(lambda: engine.info.kv_blocks, max_live=max_live)


def check_budget(budget: Budget, engine: Engine) -> None:
    """Refuse a budget that the engine cannot count.

    Raises:
        BudgetError: A limit on tokens, FLOPs or dollars that this engine does not report.
    """
    info = engine.info
    if budget.tokens is not None and not engine.capabilities.token_counts:
        raise BudgetError(f"{info.name} reports no token counts; budget its calls instead")
    if budget.flops is not None and info.parameters is None:
        raise BudgetError(f"the size of {info.name} is unknown; budget tokens instead of flops")
    if budget.usd is not None and info.price is None:
        raise BudgetError(f"{info.name} has no price; budget tokens instead of dollars")


class RunMany:
    """Results of many jobs, in order of completion; an asynchronous context manager."""

    def __init__(self, runtime: Runtime, jobs: Iterable[Job], admission: Admission) -> None:
        self._runtime = runtime
        self._jobs = jobs
        self._admission = admission
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
            async with asyncio.TaskGroup() as group:
                for job in self._jobs:
                    await self._admission.acquire()
                    group.create_task(self._run(job), name=job.problem.id)
        except ExceptionGroup as errors:
            raise innermost(errors) from None
        finally:
            self._results.put_nowait(None)

    async def _run(self, job: Job) -> None:
        try:
            result = await self._runtime.run(job, on_progress=self._admission.poke)
        finally:
            self._admission.release()
        self._results.put_nowait(result)
