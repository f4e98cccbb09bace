"""pass@k beyond the samples that were drawn, with an interval.

Each problem's chance per sample is drawn from a Beta distribution; the chances are integrated out,
so that a problem with no success in n samples still gives some at k. Source: Schaeffer et al. 2025,
"How Do Large Language Monkeys Get Their Power (Laws)?", arXiv:2502.17578.
"""

from bisect import bisect_left
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tts.errors import InputError, optional_import

with optional_import("a law of coverage"):
    from scipy.optimize import minimize
    from scipy.special import betaln

_CONFIDENCE = 0.95
_MOST_CONCENTRATION = 1e4


class Coverage(NamedTuple):
    """Success per sample, over problems: Beta(a, b)."""

    a: float
    b: float


class Extrapolation(NamedTuple):
    """pass@k and its 95 % interval of a bootstrap over problems."""

    value: float
    low: float
    high: float


def fit_coverage(num_samples: Sequence[int], num_correct: Sequence[int]) -> Coverage:
    """Fit the distribution by maximum likelihood of the counts of right samples.

    Raises:
        InputError: No problems, or counts that cannot be; all right or all wrong cannot be
            extrapolated, since nothing says how rare the other case is.
    """
    n, c = _counts(num_samples, num_correct)
    if c.sum() == 0 or (c == n).all():
        kind = "wrong" if c.sum() == 0 else "right"
        raise InputError(f"every sample is {kind}: nothing tells how pass@k goes on")
    return _fit(n, c)


def extrapolated_pass_at_k(coverage: Coverage, k: int) -> float:
    """Return 1 - B(a, b + k) / B(a, b), the mean of 1 - (1 - p) ** k."""
    missed = np.exp(betaln(coverage.a, coverage.b + k) - betaln(coverage.a, coverage.b))
    return float(1.0 - missed)


def enough_samples(coverage: Coverage, least_gain: float) -> int:
    """Return the smallest k after which one more sample gains less than `least_gain` in pass@k.

    The gain of sample k + 1 is B(a + 1, b + k) / B(a, b), the mean of p * (1 - p) ** k, which falls
    with k.

    Raises:
        InputError: `least_gain` is not positive.
    """
    if not least_gain > 0:
        raise InputError(f"the least gain must be positive, got {least_gain}")

    def gains_less(k: int) -> bool:
        gain = np.exp(betaln(coverage.a + 1, coverage.b + k) - betaln(coverage.a, coverage.b))
        return bool(gain < least_gain)

    return bisect_left(range(round(1 / least_gain) + 1), True, key=gains_less)


def extrapolate_pass_at_k(
    num_samples: Sequence[int],
    num_correct: Sequence[int],
    k: int,
    *,
    seed: int = 0,
    num_resamples: int = 200,
) -> Extrapolation:
    """Return pass@k for any k, with a 95 % percentile interval over resampled problems.

    Raises:
        InputError: As `fit_coverage`.
    """
    n, c = _counts(num_samples, num_correct)
    value = extrapolated_pass_at_k(fit_coverage(num_samples, num_correct), k)
    rng = np.random.default_rng(seed)
    values = []
    for _ in range(num_resamples):
        drawn = rng.integers(len(n), size=len(n))
        values.append(extrapolated_pass_at_k(_fit(n[drawn], c[drawn]), k))
    tail = (1.0 - _CONFIDENCE) / 2
    low, high = np.quantile(values, [tail, 1.0 - tail])
    return Extrapolation(value, float(low), float(high))


def _fit(n: NDArray[np.float64], c: NDArray[np.float64]) -> Coverage:
    def loss(parameters: NDArray[np.float64]) -> float:
        a, b = _unpack(parameters)
        return -float(np.sum(betaln(a + c, b + n - c) - betaln(a, b)))

    starts = ((0.0, 0.0), (-1.0, 0.0))
    fits = [
        minimize(loss, start, method="Nelder-Mead", options={"maxiter": 400}) for start in starts
    ]
    return _unpack(min(fits, key=lambda fit: float(fit.fun)).x)


def _unpack(parameters: NDArray[np.float64]) -> Coverage:
    limit = np.log(_MOST_CONCENTRATION)
    a, b = np.exp(np.clip(parameters, -limit, limit))
    return Coverage(float(a), float(b))


def _counts(
    num_samples: Sequence[int], num_correct: Sequence[int]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    n, c = np.asarray(num_samples, dtype=np.float64), np.asarray(num_correct, dtype=np.float64)
    if not len(n) or n.shape != c.shape or (c < 0).any() or (c > n).any() or (n < 1).any():
        raise InputError("coverage needs problems with samples, and 0 to n right ones of each")
    return n, c
