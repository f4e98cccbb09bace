"""Draw as many samples as the problem is worth: a probe, then more while they buy enough.

After each batch, the expected gain in accuracy of a further sample is worked out from the votes so
far (`tts.allocation.allocator.gain_per_cost`). Below the price the problem is left: its vote is
settled or would hardly be mended. One price for all problems of a run is what a shared budget comes
to where it is spent best, and each problem is decided by its own samples alone: problems may arrive
at any time, and a resumed run decides the same.
"""

from collections import Counter
from collections.abc import Sequence
from functools import partial

import numpy as np
from pydantic import Field

from tts.allocation.allocator import Belief, gain_per_cost
from tts.allocation.race import DEFAULT_CONCENTRATION, GainTable, gain_table
from tts.operators.base import OperatorModel, node
from tts.operators.sample import draw_samples
from tts.protocols import Context, Inlet, Outlet, Spec
from tts.types import Trajectory

_PRIOR = Belief()


class Allocate(OperatorModel):
    """Sends the trajectories that it draws; sample i has the seed that `sample` would give it."""

    n: int = Field(64, ge=1, description="most trajectories of a problem")
    probe: int = Field(2, ge=1, description="trajectories before the first decision")
    batch: int = Field(1, ge=1, description="trajectories between decisions")
    price: float = Field(1e-3, ge=0, description="least gain in accuracy per trajectory")
    model: str = Field("", description="the only model that it may run on; any if empty")
    concentration: float = Field(
        DEFAULT_CONCENTRATION, gt=0, description="how concentrated votes are believed to be"
    )
    shares: tuple[float, ...] = Field(
        _PRIOR.shares, description="shares of the votes at which `trust` is known, rising"
    )
    trust: tuple[float, ...] = Field(
        _PRIOR.trust, description="chance that a winner with these shares of the votes is right"
    )

    @property
    def spec(self) -> Spec:
        """A source of finished trajectories."""
        return Spec(accepts=None, emits="finished", fan_out=self.n, model=self.model)

    async def run(self, context: Context, inputs: Sequence[Inlet], outlet: Outlet) -> None:
        """Draw and decide in turns."""
        groups = context.answers()
        votes: Counter[int] = Counter()
        belief = Belief(self.concentration, self.shares, self.trust)
        table = gain_table(self.concentration)
        drawn, size = 0, min(self.probe, self.n)
        while drawn < self.n:
            fresh: list[Trajectory] = []
            count = min(size, self.n - drawn)
            take = partial(_keep_and_send, fresh, outlet)
            got = await draw_samples(context, start=drawn, count=count, take=take)
            drawn += got
            for trajectory in sorted(fresh, key=lambda t: t.origin.index):
                group = await groups.add(trajectory.answer)
                if group is not None:
                    votes[group] += 1
            gain = _gain(belief, table, votes, drawn)
            context.emit("allocate", drawn=drawn, votes=_top_two(votes), gain=gain)
            if got < count:
                return
            if gain < self.price:
                if drawn < self.n:
                    context.stopped(f"price {self.price:g}")
                return
            size = self.batch


def _keep_and_send(kept: list[Trajectory], outlet: Outlet, trajectory: Trajectory) -> None:
    kept.append(trajectory)
    outlet.send(trajectory)


def _gain(belief: Belief, table: GainTable, votes: Counter[int], drawn: int) -> float:
    top = np.array([_top_two(votes)])
    return float(gain_per_cost(belief, table, top, np.array([drawn]), np.ones(1))[0])


def _top_two(votes: Counter[int]) -> tuple[int, int]:
    ranked = [count for _, count in votes.most_common(2)] + [0, 0]
    return ranked[0], ranked[1]


allocate = node(Allocate)
