"""Partial trajectory to its continuations by one step."""

import asyncio
from collections.abc import Sequence
from contextlib import aclosing

from pydantic import Field

from tts.operators.base import OperatorModel, node
from tts.protocols import Context, Inlet, Outlet, Spec
from tts.search.steps import Stepwise, empty_trajectory, prompt_after
from tts.types import GenerationRequest, Trajectory


class Expand(OperatorModel, Stepwise):
    """Continues every partial trajectory `n` times by a step; finished ones pass through.

    The `n` children of one parent are one request, submitted when the parent arrives, so that its
    KV blocks are still there. A parent that fails, or is too long, fails alone.
    """

    n: int = Field(1, ge=1, description="continuations of each trajectory")
    start: bool = Field(False, description="draw the problem's first steps, reading nothing")

    @property
    def spec(self) -> Spec:
        """Reads anything and sends partial and finished trajectories."""
        return Spec(
            accepts=None if self.start else "any",
            emits="any",
            needs=frozenset({"token_ids"}),
            fan_out=self.n,
        )

    async def run(self, context: Context, inputs: Sequence[Inlet], outlet: Outlet) -> None:
        """Expand each trajectory as soon as it arrives."""
        if self.start:
            await self._expand(context, empty_trajectory(context), outlet)
            return
        async with asyncio.TaskGroup() as group:
            async for trajectory in context.merge(inputs):
                if trajectory.finish_reason is not None:
                    outlet.send(trajectory)
                else:
                    group.create_task(self._expand(context, trajectory, outlet))

    async def _expand(self, context: Context, parent: Trajectory, outlet: Outlet) -> None:
        seed = context.seed(parent.id)
        request = GenerationRequest(
            prompt_after(context, parent),
            self.step_sampling(context.sampling, parent),
            n=self.n,
            seed=seed,
        )
        async with aclosing(context.generate(request)) as stream:
            async for completion in stream:
                outlet.send(
                    self.continued(
                        context,
                        parent,
                        completion,
                        trajectory_id=f"{context.node}:{_path(parent)}{completion.index}",
                        index=parent.origin.index * self.n + completion.index,
                        seed=seed + completion.index,
                    )
                )


def _path(parent: Trajectory) -> str:
    return f"{parent.id}." if parent.steps else ""


expand = node(Expand)
