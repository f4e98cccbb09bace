"""Problem to `n` trajectories, drawn in parallel from one shared prefill."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import replace
from typing import Annotated, Literal

from pydantic import Field

from tts import prompts
from tts.operators.base import OperatorModel, node
from tts.protocols import Context, Inlet, Outlet, Spec
from tts.trajectories import to_trajectory
from tts.types import GenerationRequest, Problem, Prompt

Mode = Annotated[
    Literal["solve", "thinking", "no_thinking", "other_language"],
    Field(description="how an attempt begins: plain steps, a long thought first, or an empty one"),
]
_PROMPTS: Mapping[Mode, Callable[[Problem], Prompt]] = {
    "solve": prompts.solve,
    "thinking": prompts.solve_thinking,
    "no_thinking": prompts.solve_without_thinking,
    "other_language": prompts.solve_in_another_language,
}


class Sample(OperatorModel):
    """Draws `n` trajectories and sends each as soon as it ends.

    With `batch`, a part is drawn at a time, and the next only once its direct reader has dealt
    with all of the last one and wants more: a vote that stops early has then paid for nothing that
    it did not read. Sample i has the same seed in any case.
    """

    n: int = Field(1, ge=1, description="trajectories that are drawn")
    mode: Mode = "solve"
    batch: int | None = Field(
        None,
        ge=1,
        description="trajectories drawn in parallel before the next; all of them if none",
    )
    greedy_first: bool = Field(False, description="draw the first at temperature 0")

    @property
    def spec(self) -> Spec:
        """A source of finished trajectories."""
        is_plain = self.mode == "solve" and not self.greedy_first
        needs = frozenset[str]() if is_plain else frozenset({"own_prompts"})
        return Spec(accepts=None, emits="finished", needs=needs, fan_out=self.n)

    async def run(self, context: Context, inputs: Sequence[Inlet], outlet: Outlet) -> None:
        """Send the trajectories in order of arrival."""
        size = self.batch or self.n
        for start in range(0, self.n, size):
            count = min(size, self.n - start)
            if start:
                await outlet.wanted()
            if await self.draw(context, outlet, start, count) < count:
                return

    async def draw(self, context: Context, outlet: Outlet, start: int, count: int) -> int:
        """Draw samples `start` to `start + count`; returns how many the budget let through."""
        if not self.greedy_first or start > 0:
            return await self._draw(context, outlet, start, count, greedy=False)
        if count == 1:
            return await self._draw(context, outlet, 0, 1, greedy=True)
        async with asyncio.TaskGroup() as group:
            first = group.create_task(self._draw(context, outlet, 0, 1, greedy=True))
            rest = group.create_task(self._draw(context, outlet, 1, count - 1, greedy=False))
        return first.result() + rest.result()

    async def _draw(
        self, context: Context, outlet: Outlet, start: int, count: int, *, greedy: bool
    ) -> int:
        base = context.seed()
        sampling = context.sampling
        if greedy:
            sampling = replace(sampling, temperature=0.0)
        prompt = _PROMPTS[self.mode](context.problem)
        request = GenerationRequest(prompt, sampling, n=count, seed=base + start, start=start)
        drawn = 0
        async with aclosing(context.generate(request)) as stream:
            async for completion in stream:
                index = start + completion.index
                outlet.send(to_trajectory(context, completion, seed=base + start, index=index))
                drawn += 1
        return drawn


sample = node(Sample)
