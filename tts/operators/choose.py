"""Let the model choose among several trajectories.

Source: Toshniwal et al. 2025, "GenSelect: A Generative Approach to Best-of-N", arXiv:2507.17797.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace

from pydantic import Field

from tts import prompts
from tts.operators.base import OperatorModel, node
from tts.protocols import AnswerGroups, Context, Inlet, Outlet, Spec
from tts.trajectories import draw, to_trajectory
from tts.types import Completion, GenerationRequest, Origin, Support, Trajectory, sum_usage


class Choose(OperatorModel):
    """Sends one winner for each window of trajectories, in index order, as windows fill.

    The model sees the attempts of a window, numbered, and answers; the winner is the first attempt
    with that answer. `votes` asks several times and counts. An answer that no attempt gave counts
    for none of them, or, with `merge`, wins as a trajectory of its own. A window whose attempts
    agree is not asked about, and its first attempt wins, as it does where no choice can be matched
    and no answer leads. Trajectories without an answer do not compete.
    """

    window: int = Field(8, ge=2, le=64, description="most attempts that are shown at once")
    votes: int = Field(1, ge=1, description="choices that are asked for in each window")
    merge: bool = Field(False, description="whether an answer that no attempt gave may win")

    @property
    def spec(self) -> Spec:
        """Reads and sends finished trajectories."""
        return Spec(accepts="finished", emits="finished", needs=frozenset({"own_prompts"}))

    async def run(self, context: Context, inputs: Sequence[Inlet], outlet: Outlet) -> None:
        """Ask about each window as soon as it is full."""
        async with asyncio.TaskGroup() as group:
            filling: list[Trajectory] = []
            number = 0
            async for trajectory in context.merge(inputs, order="index"):
                if trajectory.answer is not None:
                    filling.append(trajectory)
                if len(filling) == self.window:
                    group.create_task(self._play(context, filling, number, outlet))
                    filling, number = [], number + 1
            if filling:
                group.create_task(self._play(context, filling, number, outlet))

    async def _play(
        self, context: Context, attempts: list[Trajectory], number: int, outlet: Outlet
    ) -> None:
        window = await _sort(context.answers(), attempts)
        if not window.attempts:
            return
        votes = self.votes if window.num_classes > 1 else 0
        seed = context.seed(f"window/{number}")
        made: list[Completion] = []
        if votes:
            texts = [prompts.without_thought(t.text) for t in window.attempts]
            prompt = prompts.choose(context.problem, texts)
            request = GenerationRequest(prompt, context.sampling, n=votes, seed=seed)
            await draw(context, request, made.append)
        choices = [
            to_trajectory(context, each, seed=seed, parents=tuple(attempts))
            for each in sorted(made, key=lambda each: each.index)
        ]
        winner, support = await window.decide(choices, merge=self.merge)
        context.emit("choose", window=number, answer=winner.answer, votes=support.votes)
        outlet.send(
            replace(
                winner,
                id=f"{context.node}:{number}",
                origin=Origin(context.node, number, seed),
                parents=tuple(t.id for t in sorted(attempts, key=lambda t: t is not winner)),
                usage=sum_usage(choice.usage for choice in choices),
                support=support,
            )
        )


@dataclass(slots=True)
class _Window:
    """Attempts by class of equal answers."""

    groups: AnswerGroups
    attempts: list[Trajectory]
    classes: list[int]

    @property
    def num_classes(self) -> int:
        return len(set(self.classes))

    async def decide(self, choices: list[Trajectory], *, merge: bool) -> tuple[Trajectory, Support]:
        """Return the winner and how many choices named it."""
        known = self.classes
        firsts = dict(zip(reversed(known), reversed(self.attempts), strict=True))
        votes = dict.fromkeys(known, 0)
        for choice in choices:
            named = await self.groups.add(choice.answer)
            if named is not None and (merge or named in votes):
                firsts.setdefault(named, choice)
                votes[named] = votes.get(named, 0) + 1
        # The most votes; among equals the answer of most attempts, then the earliest.
        winner = min(votes, key=lambda c: (-votes[c], -known.count(c), list(votes).index(c)))
        counted = sum(votes.values())
        share = votes[winner] / counted if counted else known.count(winner) / len(known)
        return firsts[winner], Support(votes[winner], counted, float(votes[winner]), share)


async def _sort(groups: AnswerGroups, attempts: Sequence[Trajectory]) -> _Window:
    sorted_in = [(t, await groups.add(t.answer)) for t in attempts]
    pairs = [(t, index) for t, index in sorted_in if index is not None]
    return _Window(groups, [t for t, _ in pairs], [index for _, index in pairs])


choose = node(Choose)
