"""Runs a pipeline on one problem: one task per node, one task group per problem.

A node's task ends when the operator returns, when its last reader closes, or when it fails. The
first is the end of its stream; the second cancels it, and with it whatever it had asked of the
engine; the third is recorded, and the rest of the graph goes on with what it has.
"""

import asyncio
import itertools
import logging
import math
from collections.abc import Callable, Coroutine, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

from tts.errors import EngineError, StoreError, innermost, survivable
from tts.pipeline import Node, Pipeline
from tts.protocols import Operator
from tts.runtime.channels import ChannelInlet, ChannelOutlet, Merged, NodeBranch
from tts.runtime.context import NodeContext
from tts.runtime.result import build_result
from tts.runtime.run_state import RunState
from tts.types import Problem, Result, Trajectory

logger = logging.getLogger(__name__)


class _NodeRun:
    """One node as it runs.

    Args:
        operator: What it does.
        stamps: Numbers trajectories in the order in which they are sent.

    Attributes:
        outlet: What it sends; the node is cancelled when its last reader closes.
        inlets: What it reads.
        within: Results of the pipelines that run within it.
        task: Runs the operator.
    """

    def __init__(self, operator: Operator, stamps: Iterator[int]) -> None:
        self.operator = operator
        self.outlet = ChannelOutlet(stamps, self.cancel)
        self.inlets: list[ChannelInlet] = []
        self.within: list[ChannelInlet] = []
        self.task: asyncio.Task[None] | None = None

    def passed(self) -> dict[str, Any]:
        """Return how many trajectories it took from each inlet, and sent."""
        return {"read": [inlet.taken for inlet in self.inlets], "sent": self.outlet.sent}

    def cancel(self) -> None:
        """End it, since nobody reads it any more."""
        if self.task is not None:
            self.task.cancel()
        # Here and not in the task alone, which may be cancelled before its first step.
        _end(self.inlets, self.outlet)

    def end(self) -> None:
        """Close all its ends, and with them the pipelines within it."""
        _end([*self.inlets, *self.within], self.outlet)

    def was_only_unread(self) -> bool:
        """Return whether the running task was cancelled by its readers, and not with the run."""
        task = asyncio.current_task()
        return self.outlet.is_unread and (task is None or task.uncancel() == 0)


