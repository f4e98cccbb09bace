"""From recorded samples with scores to a ladder: when to go on, and whom to ask then.

Cross-validated like the rest of a policy: answer model and stopping rules are fitted on one half of
the problems and judged on the other, both ways round; what the policy keeps is fitted on all.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tts.allocation.evidence import AnswerModel, fit_answers, gather_along
from tts.allocation.fit import Recorded, draw_orders
from tts.allocation.optimal_stopping import SIZES, Paths, fit_stopping, follow, standing
from tts.allocation.policy_file import DearerPart, LadderPart, LadderPoint
from tts.errors import optional_import
from tts.evals.metrics import bootstrap_interval

with optional_import("a calibration"):
    from scipy.optimize import isotonic_regression

PRICES = tuple(float(p) for p in np.geomspace(0.1, 1e-4, 16))
_NUM_ORDERS = 8
_NUM_BINS = 8
_Floats = NDArray[np.float64]
_Halves = Sequence[Sequence[int]]


@dataclass(frozen=True, slots=True)
class Dearer:
    """What a dearer strategy did.

    Attributes:
        strategy: Its name.
        parameters: Its own.
        outcomes: Whether it was right on each problem, and its cost; None where it was not run.
    """

    strategy: str
    parameters: Mapping[str, Any]
    outcomes: Sequence[tuple[bool, float] | None]


def fit_ladder(
    problems: Sequence[Recorded],
    halves: _Halves,
    *,
    verifier: str | None = None,
    in_tokens: bool = True,
    dearer: Sequence[Dearer] = (),
    seed: int = 0,
) -> LadderPart:
    """Return the ladder of recorded samples.

    Args:
        problems: Their samples, with scores if there is a verifier.
        halves: Places of the problems of each half.
        verifier: Whose scores they are.
        in_tokens: Whether the samples' costs are generated tokens.
        dearer: What other strategies did on the same problems.
        seed: Of the orders of drawing.

    Raises:
        InputError: No sample has an answer.
    """
    most = max(len(problem.classes) for problem in problems)
    sizes = (*(size for size in SIZES if size < most), most)
    unit = fmean(cost for problem in problems for cost in problem.costs)
    rng = np.random.default_rng(seed)
    orders = [draw_orders(rng, _NUM_ORDERS, len(problem.classes)) for problem in problems]
    whole = range(len(problems))
    model = _fit_answers(problems, orders, whole, sizes)
    paths = _paths(model, problems, orders, whole, sizes, unit)
    found = _cross_validated(problems, orders, halves, sizes, unit)
    points = []
    for price, (samples, cost, marks) in zip(PRICES, found, strict=True):
        interval = bootstrap_interval(marks, seed=seed, num_resamples=1_000)
        points.append(
            LadderPoint(
                price=price,
                samples=samples,
                tokens=cost * unit if in_tokens else None,
                accuracy=fmean(marks),
                low=interval.low,
                high=interval.high,
                weights=fit_stopping(paths, sizes, price).weights,
            )
        )
    return LadderPart(
        verifier=verifier,
        sizes=sizes,
        answer=model.weights,
        points=tuple(points),
        dearer=_best_dearer(dearer, paths, unit),
    )


def _fit_answers(
    problems: Sequence[Recorded],
    orders: Sequence[NDArray[np.int64]],
    places: Sequence[int],
    sizes: Sequence[int],
) -> AnswerModel:
    seen = []
    for i in places:
        problem = problems[i]
        evidence = gather_along(problem.classes, problem.scores, orders[i], sizes)
        seen.append((evidence, _right(problem, evidence.votes.shape[-1])))
    return fit_answers(seen)


def _right(problem: Recorded, num_answers: int) -> NDArray[np.bool_]:
    return np.isin(np.arange(num_answers), list(problem.right))


def _paths(
    model: AnswerModel,
    problems: Sequence[Recorded],
    orders: Sequence[NDArray[np.int64]],
    places: Sequence[int],
    sizes: Sequence[int],
    unit: float,
) -> Paths:
    """Return the paths of some problems, problem by problem."""
    facts, is_right, cost = [], [], []
    for i in places:
        problem = problems[i]
        evidence = gather_along(problem.classes, problem.scores, orders[i], sizes)
        now = standing(model, evidence)
        last = np.minimum(sizes, len(problem.classes)) - 1
        facts.append(now.facts)
        is_right.append(_right(problem, evidence.votes.shape[-1])[now.answer] & (now.chance > 0))
        cost.append(np.cumsum(np.asarray(problem.costs)[orders[i]], axis=1)[:, last] / unit)
    weight = np.full(len(facts) * _NUM_ORDERS, 1.0 / _NUM_ORDERS)
    return Paths(np.concatenate(facts), np.concatenate(is_right), np.concatenate(cost), weight)


def _cross_validated(
    problems: Sequence[Recorded],
    orders: Sequence[NDArray[np.int64]],
    halves: _Halves,
    sizes: Sequence[int],
    unit: float,
) -> list[tuple[float, float, list[float]]]:
    """Return mean samples, mean cost in samples and each problem's accuracy, for each price."""
    sides = []
    for test, train in (halves, halves[::-1]):
        model = _fit_answers(problems, orders, train, sizes)
        sides.append([_paths(model, problems, orders, part, sizes, unit) for part in (train, test)])
    found = []
    for price in PRICES:
        outcomes = [follow(fit_stopping(train, sizes, price), test) for train, test in sides]
        right = np.concatenate([outcome.is_right for outcome in outcomes])
        step = np.concatenate([outcome.step for outcome in outcomes])
        cost = np.concatenate([outcome.cost for outcome in outcomes])
        marks = right.reshape(-1, _NUM_ORDERS).mean(axis=1).tolist()
        found.append((float(np.asarray(sizes)[step].mean()), float(cost.mean()), marks))
    return found


