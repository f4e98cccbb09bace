"""From recorded samples with scores to a ladder: when to go on, and whom to ask when.

Cross-validated like the rest of a policy: answer model, choices and stopping rules are fitted on
one half of the problems and judged on the other, both ways round; what the policy keeps is fitted
on all.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import fmean
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tts.allocation.curves import cost_after
from tts.allocation.evidence import AnswerModel, Evidence, fit_answers, gather_along
from tts.allocation.fit import Recorded, draw_orders
from tts.allocation.optimal_stopping import (
    SIZES,
    Leader,
    Paths,
    StoppingRule,
    fit_stopping,
    follow,
    standing,
)
from tts.allocation.policy_file import ChoicePart, LadderPart, LadderPoint
from tts.evals.calibration.choices import Tried, fit_choices, turn
from tts.evals.metrics import bootstrap_interval

# From one sample of each problem, which no gain in accuracy is worth more than, to all.
PRICES = (*(float(p) for p in np.geomspace(1.0, 1e-5, 21)), 0.0)
_NUM_ORDERS = 8
_Halves = Sequence[Sequence[int]]


def fit_ladder(
    problems: Sequence[Recorded],
    halves: _Halves,
    *,
    verifier: str | None = None,
    is_latency: bool = False,
    tried: Sequence[Tried] = (),
    seed: int = 0,
) -> LadderPart:
    """Return the ladder of recorded samples.

    Its last point draws all samples of every problem: a share that buys so many shall be spent,
    unless samples make no difference.
    What leads, chance or scores, and whether other strategies have a place in it, is what gains
    most on the held-out halves.

    Args:
        problems: Their samples, with scores if there is a verifier.
        halves: Places of the problems of each half.
        verifier: Whose scores they are.
        is_latency: As of `cost_after`, for the samples' costs.
        tried: What other strategies did on the same problems.
        seed: Of the orders of drawing.

    Raises:
        InputError: No sample has an answer.
    """
    most = max(len(problem.classes) for problem in problems)
    sizes = (*(size for size in SIZES if size < most), most)
    unit = fmean(cost for problem in problems for cost in problem.costs)
    rng = np.random.default_rng(seed)
    orders = [draw_orders(rng, _NUM_ORDERS, len(problem.classes)) for problem in problems]
    along = [
        gather_along(problem.classes, problem.scores, order, sizes)
        for problem, order in zip(problems, orders, strict=True)
    ]
    alone = _Data(problems, orders, sizes, unit, is_latency, along, (), "chance")
    ways = [alone] if verifier is None else [alone, replace(alone, leader="scores")]
    ways += [replace(way, tried=tried) for way in ways if tried]
    found = [(way.leader, *_measured(way, halves)) for way in ways]
    leader, fitted, held_out = max(found, key=lambda one: fmean(point.net for point in one[2]))
    if len({fmean(point.marks) for point in held_out}) == 1:
        held_out = held_out[:1]  # more samples make nothing right: a rule between would draw all
    points = []
    for point in held_out:
        interval = bootstrap_interval(point.marks, seed=seed, num_resamples=1_000)
        points.append(
            LadderPoint(
                price=point.price,
                samples=point.samples,
                cost=point.cost * unit,
                accuracy=fmean(point.marks),
                low=interval.low,
                high=interval.high,
                weights=point.rule.weights,
            )
        )
    return LadderPart(
        verifier=verifier,
        sizes=sizes,
        leader=leader,
        answer=fitted.model.weights,
        points=tuple(points),
        edges=fitted.edges,
        choices=fitted.choices,
    )


class _Fitted(NamedTuple):
    """What some problems have taught."""

    places: Sequence[int]
    model: AnswerModel
    paths: Paths
    edges: tuple[float, ...]
    choices: tuple[ChoicePart, ...]


@dataclass(frozen=True, slots=True)
class _Data:
    """What a ladder is fitted to.

    Attributes:
        problems: Their samples.
        orders: [orders, samples] of each.
        sizes: Samples after each step.
        unit: Cost of a mean sample.
        is_latency: As of `cost_after`.
        along: What is known of each along its orders.
        tried: What other strategies did on the problems.
        leader: As of `standing`.
    """

    problems: Sequence[Recorded]
    orders: Sequence[NDArray[np.int64]]
    sizes: Sequence[int]
    unit: float
    is_latency: bool
    along: Sequence[Evidence]
    tried: Sequence[Tried]
    leader: Leader

    def fit(self, places: Sequence[int]) -> _Fitted:
        """Fit everything but the stopping rule, which depends on a price, to some problems."""
        seen = [(self.along[i], self._right(i)) for i in places]
        model = fit_answers(seen)
        paths = self.paths(model, places)
        chances = paths.facts[:, :, 1].reshape(len(places), -1)
        return _Fitted(places, model, paths, *fit_choices(self._tried_on(places), chances))

    def rule(self, fitted: _Fitted, price: float) -> StoppingRule:
        """Return the rule for a price; one that always goes on for none."""
        if not price:
            always = (1.0,) + (0.0,) * (fitted.paths.facts.shape[-1] - 1)
            return StoppingRule(tuple(self.sizes), (always,) * (len(self.sizes) - 1))
        turned = self.turned(fitted, fitted.paths, fitted.places, price)
        return fit_stopping(turned, self.sizes, price)

    def turned(self, fitted: _Fitted, paths: Paths, places: Sequence[int], price: float) -> Paths:
        """Return the paths of some problems with the choices that were fitted on others."""
        return turn(paths, self._tried_on(places), fitted.edges, fitted.choices, price)

    def paths(self, model: AnswerModel, places: Sequence[int]) -> Paths:
        """Return the paths of some problems, problem by problem."""
        facts, marks, values, cost = [], [], [], []
        for i in places:
            problem = self.problems[i]
            now = standing(model, self.along[i], self.leader)
            is_right = self._right(i)[now.answer] & (now.chance > 0)
            facts.append(now.facts)
            marks.append(is_right)
            # What happened is true and noisy, its chance is neither; half of each gains most.
            values.append((is_right + now.chance) / 2.0)
            costs = np.asarray(problem.costs)[self.orders[i]] / self.unit
            cost.append(cost_after(costs, self.sizes, is_latency=self.is_latency))
        weight = np.full(len(facts) * _NUM_ORDERS, 1.0 / _NUM_ORDERS)
        paid = np.concatenate(cost)
        return Paths(
            facts=np.concatenate(facts),
            is_right=np.concatenate(marks),
            value=np.concatenate(values),
            cost=paid,
            weight=weight,
            extra=np.zeros_like(paid),
        )

    def _right(self, place: int) -> NDArray[np.bool_]:
        problem = self.problems[place]
        num_answers = max(1, max(problem.classes, default=-1) + 1)
        return np.isin(np.arange(num_answers), list(problem.right))

    def _tried_on(self, places: Sequence[int]) -> list[Tried]:
        return [one.on(places, self.unit) for one in self.tried]


class _HeldOut(NamedTuple):
    """What stopping at a price brought on the half that it was not fitted on, both ways round.

    Attributes:
        price: Of a mean sample.
        rule: Fitted on all problems.
        marks: Accuracy of each problem.
        cost: In mean samples.
        samples: That were drawn.
    """

    price: float
    rule: StoppingRule
    marks: list[float]
    cost: float
    samples: float

    @property
    def net(self) -> float:
        """Accuracy, less what it cost."""
        return fmean(self.marks) - self.price * self.cost


def _measured(data: _Data, halves: _Halves) -> tuple[_Fitted, list[_HeldOut]]:
    """Return what all problems have taught, and what the halves say that it is worth."""
    whole = data.fit(range(len(data.problems)))
    sides = [(data.fit(train), test) for test, train in (halves, halves[::-1])]
    tests = [(side, data.paths(side.model, test), test) for side, test in sides]
    points = []
    for price in PRICES:
        outcomes = [follow(data.rule(s, price), data.turned(s, p, at, price)) for s, p, at in tests]
        right = np.concatenate([outcome.is_right for outcome in outcomes])
        cost = np.concatenate([outcome.cost for outcome in outcomes])
        samples = np.asarray(data.sizes)[np.concatenate([one.step for one in outcomes])]
        points.append(
            _HeldOut(
                price=price,
                rule=data.rule(whole, price),
                marks=right.reshape(-1, _NUM_ORDERS).mean(axis=1).tolist(),
                cost=float(cost.mean()),
                samples=float(samples.mean()),
            )
        )
    return whole, points