class ProblemRun:
    """One problem's tasks.

    Args:
        state: What they share.
    """

    def __init__(self, state: RunState) -> None:
        self._state = state
        self._stamps = itertools.count()
        self._group: asyncio.TaskGroup | None = None

    async def execute(self) -> Result:
        """Run the pipeline to its end, its deadline or its budget.

        Raises:
            EngineError: The engine died; a failure of one node alone is part of the result.
            StoreError: The run's log cannot be written.
        """
        loop, job, seconds = asyncio.get_running_loop(), self._state.job, self._state.seconds
        deadline = loop.call_later(seconds, self.expire) if seconds < math.inf else None
        try:
            async with asyncio.TaskGroup() as group:
                self._group = group
                sunk = await self._read(self._start(job.pipeline, job.problem, prefix=""))
        except* (EngineError, StoreError) as errors:
            raise innermost(errors) from None
        finally:
            if deadline is not None:
                deadline.cancel()
        return build_result(self._state, sunk)

    async def _read(self, ends: Merged) -> list[Trajectory]:
        try:
            return [trajectory async for trajectory in ends]
        except BaseException:
            self._state.abandon()  # before the tasks are cancelled
            raise

    def _start(
        self,
        pipeline: Pipeline,
        problem: Problem,
        *,
        prefix: str,
        feed: ChannelOutlet | None = None,
        engine: str = "",
    ) -> Merged:
        """Start every node of a pipeline; returns what leaves it.

        Args:
            pipeline: The graph.
            problem: What it solves.
            prefix: Of the nodes' paths.
            feed: Read by the nodes that read and have no `from`.
            engine: That its nodes ask.
        """
        runs: dict[str, _NodeRun] = {}
        for name, node in pipeline:
            runs[name] = run = _NodeRun(node.operator, self._stamps)
            sources = [runs[pipeline.name_of(source)].outlet for source in node.inputs]
            run.inlets = [source.connect() for source in sources or _fed(node, feed)]
        ends = [runs[name].outlet.connect() for name in pipeline.sinks]
        bounds = pipeline.max_inputs(0 if feed is None else None)
        for name, run in runs.items():
            context = NodeContext(
                self._state,
                partial(self._branch, run, f"{prefix}{name}"),
                problem=problem,
                node=f"{prefix}{name}",
                max_inputs=bounds[name],
                engine_name=engine,
                is_last=not prefix and pipeline.sinks == (name,),
            )
            run.task = self._create_task(self._run_node(run, context), context.node)
        return Merged(ends)

    def _branch(
        self,
        run: _NodeRun,
        node: str,
        pipeline: Pipeline,
        problem: Problem,
        *,
        name: str,
        engine: str,
        on_unread: Callable[[], None],
    ) -> NodeBranch:
        """Start a pipeline within a node, which feeds it; it ends with the node at the latest."""
        path = f"{node}/{name}"
        feed = ChannelOutlet(self._stamps, on_unread)
        source = self._start(pipeline, problem, prefix=f"{path}/", feed=feed, engine=engine)
        outlet = ChannelOutlet(self._stamps, source.close)
        results = outlet.connect()
        run.within.append(results)

        async def forward() -> None:
            async for trajectory in source:
                outlet.send(trajectory)
            outlet.finish()

        self._create_task(forward(), path)
        return NodeBranch(feed, results)

    async def _run_node(self, run: _NodeRun, context: NodeContext) -> None:
        trace = self._state.facts.trace
        trace.emit("start", context.node)
        try:
            await run.operator.run(context, run.inlets, _Recorder(self._state, run.outlet))
        except asyncio.CancelledError:
            if not run.was_only_unread():
                raise
            trace.emit("cancelled", context.node, **run.passed())
        except Exception as error:
            self._judge(context.node, error)
        else:
            trace.emit("end", context.node, **run.passed())
        finally:
            run.end()

    def _judge(self, node: str, raised: Exception) -> None:
        """Record the failure of one node; raise what ends the run."""
        try:
            error = survivable(raised)
        except (EngineError, StoreError):
            self._state.abandon()
            raise
        if not isinstance(error, EngineError):
            problem = self._state.job.problem
            logger.error("node %s failed on %s", node, problem.id, exc_info=raised)
        self._state.facts.failed(node, error)

    def expire(self) -> None:
        """End every running generation; the operators go on with what has finished."""
        for stream in self._state.expire():
            self._create_task(_close(stream.aclose()), "deadline")

    def _create_task(self, coroutine: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
        if self._group is None:
            raise RuntimeError("the run has not begun")
        return self._group.create_task(coroutine, name=f"{self._state.job.problem.id}:{name}")


@dataclass(frozen=True, slots=True)
class _Recorder:
    """An outlet that remembers what passed, for the result's ancestors."""

    state: RunState
    outlet: ChannelOutlet

    def send(self, trajectory: Trajectory) -> None:
        self.state.record(trajectory)
        self.outlet.send(trajectory)

    async def wanted(self) -> None:
        await self.outlet.wanted()


def _fed(node: Node, feed: ChannelOutlet | None) -> list[ChannelOutlet]:
    """Return what a node without a `from` reads."""
    return [] if feed is None or node.operator.spec.accepts is None else [feed]


def _end(inlets: Iterable[ChannelInlet], outlet: ChannelOutlet) -> None:
    outlet.finish()
    for inlet in inlets:
        inlet.close()


async def _close(closing: Coroutine[Any, Any, object]) -> None:
    await closing
