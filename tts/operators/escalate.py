"""Sample in growing steps until more is not worth it; then answer, or turn to another strategy.

After each step, the chance of each answer is worked out from votes and scores
(`tts.allocation.evidence`), and whether going on is worth its price
(`tts.allocation.optimal_stopping`). Where it is not, the answer of largest chance wins: that of the
vote where answers agree, that of the verifier where they do not; or, where calibration found that
better, the one of most scores in all. Unless another strategy is known
to do better on problems whose samples leave such a chance, by its lower bound and by more than it
costs: then its answer is taken.

With a share, what a problem may cost follows what the run's problems have cost so far
(`Context.pace`); without, each problem is decided by its own samples alone.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Self

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, model_validator

from tts.allocation.evidence import AnswerModel, gather
from tts.allocation.optimal_stopping import Leader, Standing, StoppingRule, standing
from tts.allocation.pricing import PricedRule, rule_for
from tts.errors import InputError
from tts.operators._body import Body, body_spec, one_model
from tts.operators.base import OperatorModel, node
from tts.operators.sample import draw_samples
from tts.operators.score import score
from tts.protocols import Context, Inlet, Outlet, Pace, Spec
from tts.types import Trajectory
from tts.types.figures import LATENCIES, Counted
from tts.voting.tally import Tally


class Choice(BaseModel):
    """A strategy to turn to, and what it did in each bin of predicted difficulty, hardest first."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(description="what results call it")
    body: Body = Field(description="its pipeline")
    low: tuple[float, ...] = Field(description="lower bound of its accuracy in each bin")
    cost: tuple[float, ...] = Field(description="its cost in each bin, in mean samples")


