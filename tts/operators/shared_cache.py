"""Problem to `n` trajectories, each by a team whose members write at once over one cache.

Source: Rodionov et al. 2025, "Hogwild! Inference: Parallel LLM Generation via Concurrent
Attention", arXiv:2504.06261. The engine runs the team (`tts.types.Team`); here stands what it is
asked, and what becomes of it. `shared_work` is the form for engines that cannot.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

from pydantic import Field

from tts import graph_prompts, prompts
from tts.answers.exact import find_answer
from tts.operators._last_words import ask_for_answer
from tts.operators._plainly import without_thinking
from tts.operators.base import OperatorModel, node
from tts.protocols import Context, Inlet, Outlet, Reservation, Spec
from tts.search.steps import ANSWER_MARK
from tts.trajectories import draw, to_trajectory
from tts.types import Completion, GenerationRequest, GraphFigures, Prompt, Trajectory

_LAST_WORDS_ROOM = 64  # tokens of the words that ask for an answer, and some


class SharedCache(OperatorModel):
    """Draws `n` trajectories; the members of each see every token of all as it is written.

    All draw one token at a time, at once, from one cache that is seen in another order by each. A
    step ends with a paragraph that ends a sentence, or with one that has a boxed answer, which ends
    the work. Where nobody has boxed an answer when all have drawn `sampling.max_tokens`, it is
    asked for. Under a budget of operations or dollars the words that open later steps count, too.
    """

    n: int = Field(1, ge=1, description="trajectories that are drawn, each by a team")
    workers: int = Field(2, ge=1, le=len(graph_prompts.NAMES), description="members of a team")
    check_every: int = Field(
        256, ge=1, description="tokens of all members between checks for redundant work"
    )
    step_ends: Literal["sentence", "paragraph"] = Field(
        "sentence",
        description="a blank line ends a step after a sentence or an answer alone, or always",
    )
    answer_tokens: int = Field(16, ge=1, description="most tokens of an answer that is asked for")

    @property
    def spec(self) -> Spec:
        """A source of finished trajectories."""
        needs = frozenset({"own_prompts", "teams"})
        return Spec(accepts=None, emits="finished", needs=needs, fan_out=self.n)

    async def run(self, context: Context, inputs: Sequence[Inlet], outlet: Outlet) -> None:
        """Let all teams work at once; each keeps room for its answer."""
        names = graph_prompts.NAMES[: self.workers]
        prompt = without_thinking(
            graph_prompts.work_together(context.problem, names), context.engine
        )
        is_boxed = ANSWER_MARK in prompts.answered(context.problem, "")
        team = graph_prompts.team(
            names,
            check_every=self.check_every,
            step_ends=self.step_ends,
            answer_mark=ANSWER_MARK if is_boxed else "",
        )
        sampling = context.sampling
        with context.reserve(prompt, n=self.n, max_tokens=self.answer_tokens) as room:
            if not room.n:
                return
            request = GenerationRequest(
                prompt,
                replace(sampling, max_tokens=sampling.max_tokens * self.workers),
                n=room.n,
                seed=context.seed(),
                keep_free=self.answer_tokens + _LAST_WORDS_ROOM,
                team=team,
            )
            ending = _Ending(self, context, prompt, room, outlet, is_boxed)
            async with asyncio.TaskGroup() as group:

                def take(made: Completion) -> None:
                    group.create_task(ending.finish(made))

                await draw(context, request, take)


class _Ending:
    """Makes trajectories of what teams have written.

    Args:
        settings: The operator.
        context: Of the node.
        prompt: What was asked of the teams.
        room: Kept for the answers of all teams.
        outlet: Takes the trajectories.
        is_boxed: Whether an answer stands in a box.
    """

    def __init__(
        self,
        settings: SharedCache,
        context: Context,
        prompt: Prompt,
        room: Reservation,
        outlet: Outlet,
        is_boxed: bool,
    ) -> None:
        self._settings, self._context, self._prompt = settings, context, prompt
        self._room, self._outlet, self._is_boxed = room, outlet, is_boxed
        self._begin = asyncio.get_running_loop().time()

    async def finish(self, made: Completion) -> None:
        """Ask for the answer of a team that has none, and send its trajectory."""
        context = self._context
        self._room.give_back()
        trajectory = to_trajectory(context, made, seed=context.seed())
        workers = self._settings.workers
        sequential = -(-(made.usage.generated_tokens or 0) // workers)
        if self._is_boxed and trajectory.answer is None and made.finish_reason != "error":
            trajectory, spent = await self._answered(trajectory)
            sequential += spent
        seconds = asyncio.get_running_loop().time() - self._begin
        self._outlet.send(trajectory)
        context.worked_off(
            GraphFigures(
                trajectory=trajectory.id,
                tasks=workers,
                seconds=seconds,
                task_seconds=seconds * workers,
                critical_seconds=seconds,
                sequential_tokens=sequential,
            )
        )

    async def _answered(self, trajectory: Trajectory) -> tuple[Trajectory, int]:
        """Return a trajectory with the words that ask for an answer, and the answer's tokens."""
        context, index = self._context, trajectory.origin.index
        most = self._settings.answer_tokens
        answer = await ask_for_answer(
            context, self._prompt, trajectory.text, index=index, most=most
        )
        if answer is None:
            return trajectory, 0
        usage = trajectory.usage + answer.usage
        spent = answer.usage.generated_tokens or 0
        if answer.finish_reason == "error":
            return replace(trajectory, usage=usage, error=answer.error), spent
        text = trajectory.text + graph_prompts.LAST_WORDS + answer.text
        found = find_answer(text, context.problem)
        return replace(trajectory, text=text, usage=usage, answer=found), spent


shared_cache = node(SharedCache)
