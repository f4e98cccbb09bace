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

from tts.errors import EngineError, StoreError, innermost, survivable
from tts.pipeline import Node, Pipeline
from tts.protocols import AnswerGroups, Engine, Verifier
from tts.runtime.channels import ChannelInlet, ChannelOutlet, Merged, NodeBranch
from tts.runtime.context import NodeContext
from tts.runtime.result import build_result
from tts.runtime.stream import RequestStream, Services
from tts.types import Budget, GenerationRequest, Problem, Result, Sampling, Trajectory

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
        engines: By name; the empty one is the services'.
    """

    def __init__(
        self,
        job: Job,
        services: Services,
        verifiers: Mapping[str, Verifier],
        new_groups: Callable[[Problem], AnswerGroups],
        engines: Mapping[str, Engine],
    ) -> None:
        self.job = job
        self._engines = engines
        self.problem = job.problem
        self.sampling = job.sampling
        self.seed = job.seed
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
            raise innermost(errors) from None
        finally:
            if deadline is not None:
                deadline.cancel()
        return build_result(self.job, self.services, self._seen, self._failures, sunk)

    def engine(self, name: str) -> Engine:
        """Return an engine of the run by its name; the empty one is the run's own."""
        return self._engines[name]

    def open_stream(
        self, request: GenerationRequest, node: str, engine: str = "", *, is_check: bool = False
    ) -> RequestStream:
        """Start a request under this run's ledger; it stays known until closed."""
        services = self.services
        if engine:
            services = replace(services, engine=self.engine(engine))
        on_close = self._streams.discard
        stream = RequestStream(services, request, node, on_close, is_check=is_check)
        self._streams.add(stream)
        return stream

    def record(self, trajectory: Trajectory) -> None:
        """Keep a trajectory for the result's ancestors."""
        self._seen[trajectory.id] = trajectory

    def spawn(
        self, pipeline: Pipeline, problem: Problem, node: str, name: str, *, engine: str = ""
    ) -> ChannelInlet:
        """Start a pipeline within a node and return its merged sinks."""
        branch = self.branch(pipeline, problem, node, name, engine=engine)
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
        engine: str = "",
    ) -> NodeBranch:
        """Start a pipeline within a node, which feeds it; it ends with the node at the latest."""
        feed = ChannelOutlet(self._stamps, on_unread)
        outlet = ChannelOutlet(self._stamps, on_unread=lambda: source.close())
        results = outlet.connect()
        source = self._start(pipeline, problem, prefix=f"{node}/{name}/", feed=feed, engine=engine)
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
        engine: str = "",
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
            context = NodeContext(self, problem, f"{prefix}{name}", bounds[name], engine)
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
        error = survivable(raised)
        if not isinstance(error, EngineError):
            logger.error("node %s failed on %s", node, self.problem.id, exc_info=raised)
        self._fail(node, error)

    def _fail(self, node: str, error: BaseException) -> None:
        message = f"{node}: {error}" if str(error) else f"{node}: {type(error).__name__}"
        self._failures.append(message)
        self.services.trace.emit("error", node, message=str(error), type=type(error).__name__)

    def _expire(self) -> None:
        """End every running generation; the operators go on with what has finished."""
        self.services.ledger.is_expired = True
        self.services.trace.emit("deadline", "")
        for market in self.services.kv_markets.values():
            market.look_again()
        for stream in tuple(self._streams):
            self._create_task(_close(stream), "deadline")


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


async def _close(stream: RequestStream) -> None:
    await stream.aclose()
