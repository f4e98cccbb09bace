"""`auto` against fixed strategies, from two kinds of runs on the same problems.

One run draws many samples of each problem and scores them all. Every fixed strategy at every size
is worked out from it: voting and best-of-n exactly, the weighted vote over random orders. The runs
of `auto`, at several budgets, stand beside these curves. Intervals are of a bootstrap over problems
and 95 %.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

import numpy as np
from numpy.typing import NDArray

from tts.allocation.curves import interpolate_accuracy, interpolate_cost
from tts.allocation.evidence import gather_along
from tts.allocation.fit import draw_orders
from tts.errors import InputError
from tts.evals.independent_samples import (
    answer_classes,
    best_at,
    fewest_samples,
    maj_at,
    pass_at,
    powers_of_two,
    right_classes,
    shares,
)
from tts.evals.metrics import Difference, paired_bootstrap
from tts.evals.records import Record

_PLATEAU = 0.005  # half a point
_NUM_ORDERS = 32
_NUM_RESAMPLES = 1_000
_SEED = 0
_Floats = NDArray[np.float64]
_Figure = Callable[[Record, int], float]


@dataclass(frozen=True, slots=True)
class Curve:
    """A strategy at several costs.

    Attributes:
        name: Of the strategy.
        tokens: Mean generated tokens per problem at each point, rising.
        correct: [points, problems], accuracy of each problem.
    """

    name: str
    tokens: tuple[float, ...]
    correct: _Floats

    @property
    def accuracy(self) -> tuple[float, ...]:
        """Mean over the problems, at each point."""
        return tuple(float(value) for value in self.correct.mean(axis=1))

    def at(self, tokens: float) -> _Floats:
        """Return each problem's accuracy at a cost, its nearest end beyond the curve."""
        within = float(np.clip(tokens, self.tokens[0], self.tokens[-1]))
        columns = self.correct.T
        return np.array([interpolate_accuracy(self.tokens, c.tolist(), within) for c in columns])


@dataclass(frozen=True, slots=True)
class Plateau:
    """A fixed strategy at the smallest size within half a point of its best, and `auto` beside it.

    Attributes:
        name: Of the fixed strategy.
        num_samples: Its size.
        tokens: Its generated tokens per problem.
        accuracy: Its accuracy.
        needed: Tokens per problem at which `auto` first is as right; None if it never is.
        ratio: Of the two; infinite if it never is.
        low: Of the ratio's interval.
        high: The other end.
    """

    name: str
    num_samples: int
    tokens: float
    accuracy: float
    needed: float | None
    ratio: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class EqualTokens:
    """A run of `auto` and the fixed strategy that is best at as many tokens, on these problems.

    Attributes:
        tokens: Per problem.
        accuracy: Of `auto`.
        fixed: Name of the best fixed strategy.
        fixed_accuracy: Its accuracy.
        difference: `auto` less the fixed strategy.
    """

    tokens: float
    accuracy: float
    fixed: str
    fixed_accuracy: float
    difference: Difference


def fixed_curves(records: Sequence[Record], verifier: str) -> list[Curve]:
    """Return self-consistency, best-of-n and the weighted vote at 1, 2, 4, ... samples.

    Args:
        records: Of a run that scored all of its samples.
        verifier: Whose scores.

    Raises:
        InputError: Samples were cut off, or their tokens are unknown.
    """
    sizes, tokens = _sizes(records)
    weighted = np.stack([_weighted_vote(r, verifier, sizes) for r in records], axis=1)
    return [
        Curve("self_consistency", tokens, _table(records, sizes, maj_at)),
        Curve("best_of_n", tokens, _table(records, sizes, lambda r, k: best_at(r, verifier, k))),
        Curve("weighted_vote", tokens, weighted),
    ]


def oracle_curve(records: Sequence[Record]) -> Curve:
    """Return the one that takes the right sample if there is any: pass@k."""
    sizes, tokens = _sizes(records)
    return Curve("oracle", tokens, _table(records, sizes, pass_at))


