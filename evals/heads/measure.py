"""How good a head's values are, by themselves and for choosing an answer."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tts.evals.heads.examples import Examples
from tts.evals.metrics import paired_bootstrap

_BINS = 10


@dataclass(frozen=True, slots=True)
class Choice:
    """Accuracy over problems of what was chosen from all samples of each.

    Attributes:
        accuracy: Mean over problems; ties count their share.
        gain: Over the plain vote.
        low: Of the gain's 95 % interval, by paired bootstrap over problems.
        high: The same.
    """

    accuracy: float
    gain: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Figures:
    """What values at the ends of solutions are worth.

    Attributes:
        problems: Their number.
        samples: Of each problem, on average.
        auroc: Chance that a right solution has a higher value than a wrong one.
        auroc_within: The same of two solutions of one problem; None if no problem has both kinds.
        auroc_length: What the length alone gives, shorter being better, within problems.
        brier: Mean squared distance of the values from what came.
        calibration_error: Mean distance of values from the share that is right, over ten bins.
        pass_at_1: Share of right solutions, mean over problems.
        pass_at_n: Share of problems with a right solution.
        vote: The plain vote's accuracy.
        weighted_vote: Of the answer with the largest sum of values.
        best_of_n: Of the solution with the highest value.
    """

    problems: int
    samples: float
    auroc: float
    auroc_within: float | None
    auroc_length: float | None
    brier: float
    calibration_error: float
    pass_at_1: float
    pass_at_n: float
    vote: float
    weighted_vote: Choice
    best_of_n: Choice


def measure(examples: Examples, values: NDArray[np.float64], *, seed: int = 0) -> Figures:
    """Return the figures of values.

    Args:
        examples: Solutions with their places.
        values: At each place, [N].
        seed: Of the bootstrap.
    """
    ends, right = values[examples.ends], examples.is_right
    problems = np.unique(examples.problem)
    of_each = [np.flatnonzero(examples.problem == problem) for problem in problems]
    classes = examples.answer_class
    ones = np.ones(len(ends))
    plain = np.array([_voted(classes[of], ones[of], right[of]) for of in of_each])
    weighted = np.array([_voted(classes[of], ends[of], right[of]) for of in of_each])
    best = np.array([right[of][ends[of] == ends[of].max()].mean() for of in of_each])
    return Figures(
        problems=len(problems),
        samples=len(ends) / len(problems),
        auroc=auroc(ends, right),
        auroc_within=auroc_within(ends, right, of_each),
        auroc_length=auroc_within(
            -examples.places[examples.ends].astype(np.float64), right, of_each
        ),
        brier=float(np.mean((ends - right) ** 2)),
        calibration_error=_calibration_error(ends, right),
        pass_at_1=float(np.mean([right[of].mean() for of in of_each])),
        pass_at_n=float(np.mean([right[of].any() for of in of_each])),
        vote=float(plain.mean()),
        weighted_vote=_choice(weighted, plain, seed),
        best_of_n=_choice(best, plain, seed),
    )


def auroc(values: NDArray[np.float64], right: NDArray[np.bool_]) -> float:
    """Return the chance that a right one's value exceeds a wrong one's; ties count half.

    0.5 where one kind is missing.
    """
    pairs = _pairs(values, right)
    return pairs[0] / pairs[1] if pairs[1] else 0.5


def auroc_within(
    values: NDArray[np.float64], right: NDArray[np.bool_], groups: list[NDArray[np.int64]]
) -> float | None:
    """Return the same over pairs of one group; None if no group has both kinds."""
    pairs = [_pairs(values[of], right[of]) for of in groups]
    total = sum(count for _, count in pairs)
    return sum(won for won, _ in pairs) / total if total else None


def _pairs(values: NDArray[np.float64], right: NDArray[np.bool_]) -> tuple[float, int]:
    """Return how many pairs of a right and a wrong one are in order, and how many there are."""
    good, bad = values[right], np.sort(values[~right])
    below = np.searchsorted(bad, good, side="left")
    upto = np.searchsorted(bad, good, side="right")
    return float((below + upto).sum()) / 2, len(good) * len(bad)


def _voted(
    classes: NDArray[np.int64], weights: NDArray[np.float64], right: NDArray[np.bool_]
) -> float:
    """Return the chance that a vote's winner is right, by lot among equals."""
    has_answer = classes >= 0
    if not has_answer.any():
        return 0.0
    found, of = np.unique(classes[has_answer], return_inverse=True)
    sums = np.bincount(of, weights[has_answer])
    is_right = np.zeros(len(found))
    is_right[of[right[has_answer]]] = 1.0
    return float(is_right[sums >= sums.max() * (1 - 1e-12)].mean())


def _choice(chosen: NDArray[np.float64], plain: NDArray[np.float64], seed: int) -> Choice:
    gain = paired_bootstrap(plain.tolist(), chosen.tolist(), seed=seed)
    return Choice(float(chosen.mean()), *gain)


def _calibration_error(values: NDArray[np.float64], right: NDArray[np.bool_]) -> float:
    bins = np.minimum((values * _BINS).astype(int), _BINS - 1)
    sizes = np.bincount(bins, minlength=_BINS)
    gaps = np.abs(np.bincount(bins, values - right, minlength=_BINS))
    return float(gaps.sum() / sizes.sum())
