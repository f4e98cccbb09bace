"""Several trajectories to new ones that are written with all of them in view.

Sources: Wen et al. 2025, "ParaThinker", arXiv:2509.04475 (a summary of parallel paths); Madaan et
al. 2025, "Rethinking Thinking Tokens", arXiv:2510.01123 (a bounded workspace distilled of drafts).
"""

import asyncio
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Literal, Self

from pydantic import Field, model_validator

from tts import prompts
from tts.operators._workspace import fit
from tts.operators.base import OperatorModel, node
from tts.operators.select import rank_by_score
from tts.protocols import Context, Inlet, Outlet, Spec
from tts.trajectories import draw, to_trajectory
from tts.types import Completion, GenerationRequest, Problem, Prompt, Trajectory, Usage

Into = Literal["solution", "choice", "notes"]
Pick = Literal["index", "random", "best", "graded", "graded_each"]
_PROMPTS: Mapping[Into, Callable[[Problem, Sequence[str]], Prompt]] = {
    "solution": prompts.fuse,
    "choice": prompts.choose,
    "notes": prompts.summarise,
}


class Fuse(OperatorModel):
    """Writes `n` trajectories from those that arrive, once they all have, or `quorum` of them.

    Attempts with an answer go before those without; their thoughts are shown only if `shown` says
    so. What is shown fits into `max_shown_tokens` and the model's context: short attempts are shown
    whole, and longer ones, which share the rest, keep their ends, where the conclusions are. A
    single attempt is revised. With `critic` what was said of an attempt stands below it.

    With `pick: graded` the model is asked first to grade all attempts and name the best `show`;
    with `graded_each` so often as there are trajectories to write, each of which is shown the pick
    of its own grading and carries its cost. Grades that cannot be read are a warning, and the first
    attempts are shown.
    """

    into: Into = Field(
        "solution", description="what is written: a solution, a choice among the attempts, or notes"
    )
    n: int = Field(1, ge=1, description="trajectories that are written")
    show: int | None = Field(None, ge=1, description="attempts that are shown to each; all if none")
    pick: Pick = Field(
        "index",
        description="which attempts are shown: the first, random ones (of each its own), the best "
        "by a score, or those that the model grades best, once or for each trajectory anew",
    )
    by: str | None = Field(None, description="name of the score that makes an attempt the best")
    shown: Literal["solution", "whole"] = Field(
        "solution", description="what is shown of an attempt: what follows its thought, or all"
    )
    engine: str = Field("", description="engine that writes; the one asked so far if empty")
    critic: str | None = Field(
        None, description="score whose words are shown below each attempt; none are if none"
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
        if self.pick.startswith("graded") and self.show is None:
            raise ValueError(f"pick: {self.pick} needs `show`, how many of the best are shown")
        return self

    @property
    def spec(self) -> Spec:
        """Reads finished trajectories; notes are partial, since they are no attempt."""
        return Spec(
            accepts="finished",
            emits="partial" if self.into == "notes" else "finished",
            needs=frozenset({"own_prompts"}),
            scores=tuple(dict.fromkeys(filter(None, (self.by, self.critic)))),
            engines=(self.engine,) if self.engine else (),
            max_outputs=self.n,
        )

    async def run(self, context: Context, inputs: Sequence[Inlet], outlet: Outlet) -> None:
        """Gather, then write all at once."""
        arrived: list[Trajectory] = []
        context = context.asking(self.engine)
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
        size = min(self.show or len(attempts), len(attempts))
        async with asyncio.TaskGroup() as group:

            def write(
                places: Sequence[int], first: int, n: int, grading: Usage | None = None
            ) -> None:
                shown = [attempts[place] for place in places]
                cost = grading or Usage()
                group.create_task(self._write(context, shown, first, n, outlet, cost))

            if size == len(attempts) or self.pick in ("index", "best"):
                write(range(size), 0, self.n)
            elif self.pick == "random":
                for index in range(self.n):
                    draws = random.Random(context.seed(f"pick/{index}"))
                    write(sorted(draws.sample(range(len(attempts)), size)), index, 1)
            elif self.pick == "graded":
                await self._grade(context, attempts, size, 1, partial(write, n=self.n))
            else:
                await self._grade(context, attempts, size, self.n, partial(write, n=1))

    def _ranked(self, arrived: Sequence[Trajectory]) -> list[Trajectory]:
        if self.by is not None:
            return rank_by_score(arrived, self.by)
        whole = [t for t in arrived if t.finish_reason != "error" and t.text.strip()]
        return sorted(whole, key=lambda t: (t.answer is None, t.origin.index, t.id))

    async def _grade(
        self,
        context: Context,
        attempts: Sequence[Trajectory],
        size: int,
        times: int,
        write: Callable[..., None],
    ) -> None:
        """Have all attempts graded, and write by the best of each grading as soon as it is there.

        Args:
            context: The node's.
            attempts: All of them.
            size: How many of the best are shown.
            times: Gradings.
            write: Takes the places of the best, best first, the grading's index and its cost.
        """
        ask = partial(prompts.grade, context.problem, count=size)
        prompt = ask(await self._texts(context, attempts, ask))
        request = GenerationRequest(prompt, context.sampling, n=times, seed=context.seed("grade"))

        missing = set(range(times))

        def take(completion: Completion) -> None:
            missing.discard(completion.index)
            said = prompts.parse_ranking(prompts.without_thought(completion.text))
            best = [number - 1 for number in said if 1 <= number <= len(attempts)][:size]
            context.emit("grade", index=completion.index, best=[place + 1 for place in best])
            if not best:
                context.warn("grades of attempts could not be read; the first ones are shown")
            write(best or range(size), completion.index, grading=completion.usage)

        await draw(context, request, take)
        for index in sorted(missing):  # the budget or the context had no room for them
            write(range(size), index)

    async def _write(
        self,
        context: Context,
        shown: list[Trajectory],
        first: int,
        n: int,
        outlet: Outlet,
        grading: Usage,
    ) -> None:
        ask = partial(_PROMPTS[self.into], context.problem)
        texts = await self._texts(context, shown, ask)
        is_one = len(texts) == 1 and self.into != "notes"
        prompt = prompts.revise(context.problem, texts[0]) if is_one else ask(texts)
        sampling = context.sampling
        if self.max_tokens is not None:
            sampling = replace(sampling, max_tokens=self.max_tokens)
        seed = context.seed() + first
        watch = context.watch if self.n == 1 else None
        request = GenerationRequest(prompt, sampling, n=n, seed=seed, watch=watch)

        def take(completion: Completion) -> None:
            place = first + completion.index
            made = to_trajectory(context, completion, seed=seed, parents=tuple(shown), index=place)
            if completion.index == 0:
                made = replace(made, usage=made.usage + grading)
            outlet.send(to_notes(made) if self.into == "notes" else made)

        await draw(context, request, take)

    async def _texts(
        self,
        context: Context,
        shown: Sequence[Trajectory],
        ask: Callable[[Sequence[str]], Prompt],
    ) -> list[str]:
        """Return what is shown of attempts, in a prompt that is `ask` of them."""
        is_whole = self.shown == "whole"
        texts = [t.text if is_whole else prompts.without_thought(t.text) for t in shown]
        limit, most = self.max_shown_tokens, self.max_tokens or context.sampling.max_tokens
        said = [t.report(self.critic) for t in shown]
        around = ask(list(filter(None, said)))
        cut = await fit(context, shown, texts, around=around, limit=limit, max_tokens=most)
        return [prompts.criticised(*pair) for pair in zip(cut, said, strict=True)]


def to_notes(trajectory: Trajectory) -> Trajectory:
    """Make a trajectory partial and without an answer: notes for another one."""
    return replace(
        trajectory,
        text=prompts.without_thought(trajectory.text),
        finish_reason=None if trajectory.finish_reason != "error" else "error",
        answer=None,
    )


fuse = node(Fuse)
