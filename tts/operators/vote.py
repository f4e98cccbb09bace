"""Choose an answer by counting classes of equal answers, weighted or not.

Source: Wang et al. 2022, "Self-Consistency Improves Chain of Thought Reasoning", arXiv:2203.11171.
A missing answer never votes. Ties go to the class whose first voter has the smallest index.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, Self

from pydantic import Field, model_validator

from tts.operators.base import OperatorModel
from tts.pipeline import Pipeline
from tts.protocols import AnswerGroups, Context, Inlet, Outlet, Spec
from tts.stopping import is_settled, leader_probability
from tts.types import Origin, Support, Trajectory, Usage

Stop = Literal["never", "settled"]
Order = Literal["arrival", "index"]


class Vote(OperatorModel):
    """Sends one trajectory: the first of the winning class, with all voters as its parents.

    It closes its input, and so cancels the sampling behind it, as soon as the stopping rule holds.
    """

    weights: str | None = Field(None, description="score to weigh votes by; none counts them")
    stop: Stop = Field("never", description="settled: stop when the rest cannot change the winner")
    stop_at: float | None = Field(
        None, gt=0.5, lt=1.0, description="stop at this posterior probability of the leader"
    )
    order: Order = Field("arrival", description="index: read samples in order, reproducibly")

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.stop_at is not None and self.weights is not None:
            raise ValueError("stop_at counts votes; with weights use stop: settled")
        return self

    @property
    def spec(self) -> Spec:
        """Reads finished trajectories, sends one."""
        weights = (self.weights,) if self.weights else ()
        return Spec(
            accepts="finished",
            emits="finished",
            scores=weights,
            weights=weights,
            max_outputs=1,
            bounded=self.stop == "settled",
        )

    async def run(self, context: Context, inputs: Sequence[Inlet], outlet: Outlet) -> None:
        """Count until the inputs end or the stopping rule holds."""
        tally = Tally(context.answers())
        read = 0
        async for trajectory in context.merge(inputs, order=self.order):
            read += 1
            await tally.add(trajectory, self._weight(trajectory))
            if self._is_decided(context, tally, read):
                for inlet in inputs:
                    inlet.close()
                context.emit("stopped", read=read, leader=tally.leader_text())
                break
        winner = tally.winner(context.node)
        context.emit("vote", read=read, voters=len(tally.voters), votes=tally.summary())
        if winner is not None:
            outlet.send(winner)

    def _weight(self, trajectory: Trajectory) -> float | None:
        if self.weights is None:
            return 1.0
        score = trajectory.scores[self.weights]
        return score.value if score.probability is None else score.probability

    def _is_decided(self, context: Context, tally: "Tally", read: int) -> bool:
        if self.stop_at is not None and leader_probability(tally.counts()) >= self.stop_at:
            return True
        if self.stop != "settled" or context.max_inputs is None:
            return False
        return is_settled(tally.weights(), context.max_inputs - read)


@dataclass(slots=True)
class Tally:
    """Votes by class of equal answers, in the order in which classes were first seen."""

    groups: AnswerGroups
    voters: list[tuple[int, float, Trajectory]] = field(default_factory=list)

    async def add(self, trajectory: Trajectory, weight: float | None) -> None:
        """Count a trajectory, unless it has no answer or no weight."""
        if weight is None:
            return
        index = await self.groups.add(trajectory.answer)
        if index is not None:
            self.voters.append((index, weight, trajectory))

    def counts(self) -> list[int]:
        """Return the number of votes of each class."""
        counts = [0] * self._num_classes()
        for index, _, _ in self.voters:
            counts[index] += 1
        return counts

    def weights(self) -> list[float]:
        """Return the weight of each class."""
        weights = [0.0] * self._num_classes()
        for index, weight, _ in self.voters:
            weights[index] += weight
        return weights

    def summary(self) -> dict[str, float]:
        """Return the weight of each class by its text."""
        return {self.groups.text(i): weight for i, weight in enumerate(self.weights())}

    def leader_text(self) -> str:
        """Return the answer that leads."""
        return self.groups.text(self._leader())

    def winner(self, node: str) -> Trajectory | None:
        """Return the outcome as a trajectory; None when nobody voted."""
        if not self.voters:
            return None
        leader = self._leader()
        ranked = sorted(self.voters, key=lambda v: (v[0] != leader, v[2].origin.index, v[2].id))
        first = ranked[0][2]
        counts, weights = self.counts(), self.weights()
        total = sum(weights)
        is_counted = weights[leader] == counts[leader]
        support = Support(
            votes=counts[leader],
            voters=len(self.voters),
            weight=weights[leader],
            probability=leader_probability(counts) if is_counted else weights[leader] / total,
        )
        return replace(
            first,
            id=f"{node}:0",
            origin=Origin(node, 0, first.origin.seed),
            parents=tuple(t.id for _, _, t in ranked),
            usage=Usage(),
            support=support,
        )

    def _num_classes(self) -> int:
        return 1 + max((index for index, _, _ in self.voters), default=-1)

    def _leader(self) -> int:
        first_voter: dict[int, tuple[int, str]] = {}
        for index, _, trajectory in self.voters:
            place = (trajectory.origin.index, trajectory.id)
            first_voter[index] = min(place, first_voter.get(index, place))
        weights = self.weights()
        return min(first_voter, key=lambda index: (-weights[index], first_voter[index]))


def vote(
    *,
    weights: str | None = None,
    stop: Stop = "never",
    stop_at: float | None = None,
    order: Order = "arrival",
) -> Pipeline:
    """Choose the answer with the most votes, or the most weight."""
    return Pipeline.of(Vote(weights=weights, stop=stop, stop_at=stop_at, order=order))
