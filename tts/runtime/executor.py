"""Runs a pipeline on one problem: one task per node, one task group per problem.

A node's task ends when the operator returns, when its last reader closes, or when it fails. The
first is the end of its stream; the second cancels it, and with it whatever it had asked of the
engine; the third is recorded, and the rest of the graph goes on with what it has.
"""

import asyncio
import itertools
import logging
from collections import defaultdict
from collections.abc import Callable, Coroutine, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from tts.answers import canonical_form
from tts.errors import CapabilityError, ContextError, EngineError, StoreError
from tts.pipeline import Node, Pipeline
from tts.protocols import AnswerGroups, Verifier
from tts.runtime.channels import ChannelInlet, ChannelOutlet, Merged, NodeBranch
from tts.runtime.context import NodeContext
from tts.runtime.stream import RequestStream, Services
from tts.types import (
    Answer,
    Budget,
    GenerationRequest,
    Problem,
    Result,
    Sampling,
    Support,
    Trajectory,
)

NO_BUDGET = Budget()
logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Job:
    """What to do with one problem.

    Attributes:
        pipeline: The graph.
        problem: The problem.
        sampling: Sampling profile of its requests.
        seed: The run's seed.
        budget: Hard limits for this problem.
        preset: Name for the result.
        priority: Lower is served first; the problem's place in the run.
    """

    pipeline: Pipeline
    problem: Problem
    sampling: Sampling
    seed: int = 0
    budget: Budget = NO_BUDGET
    preset: str = "pipeline"
    priority: int = 0