class Escalate(OperatorModel):
    """Sends one trajectory: the winner, with all samples that gave an answer as its parents.

    Sample i has the seed that `sample` would give it.
    """

    bodies = ("choices.body",)

    sizes: tuple[int, ...] = Field(description="samples that are drawn after each step, in all")
    rules: tuple[PricedRule, ...] = Field(
        description="stopping rules, rising in cost; without a share, the first one holds"
    )
    share: float | None = Field(
        None, gt=0, description="what a problem may cost on average over those of a run"
    )
    unit: Counted = Field("tokens", description="unit of share and costs")
    answer: tuple[float, ...] = Field(
        AnswerModel().weights, description="weights of the model that says how right an answer is"
    )
    leader: Leader = Field(
        "chance", description="what the winner has most of: chance, or scores in all"
    )
    verifier: str | None = Field(
        None, description="verifier whose scores count; votes alone if none"
    )
    model: str = Field("", description="the only model that it may run on; any if empty")
    edges: tuple[float, ...] = Field(
        (), description="chances of the best answer between bins of predicted difficulty, rising"
    )
    choices: tuple[Choice, ...] = Field((), description="strategies to turn to where they pay")

    @model_validator(mode="after")
    def _check(self) -> Self:
        if list(self.edges) != sorted(self.edges):
            raise ValueError("edges between bins rise")
        for choice in self.choices:
            if not len(choice.low) == len(choice.cost) == len(self.edges) + 1:
                raise ValueError(f"{choice.name} needs accuracy and cost in each bin")
        if self.leader == "scores" and self.verifier is None:
            raise ValueError("a leader by scores needs a verifier")
        try:
            if not self.rules:
                raise InputError("there is no rule that says when to stop")
            for rule in self.rules:
                self._stopping(rule)
            AnswerModel(self.answer)
        except InputError as error:
            raise ValueError(str(error)) from error
        return self

    @property
    def spec(self) -> Spec:
        """A source of one finished trajectory."""
        verifiers = () if self.verifier is None else (self.verifier,)
        bodies = [choice.body for choice in self.choices]
        inner = body_spec(bodies) if bodies else Spec()
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
            compares=True,
        )

    async def run(self, context: Context, inputs: Sequence[Inlet], outlet: Outlet) -> None:
        """Draw, judge and decide in turns."""
        if self.share is None:
            await self._climb(context, outlet, None)
            return
        with context.pace(self.share, self.unit) as pace:
            await self._climb(context, outlet, pace)

    async def _climb(self, context: Context, outlet: Outlet, pace: Pace | None) -> None:
        samples = _Samples(context, self)
        model = AnswerModel(self.answer)
        expected: float | None = None
        now: Standing | None = None
        rule = self.rules[0]
        luck = random.Random(context.seed("rule")).random()
        for step, size in enumerate(self.sizes):
            is_whole = await samples.draw(size)
            now = standing(model, gather(samples.classes, samples.scores), self.leader)
            chance = float(now.chance)
            expected = chance if expected is None else expected
            rule = self.rules[0] if pace is None else rule_for(self.rules, pace.share(), luck)
            gain = float(self._stopping(rule).gain(step, now.facts))
            context.emit("allocate", drawn=samples.drawn, chance=chance, gain=gain)
            if gain <= 0.0 and is_whole and step + 1 < len(self.sizes):
                context.stopped("more samples are not worth their price")
            if gain <= 0.0 or not is_whole:
                break
        assert now is not None and expected is not None, "a stopping rule has a size"
        place = self._turns(context, samples, float(now.chance), rule.price)
        if place is not None:
            choice = self.choices[place]
            low = choice.low[self._bin(float(now.chance))]
            context.emit("escalate", to=choice.name, gain=low - float(now.chance))
            if await self._ask(choice, context, outlet):
                what = f"{choice.name} after {samples.drawn}"
                context.chose(what, expected=expected, chance=low)
                return
        context.chose(f"{samples.drawn} samples", expected=expected, chance=float(now.chance))
        winner = samples.tally.winner(
            f"{context.node}/answer", leader=int(now.answer), probability=float(now.chance)
        )
        if winner is not None:
            outlet.send(winner)

    def _turns(
        self, context: Context, samples: "_Samples", chance: float, price: float
    ) -> int | None:
        """Return the choice that is worth more than the answer so far, of those within budget."""
        if not self.choices:
            return None
        place = self._bin(chance)
        left, each = context.left(self.unit), samples.mean_cost(self.unit)
        worth = [
            choice.low[place] - price * choice.cost[place]
            if choice.cost[place] * each <= left
            else -np.inf
            for choice in self.choices
        ]
        best = int(np.argmax(worth))
        return best if worth[best] > chance else None

    def _bin(self, chance: float) -> int:
        return int(np.searchsorted(self.edges, chance, side="right"))

    async def _ask(self, choice: Choice, context: Context, outlet: Outlet) -> bool:
        """Run another strategy; returns whether it gave an answer."""
        branch = context.branch(choice.body, name=choice.name)
        branch.finish()
        has_answer = False
        async for trajectory in branch.results:
            if trajectory.answer is not None:
                outlet.send(trajectory)
                has_answer = True
        return has_answer

    def _stopping(self, rule: PricedRule) -> StoppingRule:
        return StoppingRule(self.sizes, rule.weights)


@dataclass(slots=True)
class _Samples:
    """What was drawn so far."""

    context: Context
    operator: Escalate
    drawn: int = 0
    steps: int = 0
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
        self.steps += 1
        for trajectory in sorted(await self._judged(fresh), key=lambda t: t.origin.index):
            # One vote each; the scores weigh in the answer's chance.
            group = await self.tally.add(trajectory, 1.0)
            self.classes.append(-1 if group is None else group)
            if self.operator.verifier is not None:
                self.scores.append(_score(trajectory, self.operator.verifier))
        return got == count

    def mean_cost(self, unit: Counted) -> float:
        """Return what a sample of this problem has cost, checks included."""
        number = self.steps if unit in LATENCIES else self.drawn
        return self.context.spent(unit) / max(1, number)

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