def auto_curve(runs: Sequence[Sequence[Record]]) -> Curve:
    """Return `auto` at several budgets, cheapest first; of equal costs the first is kept.

    Args:
        runs: Records of each, problems in the same order.
    """
    by_tokens: dict[float, Sequence[Record]] = {}
    for run in runs:
        by_tokens.setdefault(fmean(float(r.usage.generated_tokens or 0) for r in run), run)
    points = sorted(by_tokens)
    correct = [[float(r.correct is True) for r in by_tokens[tokens]] for tokens in points]
    return Curve("auto", tuple(points), np.array(correct))


def at_plateau(fixed: Curve, auto: Curve) -> Plateau:
    """Compare `auto` with a fixed strategy that has enough samples."""
    accuracy = fixed.accuracy
    place = next(i for i, a in enumerate(accuracy) if a >= max(accuracy) - _PLATEAU)
    num_problems = fixed.correct.shape[1]
    needed = _needed(fixed, auto, place, np.arange(num_problems))
    rng = np.random.default_rng(_SEED)
    drawn = rng.integers(num_problems, size=(_NUM_RESAMPLES, num_problems))
    resampled = [_needed(fixed, auto, place, problems) for problems in drawn]
    low, high = np.quantile(resampled, [0.025, 0.975], method="nearest") / fixed.tokens[place]
    return Plateau(
        name=fixed.name,
        num_samples=2**place,
        tokens=fixed.tokens[place],
        accuracy=accuracy[place],
        needed=needed if np.isfinite(needed) else None,
        ratio=needed / fixed.tokens[place],
        low=float(low),
        high=float(high),
    )


def at_equal_tokens(fixed: Sequence[Curve], auto: Curve) -> list[EqualTokens]:
    """Compare each run of `auto` with the fixed strategy that is best at its tokens."""
    found = []
    for tokens, correct in zip(auto.tokens, auto.correct, strict=True):
        marks = {curve.name: curve.at(tokens) for curve in fixed}
        best = max(marks, key=lambda name: float(marks[name].mean()))
        difference = paired_bootstrap(marks[best].tolist(), correct.tolist(), seed=_SEED)
        found.append(
            EqualTokens(tokens, float(correct.mean()), best, float(marks[best].mean()), difference)
        )
    return found


def _needed(fixed: Curve, auto: Curve, place: int, problems: NDArray[np.int64]) -> float:
    target = float(fixed.correct[place, problems].mean())
    accuracy = auto.correct[:, problems].mean(axis=1).tolist()
    found = interpolate_cost(auto.tokens, accuracy, target)
    return float("inf") if found is None else found


def _sizes(records: Sequence[Record]) -> tuple[list[int], tuple[float, ...]]:
    """Return 1, 2, 4, ... up to the fewest samples, and their mean tokens."""
    sizes = powers_of_two(fewest_samples(records))
    if not sizes or any(sample.tokens is None for r in records for sample in r.independent_samples):
        raise InputError("fixed strategies need whole samples with token counts")
    each = fmean(fmean(float(s.tokens or 0) for s in r.independent_samples) for r in records)
    return sizes, tuple(size * each for size in sizes)


def _table(records: Sequence[Record], sizes: Sequence[int], figure: _Figure) -> _Floats:
    return np.array([[figure(record, k) for record in records] for k in sizes])


def _weighted_vote(record: Record, verifier: str, sizes: Sequence[int]) -> _Floats:
    """Return the accuracy at each size, mean over random orders."""
    groups = [-1 if index is None else index for index in answer_classes(record)]
    orders = draw_orders(np.random.default_rng(_SEED), _NUM_ORDERS, len(groups))
    evidence = gather_along(groups, shares(record, verifier), orders, sizes)
    won = np.where(evidence.votes > 0, evidence.total, -1.0)
    is_right = np.isin(won.argmax(axis=-1), list(right_classes(record))) & (won.max(axis=-1) >= 0.0)
    return np.asarray(is_right.mean(axis=0), dtype=np.float64)


def to_mapping(plateau: Plateau) -> Mapping[str, object]:
    """Return the figures as JSON values; an infinite ratio is None."""
    values = {name: getattr(plateau, name) for name in plateau.__slots__}
    return {
        k: None if isinstance(v, float) and not np.isfinite(v) else v for k, v in values.items()
    }
