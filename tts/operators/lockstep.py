"""Problem to `n` trajectories that are drawn in step, and end when the first of them do.

Source: Wen et al. 2025, "ParaThinker: Native Parallel Thinking", arXiv:2509.04475. There all paths
are decoded token by token in one batch, so that the first to finish are the shortest, and the rest
are cut at their length.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

from pydantic import Field

from tts.answers.exact import find_answer
from tts.operators.base import OperatorModel, node
from tts.operators.sample import PROMPTS, Mode
from tts.protocols import Context, Inlet, Outlet, Spec
from tts.search.steps import Stepwise, empty_trajectory
from tts.trajectories import ask, draw
from tts.types import Completion, GenerationRequest, Prompt, Sampling, Trajectory
from tts.types.thought import THOUGHT_END


class Lockstep(OperatorModel):
    """Draws `n` trajectories `slice_tokens` at a time, each slice once all have had the last one.

    As soon as `finishers` of them have ended, the others are cut and sent too, as if they had
    reached their limit: at most a slice longer than the last finisher. So what is cut depends on
    the texts alone, and not on time. Slices are continued by token ids, so that the engine finds
    the KV blocks of what came before.
    """

    n: int = Field(4, ge=1, description="trajectories that are drawn")
    finishers: int = Field(1, ge=1, description="trajectories that end before the rest are cut")
    ends: Literal["solution", "thought"] = Field(
        "solution", description="where a trajectory has ended: with its solution, or its thought"
    )
    slice_tokens: int = Field(256, ge=1, description="tokens between two looks at who has ended")
    mode: Mode = "solve"

    @property
    def spec(self) -> Spec:
        """A source of finished trajectories."""
        needs = {"own_prompts", "token_ids"}
        if self.mode in ("thinking", "no_thinking"):
            needs.add("thoughts")
        return Spec(accepts=None, emits="finished", needs=frozenset(needs), fan_out=self.n)

    async def run(self, context: Context, inputs: Sequence[Inlet], outlet: Outlet) -> None:
        """Draw slice after slice; send all when enough have ended, in order of their index."""
        paths = await self._begin(context)
        while True:
            going = [path for path in paths.values() if path.finish_reason is None]
            failed = [path for path in paths.values() if path.finish_reason == "error"]
            if not going or len(paths) - len(going) - len(failed) >= self.finishers:
                break
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(self._go_on(context, path)) for path in going]
            paths.update((path.origin.index, path) for path in (task.result() for task in tasks))
        if going:
            context.stopped(f"finishers {self.finishers}", cut=len(going))
        for _, path in sorted(paths.items()):
            outlet.send(_whole(context, path))

    async def _begin(self, context: Context) -> dict[int, Trajectory]:
        """Draw the first slice of all from one shared prefill; the budget may leave fewer."""
        seed = context.seed()
        prompt, start = PROMPTS[self.mode](context.problem), empty_trajectory(context)
        request = GenerationRequest(prompt, self._sampling(context, start), n=self.n, seed=seed)
        paths: dict[int, Trajectory] = {}
        await draw(
            context,
            request,
            lambda drawn: paths.update(
                {drawn.index: self._longer(context, start, drawn, drawn.index, seed + drawn.index)}
            ),
        )
        return paths

    async def _go_on(self, context: Context, path: Trajectory) -> Trajectory:
        """Draw the next slice of a trajectory; without a budget for it, it ends here."""
        prompt = Prompt(token_ids=path.prompt_token_ids + path.token_ids)
        seed = context.seed(f"{path.origin.index}/{len(path.steps)}")
        drawn = await ask(context, prompt, seed=seed, sampling=self._sampling(context, path))
        if drawn is None:
            return replace(path, finish_reason="length")
        return self._longer(context, path, drawn, path.origin.index, path.origin.seed)

    @property
    def _slices(self) -> Stepwise:
        return Stepwise(separator=None, step_tokens=self.slice_tokens)

    def _sampling(self, context: Context, path: Trajectory) -> Sampling:
        stop = (THOUGHT_END,) if self.ends == "thought" else ()
        sampling = replace(context.sampling, stop=(*context.sampling.stop, *stop))
        return self._slices.step_sampling(sampling, path)

    def _longer(
        self, context: Context, path: Trajectory, drawn: Completion, index: int, seed: int
    ) -> Trajectory:
        name = f"{context.node}:{index}"
        longer = self._slices.continued(
            context, path, drawn, trajectory_id=name, index=index, seed=seed
        )
        thought, mark, _ = longer.text.partition(THOUGHT_END)
        if mark and self.ends == "thought":  # whose mark began in the slice before
            longer = replace(longer, text=thought, finish_reason="stop")
        return replace(longer, parents=(), usage=path.usage + drawn.usage)


def _whole(context: Context, path: Trajectory) -> Trajectory:
    """Return a trajectory without its slices, as ended."""
    if path.finish_reason is not None:
        return replace(path, steps=())
    answer = find_answer(path.text, context.problem)
    return replace(path, steps=(), finish_reason="length", answer=answer)


lockstep = node(Lockstep)