class ProblemRun:
    """One problem's tasks, streams and trajectories.

    Args:
        job: What to do.
        services: Engine, ledger, log and trace.
        verifiers: By name.
        new_groups: Makes an empty set of classes of equal answers.
    """

    def __init__(
        self,
        job: Job,
        services: Services,
        verifiers: Mapping[str, Verifier],
        new_groups: Callable[[Problem], AnswerGroups],
    ) -> None:
        self.job = job
        self.problem = job.problem
        self.sampling = job.sampling
        self.seed = job.seed
        self.priority = job.priority
        self.services = services
        self.verifiers = verifiers
        self.new_groups = new_groups
        self._stamps = itertools.count()
        self._streams: set[RequestStream] = set()
        self._seen: dict[str, Trajectory] = {}
        self._failures: list[str] = []
        self._within: defaultdict[str, list[ChannelInlet]] = defaultdict(list)
        self._group: asyncio.TaskGroup | None = None

    async def execute(self, seconds: float | None) -> Result:
        """Run the pipeline to its end, its deadline or its budget.

        Args:
            seconds: Until the deadline; None for none.

        Raises:
            EngineError: The engine died; a failure of one node alone is part of the result.
        """
        loop = asyncio.get_running_loop()
        deadline = loop.call_later(seconds, self._expire) if seconds is not None else None
        try:
            async with asyncio.TaskGroup() as group:
                self._group = group
                inlet = self._start(self.job.pipeline, self.problem, prefix="")
                sunk = [trajectory async for trajectory in inlet]
        except* (EngineError, StoreError) as errors:
            raise _innermost(errors) from None
        finally:
            if deadline is not None:
                deadline.cancel()
        return self._result(sunk)

    def open_stream(self, request: GenerationRequest, node: str) -> RequestStream:
        """Start a request under this run's ledger; it stays known until closed."""
        stream = RequestStream(self.services, request, node, self._streams.discard)
        self._streams.add(stream)
        return stream

    def record(self, trajectory: Trajectory) -> None:
        """Keep a trajectory for the result's ancestors."""
        self._seen[trajectory.id] = trajectory

    def spawn(self, pipeline: Pipeline, problem: Problem, node: str, name: str) -> ChannelInlet:
        """Start a pipeline within a node and return its merged sinks."""
        branch = self.branch(pipeline, problem, node, name)
        branch.finish()
        return branch.results

    def branch(
        self,
        pipeline: Pipeline,
        problem: Problem,
        node: str,
        name: str,
        *,
        on_unread: Callable[[], None] = lambda: None,
    ) -> NodeBranch:
        """Start a pipeline within a node, which feeds it; it ends with the node at the latest."""
        feed = ChannelOutlet(self._stamps, on_unread)
        outlet = ChannelOutlet(self._stamps, on_unread=lambda: source.close())
        results = outlet.connect()
        source = self._start(pipeline, problem, prefix=f"{node}/{name}/", feed=feed)
        self._within[node].append(results)

        async def forward() -> None:
            async for trajectory in source:
                outlet.send(trajectory)
            outlet.finish()

        self._create_task(forward(), f"{node}/{name}")
        return NodeBranch(feed, results)

    def _create_task(self, coroutine: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
        if self._group is None:
            raise RuntimeError("the run has not begun")
        return self._group.create_task(coroutine, name=f"{self.problem.id}:{name}")

    def _start(
        self,
        pipeline: Pipeline,
        problem: Problem,
        *,
        prefix: str,
        feed: ChannelOutlet | None = None,
    ) -> "Merged":
        bounds = pipeline.max_inputs(0 if feed is None else None)
        outlets: dict[str, ChannelOutlet] = {}
        inlets: dict[str, list[ChannelInlet]] = {}
        tasks: dict[str, asyncio.Task[None]] = {}

        def cancel(name: str) -> None:
            tasks[name].cancel()
            # Here and not in the task alone, which may be cancelled before its first step.
            _end(inlets[name], outlets[name])

        for name, node in pipeline:
            outlets[name] = ChannelOutlet(self._stamps, partial(cancel, name))
            sources = [outlets[pipeline.name_of(source)] for source in node.inputs]
            if feed is not None and not sources and node.operator.spec.accepts is not None:
                sources = [feed]
            inlets[name] = [source.connect() for source in sources]
        ends = [outlets[name].connect() for name in pipeline.sinks]
        for name, node in pipeline:
            context = NodeContext(self, problem, f"{prefix}{name}", bounds[name])
            coroutine = self._run_node(node, context, inlets[name], outlets[name])
            tasks[name] = self._create_task(coroutine, context.node)
        return Merged(ends)

    async def _run_node(
        self, node: Node, context: NodeContext, inlets: list[ChannelInlet], outlet: ChannelOutlet
    ) -> None:
        trace = self.services.trace
        trace.emit("start", context.node)
        try:
            await node.operator.run(context, inlets, _Recorder(self._seen, outlet))
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if not outlet.is_unread or (task is not None and task.uncancel() > 0):
                raise
            trace.emit("cancelled", context.node)
        except Exception as error:
            self._judge(context.node, error)
        else:
            trace.emit("end", context.node)
        finally:
            _end([*inlets, *self._within.pop(context.node, ())], outlet)

    def _judge(self, node: str, raised: Exception) -> None:
        """Record the failure of one node; raise what ends the run."""
        error = _innermost(raised)
        if isinstance(error, EngineError | StoreError):
            if not isinstance(error, ContextError | CapabilityError):
                raise error
        else:
            logger.error("node %s failed on %s", node, self.problem.id, exc_info=raised)
        self._fail(node, error)

    def _fail(self, node: str, error: Exception) -> None:
        message = f"{node}: {error}" if str(error) else f"{node}: {type(error).__name__}"
        self._failures.append(message)
        self.services.trace.emit("error", node, message=str(error), type=type(error).__name__)

    def _expire(self) -> None:
        """End every running generation; the operators go on with what has finished."""
        self.services.ledger.is_expired = True
        self.services.trace.emit("deadline", "")
        for stream in tuple(self._streams):
            self._create_task(_close(stream), "deadline")

    def _result(self, sunk: list[Trajectory]) -> Result:
        kept = self._with_ancestors(sunk)
        total = self.services.ledger.usage
        useful = sum(t.usage.generated_tokens or 0 for t in kept)
        wasted = None if total.generated_tokens is None else total.generated_tokens - useful
        answered = next((t for t in sunk if t.answer is not None), None)
        return Result(
            problem=self.problem,
            answer=None if answered is None else _answer(answered, self.problem),
            reason=self._reason(answered),
            trajectories=tuple(kept),
            usage=replace(total, wasted_tokens=wasted, seconds=self.services.trace.seconds()),
            trace=tuple(self.services.trace.events),
            seed=self.seed,
            preset=self.job.preset,
            engine=self.services.engine.info.name,
            attempts=tuple(sorted(filter(_is_attempt, self._seen.values()), key=_place)),
        )

    def _with_ancestors(self, sunk: list[Trajectory]) -> list[Trajectory]:
        kept: dict[str, Trajectory] = {}
        waiting = list(sunk)
        while waiting:
            trajectory = waiting.pop(0)
            if trajectory.id not in kept:
                kept[trajectory.id] = trajectory
                waiting += [self._seen[p] for p in trajectory.parents if p in self._seen]
        return list(kept.values())

    def _reason(self, answered: Trajectory | None) -> str:
        events = self.services.trace.events
        parts = list(self._failures)
        short = any(e.kind == "request" and e.fields["granted"] < e.fields["asked"] for e in events)
        if short or self.services.ledger.is_expired:
            parts.append(self.services.ledger.shortfall())
        parts += [str(e.fields["message"]) for e in events if e.kind == "warning"]
        parts += sorted({t.error for t in self._seen.values() if t.error is not None})
        if answered is None and not parts:
            parts.append("no trajectory gave an answer")
        return "; ".join(dict.fromkeys(parts))


@dataclass(frozen=True, slots=True)
class _Recorder:
    """An outlet that remembers what passed, for the result's ancestors."""

    seen: dict[str, Trajectory]
    outlet: ChannelOutlet

    def send(self, trajectory: Trajectory) -> None:
        self.seen[trajectory.id] = trajectory
        self.outlet.send(trajectory)

    async def wanted(self) -> None:
        await self.outlet.wanted()


def _end(inlets: Iterable[ChannelInlet], outlet: ChannelOutlet) -> None:
    outlet.finish()
    for inlet in inlets:
        inlet.close()


def _is_attempt(trajectory: Trajectory) -> bool:
    is_drawn = trajectory.usage.calls > 0 and trajectory.finish_reason in ("stop", "length")
    return is_drawn and trajectory.support is None  # with support, it is a decision


def _place(trajectory: Trajectory) -> tuple[str, int, str]:
    return trajectory.origin.node, trajectory.origin.index, trajectory.id


def _answer(trajectory: Trajectory, problem: Problem) -> Answer:
    text = trajectory.answer or ""
    support = trajectory.support or Support(votes=1, voters=1, weight=1.0, probability=1.0)
    return Answer(text, canonical_form(text, problem.answer_type), support)


def _innermost(error: Exception) -> Exception:
    while isinstance(error, ExceptionGroup):
        error = error.exceptions[0]
    return error


async def _close(stream: RequestStream) -> None:
    await stream.aclose()
