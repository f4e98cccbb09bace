"""Notes to `n` trajectories that follow them."""

import asyncio
from collections.abc import Sequence

from pydantic import Field

from tts import prompts
from tts.operators.base import OperatorModel, node
from tts.protocols import Context, Inlet, Outlet, Spec
from tts.trajectories import draw, to_trajectory
from tts.types import Completion, GenerationRequest, Trajectory


class Follow(OperatorModel):
    """Draws `n` trajectories for each of the notes (a plan, a workspace) as soon as it arrives."""

    n: int = Field(1, ge=1, description="trajectories drawn for each of the notes")

    @property
    def spec(self) -> Spec:
        """Partial in, finished out."""
        needs = frozenset({"own_prompts"})
        return Spec(accepts="partial", emits="finished", needs=needs, fan_out=self.n)

    async def run(self, context: Context, inputs: Sequence[Inlet], outlet: Outlet) -> None:
        """Draw concurrently, in order of arrival."""
        async with asyncio.TaskGroup() as group:
            async for notes in context.merge(inputs):
                group.create_task(self._draw(context, notes, outlet))

    async def _draw(self, context: Context, notes: Trajectory, outlet: Outlet) -> None:
        seed = context.seed(notes.id)
        prompt = prompts.follow(context.problem, notes.text)
        watch = context.watch if self.n == 1 and context.max_inputs == 1 else None
        request = GenerationRequest(prompt, context.sampling, n=self.n, seed=seed, watch=watch)

        def take(completion: Completion) -> None:
            place = notes.origin.index * self.n + completion.index
            outlet.send(
                to_trajectory(context, completion, seed=seed, parents=(notes,), index=place)
            )

        await draw(context, request, take)


follow = node(Follow)
