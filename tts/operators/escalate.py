"""Sample in growing steps until more is not worth it; then answer, or ask a dearer strategy.

After each step, the chance of each answer is worked out from votes and scores
(`tts.allocation.evidence`), and whether going on is worth its price
(`tts.allocation.optimal_stopping`). The answer of largest chance wins: that of the vote where
answers agree, that of the verifier where they do not. Where even that has little chance, and the
dearer strategy is known to do better on such problems by more than it costs, its answer is taken
instead.

One price for all problems of a run is what a shared budget comes to where it is spent best, and
each problem is decided by its own samples alone: problems may arrive at any time, and a resumed run
decides the same.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Self

import numpy as np
from pydantic import Field, model_validator

from tts.allocation.evidence import AnswerModel, gather
from tts.allocation.optimal_stopping import Standing, StoppingRule, standing
from tts.errors import InputError
from tts.operators._body import Body, body_spec, one_model
from tts.operators.base import OperatorModel, node
from tts.operators.sample import draw_samples
from tts.operators.score import score
from tts.pipeline import Pipeline
from tts.protocols import Context, Inlet, Outlet, Spec
from tts.types import Trajectory
from tts.voting.tally import Tally


class Escalate(OperatorModel):
    """Sends one trajectory: the winner, with all samples that gave an answer as its parents.

    Sample i has the seed that `sample` would give it.
    """

    bodies = ("dearer",)

    sizes: tuple[int, ...] = Field(description="samples that are drawn after each step, in all")
    weights: tuple[tuple[float, ...], ...] = Field(
        description="weights of the stopping rule, one row for each step but the last"
    )
    answer: tuple[float, ...] = Field(
        AnswerModel().weights, description="weights of the model that says how right an answer is"
    )
    verifier: str | None = Field(
        None, description="verifier whose scores count; votes alone if none"
    )
    model: str = Field("", description="the only model that it may run on; any if empty")
    dearer: Body | None = Field(None, description="pipeline for what the samples do not settle")
    chances: tuple[float, ...] = Field(
        (0.0,), description="chances of the best answer at which `accuracy` is known, rising"
    )
    accuracy: tuple[float, ...] = Field(
        (0.0,), description="accuracy of the dearer pipeline, less its price, at these chances"
    )

    @model_validator(mode="after")
    def _check(self) -> Self:
        if len(self.chances) != len(self.accuracy) or list(self.chances) != sorted(self.chances):
            raise ValueError("the dearer strategy needs one accuracy for each chance, rising")
        try:
            self._rule()
            AnswerModel(self.answer)
        except InputError as error:
            raise ValueError(str(error)) from error
        return self

    @property
    def spec(self) -> Spec:
        """A source of one finished trajectory."""
        verifiers = () if self.verifier is None else (self.verifier,)
        inner = Spec() if self.dearer is None else body_spec([self.dearer])
        return Spec(
            accepts=None,
            emits="finished",
            needs=inner.needs,
            verifiers=tuple(dict.fromkeys((*verifiers, *inner.verifiers))),
            logprobs=inner.logprobs,
            max_outputs=1,
            model=one_model([self.model, inner.model]),
            engines=inner.engines,
            embedders=inner.embedders,
        )

    async def run(self, context: Context, inputs: Sequence[Inlet], outlet: Outlet) -> None:
        """Draw, judge and decide in turns."""
        samples = _Samples(context, self)
        rule, model = self._rule(), AnswerModel(self.answer)
        now: Standing | None = None
        for step, size in enumerate(self.sizes):
            is_whole = await samples.draw(size)
            now = standing(model, gather(samples.classes, samples.scores))
            gain = float(rule.gain(step, now.facts))
            chance = float(now.chance)
            context.emit("allocate", drawn=samples.drawn, chance=chance, gain=gain)
            if gain <= 0.0 and is_whole and step + 1 < len(self.sizes):
                context.stopped("more samples are not worth their price")
            if gain <= 0.0 or not is_whole:
                break
        assert now is not None, "a stopping rule has a size"
        if self.dearer is not None:
            gain = float(np.interp(now.chance, self.chances, self.accuracy) - now.chance)
            if gain > 0.0:
                context.emit("escalate", gain=gain)
                if await self._ask_dearer(self.dearer, context, outlet):
                    return
        winner = samples.tally.winner(
            f"{context.node}/answer", leader=int(now.answer), probability=float(now.chance)
        )
        if winner is not None:
            outlet.send(winner)

    async def _ask_dearer(self, dearer: Pipeline, context: Context, outlet: Outlet) -> bool:
        """Run the dearer strategy; returns whether it gave an answer."""
        branch = context.branch(dearer, name="dearer")
        branch.finish()
        has_answer = False
        async for trajectory in branch.results:
            if trajectory.answer is not None:
                outlet.send(trajectory)
                has_answer = True
        return has_answer

    def _rule(self) -> StoppingRule:
        return StoppingRule(self.sizes, self.weights)


@dataclass(slots=True)
class _Samples:
    """What was drawn so far."""

    context: Context
    operator: Escalate
    drawn: int = 0
    classes: list[int] = field(default_factory=list)
    scores: list[float] = field(default_factory=list)
    tally: Tally = field(init=False)

    def __post_init__(self) -> None:
        self.tally = Tally(self.context.answers())

    async def draw(self, size: int) -> bool:
        """Draw until there are `size`; returns whether the budget let all through."""
        fresh: list[Trajectory] = []
        count = size - self.drawn
        got = await draw_samples(self.context, start=self.drawn, count=count, take=fresh.append)
        self.drawn += got
        for trajectory in sorted(await self._judged(fresh), key=lambda t: t.origin.index):
            # One vote each; the scores weigh in the answer's chance.
            group = await self.tally.add(trajectory, 1.0)
            self.classes.append(-1 if group is None else group)
            if self.operator.verifier is not None:
                self.scores.append(_score(trajectory, self.operator.verifier))
        return got == count

    async def _judged(self, drawn: list[Trajectory]) -> list[Trajectory]:
        if self.operator.verifier is None:
            for trajectory in drawn:
                self.context.record(trajectory)
            return drawn
        branch = self.context.branch(
            score(verifier=self.operator.verifier), name=f"judge{self.drawn}"
        )
        for trajectory in drawn:
            self.context.record(trajectory)
            branch.send(trajectory)
        branch.finish()
        return [trajectory async for trajectory in branch.results]


def _score(trajectory: Trajectory, verifier: str) -> float:
    """Return the score as a share; 0 where the verifier failed."""
    return trajectory.scores[verifier].share or 0.0


escalate = node(Escalate)
