"""Laws of test-time scaling: a saturating curve, and the ceiling of an imperfect verifier.

Sources: TTSPM (arXiv:2505.20522), "Inference Scaling fLaws" (arXiv:2411.17501). Probabilities are
shares in [0, 1].
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tts.errors import InputError, optional_import

with optional_import("a fitted law"):
    from scipy.optimize import least_squares


class Saturation(NamedTuple):
    """A saturating curve: accuracy(n) = ceiling * (1 - (1 - rate) ** n)."""

    ceiling: float
    rate: float


def saturating_accuracy(curve: Saturation, n: float) -> float:
    """Return F(n) = F_max * (1 - (1 - p) ** n); TTSPM, arXiv:2505.20522.

    One form for both axes: n parallel samples of which one suffices, or n rounds of rethinking
    each of which mends a wrong answer with probability p.
    """
    return float(curve.ceiling * (1.0 - (1.0 - curve.rate) ** n))


def saturation_point(curve: Saturation, least_gain: float) -> int:
    """Return the smallest n whose next unit gains less than `least_gain`; 0 if the first does.

    The gain of unit n + 1 is F(n + 1) - F(n) = F_max * p * (1 - p) ** n, so
    n = floor(ln(least_gain / (F_max * p)) / ln(1 - p)) + 1; TTSPM, arXiv:2505.20522, rounds up
    instead, which differs where a gain equals the bound. `least_gain` is in the ceiling's unit.

    Raises:
        InputError: The gain is not positive, or the curve is not one of probabilities.
    """
    _check_shares("ceiling and rate", curve)
    if not least_gain > 0:
        raise InputError(f"the least gain must be positive, got {least_gain}")
    first = curve.ceiling * curve.rate
    if first < least_gain:
        return 0
    if curve.rate == 1.0:
        return 1
    # A gain that equals the bound, but for rounding, is not below it.
    return math.floor(math.log(least_gain / first) / math.log1p(-curve.rate) + 1e-9) + 1


def fit_saturation(n: Sequence[float], accuracy: Sequence[float]) -> Saturation:
    """Fit ceiling and rate by least squares; TTSPM, arXiv:2505.20522.

    The curve has one rate for all problems. A mixture of easy and hard ones rises faster at first
    and slower later, so a fit to small n predicts too early a plateau.

    Raises:
        InputError: Fewer than two different n, or an accuracy outside [0, 1].
    """
    x, y = np.asarray(n, dtype=np.float64), np.asarray(accuracy, dtype=np.float64)
    _check_shares("accuracies", y)
    if len(x) != len(y) or len(np.unique(x)) < 2 or (x <= 0).any():
        raise InputError("a curve needs accuracies at two different n, all positive")

    def residuals(parameters: NDArray[np.float64]) -> NDArray[np.float64]:
        ceiling, rate = parameters
        return np.asarray(ceiling * (1.0 - (1.0 - rate) ** x) - y)

    start = [min(1.0, max(float(y.max()), 1e-3)), 0.5]
    found = least_squares(residuals, start, bounds=([0.0, 1e-9], [1.0, 1.0]))
    return Saturation(float(found.x[0]), float(found.x[1]))


class Verified(NamedTuple):
    """One problem under an imperfect verifier: chance to pass, and to be right once passed."""

    passes: float
    precision: float


def verified_accuracy(problems: Sequence[Verified], n: float) -> float:
    """Return the accuracy of taking the first of `n` samples that passes the verifier.

    Mean over problems of (1 - (1 - pass) ** n) * precision; `n` may be infinite, and the result is
    then the ceiling that no resampling passes. arXiv:2411.17501; the mean is per problem, since
    hard problems pass less and are less precise.

    Raises:
        InputError: No problems, or a share outside [0, 1].
    """
    passes, precision = _columns(problems)
    return float(np.mean(_reach(passes, n) * precision))


def best_num_samples(
    problems: Sequence[Verified], false_positive_cost: float, *, most: int = 1_000
) -> int:
    """Return the n in 0 to `most` of the largest reward, the smallest of equals.

    arXiv:2411.17501. With false positives the reward may turn down: problems that pass late are
    those whose passes are rarely right.
    """
    passes, precision = _columns(problems)
    worth = precision - false_positive_cost * (1.0 - precision)
    n = np.arange(most + 1, dtype=np.float64)
    rewards = np.mean(_reach(passes, n[:, None]) * worth, axis=1)
    return int(np.argmax(rewards > rewards.max() - 1e-12))


def _columns(problems: Sequence[Verified]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    table = np.asarray(problems, dtype=np.float64).reshape(-1, 2)
    if not len(table):
        raise InputError("there are no problems")
    _check_shares("chances", table)
    return table[:, 0], table[:, 1]


def _reach(passes: NDArray[np.float64], n: float | NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the chance that one of `n` samples passes; 0 ** 0 is 1, so none of 0 does."""
    return np.asarray(1.0 - (1.0 - passes) ** n)


def _check_shares(what: str, values: object) -> None:
    array = np.asarray(values, dtype=np.float64)
    if not ((array >= 0.0) & (array <= 1.0)).all():
        raise InputError(f"{what} must lie in [0, 1]")
