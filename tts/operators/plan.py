"""Notes about a problem, written before it is solved: a choice of method, a plan, a decomposition.

Source: Zhou et al. 2024, "Self-Discover", arXiv:2402.03620 (select, adapt, plan).
"""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Literal

from pydantic import Field

from tts import prompts
from tts.graph_prompts import EXAMPLE_PARTS
from tts.operators.base import OperatorModel, node
from tts.operators.fuse import to_notes
from tts.protocols import Context, Inlet, Outlet, Spec, State
from tts.trajectories import draw, to_trajectory
from tts.types import Completion, GenerationRequest, Trajectory

Ask = Literal["select", "adapt", "plan", "structure", "decompose"]
_TASKS: Mapping[Ask, str] = {
    "select": prompts.SELECT_MODULES,
    "adapt": prompts.ADAPT_MODULES,
    "plan": prompts.WRITE_PLAN,
    "structure": prompts.WRITE_STRUCTURE,
    "decompose": prompts.DECOMPOSE,
}
_SOURCES = ("select", "decompose")
_MODULES = "\n".join(("Ways of reasoning:", *(f"- {module}" for module in prompts.MODULES)))


class Plan(OperatorModel):
    """Writes notes: partial trajectories, which hold no answer and are no attempt.

    `select` and `decompose` start from the problem; the others build on the notes that they read.
    """

    ask: Ask = Field(
        description="what to write: a choice of methods, methods adapted to the problem, a "
        "plan as text or as JSON keys, or a list of sub-problems"
    )
    n: int = Field(1, ge=1, description="notes written from the problem, or from each that is read")

    @property
    def spec(self) -> Spec:
        """A source, or partial in and partial out."""
        is_source = self.ask in _SOURCES
        needs = frozenset({"own_prompts"})
        accepts: State | None = None if is_source else "partial"
        return Spec(accepts=accepts, emits="partial", needs=needs, fan_out=self.n)

    async def run(self, context: Context, inputs: Sequence[Inlet], outlet: Outlet) -> None:
        """Write from each of the notes as soon as it arrives."""
        if self.ask in _SOURCES:
            await self._write(context, _MODULES if self.ask == "select" else "", (), outlet)
            return
        async with asyncio.TaskGroup() as group:
            async for notes in context.merge(inputs):
                group.create_task(self._write(context, notes.text, (notes,), outlet))

    async def _write(
        self, context: Context, notes: str, parents: tuple[Trajectory, ...], outlet: Outlet
    ) -> None:
        seed = context.seed(parents[0].id if parents else "")
        first = parents[0].origin.index * self.n if parents else 0
        example = EXAMPLE_PARTS if self.ask == "decompose" else None
        prompt = prompts.plan(context.problem, _TASKS[self.ask], notes, example)
        request = GenerationRequest(prompt, context.sampling, n=self.n, seed=seed)

        def take(completion: Completion) -> None:
            place = first + completion.index
            made = to_trajectory(context, completion, seed=seed, parents=parents, index=place)
            outlet.send(to_notes(made))

        await draw(context, request, take)


plan = node(Plan)
