"""Draw as many samples as the problem is worth: a probe, then more while they buy enough.

After each batch, the expected gain in accuracy of a further sample is worked out from the votes so
far (`tts.allocation.support`). Below the price the problem is left: its vote is
settled or would hardly be mended. With a share, the price follows what the run's problems have cost
so far (`Context.pace`); without, one price holds, and each problem is decided by its own samples
alone: problems may arrive at any time, and a resumed run decides the same.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from typing import Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from tts.allocation.pricing import price_for
from tts.allocation.support import Belief, Gains, chances, gains_of
from tts.operators.base import OperatorModel, node
from tts.operators.sample import draw_samples
from tts.protocols import AnswerGroups, Context, Inlet, Outlet, Spec
from tts.types import Trajectory
from tts.types.figures import Counted

_PRIOR = Belief()


class Allocate(OperatorModel):
    """Sends the trajectories that it draws; sample i has the seed that `sample` would give it."""

    n: int = Field(64, ge=1, description="most trajectories of a problem")
    probe: int = Field(2, ge=1, description="trajectories before the first decision")
    batch: int = Field(1, ge=1, description="trajectories between decisions")
    price: float = Field(1e-3, ge=0, description="least gain in accuracy per trajectory")
    share: float | None = Field(
        None, gt=0, description="what a problem may cost on average over those of a run"
    )
    unit: Counted = Field("tokens", description="unit of share and costs")
    costs: tuple[tuple[float, float], ...] = Field(
        (), description="what a problem costs at which price, rising in cost; for a share"
    )
    model: str = Field("", description="the only model that it may run on; any if empty")
    right: float = Field(
        _PRIOR.right, gt=0, description="first parameter of the right answer's share of the votes"
    )
    wrong: float = Field(
        _PRIOR.wrong, gt=0, description="second parameter of the right answer's share of the votes"
    )
    spread: float = Field(
        _PRIOR.spread, gt=0, description="number of classes among wrong votes; more is more"
    )
    discount: float = Field(
        _PRIOR.discount, ge=0, lt=1, description="share of small classes among wrong votes"
    )
    answers: float = Field(_PRIOR.answers, gt=0, le=1, description="share of samples that answer")

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.share is not None and not self.costs:
            raise ValueError("a share needs `costs`, which say what price it is")
        return self

    @property
    def spec(self) -> Spec:
        """A source of finished trajectories."""
        return Spec(accepts=None, emits="finished", fan_out=self.n, model=self.model, compares=True)

    async def run(self, context: Context, inputs: Sequence[Inlet], outlet: Outlet) -> None:
        """Draw and decide in turns."""
        if self.share is None:
            await self._draw(context, outlet, lambda: self.price)
            return
        costs, prices = zip(*self.costs, strict=True)
        with context.pace(self.share, self.unit) as pace:
            await self._draw(context, outlet, lambda: price_for(costs, prices, pace.share()))

    async def _draw(self, context: Context, outlet: Outlet, price_now: Callable[[], float]) -> None:
        belief = Belief(self.right, self.wrong, self.spread, self.discount, self.answers)
        votes = _Votes(context.answers(), gains_of(belief), self.n)
        size, expected = min(self.probe, self.n), 0.0
        while votes.drawn < self.n:
            fresh: list[Trajectory] = []
            count = min(size, self.n - votes.drawn)
            take = partial(_keep_and_send, fresh, outlet)
            got = await draw_samples(context, start=votes.drawn, count=count, take=take)
            is_first = not votes.drawn
            await votes.add(fresh, got)
            expected = votes.chance if is_first else expected
            gain, price = votes.gain, price_now()
            context.emit("allocate", drawn=votes.drawn, votes=votes.top_two, gain=gain)
            if got == count and gain < price and votes.drawn < self.n:
                context.stopped(f"price {price:.3g}")
            if got < count or gain < price:
                break
            size = self.batch
        context.chose(f"{votes.drawn} samples", expected=expected, chance=votes.chance)


class _Votes:
    """The votes so far, and what they say."""

    def __init__(self, groups: AnswerGroups, gains: Gains, most: int) -> None:
        self._groups = groups
        self._gains = gains
        self._most = most
        self._counts: Counter[int] = Counter()
        self.drawn = 0

    async def add(self, fresh: Sequence[Trajectory], drawn: int) -> None:
        """Count samples, in their order."""
        self.drawn += drawn
        for trajectory in sorted(fresh, key=lambda t: t.origin.index):
            group = await self._groups.add(trajectory.answer)
            if group is not None:
                self._counts[group] += 1

    @property
    def gain(self) -> float:
        """Expected gain in accuracy of the next sample."""
        left = self._most - self.drawn
        return float(self._gains(self._rows, np.array([self.drawn]), np.array([left]))[0])

    @property
    def chance(self) -> float:
        """Chance of the leader to be right."""
        return float(chances(self._gains.belief, self._rows).seen[0, 0])

    @property
    def top_two(self) -> tuple[int, int]:
        """Votes of the leader and of the second."""
        ranked = [*self._rows[0].tolist(), 0]
        return ranked[0], ranked[1]

    @property
    def _rows(self) -> NDArray[np.int64]:
        return np.array([sorted(self._counts.values(), reverse=True) or [0]])


def _keep_and_send(kept: list[Trajectory], outlet: Outlet, trajectory: Trajectory) -> None:
    kept.append(trajectory)
    outlet.send(trajectory)


allocate = node(Allocate)
