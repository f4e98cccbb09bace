"""Several trajectories to new ones that are written with all of them in view.

Sources: Wen et al. 2025, "ParaThinker", arXiv:2509.04475 (a summary of parallel paths); Madaan et
al. 2025, "Rethinking Thinking Tokens", arXiv:2510.01123 (a bounded workspace distilled of drafts).
"""

import asyncio
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Literal, Self

from pydantic import Field, model_validator

from tts import prompts
from tts.operators.base import OperatorModel, node
from tts.operators.select import rank_by_score
from tts.protocols import Context, Inlet, Outlet, Spec
from tts.trajectories import draw, to_trajectory
from tts.types import Completion, GenerationRequest, Problem, Prompt, Trajectory

Into = Literal["solution", "choice", "notes"]
Pick = Literal["index", "random", "best"]
_PROMPTS: Mapping[Into, Callable[[Problem, Sequence[str]], Prompt]] = {
    "solution": prompts.fuse,
    "choice": prompts.choose,
    "notes": prompts.summarise,
}


class Fuse(OperatorModel):
    """Writes `n` trajectories from those that arrive, once they all have, or `quorum` of them.

    Attempts with an answer go before those without; their thoughts are shown only if `shown` says
    so. `max_shown_tokens` bounds what is shown: each attempt gets an equal share and keeps its end,
    where the conclusion is, cut at the attempt's own number of characters per token. A single
    attempt is revised.
    """

    into: Into = Field(
        "solution", description="what is written: a solution, a choice among the attempts, or notes"
    )
    n: int = Field(1, ge=1, description="trajectories that are written")
    show: int | None = Field(None, ge=1, description="attempts that are shown to each; all if none")
    pick: Pick = Field(
        "index", description="which attempts are shown: the first ones, random ones, or the best"
    )
    by: str | None = Field(None, description="name of the score that makes an attempt the best")
    shown: Literal["solution", "whole"] = Field(
        "solution", description="what is shown of an attempt: what follows its thought, or all"
    )
    max_shown_tokens: int | None = Field(
        None, ge=1, description="most tokens of all attempts that are shown; no limit if none"
    )
    max_tokens: int | None = Field(
        None, ge=1, description="most tokens of each trajectory, in place of sampling's"
    )
    quorum: int | None = Field(
        None, ge=1, description="go on with so many attempts and cancel the rest; all if none"
    )

    @model_validator(mode="after")
    def _check(self) -> Self:
        if (self.pick == "best") != (self.by is not None):
            raise ValueError("pick: best needs `by`, and only it does")
        return self

    @property
    def spec(self) -> Spec:
        """Reads finished trajectories; notes are partial, since they are no attempt."""
        return Spec(
            accepts="finished",
            emits="partial" if self.into == "notes" else "finished",
            needs=frozenset({"own_prompts"}),
            scores=(self.by,) if self.by else (),
            max_outputs=self.n,
        )

    async def run(self, context: Context, inputs: Sequence[Inlet], outlet: Outlet) -> None:
        """Gather, then write all at once."""
        arrived: list[Trajectory] = []
        async for trajectory in context.merge(inputs):
            arrived.append(trajectory)
            if len(arrived) == self.quorum:
                for inlet in inputs:
                    inlet.close()
                context.stopped(f"quorum {self.quorum}")
                break
        attempts = self._ranked(arrived)
        if not attempts:
            context.warn("there is no attempt to fuse")
            return
        async with asyncio.TaskGroup() as group:
            for shown, first, n in self._groups(context, attempts):
                group.create_task(self._write(context, shown, first, n, outlet))

    def _ranked(self, arrived: Sequence[Trajectory]) -> list[Trajectory]:
        if self.by is not None:
            return rank_by_score(arrived, self.by)
        whole = [t for t in arrived if t.finish_reason != "error" and t.text.strip()]
        return sorted(whole, key=lambda t: (t.answer is None, t.origin.index, t.id))

    def _groups(
        self, context: Context, attempts: list[Trajectory]
    ) -> list[tuple[list[Trajectory], int, int]]:
        """Return, per request: attempts shown, index of the first trajectory, how many."""
        size = min(self.show or len(attempts), len(attempts))
        if self.pick != "random" or size == len(attempts):
            return [(attempts[:size], 0, self.n)]
        draws = [random.Random(context.seed(f"pick/{i}")) for i in range(self.n)]
        return [
            ([attempts[place] for place in sorted(draw.sample(range(len(attempts)), size))], i, 1)
            for i, draw in enumerate(draws)
        ]

    async def _write(
        self, context: Context, shown: list[Trajectory], first: int, n: int, outlet: Outlet
    ) -> None:
        texts = [self._clip(t, len(shown)) for t in shown]
        is_one = len(texts) == 1 and self.into != "notes"
        prompt = (
            prompts.revise(context.problem, texts[0])
            if is_one
            else _PROMPTS[self.into](context.problem, texts)
        )
        sampling = context.sampling
        if self.max_tokens is not None:
            sampling = replace(sampling, max_tokens=self.max_tokens)
        seed = context.seed() + first
        request = GenerationRequest(prompt, sampling, n=n, seed=seed)

        def take(completion: Completion) -> None:
            place = first + completion.index
            made = to_trajectory(context, completion, seed=seed, parents=tuple(shown), index=place)
            outlet.send(to_notes(made) if self.into == "notes" else made)

        await draw(context, request, take)

    def _clip(self, trajectory: Trajectory, num_shown: int) -> str:
        is_whole = self.shown == "whole"
        text = trajectory.text if is_whole else prompts.without_thought(trajectory.text)
        tokens = trajectory.usage.generated_tokens or len(trajectory.token_ids)
        if self.max_shown_tokens is None or not tokens:
            return text
        share = self.max_shown_tokens // num_shown
        kept = int(len(trajectory.text) * share / tokens)
        return text[max(0, len(text) - kept) :]


def to_notes(trajectory: Trajectory) -> Trajectory:
    """Make a trajectory partial and without an answer: notes for another one."""
    return replace(
        trajectory,
        text=prompts.without_thought(trajectory.text),
        finish_reason=None if trajectory.finish_reason != "error" else "error",
        answer=None,
    )


fuse = node(Fuse)
