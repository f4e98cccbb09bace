"""Problem to `n` trajectories, drawn in parallel from one shared prefill."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import replace
from functools import partial
from typing import Annotated, Literal

from pydantic import Field

from tts import prompts
from tts.operators.base import OperatorModel, node
from tts.protocols import Context, Inlet, Outlet, Spec
from tts.trajectories import to_trajectory
from tts.types import GenerationRequest, Problem, Prompt, Trajectory, Watch

Mode = Annotated[
    Literal["solve", "thinking", "no_thinking", "other_language", "program"],
    Field(
        description="what is asked for: plain steps, a long thought first or an empty one, another "
        "language, or a program that prints the answer"
    ),
]
PROMPTS: Mapping[Mode, Callable[[Problem], Prompt]] = {
    "solve": prompts.solve,
    "thinking": prompts.solve_thinking,
    "no_thinking": prompts.solve_without_thinking,
    "other_language": prompts.solve_in_another_language,
    "program": prompts.solve_by_program,
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
        needs = set[str]() if is_plain else {"own_prompts"}
        if self.mode in ("thinking", "no_thinking"):
            needs.add("thoughts")
        return Spec(accepts=None, emits="finished", needs=frozenset(needs), fan_out=self.n)

    async def run(self, context: Context, inputs: Sequence[Inlet], outlet: Outlet) -> None:
        """Send the trajectories in order of arrival."""
        size = self.batch or self.n
        for start in range(0, self.n, size):
            count = min(size, self.n - start)
            if start:
                await outlet.wanted()
            if await self._draw(context, outlet, start, count) < count:
                return

    async def _draw(self, context: Context, outlet: Outlet, start: int, count: int) -> int:
        """Draw samples `start` to `start + count`; returns how many the budget let through."""
        draw = partial(draw_samples, context, take=outlet.send, mode=self.mode)
        if not self.greedy_first or start > 0:
            return await draw(start=start, count=count)
        async with asyncio.TaskGroup() as group:
            first = group.create_task(draw(start=0, count=1, greedy=True))
            rest = group.create_task(draw(start=1, count=count - 1)) if count > 1 else None
        return first.result() + (rest.result() if rest else 0)


async def draw_samples(
    context: Context,
    *,
    start: int,
    count: int,
    take: Callable[[Trajectory], None],
    mode: Mode = "solve",
    greedy: bool = False,
) -> int:
    """Draw some of a node's samples; returns how many the budget let through.

    Args:
        context: The node's.
        start: Index of the first one; sample i has the same seed however many are drawn at a time.
        count: How many.
        take: Is handed each as soon as it ends.
        mode: How an attempt begins.
        greedy: Draw at temperature 0.
    """
    seed = context.seed() + start
    sampling = replace(context.sampling, temperature=0.0) if greedy else context.sampling
    prompt = PROMPTS[mode](context.problem)
    watch = context.watch and _numbered(context.watch, start)
    request = GenerationRequest(prompt, sampling, n=count, seed=seed, start=start, watch=watch)
    drawn = 0
    async with aclosing(context.generate(request)) as stream:
        async for completion in stream:
            index = start + completion.index
            take(to_trajectory(context, completion, seed=seed, index=index))
            drawn += 1
    return drawn


def _numbered(watch: Watch, start: int) -> Watch:
    """Return a watch that counts a node's samples, of which a request draws those from `start`."""
    return lambda index, text: watch(start + index, text)


sample = node(Sample)
