"""Choose an answer by counting classes of equal answers, weighted or not.

Source: Wang et al. 2022, "Self-Consistency Improves Chain of Thought Reasoning", arXiv:2203.11171.
A missing answer never votes, nor does a trajectory whose score failed where votes are weighted.
Ties go to the class whose first voter has the smallest index.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from tts.operators._quorum import no_quorum
from tts.operators.base import OperatorModel, node
from tts.protocols import Context, Inlet, Outlet, Spec
from tts.types import Trajectory
from tts.voting.stopping import (
    dirichlet_probability,
    is_settled,
    is_unanimous,
    leader_probability,
    leader_share,
)
from tts.voting.tally import Tally, rank_weights, top_share

Stop = Annotated[
    Literal["never", "settled"],
    Field(description="settled: stop when the rest cannot change the winner"),
]
Certainty = Annotated[
    Literal["beta", "dirichlet", "share"],
    Field(
        description="what stop_at bounds: posterior of the leader against the second (beta) or "
        "against all (dirichlet), or its share of the weight"
    ),
]
Order = Annotated[
    Literal["arrival", "index"],
    Field(description="how samples are read; by index the result is the same every time"),
]
_CERTAINTY: Mapping[Certainty, Callable[[Tally], float]] = {
    "beta": lambda tally: leader_probability(tally.counts()),
    "dirichlet": lambda tally: dirichlet_probability(tally.counts()),
    "share": lambda tally: leader_share(tally.weights()),
}


class Vote(OperatorModel):
    """Sends one trajectory: the first of the winning class, with all voters as its parents.

    It closes its input, and so cancels the sampling behind it, as soon as a stopping rule holds.
    `borda` and `keep` rank all scores first, and so wait for all.
    """

    weights: str | None = Field(
        None, description="name of the score that weighs the votes; each counts 1 if none"
    )
    borda: float | None = Field(
        None, ge=0, description="weigh by rank, (N - r + 1) to this power; 0 counts votes"
    )
    keep: float | None = Field(
        None,
        gt=0,
        le=1,
        description="share of the trajectories that vote, those with the best scores",
    )
    quorum: int = Field(1, ge=1, description="fewest votes for an answer")
    stop: Stop = "never"
    stop_at: float | None = Field(
        None, gt=0.5, lt=1.0, description="stop when the leader is this certain; never if none"
    )
    certainty: Certainty = "beta"
    min_votes: int = Field(1, ge=1, description="fewest votes before stop_at may stop")
    window: int | None = Field(
        None, ge=2, description="stop when this many samples in a row, counted off, agree"
    )
    first: int | None = Field(
        None,
        ge=1,
        description="trajectories that are read before the rest is cancelled; all if none",
    )
    order: Order = "arrival"

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.weights is None and (self.borda is not None or self.keep is not None):
            raise ValueError("borda and keep rank by a score; name it in weights")
        if self._ranks and (self.stop != "never" or self.stop_at or self.window or self.first):
            raise ValueError("borda and keep rank all scores, so they cannot stop early")
        if self.weights and self.stop_at and self.certainty != "share":
            raise ValueError(
                "stop_at counts votes; with weights use stop: settled or certainty: share"
            )
        return self

    @property
    def spec(self) -> Spec:
        """Reads finished trajectories, sends one."""
        scores = (self.weights,) if self.weights else ()
        return Spec(
            accepts="finished",
            emits="finished",
            scores=scores,
            weights=scores if self.borda is None else (),
            max_outputs=1,
            bounded=self.stop == "settled",
            compares=True,
        )

    async def run(self, context: Context, inputs: Sequence[Inlet], outlet: Outlet) -> None:
        """Count until the inputs end or a stopping rule holds."""
        tally = Tally(context.answers())
        count = self._count_ranked if self._ranks else self._count
        read = await count(context, inputs, tally)
        voters = len(tally.voters)
        context.emit("vote", read=read, voters=voters, votes=tally.summary())
        if voters < self.quorum:
            if voters or (read and self.weights):
                score = f" and a {self.weights!r} score" if self.weights else ""
                context.warn(
                    no_quorum(
                        voters, read, what=f"an answer{score}", chooser="vote", quorum=self.quorum
                    )
                )
            return
        if (winner := tally.winner(context.node)) is not None:
            outlet.send(winner)

    @property
    def _ranks(self) -> bool:
        return self.borda is not None or self.keep is not None

    async def _count(self, context: Context, inputs: Sequence[Inlet], tally: Tally) -> int:
        read = 0
        classes: list[int | None] = []
        async for trajectory in context.merge(inputs, order=self.order):
            read += 1
            classes.append(await tally.add(trajectory, self._weight(trajectory)))
            if rule := self._rule_that_holds(context, tally, classes):
                for inlet in inputs:
                    inlet.close()
                context.stopped(rule, read=read, leader=tally.leader_text())
                break
        return read

    async def _count_ranked(self, context: Context, inputs: Sequence[Inlet], tally: Tally) -> int:
        arrived = [t async for t in context.merge(inputs, order=self.order)]
        arrived.sort(key=lambda t: (t.origin.node, t.origin.index, t.id))
        eligible = [
            (t, weight)
            for t in arrived
            if t.answer is not None and (weight := self._weight(t)) is not None
        ]
        if self.keep is not None:
            kept = top_share([weight for _, weight in eligible], self.keep)
            eligible = [eligible[i] for i in kept]
        weights = [weight for _, weight in eligible]
        if self.borda is not None:
            weights = rank_weights(weights, self.borda)
        for (trajectory, _), weight in zip(eligible, weights, strict=True):
            await tally.add(trajectory, weight)
        return len(arrived)

    def _weight(self, trajectory: Trajectory) -> float | None:
        if self.weights is None:
            return 1.0
        return trajectory.scores[self.weights].probability_or_value

    def _rule_that_holds(
        self, context: Context, tally: Tally, classes: Sequence[int | None]
    ) -> str:
        """Return the stopping rule that holds, as a preset writes it; empty if none does."""
        read, most = len(classes), context.max_inputs
        if read == self.first:
            return f"first {self.first}"
        has_window = self.window is not None and read % self.window == 0
        if has_window and is_unanimous(classes[-(self.window or 0) :]):
            return f"window {self.window}"
        has_votes = self.stop_at is not None and len(tally.voters) >= self.min_votes
        if has_votes and _CERTAINTY[self.certainty](tally) >= (self.stop_at or 1.0):
            return f"stop_at {self.stop_at:g}"
        is_bounded = self.stop == "settled" and most is not None
        is_over = is_bounded and is_settled(tally.weights(), (most or 0) - read)
        return "settled" if is_over else ""


vote = node(Vote)