def _best_dearer(dearer: Sequence[Dearer], paths: Paths, unit: float) -> DearerPart | None:
    """Return the strategy that gains most where all samples are drawn; None if none gains."""
    best: tuple[float, DearerPart] | None = None
    chance = paths.facts[:, :, 1].reshape(-1, _NUM_ORDERS, paths.facts.shape[1])
    for one in dearer:
        known = [i for i, outcome in enumerate(one.outcomes) if outcome is not None]
        if len(known) < _NUM_BINS:
            continue
        outcomes = [outcome for outcome in one.outcomes if outcome is not None]
        right = np.array([float(is_right) for is_right, _ in outcomes])
        cost = fmean(spent for _, spent in outcomes) / unit
        knots, accuracy = _accuracy_by_chance(chance[known], right)
        last = chance[known][:, :, -1]
        gain = float(np.maximum(np.interp(last, knots, accuracy) - last, 0.0).mean())
        if gain > 0.0 and cost > 0.0 and (best is None or gain > best[0]):
            part = DearerPart(
                strategy=one.strategy,
                parameters=dict(one.parameters),
                cost=cost,
                chances=knots,
                accuracy=accuracy,
            )
            best = gain, part
    return None if best is None else best[1]


def _accuracy_by_chance(
    chance: _Floats, right: _Floats
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return isotonic accuracy of a preset at rising chances; its lower 84 % bound, not its mean.

    A bin of few problems promises much by luck, and the best promise is what is taken.
    """
    x, y = chance.ravel(), np.repeat(right, chance[0].size)
    order = np.argsort(x, kind="stable")
    bins = np.array_split(order, _NUM_BINS)
    knots = [float(x[part].mean()) for part in bins]
    problems = max(1.0, len(right) / _NUM_BINS)
    means = np.array([float(y[part].mean()) for part in bins])
    fitted = isotonic_regression(means).x
    bound = np.clip(fitted - np.sqrt(fitted * (1 - fitted) / problems), 0.0, 1.0)
    rising = np.maximum.accumulate(bound)
    return tuple(knots), tuple(float(value) for value in rising)
